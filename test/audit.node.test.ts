import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { describeServers, refusal, row, rows, type TestServer } from "./support/node/database.ts";
import { insertOneOfEach, tablesWithRows } from "./support/node/rows.ts";

interface Entry {
  table_name: string;
  row_id: string;
  action: string;
  user_id: number | null;
  actor: string | null;
  database_role: string;
  request_id: string | null;
  client_po_id: string | null;
  changes: Record<string, { before?: unknown; after?: unknown } | "changed">;
}

/** Written by triggers on every change, and secrets: the log names none of them. */
const silent = ["version", "updated_at", "password_hash"];
const hash = (letter: string) => `$2b$12$${letter.repeat(53)}`;

describeServers("triggers that know their writer", (server) => {
  describe("the audit log", () => auditTests(server));
  describe("guard()", () => guardTests(server));
});

function auditTests(server: TestServer) {
  let database: string;
  let sql: pg.Client;
  let audited: string[];
  beforeAll(async () => {
    database = await server.database();
    sql = await server.connect(database);
    audited = (
      await rows(
        sql,
        `SELECT DISTINCT tgrelid::regclass::text, relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
         WHERE tgfoid = '"Finances".audit'::regproc ORDER BY relname`,
      )
    ).map(({ relname }) => String(relname));
  });
  /** Runs `work` and takes it back; answers what it logged. */
  const logged = async (work: () => Promise<unknown>, client = sql): Promise<Entry[]> => {
    await client.query("BEGIN");
    const { last } = await row(client, `SELECT coalesce(max(id), 0) AS last FROM "Finances".audit_log`);
    try {
      await work();
      return (await rows(client, `SELECT * FROM "Finances".audit_log WHERE id > $1 ORDER BY id`, [
        last,
      ])) as unknown as Entry[];
    } finally {
      await client.query("ROLLBACK");
    }
  };
  /** Every column of a row as PostgreSQL prints it, beside its type. */
  const texts = async (table: string) => {
    const { rows: found, fields } = await sql.query<(string | null)[]>({
      text: `SELECT * FROM "Finances"."${table}"`,
      rowMode: "array",
      types: { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig,
    });
    return new Map(fields.map((field, at) => [field.name, { type: field.dataTypeID, text: found[0]?.[at] ?? null }]));
  };
  const types = { bool: 16, int8: 20, int4: 23, jsonb: 3802, timestamptz: 1184, numeric: 1700 };
  /** What the log must say of a value that prints as `text`. */
  const wire = ({ type, text }: { type: number; text: string | null }) => {
    if (text === null) return null;
    if (type === types.bool) return text === "t";
    if (type === types.int8 || type === types.int4) return Number(text);
    if (type === types.jsonb) return JSON.parse(text);
    if (type === types.timestamptz) return text.replace(" ", "T").replace(/\+00$/, "+00:00");
    return text;
  };
  const value = (table: string, column: Record<string, unknown>): string => {
    if (column.column === "status") return table === "vendor" ? "'inactive'" : "'active'";
    if (column.column === "po_type") return "'verbal_agreement'";
    if (column.column === "role") return "'admin'";
    if (column.column === "gstin") return "'27AAAAA0000A1Z5'";
    if (column.column === "password_hash") return `'${hash("b")}'`;
    const changed: Record<string, string> = {
      numeric: "41.5",
      bool: `NOT coalesce("${column.column}", false)`,
      int4: "7",
      int8: "7",
      date: "'2026-02-28'",
      timestamptz: "'2026-02-28 23:59:59.123456+05:30'",
      jsonb: `'{"a": [1.50, null]}'`,
    };
    return changed[String(column.type)] ?? "'other'";
  };

  it("follows all 19 tables of the legacy, each through three events", async () => {
    expect(audited).toHaveLength(19);
    const { events } = await row(
      sql,
      `SELECT count(*)::integer AS events FROM pg_trigger WHERE tgfoid = '"Finances".audit'::regproc AND tgenabled = 'O'`,
    );
    expect(events).toBe(57);
  });

  it("has the insert of a row of every table, all fields that are not null and no secret", async () => {
    const own = await server.connect(await server.database());
    await insertOneOfEach(own);
    for (const table of audited) {
      expect(tablesWithRows).toContain(table);
      const [entry] = await rows(
        own,
        `SELECT * FROM "Finances".audit_log WHERE table_name = $1 AND action = 'insert'`,
        [table],
      );
      const { stored } = await row(own, `SELECT to_jsonb(t) AS stored FROM "Finances"."${table}" t`);
      const filled = Object.entries(stored as Record<string, unknown>).filter(
        ([name, value]) => value !== null && !silent.includes(name),
      );
      expect(entry, table).toMatchObject({ row_id: "1", user_id: null, actor: null, database_role: "nexgen_owner" });
      // Derived amounts come after the insert, as an update of its own.
      const late = ["po_value", "receivable_amount", "subtotal", "total_tax"];
      const fields = filled.map(([name]) => name).filter((name) => table !== "client_po" || !late.includes(name));
      expect(Object.keys(entry?.changes as object).sort(), table).toEqual(fields.sort());
    }
  });

  it("has the changed fields of an update of every table: decimals as strings, instants in UTC", async () => {
    const own = sql;
    await insertOneOfEach(own);
    await own.query("SET timezone = 'UTC'");
    for (const table of audited) {
      const columns = await rows(
        own,
        `SELECT a.attname AS column, t.typname AS type FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
         WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
           AND a.attname NOT IN ('id', 'version', 'updated_at', 'line_item_count', 'subtotal', 'cgst', 'sgst', 'igst', 'total_tax', 'quantity', 'unit_price')
           AND NOT (a.attrelid = '"Finances".client_po'::regclass AND a.attname = 'po_value')
           AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'f' AND a.attnum = ANY (k.conkey))
           AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.confrelid = a.attrelid AND a.attnum = ANY (k.confkey))`,
        [`"Finances"."${table}"`],
      );
      const gst = table === "client_po_line_item" ? ", gst_rate = 12.5" : "";
      const assignments = columns
        .filter(({ column }) => !(gst && (column === "gst_rate" || column === "gst_amount")))
        .map((column) => `"${column.column}" = ${value(table, column)}`);
      let before = new Map<string, { type: number; text: string | null }>();
      let after = before;
      const entries = await logged(async () => {
        before = await texts(table);
        await own.query(`UPDATE "Finances"."${table}" SET ${assignments.join(", ")}${gst}`);
        after = await texts(table);
      });
      const expected: Record<string, unknown> = {};
      for (const [name, old] of before) {
        const now = after.get(name);
        if (!now || now.text === old.text || silent.includes(name)) continue;
        expected[name] = { before: wire(old), after: wire(now) };
      }
      if (table === "user") expected.password = "changed";
      expect(entries[0]?.changes, table).toEqual(expected);
      expect(entries[0], table).toMatchObject({ action: "update", table_name: table, row_id: "1" });
      expect(JSON.stringify(entries)).not.toContain("$2b$");
      expect(Object.keys(expected).length, table).toBeGreaterThan(0);
    }
  });

  it("has the delete of a row of every table, and of what went with it", async () => {
    const own = await server.connect(await server.database());
    await insertOneOfEach(own);
    for (const table of [...tablesWithRows].reverse()) {
      if (!audited.includes(table)) continue;
      await own.query(`DELETE FROM "Finances"."${table}"`);
      const deleted = await rows(
        own,
        `SELECT row_id, changes FROM "Finances".audit_log WHERE table_name = $1 AND action = 'delete'`,
        [table],
      );
      expect(deleted, table).toHaveLength(1);
      expect(deleted[0], table).toMatchObject({
        row_id: "1",
        changes: { id: { before: table.startsWith("upload") ? "1" : 1 } },
      });
      expect(JSON.stringify(deleted)).not.toContain("$2b$");
    }
  });

  it("says nothing of updates that change nothing, and of those that change secrets that they did", async () => {
    const entries = await logged(async () => {
      for (const table of audited) await sql.query(`UPDATE "Finances"."${table}" SET id = id`);
      await sql.query(`UPDATE "Finances".client_po SET version = 9, updated_at = now()`);
    });
    expect(entries).toEqual([]);
    const [changed, ...more] = await logged(() =>
      sql.query(`UPDATE "Finances"."user" SET password_hash = '${hash("c")}'`),
    );
    expect(more).toEqual([]);
    expect(changed?.changes).toEqual({ password: "changed" });
  });

  it("names the PO of a line and of a payment", async () => {
    const entries = await logged(async () => {
      await sql.query(`UPDATE "Finances".client_po_line_item SET item_name = 'Stool'`);
      await sql.query(`UPDATE "Finances".client_payment SET notes = 'late'`);
      await sql.query(`UPDATE "Finances".client_po SET notes = 'soon'`);
      await sql.query(`UPDATE "Finances".vendor SET name = 'Nuts'`);
    });
    expect(entries.map((entry) => [entry.table_name, entry.client_po_id])).toEqual([
      ["client_po_line_item", "1"],
      ["client_payment", "1"],
      ["client_po", "1"],
      ["vendor", null],
    ]);
    expect(entries[0]?.changes).toEqual({ item_name: { before: "Desk", after: "Stool" } });
  });

  it.each([
    ["no setting", {}, { user_id: null, actor: null, request_id: null }],
    [
      "empty ones, as a pooled connection has",
      { actor: "", request_id: "" },
      { user_id: null, actor: null, request_id: null },
    ],
    ["a user", { actor: "42", request_id: "r-1" }, { user_id: 42, actor: null, request_id: "r-1" }],
    ["the largest id", { actor: "2147483647" }, { user_id: 2147483647, actor: null }],
    ["a number that is no id", { actor: "2147483648" }, { user_id: null, actor: "2147483648" }],
    ["a tool", { actor: "import" }, { user_id: null, actor: "import" }],
  ])("takes its actor from %s", async (_, settings, expected) => {
    const own = await server.connect(database);
    const [entry] = await logged(async () => {
      for (const [name, value] of Object.entries(settings))
        await own.query("SELECT set_config($1, $2, true)", [`nexgen.${name}`, value]);
      await own.query(`UPDATE "Finances".client SET name = 'Other'`);
    }, own);
    expect(entry).toMatchObject({ ...expected, database_role: "nexgen_owner" });
  });

  it("does not depend on how the writer's session prints dates, times, numbers and bytes", async () => {
    const change = () =>
      sql.query(
        `UPDATE "Finances".client_po SET po_date = '2026-03-04', receivable_amount = 0.10, created_at = '2026-03-04T05:06:07.000001Z'`,
      );
    const plain = await logged(change);
    const odd = await logged(async () => {
      for (const setting of [
        "timezone = 'Asia/Kolkata'",
        "datestyle = 'SQL, DMY'",
        "extra_float_digits = -15",
        "bytea_output = 'escape'",
        "intervalstyle = 'iso_8601'",
        "standard_conforming_strings = on",
        "search_path = pg_temp, public",
      ])
        await sql.query(`SET LOCAL ${setting}`);
      await change();
    });
    expect(odd.map(({ changes }) => changes)).toEqual(plain.map(({ changes }) => changes));
    expect(plain[0]?.changes.created_at).toMatchObject({ after: "2026-03-04T05:06:07.000001+00:00" });
  });

  it("cannot be changed, by its owner neither", async () => {
    for (const text of [
      `UPDATE "Finances".audit_log SET actor = 'x'`,
      `UPDATE "Finances".audit_log SET actor = 'x' WHERE false`,
      `DELETE FROM "Finances".audit_log`,
      `TRUNCATE "Finances".audit_log`,
      `TRUNCATE "Finances".audit_log, "Finances".client CASCADE`,
      `MERGE INTO "Finances".audit_log a USING (SELECT 1) one ON true WHEN MATCHED THEN DELETE`,
    ]) {
      expect(await refusal(sql.query(text)), text).toMatchObject({ code: "NX405" });
    }
  });

  it("cannot be avoided: no audited table is truncated, no row changes its id", async () => {
    for (const table of audited) {
      expect(await refusal(sql.query(`TRUNCATE "Finances"."${table}" CASCADE`)), table).toMatchObject({
        code: "NX405",
      });
      const id = table.startsWith("upload") ? "id || 'x'" : "id + 1";
      expect(await refusal(sql.query(`UPDATE "Finances"."${table}" SET id = ${id}`)), table).toMatchObject({
        code: "NX405",
      });
    }
  });

  describe("with functions", () => {
    it("all have a fixed search_path, or no name to look up", async () => {
      const open = await rows(
        sql,
        `SELECT p.proname, p.prosecdef FROM pg_proc p WHERE p.pronamespace = '"Finances"'::regnamespace
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e')
           AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)`,
      );
      expect(open).toEqual([{ proname: "audit_value", prosecdef: false }]);
    });

    // Temporary objects come first in any path that does not name pg_temp, and functions of a schema that a caller puts before
    // pg_catalog would run as the owner.
    it("do not fall for tables, functions and operators that a writer puts in front", async () => {
      const own = await server.connect(await server.database());
      await insertOneOfEach(own);
      await own.query(`
        CREATE SCHEMA evil;
        CREATE FUNCTION evil.boom() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'owned'; END $$;
        CREATE FUNCTION evil.round(numeric, integer) RETURNS numeric LANGUAGE sql AS 'SELECT 0::numeric + length(evil.boom())';
        CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT evil.boom()::timestamptz';
        CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS 'SELECT evil.boom()';
        CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE sql AS 'SELECT evil.boom()';
        CREATE FUNCTION evil.to_jsonb(anyelement) RETURNS jsonb LANGUAGE sql AS 'SELECT evil.boom()::jsonb';
        CREATE FUNCTION evil.array_position(text[], text) RETURNS integer LANGUAGE sql AS 'SELECT length(evil.boom())';
        CREATE FUNCTION evil.times(numeric, numeric) RETURNS numeric LANGUAGE sql AS 'SELECT 0::numeric + length(evil.boom())';
        CREATE OPERATOR evil.* (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = evil.times);
        CREATE FUNCTION evil.matches(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT evil.boom() IS NULL';
        CREATE OPERATOR evil.~ (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.matches);
        CREATE FUNCTION evil.same(integer, integer) RETURNS boolean LANGUAGE sql AS 'SELECT evil.boom() IS NULL';
        CREATE OPERATOR evil.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = evil.same);
        CREATE TEMP TABLE new_rows (id bigint, client_po_id bigint, version integer);
        CREATE TEMP TABLE old_rows (id bigint, client_po_id bigint, version integer);
        CREATE TEMP TABLE client_po_line_item (client_po_id bigint, total_price numeric, gst_amount numeric);
        CREATE TEMP TABLE audit_log (id bigint);
        CREATE TEMP TABLE "user" (id integer, role text, disabled boolean, token_version integer);
        CREATE TEMP TABLE pg_class (oid oid);
        SET search_path = evil, pg_temp, pg_catalog;
        UPDATE "Finances".client_po_line_item SET quantity = 2, unit_price = 21, gst_rate = 10;
        INSERT INTO "Finances".client_po_line_item (id, client_po_id, item_name, total_price) VALUES (2, 1, 'x', 0.5);
      `);
      const { id } = await row(own, `SELECT id FROM "Finances".refresh_session`);
      await own.query(`SELECT "Finances".guard($1, 1, 1, 'viewer', 'r')`, [id]);
      await own.query("RESET search_path");
      expect(await row(own, `SELECT po_value, line_item_count FROM "Finances".client_po`)).toEqual({
        po_value: "46.70",
        line_item_count: 2,
      });
      const [last] = await rows(
        own,
        `SELECT changes -> 'quantity' ->> 'after' AS quantity FROM "Finances".audit_log WHERE changes ? 'quantity'`,
      );
      expect(last).toEqual({ quantity: "2.000" });
    });
  });
}

function guardTests(server: TestServer) {
  let owner: pg.Client;
  let api: pg.Client;
  beforeAll(async () => {
    const database = await server.database();
    [owner, api] = [await server.connect(database), await server.connect(database, "nexgen_api")];
  });
  let people = 0;
  const signedIn = async (role: string) => {
    const name = `user-${++people}`;
    const { id } = await row(
      owner,
      `INSERT INTO "Finances"."user" (username, email, password_hash, role) VALUES ($1, $2, $3, $4) RETURNING id`,
      [name, `${name}@example.com`, hash("a"), role],
    );
    const session = await row(
      owner,
      `INSERT INTO "Finances".refresh_session (user_id, token_hash, expires_at) VALUES ($1, sha256($2::bytea), now() + interval '1 hour') RETURNING id`,
      [id, name],
    );
    return { user: Number(id), session: String(session.id) };
  };
  const guard = (session: string | null, user: number | null, least: string | null, version: number | null = 1) =>
    api.query(`SELECT "Finances".guard($1, $2, $3, $4, 'req-1')`, [session, user, version, least]);
  const settings = () =>
    row(
      api,
      "SELECT current_setting('nexgen.actor', true) AS actor, current_setting('nexgen.request_id', true) AS request",
    );

  it.each([
    ["viewer", "viewer", undefined],
    ["viewer", "editor", "NX403"],
    ["viewer", "admin", "NX403"],
    ["editor", "viewer", undefined],
    ["editor", "editor", undefined],
    ["editor", "admin", "NX403"],
    ["admin", "viewer", undefined],
    ["admin", "admin", undefined],
    ["admin", "owner", "NX403"],
    ["admin", "Admin", "NX403"],
    ["admin", "", "NX403"],
    ["admin", null, "NX403"],
  ])("answers a %s who needs %s with %s", async (role, least, code) => {
    const { user, session } = await signedIn(role);
    if (code) expect((await refusal(guard(session, user, least))).code).toBe(code);
    else await guard(session, user, least);
  });

  it.each<[string, string]>([
    ["a revoked session", `UPDATE "Finances".refresh_session SET revoked_at = now() WHERE id = $1`],
    ["an expired session", `UPDATE "Finances".refresh_session SET expires_at = now() WHERE id = $1`],
    ["a deleted session", `DELETE FROM "Finances".refresh_session WHERE id = $1`],
    [
      "a disabled user",
      `UPDATE "Finances"."user" SET disabled = true WHERE id = (SELECT user_id FROM "Finances".refresh_session WHERE id = $1)`,
    ],
    [
      "an old token version",
      `UPDATE "Finances"."user" SET token_version = 2 WHERE id = (SELECT user_id FROM "Finances".refresh_session WHERE id = $1)`,
    ],
    [
      "a deleted user",
      `DELETE FROM "Finances"."user" WHERE id = (SELECT user_id FROM "Finances".refresh_session WHERE id = $1)`,
    ],
  ])("refuses %s", async (_, change) => {
    const { user, session } = await signedIn("admin");
    await guard(session, user, "viewer");
    await owner.query(change, [session]);
    expect(await refusal(guard(session, user, "viewer"))).toMatchObject({ code: "NX401" });
  });

  it("refuses an unknown session, another user's, a newer token version, and nulls", async () => {
    const [one, other] = [await signedIn("admin"), await signedIn("admin")];
    for (const refused of [
      () => guard("00000000-0000-4000-8000-000000000000", one.user, "viewer"),
      () => guard(one.session, other.user, "viewer"),
      () => guard(one.session, one.user, "viewer", 2),
      () => guard(null, one.user, "viewer"),
      () => guard(one.session, null, "viewer"),
      () => guard(one.session, one.user, "viewer", null),
    ]) {
      expect(await refusal(refused())).toMatchObject({ code: "NX401" });
    }
  });

  it("names the actor for its transaction only, and only when it lets pass", async () => {
    const { user, session } = await signedIn("editor");
    await api.query("BEGIN");
    await guard(session, user, "editor");
    expect(await settings()).toEqual({ actor: String(user), request: "req-1" });
    await api.query("COMMIT");
    expect(await settings()).toEqual({ actor: "", request: "" });
    await refusal(guard(session, user, "admin"));
    expect(await settings()).toEqual({ actor: "", request: "" });
    await api.query("BEGIN READ ONLY");
    await guard(session, user, "viewer");
    await api.query("ROLLBACK");
  });

  it("ends the transaction that it refuses", async () => {
    const { user, session } = await signedIn("viewer");
    await api.query("BEGIN");
    await refusal(guard(session, user, "editor"));
    expect(await refusal(api.query("SELECT 1"))).toMatchObject({ code: "25P02" });
    await api.query("ROLLBACK");
  });
}
