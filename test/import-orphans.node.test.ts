import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  contents,
  type Databases,
  fixture,
  importText,
  query,
  servers,
  startDatabases,
  withRow,
} from "./support/node/legacy-fixture.ts";

describe.each(servers)("the fixture's odd rows in $name", ({ binaries }) => {
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

  it("keeps the orphans below keys that are NOT VALID, which hold for every new row", async () => {
    const open = `SELECT conname FROM pg_constraint WHERE contype = 'f' AND NOT convalidated ORDER BY conname`;
    expect(await query(kept, open)).toEqual([
      { conname: "client_payment_po_fkey" },
      { conname: "client_po_line_item_po_fkey" },
    ]);
    expect(outcome.notValid.map(({ name }) => name)).toEqual(["client_payment_po_fkey", "client_po_line_item_po_fkey"]);
    const orphan = `INSERT INTO "Finances".client_po_line_item (client_po_id, item_name, total_price) VALUES (133, 'x', 1)`;
    await expect(query(kept, orphan)).rejects.toMatchObject({ constraint: "client_po_line_item_po_fkey" });
    expect(
      await query(
        kept,
        `SELECT DISTINCT pg_get_constraintdef(oid) AS rule FROM pg_constraint WHERE conname = 'client_po_line_item_po_fkey'`,
      ),
    ).toEqual([{ rule: `FOREIGN KEY (client_po_id) REFERENCES "Finances".client_po(id) ON DELETE CASCADE NOT VALID` }]);
  });

  it("gives new rows ids that no orphan refers to", async () => {
    const url = await databases.empty();
    await importText(
      url,
      withRow(
        fixture,
        "client_payment",
        "(9, 1, 4711, '1.00', NULL, 'cleared', '2026-01-28 05:36:39', 'upi', 'other', NULL, false, NULL, NULL, 'credit', NULL)",
      ),
    );
    const po = await one(url, `INSERT INTO "Finances".client_po (client_id) VALUES (1) RETURNING id, line_item_count`);
    expect(po).toEqual({ id: "4712", line_item_count: 0 });
    expect(await one(url, `INSERT INTO "Finances".vendor (name) VALUES ('new') RETURNING id`)).toEqual({ id: "45" });
    expect(
      await one(
        url,
        `INSERT INTO "Finances".client_po_line_item (client_po_id, item_name, total_price) VALUES (4712, 'x', 1) RETURNING id`,
      ),
    ).toEqual({ id: "792" });
  });

  it("quarantines whole rows, and then every key is valid", async () => {
    const url = await databases.empty();
    const quarantined = await importText(url, fixture, { orphans: "quarantine" });
    expect(
      await query(
        url,
        `SELECT table_name, constraint_name, missing_key, count(*) AS n FROM "Finances".legacy_orphan GROUP BY 1, 2, 3 ORDER BY 1, 3`,
      ),
    ).toEqual([
      { table_name: "client_payment", constraint_name: "client_payment_po_fkey", missing_key: "133", n: "3" },
      {
        table_name: "client_po_line_item",
        constraint_name: "client_po_line_item_po_fkey",
        missing_key: "133",
        n: "23",
      },
      {
        table_name: "client_po_line_item",
        constraint_name: "client_po_line_item_po_fkey",
        missing_key: "134",
        n: "23",
      },
      {
        table_name: "client_po_line_item",
        constraint_name: "client_po_line_item_po_fkey",
        missing_key: "136",
        n: "26",
      },
    ]);
    expect(await one(url, `SELECT "row" FROM "Finances".legacy_orphan WHERE row_id = '640'`)).toEqual({
      row: {
        id: "640",
        client_po_id: "133",
        item_name: "GLASS DOOR : 12MM\nWITH FLOOR SPRING",
        quantity: "191.00",
        unit_price: null,
        total_price: "195322.33",
        hsn_code: null,
        unit: null,
        rate: null,
        gst_amount: null,
        gross_amount: null,
      },
    });
    expect(quarantined.money).toEqual(outcome.money);
    expect(quarantined.tables.find(({ table }) => table === "client_po_line_item")).toEqual({
      table: "client_po_line_item",
      expected: 156,
      loaded: 84,
      quarantined: 72,
      skipped: 0,
    });
    expect(await query(url, `SELECT conname FROM pg_constraint WHERE NOT convalidated`)).toEqual([]);
    expect(quarantined.sequences).toEqual(outcome.sequences);
  });

  it("gives the same data from the same file, and from its CRLF copy", async () => {
    const expected = await contents(kept);
    for (const text of [fixture, fixture.replaceAll("\n", "\r\n"), fixture.replaceAll(",\n);", "\n);")]) {
      const url = await databases.empty();
      await importText(url, text);
      expect(await contents(url)).toEqual(expected);
    }
  });

  it("mends absent and unusual values, and keeps what they were", async () => {
    const url = await databases.empty();
    const text = fixture
      .replace(
        "'23768859.27', 'active', '2026-01-29 07:17:55.145925', 'standard'",
        "'23768859.27', ' ACTIVE', NULL, NULL",
      )
      .replace("'15278683.12', 'active'", "'15278683.12', 'on hold'")
      .replace("(32, 'A',", "(32, '',")
      .replace("(33, '2', NULL, NULL,", "(33, '2', '', 'not a gstin',");
    const extra = withRow(
      text,
      "client_po_line_item",
      "(600, NULL, 'no parent', '0', NULL, '5.00', NULL, NULL, NULL, NULL, NULL)",
    );
    const rounded = withRow(
      extra,
      "client_payment",
      "(9, 1, NULL, '0.30000000000000004', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, NULL, NULL)",
    );
    const { repairs } = await importText(url, rounded);
    expect(
      await query(
        url,
        `SELECT status, po_type, created_at = '2026-01-31 18:04:05+05:30' AS exported, legacy FROM "Finances".client_po WHERE id IN (138, 142) ORDER BY id`,
      ),
    ).toEqual([
      {
        status: "active",
        po_type: "standard",
        exported: true,
        legacy: { status: " ACTIVE", created_at: null, po_type: null },
      },
      { status: "pending", po_type: "standard", exported: false, legacy: { status: "on hold" } },
    ]);
    expect(
      await query(url, `SELECT name, address, gstin, legacy FROM "Finances".vendor WHERE id IN (32, 33) ORDER BY id`),
    ).toEqual([
      { name: "(no name)", address: "0 Mill Road,\nIndustrial Estate", gstin: null, legacy: { name: "" } },
      { name: "2", address: null, gstin: null, legacy: { address: "", gstin: "not a gstin" } },
    ]);
    expect(
      await one(
        url,
        `SELECT amount, tds_amount, created_at = '2026-01-31 18:04:05+05:30' AS exported, legacy FROM "Finances".client_payment WHERE id = 9`,
      ),
    ).toEqual({
      amount: "0.30",
      tds_amount: null,
      exported: true,
      legacy: { amount: "0.30000000000000004", tds_amount: "", created_at: null },
    });
    expect(
      await one(
        url,
        `SELECT constraint_name, missing_key, "row" ->> 'item_name' AS item FROM "Finances".legacy_orphan`,
      ),
    ).toEqual({
      constraint_name: "client_po_line_item_po_fkey",
      missing_key: null,
      item: "no parent",
    });
    expect(repairs).toContainEqual({
      table: "client_payment",
      id: "9",
      column: "amount",
      kind: "rounded",
      before: "0.30000000000000004",
      after: "0.30",
    });
  });
});
