import pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { compareWithDefinition, type Drift, describeSchema, schemaDrift } from "../tools/schema.ts";
import { describeServers } from "./support/node/database.ts";

const none = { missing: [], unexpected: [], notValid: [] };
const descriptions = new Map<string, string[]>();

const clientKey = (more: string) => `FOREIGN KEY (client_id) REFERENCES "Finances".client(id)${more}`;

/** Each with the beginning of a line that goes or comes. All are made in one database, so each at a thing of its own. */
const changes: [what: string, change: string, drift: { missing?: string; unexpected?: string }][] = [
  ["a dropped column", "ALTER TABLE site DROP COLUMN city", { missing: "column site.city: character varying" }],
  ["an added column", "ALTER TABLE site ADD COLUMN x text", { unexpected: "column site.x: text" }],
  [
    "another type",
    "ALTER TABLE vendor_payment ALTER COLUMN amount TYPE numeric(20,2)",
    {
      missing: "column vendor_payment.amount: numeric(15,2)",
      unexpected: "column vendor_payment.amount: numeric(20,2)",
    },
  ],
  [
    "a column that may be null",
    "ALTER TABLE site ALTER COLUMN site_name DROP NOT NULL",
    { missing: "column site.site_name: character varying not null" },
  ],
  [
    "another default",
    "ALTER TABLE client ALTER COLUMN version SET DEFAULT 2",
    { missing: "default client.version: 1", unexpected: "default client.version: 2" },
  ],
  [
    "a dropped default",
    "ALTER TABLE vendor ALTER COLUMN version DROP DEFAULT",
    { missing: "default vendor.version: 1" },
  ],
  [
    "another expression",
    "ALTER TABLE client_po_line_item DROP COLUMN rate, ADD COLUMN rate numeric(15,4) GENERATED ALWAYS AS (unit_price * 2) STORED",
    {
      missing: "expression client_po_line_item.rate: unit_price",
      unexpected: "expression client_po_line_item.rate: (unit_price",
    },
  ],
  [
    "no identity",
    "ALTER TABLE project ALTER COLUMN id DROP IDENTITY",
    {
      missing: "column project.id: bigint not null identity by default",
      unexpected: "column project.id: bigint not null",
    },
  ],
  [
    "another sequence",
    "ALTER TABLE client ALTER COLUMN id SET INCREMENT 2",
    {
      missing: "sequence client_id_seq: bigint start 1 increment 1",
      unexpected: "sequence client_id_seq: bigint start 1 increment 2",
    },
  ],
  [
    "a disabled trigger",
    "ALTER TABLE client_po DISABLE TRIGGER client_po_derive",
    {
      missing: "trigger client_po.client_po_derive: enabled",
      unexpected: "trigger client_po.client_po_derive: disabled",
    },
  ],
  [
    "a dropped trigger",
    "DROP TRIGGER client_audit_delete ON client",
    { missing: "trigger client.client_audit_delete" },
  ],
  [
    "another trigger",
    "CREATE OR REPLACE TRIGGER vendor_touch BEFORE UPDATE OF name ON vendor FOR EACH ROW EXECUTE FUNCTION touch()",
    { missing: "trigger vendor.vendor_touch", unexpected: "trigger vendor.vendor_touch" },
  ],
  [
    "another function body",
    `CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NEW; END'`,
    { missing: "function touch():", unexpected: "function touch():" },
  ],
  [
    "a function with another search_path",
    "ALTER FUNCTION audit() RESET search_path",
    {
      missing: "function audit():",
      unexpected: "function audit(): trigger plpgsql volatile security definer {TimeZone=UTC}",
    },
  ],
  [
    "a function that runs as its caller",
    "ALTER FUNCTION line_item_totals() SECURITY INVOKER",
    {
      missing: "function line_item_totals(): trigger plpgsql volatile security definer",
      unexpected: "function line_item_totals(): trigger plpgsql volatile {",
    },
  ],
  ["a dropped index", "DROP INDEX client_po_newest", { missing: "index client_po.client_po_newest" }],
  [
    "another index",
    "DROP INDEX client_name_unique; CREATE INDEX client_name_unique ON client (lower(name))",
    {
      missing: "index client.client_name_unique: CREATE UNIQUE",
      unexpected: "index client.client_name_unique: CREATE INDEX",
    },
  ],
  [
    "a dropped check",
    "ALTER TABLE project DROP CONSTRAINT project_latitude_finite",
    { missing: "check project.project_latitude_finite" },
  ],
  [
    "an added check",
    "ALTER TABLE site ADD CONSTRAINT x CHECK (id > 0)",
    { unexpected: "check site.x: CHECK ((id > 0))" },
  ],
  [
    "a dropped unique",
    "ALTER TABLE billing_po DROP CONSTRAINT billing_po_number_unique",
    { missing: "unique billing_po.billing_po_number_unique" },
  ],
  [
    "a dropped primary key",
    "ALTER TABLE login_attempt DROP CONSTRAINT login_attempt_pkey",
    { missing: "primary key login_attempt.login_attempt_pkey" },
  ],
  [
    "a dropped foreign key",
    "ALTER TABLE project DROP CONSTRAINT project_client_fkey",
    { missing: "foreign key project.project_client_fkey" },
  ],
  [
    "another ON DELETE",
    `ALTER TABLE billing_po DROP CONSTRAINT billing_po_client_fkey, ADD CONSTRAINT billing_po_client_fkey ${clientKey(" ON DELETE CASCADE")}`,
    {
      missing: "foreign key billing_po.billing_po_client_fkey",
      unexpected: `foreign key billing_po.billing_po_client_fkey: ${clientKey(" ON DELETE CASCADE")}`,
    },
  ],
  [
    "another key NOT VALID",
    `ALTER TABLE client_payment DROP CONSTRAINT client_payment_client_fkey, ADD CONSTRAINT client_payment_client_fkey ${clientKey(" NOT VALID")}`,
    {
      missing: "foreign key client_payment.client_payment_client_fkey",
      unexpected: `foreign key client_payment.client_payment_client_fkey: ${clientKey(" NOT VALID")}`,
    },
  ],
  ["an extra table", "CREATE TABLE x ()", { unexpected: "table x" }],
  [
    "an unlogged table",
    "ALTER TABLE login_attempt SET UNLOGGED",
    { missing: "table login_attempt", unexpected: "table login_attempt unlogged" },
  ],
  ["an extra view", `CREATE VIEW leak AS SELECT password_hash FROM "user"`, { unexpected: "view leak" }],
  ["an extra type", "CREATE TYPE mood AS ENUM ('a', 'b')", { unexpected: "type mood: 'a', 'b'" }],
  [
    "row security",
    "ALTER TABLE client ENABLE ROW LEVEL SECURITY",
    { missing: "table client", unexpected: "table client row security" },
  ],
  ["a policy", "CREATE POLICY x ON client USING (true)", { unexpected: "policy client.x" }],
  ["a rule", "CREATE RULE x AS ON DELETE TO client DO INSTEAD NOTHING", { unexpected: "rule client.x" }],
  ["a revoked right", "REVOKE SELECT ON site FROM nexgen_api", { missing: "grant table site: select to nexgen_api" }],
  [
    "a new right",
    `GRANT SELECT (password_hash) ON "user" TO nexgen_readonly`,
    { unexpected: 'grant column "user".password_hash: select to nexgen_readonly' },
  ],
  [
    "a right on a sequence",
    "GRANT UPDATE ON SEQUENCE vendor_id_seq TO nexgen_api",
    { unexpected: "grant sequence vendor_id_seq: update to nexgen_api" },
  ],
  [
    "a right of everybody",
    "GRANT EXECUTE ON FUNCTION audit() TO PUBLIC",
    { unexpected: "grant function audit(): execute to PUBLIC" },
  ],
  [
    "a right on the schema",
    `GRANT CREATE ON SCHEMA "Finances" TO nexgen_api`,
    {
      missing: `grant schema "Finances": usage to nexgen_api`,
      unexpected: `grant schema "Finances": create, usage to nexgen_api`,
    },
  ],
  [
    "a new function that is everybody's",
    "CREATE FUNCTION later() RETURNS void LANGUAGE sql AS ''; GRANT EXECUTE ON FUNCTION later() TO PUBLIC",
    { unexpected: "grant function later(): execute to PUBLIC" },
  ],
  [
    "other default rights",
    `ALTER DEFAULT PRIVILEGES IN SCHEMA "Finances" GRANT INSERT ON TABLES TO nexgen_api`,
    { unexpected: `future grant on tables in "Finances": insert to nexgen_api` },
  ],
  [
    "functions that will be everybody's",
    "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC",
    { unexpected: "future grant on functions in any schema: execute to PUBLIC" },
  ],
  ["a dropped extension", "DROP EXTENSION pg_trgm CASCADE", { missing: "extension pg_trgm" }],
];

