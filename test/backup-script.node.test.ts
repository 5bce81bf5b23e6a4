import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { firstLine, lastLine, pieces } from "../tools/backup/script.ts";

/** What the splitter makes of a text that arrives in chunks of these sizes. */
async function split(text: string, sizes: number[] = [1 << 20]) {
  const bytes = Buffer.from(text);
  const chunks = (async function* () {
    for (let at = 0, turn = 0; at < bytes.length; turn++) {
      const size = sizes[turn % sizes.length] ?? 1;
      yield bytes.subarray(at, at + size);
      at += size;
    }
  })();
  const found: (string | [table: string, data: string, rows: number])[] = [];
  for await (const piece of pieces(chunks)) {
    if (piece.kind === "statement") found.push(piece.text);
    else {
      const data: Buffer[] = [];
      for await (const chunk of piece.data) data.push(chunk);
      found.push([piece.table, Buffer.concat(data).toString(), piece.rows]);
    }
  }
  return found;
}

const statements = [
  "SELECT pg_catalog.set_config('search_path', '', false);",
  "COMMENT ON TABLE t IS 'it''s; -- not a comment\n; /* nor this ''';",
  "COMMENT ON TABLE t IS E'a quote \\'; a backslash \\\\';",
  "COMMENT ON TABLE t IS E'doubled '' and \\';';",
  'CREATE TABLE "odd;name""$$" ("--" text, e$1$ text);',
  "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n  PERFORM ';'; -- $ $x$\nEND $$;",
  "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $_1é$ SELECT $$;$$ || '$_1$'; $_1é$;",
  "CREATE OR REPLACE FUNCTION f(a integer) RETURNS integer LANGUAGE sql\nBEGIN ATOMIC\n SELECT CASE WHEN a > 1 THEN 2 ELSE 3 END;\n SELECT 4;\nEND;",
  "CREATE PROCEDURE p() BEGIN ATOMIC SELECT 1; END;",
  "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM u; DELETE FROM v);",
  "SELECT 1 /* one; /* two; */ still; */ + 1;",
  "SELECT 1 -- it's; a remark\n + 1;",
  "DO $do$ BEGIN IF true THEN EXECUTE 'GRANT x;'; END IF; END $do$;",
];
const data = [
  ["simple", "1\tone\n2\ttwo\n", 2],
  ["empty", "", 0],
  ["hostile", "\\\\.\n.\n\\\\.x\nCOPY x FROM stdin;\\n;'$$\n\\N\n", 5],
  ['say "hi"; ', "é\t\\t\t \n", 1],
  ["long", `${"x".repeat(3000)}\n`, 1],
] as const;
const text = [
  `${firstLine}\n-- 2026-11-25\n\n`,
  ...statements.map((statement) => `${statement}\n\n`),
  ...data.map(([table, lines]) => {
    const name = /^\w+$/.test(table) ? table : `"${table.replaceAll('"', '""')}"`;
    return `-- data of ${name}\nCOPY "Finances".${name} (id, "a;b") FROM stdin;\n${lines}\\.\n\n`;
  }),
  `SELECT 'last';\n\n${lastLine}\n`,
].join("");
const expected = [...statements, ...data, "SELECT 'last';"];

describe("the splitter of a backup's SQL", () => {
  it("finds every statement and every COPY block", async () => {
    expect(await split(text)).toEqual(expected);
  });

  it("finds the same wherever the chunks end", async () => {
    expect(await split(text, [1])).toEqual(expected);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 }), async (sizes) => {
        expect(await split(text, sizes)).toEqual(expected);
      }),
      { numRuns: 100 },
    );
  });

  it("never takes a part for the whole, wherever the text is cut off", async () => {
    for (let end = 0; end < text.length; end += end > text.length - 100 ? 1 : 5) {
      const message = await split(text.slice(0, end)).catch((error: Error) => error.message);
      expect(message, text.slice(0, end).slice(-40)).toMatch(/^it (?:ends|does not begin) /);
    }
  });

  it.each([
    [
      "a file that is not a backup",
      "-- PostgreSQL database dump\nSELECT 1;\n",
      /does not begin with "-- nexgen backup"/,
    ],
    ["an empty text", "", /does not begin/],
    ["a command of psql's", `${firstLine}\n\\! rm\n`, /line 2 has a command of psql's/],
    [
      "the end of the transaction",
      `${firstLine}\nSELECT 1;\nCOMMIT;\n`,
      /line 3 has "COMMIT;": a restore is one transaction/,
    ],
    ["one behind a comment", `${firstLine}\n/* a */ -- b\nCOMMIT;\n`, /"\/\* a \*\/ -- b\nCOMMIT;": a restore is one/],
    ["one in another case", `${firstLine}\n/**/ end;\n`, /a restore is one transaction/],
    ["two statements in a line", `${firstLine}\nSELECT 1; COMMIT;\n`, /line 2 goes on after the end of a statement/],
    [
      "a statement without an end",
      `${firstLine}\nSELECT 'a;\n`,
      /in the middle of a statement, which begins in line 2/,
    ],
    ["data without an end", `${firstLine}\nCOPY x (a) FROM stdin;\n1\n\\.`, /in the middle of the data of x/],
  ])("refuses %s", async (_, given, message) => {
    await expect(split(given)).rejects.toThrow(message);
  });
});
