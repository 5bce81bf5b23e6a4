import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { destructive } from "../tools/deploy/destructive.ts";

describe("a migration that takes away", () => {
  it.each([
    ["DROP TABLE t", "drops what the code of before may use"],
    ["drop schema if exists s cascade", "drops what the code of before may use"],
    ["DROP FUNCTION f(integer)", "drops what the code of before may use"],
    ["DROP VIEW v", "drops what the code of before may use"],
    ["DROP TYPE mood", "drops what the code of before may use"],
    ["TRUNCATE t", "empties a table"],
    [`DELETE FROM "Finances".t WHERE a = 1`, "deletes rows"],
    ["WITH old AS (SELECT 1) DELETE FROM t USING old", "deletes rows"],
    ["ALTER TABLE t DROP COLUMN a", "drops a column"],
    ["ALTER TABLE ONLY t DROP a", "drops a column"],
    [`ALTER TABLE "Finances"."t" ADD COLUMN b int, DROP COLUMN "a"`, "drops a column"],
    ["ALTER TABLE t ALTER COLUMN a TYPE bigint", "changes a column's type"],
    [`ALTER TABLE t ALTER "a" SET DATA TYPE bigint`, "changes a column's type"],
    ["ALTER TABLE t ALTER COLUMN a SET NOT NULL", "refuses rows that the code of before writes"],
    ["ALTER TABLE t ALTER a DROP DEFAULT", "takes a value away that the code of before counts on"],
    ["ALTER TABLE t RENAME COLUMN a TO b", "renames what the code of before names"],
    ["ALTER TABLE t RENAME TO u", "renames what the code of before names"],
    ["ALTER TYPE mood RENAME VALUE 'a' TO 'b'", "renames what the code of before names"],
    ["ALTER FUNCTION f(integer) RENAME TO g", "renames what the code of before names"],
    ["ALTER TABLE t SET SCHEMA other", "moves what the code of before names"],
    ["ALTER TABLE t ADD COLUMN a int NOT NULL", "adds a column that the code of before does not fill"],
    [
      "ALTER TABLE t ADD COLUMN b int DEFAULT 0, ADD a int NOT NULL",
      "adds a column that the code of before does not fill",
    ],
    ["ALTER TABLE t DROP CONSTRAINT c", "drops a constraint"],
    ["ALTER TABLE t DROP CONSTRAINT IF EXISTS c, ADD CONSTRAINT d CHECK (a > 0)", "drops a constraint"],
    ["DROP TRIGGER IF EXISTS x ON t", "drops a trigger"],
    ["DO $$ BEGIN DROP TABLE t; END $$", "drops what the code of before may use"],
    ["DO $do$ BEGIN IF true THEN ALTER TABLE t DROP COLUMN a; END IF; END $do$", "drops a column"],
  ])("is found: %s", (sql, reason) => {
    expect(destructive(`SELECT 1;\n${sql};`).map((each) => [each.line, each.reason])).toEqual([[2, reason]]);
  });
});

describe("a migration that adds", () => {
  it.each([
    "CREATE TABLE t (a int NOT NULL, b text)",
    "ALTER TABLE t ADD COLUMN a int",
    "ALTER TABLE t ADD COLUMN a int NOT NULL DEFAULT 0",
    "ALTER TABLE t ADD COLUMN a numeric(15,2) DEFAULT 0 NOT NULL, ADD COLUMN b int",
    "ALTER TABLE t ADD a bigint GENERATED ALWAYS AS IDENTITY NOT NULL",
    "ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL)",
    "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES u (id) ON DELETE SET NULL",
    "ALTER TABLE t ALTER COLUMN a DROP NOT NULL",
    "ALTER TABLE t ALTER COLUMN a SET DEFAULT 0",
    "ALTER TYPE mood ADD VALUE 'fine'",
    "CREATE INDEX CONCURRENTLY i ON t (a)",
    "DROP INDEX i",
    "UPDATE t SET a = 0 WHERE a IS NULL",
    "-- DROP TABLE t",
    "/* DROP TABLE t; /* nested */ TRUNCATE t; */ SELECT 1",
    "SELECT 'DROP TABLE t; DROP TABLE u'",
    "SELECT 'it''s'; SELECT E'\\'; DROP TABLE t; '",
    `SELECT 1 AS "; DROP TABLE t"`,
    `COMMENT ON TABLE t IS $$; DROP TABLE t; $$`,
    "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $body$ BEGIN DELETE FROM t; DROP TABLE t; END $body$",
    "CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC SELECT 1; END",
    "DROP TRIGGER x ON t; CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
    `ALTER TABLE t DROP CONSTRAINT "c"; ALTER TABLE t ADD CONSTRAINT c CHECK (a IN ('x', 'y'))`,
    "DO $$ BEGIN CREATE TABLE t (a int); END $$",
  ])("passes: %s", (sql) => {
    expect(destructive(`${sql};`)).toEqual([]);
  });
});

it("names the line that a statement begins on, and what it says without its literals", () => {
  const sql = `-- one\n\nCREATE TABLE a (\n  b text\n);--> statement-breakpoint\n\n  ALTER TABLE a\n    ADD COLUMN c text DEFAULT 'x',\n    DROP COLUMN b;\n`;
  expect(destructive(sql)).toEqual([
    { line: 7, statement: "ALTER TABLE a ADD COLUMN c text DEFAULT '' , DROP COLUMN b", reason: "drops a column" },
  ]);
  const [found] = destructive(`DO $$\nBEGIN\n  DROP TABLE ${"t".repeat(200)};\nEND $$;`);
  expect(found?.line).toBe(3);
  expect(found?.statement).toHaveLength(120);
});

it("finds in our first twelve migrations what they took away, and no more", () => {
  const folder = join(import.meta.dirname, "../drizzle");
  const found = readdirSync(folder)
    .filter((file) => file.endsWith(".sql") && file < "0012")
    .flatMap((file) =>
      destructive(readFileSync(join(folder, file), "utf8")).map(({ statement }) => `${file}: ${statement}`),
    );
  expect(found).toEqual([
    `0008_idempotency.sql: ALTER TABLE "Finances"."idempotency_key" DROP COLUMN "status"`,
    `0008_idempotency.sql: ALTER TABLE "Finances"."idempotency_key" DROP COLUMN "location"`,
  ]);
});
