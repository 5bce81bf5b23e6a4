import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { createRoles, type Role, roles } from "../tools/roles.ts";
import { describeSchema } from "../tools/schema.ts";
import { describeServers, refusal, row, rows } from "./support/node/database.ts";
import { insertOneOfEach } from "./support/node/rows.ts";

const privileges = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"] as const;
type Privilege = (typeof privileges)[number];

/** What the routes of the API may need at most; every other table it reads or does not see at all. */
const apiMayWrite: Record<string, Privilege[]> = {
  client: ["INSERT", "UPDATE", "DELETE"],
  vendor: ["INSERT", "UPDATE", "DELETE"],
  client_po: ["INSERT", "UPDATE", "DELETE"],
  client_po_line_item: ["INSERT", "UPDATE", "DELETE"],
  user: ["INSERT", "UPDATE"],
  refresh_session: ["INSERT", "UPDATE"],
  idempotency_key: ["INSERT", "UPDATE", "DELETE"],
};
/** The columns that the API sets, and of those it inserts the ones that it also changes; whatever is not here is nobody's to write. */
const apiWrites: Record<string, { insert: string; update: string }> = {
  client: { insert: "name bundle_by_store", update: "name bundle_by_store" },
  vendor: {
    insert: "name contact_person email phone address gstin payment_terms status",
    update: "name contact_person email phone address gstin payment_terms status",
  },
  client_po: {
    insert:
      "client_id project_id store_id po_number po_date status po_type parent_po_id agreement_date pi_number pi_date vendor_id " +
      "site_id notes vendor_gstin bill_to_gstin vendor_address bill_to_address ship_to_address po_value receivable_amount",
    update:
      "client_id project_id store_id po_number po_date status status_reason po_type parent_po_id agreement_date pi_number pi_date vendor_id " +
      "site_id notes vendor_gstin bill_to_gstin vendor_address bill_to_address ship_to_address po_value receivable_amount",
  },
  client_po_line_item: {
    insert: "client_po_id item_name hsn_code unit quantity unit_price total_price gst_rate",
    update: "item_name hsn_code unit quantity unit_price total_price gst_rate",
  },
  user: {
    insert: "username email password_hash role password_changed_at",
    update: "role disabled password_hash password_changed_at token_version",
  },
  // A key is claimed by a function, which knows whose it is.
  idempotency_key: { insert: "", update: "answer" },
  refresh_session: {
    insert: "id user_id token_hash expires_at address user_agent",
    update: "token_hash previous_token_hash rotated_at revoked_at",
  },
};
const readonlyMayNotRead = ["refresh_session", "login_attempt", "idempotency_key", "legacy_orphan"];

function may(role: Role, table: string, privilege: Privilege): boolean {
  if (privilege === "SELECT") return role !== "nexgen_readonly" || !readonlyMayNotRead.includes(table);
  return role === "nexgen_api" && (apiMayWrite[table]?.includes(privilege) ?? false);
}

