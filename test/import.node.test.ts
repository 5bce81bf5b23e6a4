import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readBackup } from "../tools/legacy/backup.ts";
import { makeReport, reportText } from "../tools/legacy/report.ts";
import {
  contents,
  type Databases,
  fixture,
  importText,
  query,
  servers,
  startDatabases,
} from "./support/node/legacy-fixture.ts";

describe.each(servers)("importing the fixture into $name", ({ binaries }) => {
  let databases: Databases;
  let kept: string;
  let outcome: Awaited<ReturnType<typeof importText>>;
  const one = async (url: string, sql: string) => (await query(url, sql))[0];

  beforeAll(async () => {
    databases = await startDatabases(binaries);
    kept = await databases.empty();
    outcome = await importText(kept, fixture);
  });
  afterAll(() => databases?.stop());

  it("loads 19 tables and 196 records, and says so", async () => {
    const counts = Object.entries(await contents(kept)).map(([table, rows]) => [table, rows.length] as const);
    expect(Object.fromEntries(counts)).toMatchObject({ client: 2, vendor: 13, client_po: 4, client_po_line_item: 156 });
    expect(counts.reduce((sum, [, rows]) => sum + rows, 0)).toBe(196);
    expect(outcome.tables.map(({ table, loaded }) => [table, loaded])).toEqual(counts);

    const backup = readBackup(new TextEncoder().encode(fixture));
    const options = {
      file: "f.sql",
      timezone: "Asia/Kolkata",
      userRole: "editor",
      acceptLineTotals: false,
      orphans: "keep",
      force: false,
      dryRun: false,
      requestId: "r",
    } as const;
    const report = makeReport(backup, outcome, options, 1.25);
    expect(report.summary).toEqual({
      tables: 19,
      records: 196,
      loaded: 196,
      quarantined: 0,
      skipped: 0,
      repairedLines: 35,
      orphans: 75,
      seconds: 1.25,
    });
    const text = reportText(report, true);
    expect(text).toContain("19 tables, 196 records, 1.3 s");
    expect(text).toContain("35 repaired lines");
    expect(text).toContain("75 orphans");
    expect(text).toMatch(/client_po_line_item\.client_po_id +kept +72 +missing 133: 23, 134: 23, 136: 26/);
    expect(text).toMatch(/2 Borealis Pharmacy +receivable +45355579\.53 +45355579\.53$/m);
    expect(text).toMatch(/client_po_line_item 731 +unit_price +"496558\.22" -> "8813\.6000" +price/);
    expect(text).toContain("GST rates found: 0.00 %: 121 lines, 18.00 %: 35 lines");
  });

  it("keeps every PO's value and receivable, and makes the rest follow from its lines", async () => {
    const pos = await query(
      kept,
      `SELECT id, po_value, receivable_amount, subtotal, total_tax, cgst, igst, line_item_count, status, legacy FROM "Finances".client_po ORDER BY id`,
    );
    expect(pos).toEqual([
      {
        id: "138",
        po_value: "23768859.27",
        receivable_amount: "23768859.27",
        subtotal: "23768859.27",
        total_tax: "0.00",
        cgst: null,
        igst: null,
        line_item_count: 23,
        status: "active",
        legacy: null,
      },
      expect.objectContaining({
        id: "140",
        po_value: "18658108.10",
        receivable_amount: "18658108.10",
        subtotal: "15811956.02",
        total_tax: "2846152.08",
        line_item_count: 12,
        cgst: null,
        igst: null,
      }),
      expect.objectContaining({
        id: "141",
        po_value: "26697471.43",
        receivable_amount: "26697471.43",
        subtotal: "22624975.78",
        total_tax: "4072495.65",
      }),
      expect.objectContaining({
        id: "142",
        po_value: "15278683.12",
        receivable_amount: "15278683.12",
        total_tax: "0.00",
        legacy: null,
      }),
    ]);
    expect(pos[1]?.legacy).toEqual({
      pi_number: "",
      vendor_gstin: "",
      bill_to_gstin: "",
      vendor_address: "",
      bill_to_address: "",
      ship_to_address: "",
      total_tax: "0.00",
      cgst: "0.00",
      sgst: "0.00",
      igst: "0.00",
    });
  });

  it("repairs the lines that the legacy garbled, keeps their originals, and leaves the others", async () => {
    const lines = `SELECT id, quantity, unit_price, rate, total_price, gst_rate, gst_amount, gross_amount, legacy FROM "Finances".client_po_line_item`;
    expect(await one(kept, `${lines} WHERE id = 731`)).toEqual({
      id: "731",
      quantity: "313.000",
      unit_price: "8813.6000",
      rate: "8813.6000",
      total_price: "2758656.80",
      gst_rate: "18.00",
      gst_amount: "496558.22",
      gross_amount: "3255215.02",
      legacy: { unit_price: "496558.22", rate: "496558.22", gst_amount: "0.00" },
    });
    expect(await one(kept, `${lines} WHERE id = 636`)).toEqual({
      id: "636",
      quantity: "61.000",
      unit_price: null,
      rate: null,
      total_price: "365235.06",
      gst_rate: "0.00",
      gst_amount: "0.00",
      gross_amount: "365235.06",
      legacy: null,
    });
    expect(
      await one(kept, `SELECT count(*) AS n FROM "Finances".client_po_line_item WHERE legacy IS NOT NULL`),
    ).toEqual({ n: "35" });
  });

  it("keeps instants to the microsecond: IST columns, and the few in UTC", async () => {
    const instants = `SELECT to_char(created_at, 'YYYY-MM-DD HH24:MI:SS.US') AS made, to_char(updated_at, 'YYYY-MM-DD HH24:MI:SS.US') AS changed FROM "Finances"`;
    expect(await one(kept, `${instants}.client WHERE id = 1`)).toEqual({
      made: "2026-01-27 14:14:41.129548",
      changed: "2026-01-27 14:14:41.129548",
    });
    // Written in UTC and in IST at the same moment.
    expect(await one(kept, `${instants}."user" WHERE id = 1`)).toEqual({
      made: "2026-01-21 11:36:49.844999",
      changed: "2026-01-21 11:36:49.844999",
    });
    expect(
      await one(kept, `SELECT DISTINCT (expires_at - created_at)::text AS lifetime FROM "Finances".upload_session`),
    ).toEqual({ lifetime: "1 day" });
    expect(
      await one(
        kept,
        `SELECT to_char(expires_at, 'HH24:MI:SS.US') AS at FROM "Finances".upload_session WHERE id LIKE '%0000'`,
      ),
    ).toEqual({ at: "18:28:47.104411" });
    expect(
      await query(
        kept,
        `SELECT DISTINCT line.created_at = coalesce(po.created_at, '2026-01-31 18:04:05+05:30') AND line.updated_at = line.created_at AS same
      FROM "Finances".client_po_line_item line LEFT JOIN "Finances".client_po po ON po.id = line.client_po_id`,
      ),
    ).toEqual([{ same: true }]);
    const versions = ["client", "vendor", '"user"', "client_po", "client_po_line_item"].map(
      (table) => `SELECT version FROM "Finances".${table}`,
    );
    expect(await query(kept, versions.join(" UNION "))).toEqual([{ version: 1 }]);
    expect(await one(kept, `SELECT count(*) AS n FROM "Finances".client_po WHERE updated_at <> created_at`)).toEqual({
      n: "0",
    });
  });

  it("keeps users' hashes, gives them the role, and turns Python's repr into JSON", async () => {
    expect(
      await one(kept, `SELECT username, password_hash, role, disabled FROM "Finances"."user" WHERE id = 3`),
    ).toEqual({
      username: "legacy3",
      password_hash: "$2b$12$bz3CYuBPUgQRZFx6qE4YSucVREOU6tu5L2SrREHn2wuB.uTvatRJ2",
      role: "editor",
      disabled: false,
    });
    expect(
      await one(
        kept,
        `SELECT metadata ->> 'note' AS note, metadata #>> '{po_details,subtotal}' AS number, metadata #>> '{line_items,1,description}' AS text FROM "Finances".upload_file WHERE id LIKE '%0001'`,
      ),
    ).toEqual({
      note: `it's "quoted" and\ttabbed`,
      number: "0.0000001",
      text: "RACK : BACKSLASH \\ TEST",
    });
    expect(await query(kept, `SELECT bundle_by_store FROM "Finances".client ORDER BY id`)).toEqual([
      { bundle_by_store: false },
      { bundle_by_store: true },
    ]);
  });

  it("names itself in the audit log, and leaves the triggers as they were", async () => {
    const audit = await query(
      kept,
      `SELECT action, count(*) AS n FROM "Finances".audit_log WHERE actor = 'import' AND user_id IS NULL AND request_id = 'test' GROUP BY action ORDER BY action`,
    );
    expect(audit).toEqual([
      { action: "insert", n: "196" },
      { action: "update", n: "4" },
    ]);
    expect(await query(kept, `SELECT tgname FROM pg_trigger WHERE tgenabled <> 'O' AND NOT tgisinternal`)).toEqual([]);
  });
});
