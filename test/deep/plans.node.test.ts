import { beforeAll, expect, it } from "vitest";
import { describeServers, type TestServer } from "../support/node/database.ts";

// By computed names: the Worker's types are not those of Node's programs.
const load = (path: string) => import(new URL(`../../src/${path}`, import.meta.url).href);
const { failedLogIns } = await load("auth/queries.ts");
const { listClients } = await load("client/queries.ts");
const { listVendors } = await load("vendor/queries.ts");
const { findPo } = await load("po/queries.ts");
const { listPos } = await load("po/search.ts");
const { listDeletedPos, listPoHistory } = await load("po/history.ts");
const { listAuditEntries } = await load("ops/queries.ts");
const { PurchaseOrderQuery } = await load("po/list-query.ts");
const { listBundles } = await load("po/bundles.ts");
const { findLineItem, listLineItems } = await load("line-item/queries.ts");
const { listAccounts } = await load("user/queries.ts");

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
    INSERT INTO project (client_id, name) SELECT 1, 'Project ' || n FROM generate_series(1, 500) n;
    INSERT INTO client_po (client_id, po_number, store_id, po_value, receivable_amount, created_at, updated_at, line_item_count,
                           vendor_id, project_id, po_date, status, po_type, notes)
    SELECT CASE WHEN n % 2 = 0 THEN 2 ELSE 1 + n % 100 END, 'N' || n,
           CASE WHEN n % 20 = 0 THEN 'BIG' WHEN n % 7 = 0 THEN NULL ELSE 'S' || (n / 4) % 20000 END, n, n,
           timestamptz '2020-01-01' + n * interval '10 minutes', timestamptz '2024-01-01' - n * interval '10 minutes', 2,
           CASE WHEN n % 3 = 0 THEN 1 ELSE 1 + n % 20000 END, CASE WHEN n % 5 = 0 THEN 1 + n % 500 END,
           CASE WHEN n % 4 > 0 THEN date '2018-01-01' + (n * 7919) % 2500 END,
           -- Half are completed, and the few that are cancelled are the oldest.
           CASE WHEN n < 100 THEN 'cancelled' WHEN n % 2 = 0 THEN 'completed' WHEN n % 10 = 1 THEN 'active' ELSE 'pending' END,
           CASE WHEN n < 500 THEN 'verbal_agreement' ELSE 'standard' END,
           CASE WHEN n % 3 = 0 THEN 'Note ' || md5(n::text) END
    FROM generate_series(1, 100000) n;
    INSERT INTO client_po_line_item (client_po_id, item_name, quantity, unit_price, total_price, gst_rate, gst_amount)
    SELECT 1 + n % 100000, 'Item', 1, 1, 1, 0, 0 FROM generate_series(1, 200000) n;
  `);
  await client.query(`
    INSERT INTO audit_log (occurred_at, user_id, database_role, action, table_name, row_id, client_po_id, changes)
    SELECT timestamptz '2020-01-01' + n * interval '1 minute', 1 + n % 1000, 'nexgen_api',
           CASE WHEN n % 50 = 0 THEN 'delete' ELSE 'update' END, CASE WHEN n % 2 = 0 THEN 'client_po' ELSE 'vendor' END,
           100000 + n / 10, CASE WHEN n % 2 = 0 THEN 100000 + n / 10 END, '{}'
    FROM generate_series(1, 200000) n;
    ALTER TABLE "user" DISABLE TRIGGER USER;
    INSERT INTO "user" (username, email, password_hash)
    SELECT 'user' || n, 'user' || n, '$2b$12$' || repeat('a', 53) FROM generate_series(1, 1000) n;
  `);
  await client.query(`
    INSERT INTO login_attempt (username, address, failures, last_failed_at)
    SELECT 'name' || n, '203.0.113.' || n % 250, 1, now() - n * interval '2 seconds' FROM generate_series(1, 40000) n
  `);
  await client.query(
    `VACUUM ANALYZE "user", client, vendor, project, client_po, client_po_line_item, audit_log, login_attempt`,
  );
  return client;
}

const position = ["2021-06-01T00:00:00.000000Z", "70000"];
const list = (query: Record<string, string>, after?: string[]) => (db: Db) =>
  listPos(db, PurchaseOrderQuery.parse(query), after, 51);
/** Every filter of the list, frequent and rare, and every order; `at` is a place in the middle. */
const lists: [query: Record<string, string>, at?: string][] = [
  [{}],
  [{ sort: "created_at" }],
  [{ client_id: "2" }],
  [{ client_id: "50" }],
  [{ vendor_id: "1" }],
  [{ vendor_id: "17", include: "total" }],
  [{ project_id: "6" }],
  [{ store_id: "BIG" }],
  [{ store_id: "S77" }],
  [{ status: "completed" }],
  [{ status: "cancelled" }],
  [{ status: "cancelled,active" }],
  [{ status: "cancelled", client_id: "2" }],
  [{ po_type: "verbal_agreement" }],
  [{ po_type: "standard" }],
  [{ po_number_prefix: "N7" }],
  [{ po_number_prefix: "N7001" }],
  [{ po_number_prefix: "nothing" }],
  [{ q: "N7001" }],
  [{ q: "bcbe3365" }],
  [{ q: "client 17" }],
  [{ q: "c4ca4238", include: "total" }],
  [{ q: "no such words" }],
  [{ po_date_from: "2024-10-01" }],
  [{ po_date_to: "2018-01-10" }],
  [{ po_date_from: "2020-01-01", po_date_to: "2020-01-07" }],
  [{ po_value_min: "99990" }],
  [{ po_value_max: "20" }],
  [{ updated_since: "2023-12-31T00:00:00Z" }, "2023-12-31T12:00:00Z"],
  [{ updated_since: "2023-12-31T00:00:00Z", client_id: "2" }],
  ...["", "-"].flatMap((minus): [query: Record<string, string>, at: string][] => [
    [{ sort: `${minus}po_date` }, "2021-01-01"],
    [{ sort: `${minus}po_date`, client_id: "2" }, "2021-01-01"],
    [{ sort: `${minus}po_value` }, "50000"],
    [{ sort: `${minus}po_value`, client_id: "50" }, "50000"],
    [{ sort: `${minus}updated_at` }, "2023-01-01"],
    [{ sort: `${minus}updated_at`, client_id: "2" }, "2023-01-01"],
  ]),
  [{ expand: "vendor,client,line_items" }],
];
const audit = (sort: string, user?: number, row?: object) => (db: Db) =>
  listAuditEntries(db, { user, row }, sort, "150000", 51);
const bundles = {
  clientId: undefined,
  sort: "-created_at",
  after: undefined,
  limit: 51,
  withLines: false,
  withSummary: false,
};

describeServers("every read's plan on 100,000 POs", (server) => {
  let explain: (statement: Statement) => Promise<string>;

  beforeAll(async () => {
    const client = await fill(server, await server.database());
    explain = async ({ text, params }) => {
      const { rows } = await client.query(`EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ${text}`, params);
      return rows.map((row) => row["QUERY PLAN"]).join("\n");
    };
  }, 120_000);

  type Read = [name: string, work: (db: Db) => Promise<unknown>];
  const reads: Read[] = [
    ["a PO with its lines", (db) => findPo(db, 70_000)],
    ["a page of POs in the middle", list({}, position)],
    ...lists.flatMap(([query, at]) => {
      const name = `the POs with ${JSON.stringify(query)}`;
      const first: Read = [name, list(query)];
      return at === undefined ? [first] : [first, [`${name} after ${at}`, list(query, [at, "50000"])] satisfies Read];
    }),
    ["the history of a PO", (db) => listPoHistory(db, 110_000, undefined, 51)],
    ["the deleted POs", (db) => listDeletedPos(db, undefined, undefined, 51)],
    ["the POs that were deleted since", (db) => listDeletedPos(db, "2020-03-01T00:00:00Z", undefined, 51)],
    ...["id", "-id"].flatMap((sort): Read[] => [
      [`the audit log by ${sort}`, audit(sort)],
      [`the audit log of a user by ${sort}`, audit(sort, 17)],
      [`the audit log of a row by ${sort}`, audit(sort, undefined, { table: "vendor", id: "110000" })],
      [`the lines of a PO by ${sort}`, (db) => listLineItems(db, 70_000, sort, undefined, 51)],
      [`more lines of a PO by ${sort}`, (db) => listLineItems(db, 70_000, sort, ["70000", "70000"], 51)],
      [`the accounts by ${sort}`, (db) => listAccounts(db, sort, ["500", "500"], 51)],
      [`the clients by ${sort}`, (db) => listClients(db, sort, ["50", "50"], 51)],
      [`the first vendors by ${sort}`, (db) => listVendors(db, sort, undefined, undefined, 51)],
      [`the vendors by ${sort}`, (db) => listVendors(db, sort, undefined, ["10000", "10000"], 51)],
      [`a search for vendors by ${sort}`, (db) => listVendors(db, sort, "c4ca4238", undefined, 51)],
    ]),
    ...["name", "-name"].flatMap((sort): Read[] => [
      [`the clients by ${sort}`, (db) => listClients(db, sort, ["client 5", "5"], 51)],
      [`the first vendors by ${sort}`, (db) => listVendors(db, sort, undefined, undefined, 51)],
      [`the vendors by ${sort}`, (db) => listVendors(db, sort, undefined, ["vendor 8", "10000"], 51)],
      [`a search for vendors by ${sort}`, (db) => listVendors(db, sort, "c4ca4238", undefined, 51)],
      [`the accounts by user${sort}`, (db) => listAccounts(db, sort.replace("name", "username"), ["user5", "5"], 51)],
    ]),
    ["the log-ins that failed within the hour", (db) => failedLogIns(db)],
    ["a line item", (db) => findLineItem(db, 70_000, 69_999)],
    ["the first page of bundles", (db) => listBundles(db, bundles)],
    ["the oldest bundles", (db) => listBundles(db, { ...bundles, sort: "created_at" })],
    [
      "a page of the oldest bundles in the middle",
      (db) =>
        listBundles(db, {
          ...bundles,
          sort: "created_at",
          after: ["2021-11-20T00:00:00.000000Z", "99000", ...position],
        }),
    ],
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

  // Read in another order than its own, a range may lie anywhere in that order: PostgreSQL weighs one index against the other.
  const mostRemoved = (name: string) => (/prefix|_from|_to|_min|_max/.test(name) ? 25_000 : 10_000);

  it.each(reads)("%s reads no table from end to end and few rows that it throws away", async (name, work) => {
    const statements = await statementsOf(work);
    expect(statements.length).toBeGreaterThan(0);
    for (const statement of statements) {
      const plan = await explain(statement);
      expect(plan).not.toMatch(
        /Seq Scan on (client_po|client_po_line_item|vendor|audit_log|login_attempt|"user")(?![\w"])/,
      );
      for (const [, removed] of plan.matchAll(/Rows Removed by (?:Join )?Filter: (\d+)/g)) {
        expect(Number(removed), plan).toBeLessThan(mostRemoved(name));
      }
    }
  });
});