describeServers("the roles", (server) => {
  let database: string;
  let owner: pg.Client;
  const as = {} as Record<Role, pg.Client>;
  let tables: string[];
  beforeAll(async () => {
    database = await server.database();
    owner = await server.connect(database);
    await server.superuser("CREATE DATABASE other_people");
    await server.superuser("REVOKE CONNECT ON DATABASE other_people FROM PUBLIC");
    await insertOneOfEach(owner);
    for (const role of roles) as[role] = await server.connect(database, role);
    tables = (
      await rows(
        owner,
        `SELECT relname FROM pg_class WHERE relnamespace = '"Finances"'::regnamespace AND relkind = 'r'`,
      )
    ).map(({ relname }) => String(relname));
  });
  const denied = async (role: Role, text: string) =>
    expect((await refusal(as[role].query(text))).code, `${role}: ${text}`).toBe("42501");

  it("have an owner like Neon's: no superuser, and none of them its member", async () => {
    const attributes = await rows(
      owner,
      `SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
              EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid) AND rolname <> 'nexgen_owner' AS member
       FROM pg_roles r WHERE rolname LIKE 'nexgen_%' ORDER BY rolname`,
    );
    const plain = { rolsuper: false, rolcreatedb: false, rolreplication: false, rolbypassrls: false, member: false };
    expect(attributes).toEqual([
      { rolname: "nexgen_api", rolcreaterole: false, ...plain },
      { rolname: "nexgen_backup", rolcreaterole: false, ...plain },
      { rolname: "nexgen_owner", rolcreaterole: true, ...plain },
      { rolname: "nexgen_readonly", rolcreaterole: false, ...plain },
    ]);
    const owners = await rows(
      owner,
      `SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relnamespace = '"Finances"'::regnamespace AND relkind IN ('r', 'S')`,
    );
    expect(owners).toEqual([{ owner: "nexgen_owner" }]);
  });

  describe.each(roles)("%s", (role) => {
    it("has no right on any table, or column of one, beyond its list", async () => {
      for (const table of tables) {
        for (const privilege of privileges.filter((one) => !may(role, table, one))) {
          const { some } = await row(
            owner,
            `SELECT has_table_privilege($1, $2, $3) OR (CASE WHEN $3 IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
               THEN has_any_column_privilege($1, $2, $3) ELSE false END) AS some`,
            [role, `"Finances"."${table}"`, privilege],
          );
          const partly = role === "nexgen_readonly" && table === "user" && privilege === "SELECT";
          expect(some, `${role} ${privilege} ${table}`).toBe(partly);
        }
      }
    });

    it("is refused, in deed, what it has no right to", async () => {
      for (const table of tables) {
        const name = `"Finances"."${table}"`;
        if (!may(role, table, "SELECT")) await denied(role, `SELECT * FROM ${name}`);
        if (!may(role, table, "INSERT")) await denied(role, `INSERT INTO ${name} DEFAULT VALUES`);
        const { column } = await row(
          owner,
          `SELECT quote_ident(attname) AS column FROM pg_attribute WHERE attrelid = $1::regclass AND attnum = 1`,
          [name],
        );
        if (!may(role, table, "UPDATE")) await denied(role, `UPDATE ${name} SET ${column} = ${column}`);
        if (!may(role, table, "DELETE")) await denied(role, `DELETE FROM ${name}`);
        await denied(role, `TRUNCATE ${name}`);
        await denied(role, `ALTER TABLE ${name} ADD COLUMN x text`);
        await denied(role, `ALTER TABLE ${name} DISABLE TRIGGER USER`);
        await denied(role, `DROP TABLE ${name}`);
        // A role with some right may try to pass it on: that is a warning, and nothing happens.
        await as[role].query(`GRANT SELECT ON ${name} TO PUBLIC`).catch(() => {});
        const { passed } = await row(owner, `SELECT has_table_privilege('public', $1, 'SELECT') AS passed`, [name]);
        expect(passed, table).toBe(false);
      }
    });

    it.each([
      `CREATE TABLE "Finances".x ()`,
      `CREATE TABLE public.x ()`,
      "CREATE TEMP TABLE x ()",
      "CREATE SCHEMA x",
      `CREATE FUNCTION "Finances".x() RETURNS void LANGUAGE sql AS ''`,
      `CREATE FUNCTION public.x() RETURNS void LANGUAGE sql AS ''`,
      "CREATE FUNCTION pg_temp.x() RETURNS void LANGUAGE sql AS ''",
      `CREATE OR REPLACE FUNCTION "Finances".guard(session_id uuid, user_id integer, token_version integer, least_role text, request_id text) RETURNS void LANGUAGE sql AS ''`,
      `CREATE INDEX ON "Finances".client (name)`,
      `CREATE TRIGGER x BEFORE UPDATE ON "Finances".client FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
      "CREATE EXTENSION dblink",
      "CREATE EXTENSION file_fdw",
      "CREATE ROLE x",
      "CREATE DATABASE x",
      "ALTER ROLE nexgen_owner PASSWORD 'x'",
      "GRANT nexgen_owner TO CURRENT_USER",
      "GRANT pg_read_all_data TO CURRENT_USER",
      "ALTER ROLE CURRENT_USER SUPERUSER",
      "SET ROLE nexgen_owner",
      "SET ROLE postgres",
      "SET SESSION AUTHORIZATION nexgen_owner",
      "SET session_replication_role = replica",
      "ALTER SYSTEM SET fsync = off",
      "COPY (SELECT 1) TO '/tmp/x'",
      "COPY (SELECT 1) TO PROGRAM 'true'",
      "SELECT pg_read_file('postgresql.conf')",
      "SELECT pg_ls_dir('.')",
      "SELECT * FROM pg_authid",
      "SELECT * FROM pg_user_mapping",
      "SELECT setval('\"Finances\".client_id_seq', 1)",
    ])("is refused %s", async (text) => {
      await denied(role, text);
    });

    it("uses no sequence but by inserting", async () => {
      const sequences = await rows(
        owner,
        `SELECT oid::regclass::text AS sequence, has_sequence_privilege($1, oid, 'USAGE, UPDATE') AS uses,
                has_sequence_privilege($1, oid, 'SELECT') AS reads
         FROM pg_class WHERE relnamespace = '"Finances"'::regnamespace AND relkind = 'S'`,
        [role],
      );
      expect(sequences.length).toBeGreaterThan(15);
      for (const { sequence, uses, reads } of sequences) {
        expect([sequence, uses, reads]).toEqual([sequence, false, role === "nexgen_backup"]);
        await denied(role, `SELECT setval('${sequence}', 1)`);
        await denied(role, `SELECT nextval('${sequence}')`);
      }
    });

    it("calls none of our functions but those that are meant for it", async () => {
      const callable = await rows(
        owner,
        `SELECT p.proname FROM pg_proc p WHERE p.pronamespace = '"Finances"'::regnamespace AND has_function_privilege($1, p.oid, 'EXECUTE')
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e')`,
        [role],
      );
      const names = callable.map(({ proname }) => proname);
      const meant =
        "audit_value claim clear_expired_sessions connections count_log_in forget_log_ins guard kept_orphans log_in_name purge_idempotency_keys refuse_closed".split(
          " ",
        );
      expect(names.toSorted()).toEqual(role === "nexgen_api" ? meant : []);
    });

    it("is told of others' connections in numbers alone, and of their state what the owner may see", async () => {
      if (role !== "nexgen_api") return denied(role, `SELECT * FROM "Finances".connections()`);
      const connected = async () =>
        (await rows(as.nexgen_api, `SELECT * FROM "Finances".connections() WHERE role = 'nexgen_readonly'`)).map(
          (each) => [Object.keys(each).join(" "), each.state],
        );
      const columns = "role state connections oldest_transaction_seconds";
      expect(await connected()).toEqual([[columns, "unknown"]]);
      await server.superuser("GRANT pg_monitor TO nexgen_owner");
      expect(await connected()).toEqual([[columns, "idle"]]);
      await server.superuser("REVOKE pg_monitor FROM nexgen_owner");
      const { query } = await row(
        as.nexgen_api,
        "SELECT query FROM pg_stat_activity WHERE usename = 'nexgen_readonly'",
      );
      expect(query).toBe("<insufficient privilege>");
    });

    it("has its statement timeout, and no session left open in a transaction", async () => {
      const timeout = { nexgen_api: "5s", nexgen_backup: "0", nexgen_readonly: "5min" }[role];
      expect(
        await row(
          as[role],
          "SELECT current_setting('statement_timeout') AS statement, current_setting('idle_in_transaction_session_timeout') AS idle",
        ),
      ).toEqual({
        statement: timeout,
        idle: "1min",
      });
    });

    it("enters this database only where it was let in", async () => {
      expect((await refusal(server.connect("other_people", role))).code).toBe("42501");
    });
  });

  it("leave PUBLIC nothing: no way in, no schema, no table, no function", async () => {
    const lines = await describeSchema(server.url("nexgen_owner", database));
    expect(lines.filter((line) => line.endsWith("to PUBLIC"))).toEqual([]);
    await server.superuser(`CREATE ROLE passer_by LOGIN PASSWORD '${server.password}'`);
    expect((await refusal(server.connect(database, "passer_by"))).code).toBe("42501");
  });

  describe("nexgen_api", () => {
    it("writes the columns of its list and no others: none that triggers keep, none that stay as they are", async () => {
      for (const table of tables) {
        const { insert = "", update = "" } = apiWrites[table] ?? {};
        const rights = await row(
          owner,
          `SELECT coalesce(array_agg(attname::text) FILTER (WHERE has_column_privilege('nexgen_api', attrelid, attnum, 'INSERT')), '{}') AS insert,
             coalesce(array_agg(attname::text) FILTER (WHERE has_column_privilege('nexgen_api', attrelid, attnum, 'UPDATE')), '{}') AS update
           FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped`,
          [`"Finances"."${table}"`],
        );
        const sorted = (columns: unknown) => (columns as string[]).toSorted();
        const listed = (columns: string) => columns.split(" ").filter(Boolean).toSorted();
        expect([table, sorted(rights.insert), sorted(rights.update)]).toEqual([table, listed(insert), listed(update)]);
      }
    });

    it("moves no session to another user or to a later end, and renames no account", async () => {
      for (const [table, column] of [
        ["refresh_session", "id"],
        ["refresh_session", "user_id"],
        ["refresh_session", "expires_at"],
        ["refresh_session", "address"],
        ["user", "username"],
        ["user", "email"],
      ]) {
        await denied("nexgen_api", `UPDATE "Finances"."${table}" SET ${column} = ${column}`);
      }
    });

    it("reads what its routes serve, and cannot forge the audit log", async () => {
      for (const table of [
        "client",
        "vendor",
        "client_po",
        "client_po_line_item",
        "user",
        "audit_log",
        "schema_migration",
      ])
        await as.nexgen_api.query(`SELECT * FROM "Finances"."${table}"`);
      await denied(
        "nexgen_api",
        `INSERT INTO "Finances".audit_log (database_role, action, table_name, row_id, changes) VALUES ('x', 'insert', 'x', '1', '{}')`,
      );
      await denied("nexgen_api", `UPDATE "Finances".schema_migration SET hash = ''`);
    });

    // Shortened, so that nobody waits for the five seconds that the role comes back to.
    it("is cut off by the timeout of its role", async () => {
      await owner.query("ALTER ROLE nexgen_api SET statement_timeout = '200ms'");
      try {
        const client = await server.connect(database, "nexgen_api");
        expect((await refusal(client.query("SELECT pg_sleep(20)"))).code).toBe("57014");
      } finally {
        await server.createRoles(database);
      }
      const { rolconfig } = await row(owner, `SELECT rolconfig FROM pg_roles WHERE rolname = 'nexgen_api'`);
      expect(rolconfig).toContain("statement_timeout=5s");
    });
  });

  describe("nexgen_backup", () => {
    it("reads every table and every sequence in one snapshot", async () => {
      const { nexgen_backup: backup } = as;
      await backup.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
      for (const table of tables) await backup.query(`SELECT * FROM "Finances"."${table}"`);
      const sequences = await rows(
        backup,
        `SELECT relname FROM pg_class WHERE relnamespace = '"Finances"'::regnamespace AND relkind = 'S'`,
      );
      expect(sequences.length).toBeGreaterThan(15);
      for (const { relname } of sequences)
        await backup.query(`SELECT last_value, is_called FROM "Finances"."${relname}"`);
      await backup.query("COMMIT");
    });
  });

  describe("nexgen_readonly", () => {
    it("reads users without their passwords, and nothing else that would let anybody in", async () => {
      const { nexgen_readonly: analyst } = as;
      const { username } = await row(analyst, `SELECT id, username, email, role FROM "Finances"."user"`);
      expect(username).toBe("asha");
      for (const text of [
        `SELECT password_hash FROM "Finances"."user"`,
        `SELECT * FROM "Finances"."user"`,
        `SELECT u FROM "Finances"."user" u`,
        `SELECT to_jsonb(u) FROM "Finances"."user" u`,
        `SELECT id FROM "Finances"."user" WHERE password_hash LIKE '$2b%'`,
        `SELECT id FROM "Finances"."user" ORDER BY password_hash`,
        `SELECT token_version FROM "Finances"."user"`,
        `SELECT legacy FROM "Finances"."user"`,
        `SELECT token_hash FROM "Finances".refresh_session`,
        `SELECT count(*) FROM "Finances".refresh_session`,
        `COPY "Finances"."user" TO STDOUT`,
        `SELECT "Finances".guard(gen_random_uuid(), 1, 1, 'viewer', '')`,
      ])
        await denied("nexgen_readonly", text);
      await owner.query(`ANALYZE "Finances"."user"`);
      const statistics = await rows(
        analyst,
        `SELECT attname FROM pg_stats WHERE schemaname = 'Finances' AND attname IN ('password_hash', 'token_hash')`,
      );
      expect(statistics).toEqual([]);
      const log = await rows(
        analyst,
        `SELECT changes::text FROM "Finances".audit_log WHERE changes::text LIKE '%$2b$%'`,
      );
      expect(log).toEqual([]);
    });
  });

  describe("made again", () => {
    it("are the same", async () => {
      const own = await server.database();
      const before = await describeSchema(server.url("nexgen_owner", own));
      await server.createRoles(own);
      await createRoles(server.url("nexgen_owner", own), {});
      expect(await describeSchema(server.url("nexgen_owner", own))).toEqual(before);
    });

    it("lose what they were given on the way", async () => {
      const own = await server.database();
      const client = await server.connect(own);
      const before = await describeSchema(server.url("nexgen_owner", own));
      await client.query(
        `
        GRANT ALL ON ALL TABLES IN SCHEMA "Finances" TO nexgen_readonly, PUBLIC;
        GRANT SELECT (password_hash), UPDATE (role) ON "Finances"."user" TO nexgen_readonly;
        GRANT ALL ON SCHEMA "Finances" TO nexgen_api, PUBLIC;
        GRANT ALL ON ALL FUNCTIONS IN SCHEMA "Finances" TO PUBLIC;
        GRANT ALL ON ALL SEQUENCES IN SCHEMA "Finances" TO nexgen_backup;
        GRANT ALL ON DATABASE ${own} TO PUBLIC, nexgen_api;
      `,
      );
      expect(await describeSchema(server.url("nexgen_owner", own))).not.toEqual(before);
      await server.createRoles(own);
      expect(await describeSchema(server.url("nexgen_owner", own))).toEqual(before);
    });

    it("get their limits back, also those that a role lifted for itself in this database", async () => {
      const own = await server.database();
      const before = await describeSchema(server.url("nexgen_owner", own));
      const backup = await server.connect(own, "nexgen_backup");
      await backup.query("ALTER ROLE nexgen_backup SET idle_in_transaction_session_timeout = 0");
      await backup.query(`ALTER ROLE nexgen_backup IN DATABASE ${own} SET search_path = pg_temp`);
      await backup.query(`ALTER ROLE nexgen_backup IN DATABASE ${own} SET statement_timeout = 1`);
      await backup.query("ALTER ROLE nexgen_backup SET default_transaction_read_only = on");
      await server.createRoles(own);
      expect(await describeSchema(server.url("nexgen_owner", own))).toEqual(before);
      const left = `SELECT unnest(setconfig) AS setting FROM pg_db_role_setting WHERE setrole = 'nexgen_backup'::regrole`;
      expect((await backup.query(left)).rows.map((row) => row.setting.split("=")[0]).toSorted()).toEqual([
        "idle_in_transaction_session_timeout",
        "statement_timeout",
      ]);
    });

    it("are refused while one of them is in another role, whose rights no list takes away", async () => {
      const own = await server.database();
      await server.superuser("CREATE ROLE everything");
      await server.superuser("GRANT everything TO nexgen_readonly");
      try {
        await expect(server.createRoles(own)).rejects.toThrow(/nexgen_readonly.*everything/);
      } finally {
        await server.superuser("DROP ROLE everything");
      }
      await server.superuser("ALTER ROLE nexgen_readonly BYPASSRLS CREATEDB");
      try {
        await expect(server.createRoles(own)).rejects.toThrow(/nexgen_readonly/);
      } finally {
        await server.superuser("ALTER ROLE nexgen_readonly NOBYPASSRLS NOCREATEDB");
      }
      await server.createRoles(own);
    });

    it("at once on several databases of one cluster, all succeed", async () => {
      const databases = [await server.database(), await server.database(), await server.database()];
      await Promise.all([...databases, ...databases].map((name) => server.createRoles(name)));
    });
  });

  it("find what a later migration brings: the backup reads it, the others not until the list says so", async () => {
    const own = await server.database();
    const client = await server.connect(own);
    await client.query(`
      CREATE TABLE "Finances".later (id bigint GENERATED BY DEFAULT AS IDENTITY);
      CREATE FUNCTION "Finances".later() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
      CREATE PROCEDURE "Finances".later_work() LANGUAGE sql SECURITY DEFINER AS '';
    `);
    const backup = await server.connect(own, "nexgen_backup");
    await backup.query(`SELECT * FROM "Finances".later`);
    await backup.query(`SELECT last_value FROM "Finances".later_id_seq`);
    for (const role of ["nexgen_api", "nexgen_readonly"]) {
      const other = await server.connect(own, role);
      expect((await refusal(other.query(`SELECT * FROM "Finances".later`))).code).toBe("42501");
      expect((await refusal(other.query(`SELECT "Finances".later()`))).code, "before db:roles").toBe("42501");
      expect((await refusal(other.query(`CALL "Finances".later_work()`))).code, "before db:roles").toBe("42501");
    }
    await server.createRoles(own);
    expect(
      (await refusal((await server.connect(own, "nexgen_api")).query(`SELECT * FROM "Finances".later`))).code,
    ).toBe("42501");
  });
});