describeServers("a migrated database", (server) => {
  let fresh: string[];
  let database: string;
  beforeAll(async () => {
    database = await server.database();
    fresh = await describeSchema(server.url("nexgen_owner", database));
    descriptions.set(server.name, fresh);
  });

  /** What becomes of a new database by `change`. */
  const driftAfter = async (change: string) => {
    const own = await server.database();
    const client = await server.connect(own);
    await client.query(change);
    const changed = await describeSchema(server.url("nexgen_owner", own));
    return { changed, drift: schemaDrift(fresh, changed) };
  };

  it("has no drift against another one, and says the same to its owner, a superuser and a backup", async () => {
    expect(new Set(fresh).size).toBe(fresh.length);
    expect([...fresh].sort()).toEqual(fresh);
    expect(schemaDrift(fresh, await describeSchema(server.url("nexgen_owner", await server.database())))).toEqual(none);
    const superuser = new URL(server.superuserUrl);
    superuser.pathname = `/${database}`;
    expect(await describeSchema(superuser.href)).toEqual(fresh);
    expect(await describeSchema(server.url("nexgen_backup", database))).toEqual(fresh);
  });

  it("describes every kind of thing that it has", () => {
    for (const kind of [
      "extension pg_trgm",
      "table client",
      'column "user".id: integer not null identity by default',
      "column client_po_line_item.gross_amount: numeric(15,2) generated stored",
      "expression client_po_line_item.gross_amount: (total_price + gst_amount)",
      "default client.bundle_by_store: false",
      "primary key client.client_pkey: PRIMARY KEY (id)",
      'foreign key billing_po.billing_po_client_fkey: FOREIGN KEY (client_id) REFERENCES "Finances".client(id)',
      "unique client_po.client_po_number_unique: UNIQUE (client_id, po_number)",
      "check client_po.client_po_line_item_limit: CHECK (",
      'index vendor.vendor_name_search: CREATE INDEX vendor_name_search ON "Finances".vendor USING gin (name "Finances".gin_trgm_ops)',
      "trigger client_po.client_po_derive: enabled CREATE TRIGGER",
      "function guard(session_id uuid",
      'sequence client_id_seq: bigint start 1 increment 1 from 1 to 9223372036854775807 cache 1 owned by "Finances".client.id',
      "grant table client: select to nexgen_backup",
      'grant column "user".email: select to nexgen_readonly',
      'grant schema "Finances": usage to nexgen_api',
      "grant function guard(",
      "grant database itself: connect to nexgen_api",
      "future grant on tables in",
      "role nexgen_api: login",
      "role nexgen_api: statement_timeout=5s",
    ])
      expect(
        fresh.filter((line) => line.startsWith(kind)),
        kind,
      ).not.toEqual([]);
    expect(fresh.join("\n")).not.toContain("nexgen_owner");
  });

  it("does not depend on rows, sequence positions or a session's settings", async () => {
    const { drift } = await driftAfter(`
      INSERT INTO "Finances".client (name) VALUES ('a'), ('b');
      ALTER TABLE "Finances".client ALTER COLUMN id RESTART WITH 1000;
      ALTER ROLE nexgen_owner SET search_path = "Finances", public;
      ALTER ROLE nexgen_owner SET quote_all_identifiers = on;
    `);
    await server.superuser("ALTER ROLE nexgen_owner RESET ALL");
    expect(drift).toEqual(none);
  });

  describe("after many changes", () => {
    let drift: Drift;
    beforeAll(async () => {
      const all = changes.map(([, change]) => change).join(";\n");
      ({ drift } = await driftAfter(`SET search_path = "Finances"; ${all}`));
    });

    it.each(changes)("shows %s", (_what, _change, { missing, unexpected }) => {
      const starting = (lines: string[], start: string) => lines.filter((line) => line.startsWith(start));
      if (missing) expect(starting(drift.missing, missing), drift.missing.join("\n")).toHaveLength(1);
      if (unexpected) expect(starting(drift.unexpected, unexpected), drift.unexpected.join("\n")).toHaveLength(1);
    });
  });

  it("shows a foreign key that a superuser switched off", async () => {
    const own = await server.database();
    const url = new URL(server.superuserUrl);
    url.pathname = `/${own}`;
    const superuser = new pg.Client(url.href);
    await superuser.connect();
    await superuser.query(`ALTER TABLE "Finances".project DISABLE TRIGGER ALL`);
    await superuser.end();
    const { unexpected } = schemaDrift(fresh, await describeSchema(server.url("nexgen_owner", own)));
    expect(unexpected).toContain("foreign key project_client_fkey on project: its trigger is not enabled");
  });

  it("reports the keys that wait for their orphans, and calls them no drift", async () => {
    const again = (table: string, key: string, more: string) =>
      `ALTER TABLE "Finances".${table} DROP CONSTRAINT ${key}; ALTER TABLE "Finances".${table} ADD CONSTRAINT ${key} FOREIGN KEY (client_po_id) REFERENCES "Finances".client_po(id)${more} NOT VALID;`;
    const line = again("client_po_line_item", "client_po_line_item_po_fkey", " ON DELETE CASCADE");
    const payment = again("client_payment", "client_payment_po_fkey", "");
    const { changed, drift } = await driftAfter(line + payment);
    expect(drift).toEqual({ ...none, notValid: ["client_payment_po_fkey", "client_po_line_item_po_fkey"] });
    expect(await compareWithDefinition(changed)).toEqual([]);
    expect((await driftAfter(payment)).drift).toEqual({ ...none, notValid: ["client_payment_po_fkey"] });
    const other = await driftAfter(again("client_payment", "client_payment_po_fkey", " ON DELETE CASCADE"));
    expect(other.drift).toMatchObject({
      missing: [expect.any(String)],
      unexpected: [expect.any(String)],
      notValid: [],
    });
  });

  describe("and src/db/schema.ts", () => {
    it("define the same", async () => {
      expect(await compareWithDefinition(fresh)).toEqual([]);
      expect(await compareWithDefinition(server.url("nexgen_owner", database))).toEqual([]);
    });

    it("differ when the database does, and only in what does", async () => {
      const { changed } = await driftAfter(`
        SET search_path = "Finances";
        ALTER TABLE site DROP COLUMN city, ALTER COLUMN state TYPE varchar(9), ALTER COLUMN address SET NOT NULL;
        ALTER TABLE site ADD CONSTRAINT x CHECK (id > 0), DROP CONSTRAINT site_store_id_unique;
        ALTER TABLE client ALTER COLUMN version DROP DEFAULT;
        ALTER TABLE project DROP CONSTRAINT project_client_fkey;
        ALTER TABLE login_attempt DROP CONSTRAINT login_attempt_pkey, ADD CONSTRAINT login_attempt_pkey PRIMARY KEY (address, username);
        DROP INDEX client_po_newest;
        CREATE TABLE extra ();
      `);
      const lacks = "the database lacks what src/db/schema.ts defines:";
      const surplus = "src/db/schema.ts does not define:";
      expect(await compareWithDefinition(changed)).toEqual([
        `${lacks} column site.address: text`,
        `${lacks} column site.city: character varying`,
        `${lacks} column site.state: character varying`,
        `${lacks} default client.version`,
        `${lacks} foreign key project.project_client_fkey: ${clientKey("")}`,
        `${lacks} index client_po.client_po_newest`,
        `${lacks} primary key login_attempt.login_attempt_pkey: PRIMARY KEY (username, address)`,
        `${lacks} unique site.site_store_id_unique: UNIQUE (store_id)`,
        `${surplus} check site.x`,
        `${surplus} column site.address: text not null`,
        `${surplus} column site.state: character varying(9)`,
        `${surplus} primary key login_attempt.login_attempt_pkey: PRIMARY KEY (address, username)`,
        `${surplus} table extra`,
      ]);
    });
  });
});

it("reads the same from both ends of PostgreSQL's versions", ({ skip }) => {
  const [newest, oldest] = [...descriptions.values()];
  if (!newest || !oldest) return skip("there is no PostgreSQL 15 here");
  expect(schemaDrift(newest, oldest)).toEqual(none);
});
