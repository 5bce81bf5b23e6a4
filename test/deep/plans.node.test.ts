import { beforeAll, expect, it } from "vitest";
import { describeServers, type TestServer } from "../support/node/database.ts";

// By computed names: the Worker's types are not those of Node's programs.
const load = (path: string) => import(new URL(`../../src/${path}`, import.meta.url).href);
const { listClients } = await load("client/queries.ts");
const { listVendors } = await load("vendor/queries.ts");
const { findPo, listPos } = await load("po/queries.ts");
const { listBundles } = await load("po/bundles.ts");
const { findLineItem, listLineItems } = await load("line-item/queries.ts");

interface Statement {
  text: string;
  params: unknown[];
}
type Db = Record<"read" | "write", (...statements: Statement[]) => Promise<unknown[]>>;

/** A database that only notes what it is asked. */
async function statementsOf(work: (db: Db) => Promise<unknown>): Promise<Statement[]> {
  const asked: Statement[] = [];
  const note = async (...statements: Statement[]) => {
    asked.push(...statements);
    return [];
  };
  await work({ read: note, write: note });
  return asked;
}

/** 100,000 POs, skewed: one client has half of them, one store 5,000. Audit and totals are not what is measured. */
async function fill(server: TestServer, database: string) {
  const client = await server.connect(database);
  await client.query(`SET search_path TO "Finances"`);
  for (const table of ["client", "vendor", "client_po", "client_po_line_item"]) {
    await client.query(`ALTER TABLE ${table} DISABLE TRIGGER USER`);
  }
  await client.query(`
    INSERT INTO client (name, bundle_by_store) SELECT 'Client ' || n, n % 2 = 0 FROM generate_series(1, 100) n;
    INSERT INTO vendor (name) SELECT 'Vendor ' || md5(n::text) FROM generate_series(1, 20000) n;
    INSERT INTO client_po (client_id, po_number, store_id, po_value, receivable_amount, created_at, line_item_count)
    SELECT CASE WHEN n % 2 = 0 THEN 2 ELSE 1 + n % 100 END, 'N' || n,
           CASE WHEN n % 20 = 0 THEN 'BIG' WHEN n % 7 = 0 THEN NULL ELSE 'S' || (n / 4) % 20000 END, n, n,
           timestamptz '2020-01-01' + n * interval '10 minutes', 2
    FROM generate_series(1, 100000) n;
    INSERT INTO client_po_line_item (client_po_id, item_name, quantity, unit_price, total_price, gst_rate, gst_amount)
    SELECT 1 + n % 100000, 'Item', 1, 1, 1, 0, 0 FROM generate_series(1, 200000) n;
  `);
  await client.query("VACUUM ANALYZE client, vendor, client_po, client_po_line_item");
  return client;
}

const position = ["2021-06-01T00:00:00.000000Z", "70000"];
const bundles = { clientId: undefined, after: undefined, limit: 51, withLines: false, withSummary: false };

describeServers("every read's plan on 100,000 POs", (server) => {
  let explain: (statement: Statement) => Promise<string>;

  beforeAll(async () => {
    const client = await fill(server, await server.database());
    explain = async ({ text, params }) => {
      const { rows } = await client.query(`EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ${text}`, params);
      return rows.map((row) => row["QUERY PLAN"]).join("\n");
    };
  }, 120_000);

  const reads: [name: string, work: (db: Db) => Promise<unknown>][] = [
    ["a PO with its lines", (db) => findPo(db, 70_000)],
    ["the first page of POs", (db) => listPos(db, undefined, 51)],
    ["a page of POs in the middle", (db) => listPos(db, position, 51)],
    ["a line item", (db) => findLineItem(db, 70_000, 69_999)],
    ["the lines of a PO", (db) => listLineItems(db, 70_000, "0", 51)],
    ["a page of clients", (db) => listClients(db, "50", 51)],
    ["a page of vendors", (db) => listVendors(db, "10000", undefined, 51)],
    ["a search for vendors", (db) => listVendors(db, "0", "c4ca4238", 51)],
    ["the first page of bundles", (db) => listBundles(db, bundles)],
    ["the first page of one client's bundles", (db) => listBundles(db, { ...bundles, clientId: 2 })],
    [
      "a page of bundles in the middle",
      (db) =>
        listBundles(db, {
          ...bundles,
          after: ["2021-11-20T00:00:00.000000Z", "99000", position[0] ?? "", position[1] ?? ""],
        }),
    ],
    ["a page of bundles with lines", (db) => listBundles(db, { ...bundles, limit: 11, withLines: true })],
  ];

  it.each(reads)("%s reads no table from end to end and few rows that it throws away", async (_name, work) => {
    const statements = await statementsOf(work);
    expect(statements.length).toBeGreaterThan(0);
    for (const statement of statements) {
      const plan = await explain(statement);
      expect(plan).not.toMatch(/Seq Scan on (client_po|client_po_line_item|vendor)\b/);
      for (const [, removed] of plan.matchAll(/Rows Removed by (?:Join )?Filter: (\d+)/g)) {
        expect(Number(removed), plan).toBeLessThan(10_000);
      }
    }
  });
});
