import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Refusal } from "../tools/legacy/preconditions.ts";
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
import { clientsOnlyBackup } from "./support/node/legacy-writer.ts";

describe.each(servers)("an import into $name", ({ binaries }) => {
  let databases: Databases;
  let filled: string;
  let refusing: string;
  const sequences = (url: string) =>
    query(
      url,
      `SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'Finances' AND sequencename NOT IN ('audit_log_id_seq', 'legacy_orphan_id_seq') ORDER BY 1`,
    );
  const state = async (url: string) => ({
    rows: await contents(url),
    sequences: await sequences(url),
    keys: await query(url, `SELECT conname, convalidated FROM pg_constraint ORDER BY 1`),
    orphans: await query(url, 'SELECT * FROM "Finances".legacy_orphan'),
  });
  const line = (id: number, po: string, amounts: string) => `(${id}, ${po}, 'extra', ${amounts})`;

  beforeAll(async () => {
    databases = await startDatabases(binaries);
    filled = await databases.empty();
    await importText(filled, fixture);
    refusing = await databases.empty();
  });
  afterAll(() => databases?.stop());

  it.each([
    [
      "NaN in a PO's value",
      fixture.replace("'23768859.27', '23768859.27', 'active'", "'NaN', '23768859.27', 'active'"),
      ['client_po, row 138, po_value: "NaN" is no finite number'],
    ],
    [
      "NaN in an orphan",
      fixture.replace("'191.00', NULL, '195322.33'", "'191.00', NULL, 'NaN'"),
      ['client_po_line_item, row 640, total_price: "NaN" is no finite number'],
    ],
    [
      "a bare infinity",
      withRow(
        fixture,
        "client_payment",
        "(9, 1, NULL, -inf, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
      ),
      ['client_payment, row 9, amount: "-inf" is no finite number'],
    ],
    [
      "too many digits",
      fixture.replace("'100000.00'", "'100000000000000.00'"),
      ["client_payment, row 16, amount: 100000000000000.00 has more digits than numeric(15,2) holds"],
    ],
    [
      "a date that is none",
      fixture.replace("'2025-12-08'", "'2025-02-30'"),
      ['client_po, row 138, po_date: "2025-02-30" is no date'],
    ],
    [
      "a text that is too long",
      fixture.replace("'ST-101')", `'${"S".repeat(101)}')`),
      ["client_po, row 138, store_id: 101 characters, at most 100 fit"],
    ],
    [
      "a password that is not hashed",
      fixture.replace(/'\$2b\$12\$0cuoh[^']*'/, "'secret'"),
      ["user, row 1, password_hash: is no bcrypt hash"],
    ],
    ["an id that occurs twice", fixture.replace("(33, '2',", "(32, '2',"), ["vendor, row 32: the id occurs twice"]],
    [
      "a required value that is absent",
      fixture.replace("(2, 'Borealis Pharmacy',", "(2, NULL,"),
      ["client, row 2, name: is empty and must not be"],
    ],
    [
      "a line below zero",
      withRow(fixture, "client_po_line_item", line(600, "138", "'1', NULL, '-5.00', NULL, NULL, NULL, NULL, NULL")),
      ["client_po_line_item, row 600, total_price: is below zero, which no line may be"],
    ],
    [
      "a column of its own",
      fixture.replace(`"store_id" character varying,\n);`, `"store_id" character varying,\n    "extra" text,\n);`),
      ["client_po: the database has no column extra"],
    ],
  ])("stops at %s and names it", async (_, text, reasons) => {
    const refusal = await importText(refusing, text, { orphans: "quarantine" }).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(Refusal);
    for (const reason of reasons) expect((refusal as Refusal).reasons).toContain(`  ${reason}`);
    expect(await query(refusing, `SELECT count(*) AS n FROM "Finances".client`)).toEqual([{ n: "0" }]);
  });

  it("stops at POs whose lines add up to another value, with both figures", async () => {
    const url = await databases.empty();
    const text = withRow(
      fixture,
      "client_po_line_item",
      line(600, "138", "'1', NULL, '100.00', NULL, NULL, NULL, '18.00', '118.00'"),
    ).replace("'15278683.12', '15278683.12', 'active'", "NULL, '15278683.12', 'active'");
    await expect(importText(url, text)).rejects.toMatchObject({
      reasons: [
        expect.stringContaining("--accept-line-totals"),
        "  PO 138 (5100000138): po_value 23768859.27, its 24 lines add up to 23768977.27",
        "  PO 142 (5100000142): po_value none, its 26 lines add up to 15278683.12",
      ],
    });
    const { differences, money } = await importText(url, text, { acceptLineTotals: true });
    expect(differences.map(({ id }) => id)).toEqual(["138", "142"]);
    expect(money).toContainEqual({ client: "1", measure: "PO value", before: "23768859.27", after: "39047660.39" });
    expect(
      await query(
        url,
        `SELECT po_value, receivable_amount, total_tax, legacy FROM "Finances".client_po WHERE id IN (138, 142) ORDER BY id`,
      ),
    ).toEqual([
      {
        po_value: "23768977.27",
        receivable_amount: "23768977.27",
        total_tax: "18.00",
        legacy: {
          po_value: "23768859.27",
          receivable_amount: "23768859.27",
          subtotal: "23768859.27",
          total_tax: "0.00",
        },
      },
      {
        po_value: "15278683.12",
        receivable_amount: "15278683.12",
        total_tax: "0.00",
        legacy: { po_value: null },
      },
    ]);
  });

  it("leaves nothing when it fails halfway", async () => {
    const url = await databases.empty();
    const before = await state(url);
    const text = fixture.replace("'KX7', '", "'ST-101', '");
    const twice = withRow(text, "site", "(60, 'ST-101', 'same store', NULL, NULL, NULL, NULL, NULL)");
    await expect(
      importText(url, withRow(twice, "site", "(61, 'ST-101', 'again', NULL, NULL, NULL, NULL, NULL)")),
    ).rejects.toThrow(/site: .*site_store_id_unique.*ST-101/);
    expect(await state(url)).toEqual(before);
  });

  it("leaves nothing after a dry run, which answers as the import does", async () => {
    const url = await databases.empty();
    const before = await state(url);
    const rehearsed = await importText(url, fixture, { dryRun: true });
    expect(await state(url)).toEqual(before);
    expect(await importText(url, fixture)).toEqual(rehearsed);
  });

  it("is refused where data is, with the line that makes a database for it", async () => {
    const before = await state(filled);
    await expect(importText(filled, fixture)).rejects.toMatchObject({
      reasons: expect.arrayContaining([
        "  NEXGEN_SEED=none NEXGEN_DATA_DIR=.nexgen-legacy npm run dev",
        "  NEXGEN_DATA_DIR=.nexgen-legacy npm run import -- backup.sql",
      ]),
    });
    await expect(importText(filled, fixture, { force: true })).rejects.toThrow(
      /client: 1, 2\n.*client_payment: 16, 17, 18\n.*client_po: 138, 140, 141, 142/,
    );
    expect(await state(filled)).toEqual(before);
  });

  it("adds with --force, beside the accounts that are there", async () => {
    const url = await databases.empty();
    const hash = `$2b$12$${"a".repeat(53)}`;
    await query(
      url,
      `INSERT INTO "Finances"."user" (id, username, email, password_hash) VALUES (2, 'admin', 'LEGACY5@example.com', $1), (90, 'legacy1', 'x@example.com', $1)`,
      [hash],
    );
    await query(url, `INSERT INTO "Finances".client (id, name) VALUES (700, 'Here before'), (133, 'A client 133')`);
    const { accounts, sequences: moved } = await importText(url, fixture, { force: true, userRole: "viewer" });
    expect(accounts).toEqual({
      loaded: 3,
      skipped: [
        { id: "1", username: "legacy1", reason: "the username is taken" },
        { id: "5", username: "legacy5", reason: "the e-mail address is taken" },
      ],
      renumbered: [{ username: "legacy2", from: "2", to: "91" }],
    });
    expect(moved).toContainEqual({ table: "user", next: "92" });
    expect(await query(url, `SELECT id, username, role FROM "Finances"."user" ORDER BY id`)).toEqual([
      { id: 2, username: "admin", role: "viewer" },
      { id: 3, username: "legacy3", role: "viewer" },
      { id: 4, username: "legacy4", role: "viewer" },
      { id: 90, username: "legacy1", role: "viewer" },
      { id: 91, username: "legacy2", role: "viewer" },
    ]);
    expect(await query(url, `SELECT count(*) AS n FROM "Finances".client`)).toEqual([{ n: "4" }]);
  });

  it("does not let rows that are here adopt the file's orphans", async () => {
    const url = await databases.empty();
    await query(url, `INSERT INTO "Finances".client (id, name) VALUES (700, 'Here before')`);
    await query(url, `INSERT INTO "Finances".client_po (id, client_id, po_value) VALUES (133, 700, 5)`);
    await expect(importText(url, fixture, { force: true })).rejects.toThrow(
      /client_po_line_item.client_po_id = 133: the file has no such client_po, the database does/,
    );
    await importText(url, fixture, { force: true, orphans: "quarantine" });
    expect(await query(url, `SELECT po_value, line_item_count FROM "Finances".client_po WHERE id = 133`)).toEqual([
      { po_value: "5.00", line_item_count: 0 },
    ]);
  });

  it("wants a migrated database, the full file, and to be alone", async () => {
    await expect(importText(await databases.unmigrated(), fixture)).rejects.toThrow("npm run db:migrate");
    const url = await databases.empty();
    const clients = clientsOnlyBackup({ columns: [["id", "bigint"]], rows: [["1"]] });
    await expect(importText(url, clients)).rejects.toThrow("clients-only");
    const other = new pg.Client({ connectionString: url });
    await other.connect();
    await other.query("SELECT pg_advisory_lock(hashtext('nexgen-import'))");
    await expect(importText(url, fixture)).rejects.toThrow("Another import is running");
    await other.end();
  });
});
