import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tables as legacyTables } from "../src/ops/tables.ts";
import { readBackup } from "../tools/legacy/backup.ts";
import { clientsOnlyBackup, fullBackup, jsonb, pythonRepr, sql } from "./support/node/legacy-writer.ts";

const fixture = readFileSync(`${import.meta.dirname}/fixtures/legacy/Nexgen_erp_backup_20260131_180405.sql`, "utf8");
const read = (text: string, fileName?: string) =>
  readBackup(new TextEncoder().encode(text), fileName === undefined ? {} : { fileName });

/** The literal starts at column 5 of its line. */
const withLiteral = (type: string, literal: string) =>
  fullBackup({
    client: {
      columns: [
        ["id", "bigint"],
        ["value", type],
      ],
      rows: [["1", literal]],
    },
  });
const literalAsRead = (type: string, literal: string) =>
  read(withLiteral(type, literal)).tables.find(({ name }) => name === "client")?.rows[0]?.[1];

describe("the fixture", () => {
  it("has 19 tables and 196 records, each table as its comment says", () => {
    const backup = read(fixture);
    expect(backup).toMatchObject({
      kind: "full",
      exportedAt: "2026-01-31 18:04:05",
      database: "Nexgen_erp",
      schema: "Finances",
      footer: { tables: 19, records: 196 },
    });
    expect(backup.tables.map(({ name }) => name)).toEqual(legacyTables);
    const rows = Object.fromEntries(backup.tables.map((table) => [table.name, table.rows.length]));
    expect(rows).toMatchObject({ client: 2, vendor: 13, client_po: 4, client_po_line_item: 156, user: 5 });
    expect(backup.tables.every(({ declared, name }) => declared === rows[name])).toBe(true);
  });

  it("keeps values exactly: decimals, line breaks, quotes, backslashes, Devanagari", () => {
    const lines = read(fixture).tables.find(({ name }) => name === "client_po_line_item");
    const row = (id: string) => lines?.rows.find(([first]) => first === id);
    expect(row("640")?.slice(1, 6)).toEqual([
      "133",
      "GLASS DOOR : 12MM\nWITH FLOOR SPRING",
      "191.00",
      null,
      "195322.33",
    ]);
    expect(row("644")?.[2]).toBe(`SIGNAGE : ACRYLIC : "OPEN" BOARD : 3' x 1'`);
    expect(row("657")?.[2]).toBe("RACK : BACKSLASH \\ TEST");
    expect(row("645")?.[2]).toBe("लकड़ी का पैनल (WOOD PANEL)");
  });

  it("is the same with CRLF, without trailing commas and with a byte order mark", () => {
    const expected = read(fixture);
    expect(read(fixture.replaceAll("\n", "\r\n"))).toEqual(expected);
    expect(read(fixture.replaceAll(",\n);", "\n);"))).toEqual(expected);
    expect(read(`\uFEFF${fixture}`)).toEqual(expected);
  });
});

describe("literals", () => {
  it.each([
    ["NULL", "numeric", null],
    ["null", "text", null],
    ["true", "boolean", "true"],
    ["False", "boolean", "false"],
    ["-42", "bigint", "-42"],
    ["1.5e-07", "double precision", "1.5e-07"],
    ["nan", "double precision", "nan"],
    ["-inf", "double precision", "-inf"],
    ["'299918.70'", "numeric", "299918.70"],
    ["'NaN'", "numeric", "NaN"],
    ["'0E-10'", "numeric", "0E-10"],
    ["''", "character varying", ""],
    ["''''", "text", "'"],
    ["'a''b''''c'", "text", "a'b''c"],
    ["'semi; -- no comment \\n (x), \"y\"'", "text", 'semi; -- no comment \\n (x), "y"'],
    ["'two\nlines\n\n(1, ''x''),'", "text", "two\nlines\n\n(1, 'x'),"],
    ["'{not json}'", "text", "{not json}"],
    ["'2025-12-08'", "date", "2025-12-08"],
    ["'2026-01-27 19:44:41.129548'", "timestamp without time zone", "2026-01-27 19:44:41.129548"],
    ["'{}'", "jsonb", "{}"],
    ["'[ ]'", "jsonb", "[]"],
    ["'{'a': [True, False, None], 'b': {'c': -1.5}}'", "jsonb", '{"a":[true,false,null],"b":{"c":-1.5}}'],
    [
      "'[3916.7999999999997, 1e-07, 1E+16, 123456789012345678901234567890]'",
      "jsonb",
      "[3916.7999999999997,1e-07,1E+16,123456789012345678901234567890]",
    ],
    [`'["5'X 4'", 'say "hi"', 'it\\'s "both"']'`, "jsonb", `["5'X 4'","say \\"hi\\"","it's \\"both\\""]`],
    [`'['\\\\ \\n \\r \\t \\x07 \\u0905 \\U0001F600 \\101']'`, "jsonb", JSON.stringify(["\\ \n \r \t \x07 अ 😀 A"])],
    ["'['अ — ₹']'", "jsonb", '["अ — ₹"]'],
    ["'just text, it''s'", "jsonb", `"just text, it's"`],
    ["'[draft] second floor'", "jsonb", '"[draft] second floor"'],
    ["'['", "jsonb", '"["'],
    ["''", "jsonb", '""'],
    ["7.50", "jsonb", "7.50"],
    ["True", "jsonb", "true"],
    ["NULL", "jsonb", null],
    [`'{"real": [true, null], "text": "it''s \\u0905"}'`, "jsonb", `{"real": [true, null], "text": "it's \\u0905"}`],
    [`'{"ends": "with a slash \\/"}'`, "jsonb", `{"ends": "with a slash \\/"}`],
  ])("reads %s of type %s", (literal, type, expected) => {
    expect(literalAsRead(type, literal)).toBe(expected);
  });

  it.each([
    ["'{'a': nan}'", "jsonb", /line \d+, column 12, in table client: nan is no JSON value/],
    ["'[1, -inf]'", "jsonb", /-inf is no JSON value/],
    ["nan", "jsonb", /column 5, in table client: expected a JSON value, found "nan"/],
    ["'{'a': (1, 2)}'", "jsonb", /column 12, .*expected a Python value, found "\("/],
    ["'{1: 2}'", "jsonb", /column 7, .*expected a string as key or }, found "1"/],
    ["'{'a' 1}'", "jsonb", /column 11, .*expected :, found "1"/],
    ["'['a' 'b']'", "jsonb", /expected , or a closing bracket, found "'"/],
    ["'{'a': 1'", "jsonb", /expected , or a closing bracket, found "'"/],
    ["'['\\d']'", "jsonb", /is no escape/],
    ["'['\\ud800']'", "jsonb", /half a surrogate pair/],
    ["'['\\x00']'", "jsonb", /NUL/],
    ["'[1]' 2", "jsonb", /expected ' and then , or \)/],
    ["'[01]'", "jsonb", /expected a Python value/],
    [`'${"[".repeat(501)}${"]".repeat(501)}'`, "jsonb", /nested deeper than 500 levels/],
    [`'${'{"a":'.repeat(501)}1${"}".repeat(501)}'`, "jsonb", /nested deeper than 500 levels/],
    ["wat", "text", /column 5, in table client: expected a value, found "wat"/],
    ["1.2.3", "numeric", /expected a value/],
    ["'a' 'b'", "text", /expected \), found "'"/],
    ["1, 2", "bigint", /expected \), found ","/],
  ])("refuses %s of type %s with its place", (literal, type, message) => {
    expect(() => read(withLiteral(type, literal))).toThrow(message);
  });

  it("takes a CRLF inside a value of an LF file as data, and takes Windows' CR away in a CRLF file", () => {
    const value = "a\r\nb\nc";
    const text = withLiteral("text", sql(value));
    expect(literalAsRead("text", sql(value))).toBe(value);
    const windows = read(text.replaceAll("\n", "\r\n"));
    expect(windows.tables.find(({ name }) => name === "client")?.rows[0]?.[1]).toBe(value);
  });
});

const printed = fc.string({ unit: "binary" }).filter((text) => !text.includes("\0"));
const json = fc
  .jsonValue({ stringUnit: "binary", maxDepth: 4 })
  .filter((value) => !/\\u0000/.test(JSON.stringify(value)));
const decimal = fc.tuple(fc.bigInt({ min: -(10n ** 14n), max: 10n ** 14n }), fc.nat(8)).map(([digits, scale]) => {
  const text = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, "0");
  const point = text.length - scale;
  return `${digits < 0n ? "-" : ""}${text.slice(0, point)}${scale > 0 ? `.${text.slice(point)}` : ""}`;
});

describe("round trip", () => {
  const columns: [string, string][] = [
    ["id", "bigint"],
    ["note", "text"],
    ["amount", "numeric"],
    ["flag", "boolean"],
    ["meta", "jsonb"],
  ];

  it.each(["\n", "\r\n"])("reads back what an independent writer wrote, lines ending in %j", (lineBreak) => {
    const row = fc.tuple(fc.integer(), fc.option(printed), fc.option(decimal), fc.boolean(), json);
    fc.assert(
      fc.property(fc.array(row, { maxLength: 8 }), (rows) => {
        const client = {
          columns,
          rows: rows.map(([id, note, amount, flag, meta]) => [
            String(id),
            sql(note),
            sql(amount),
            String(flag),
            jsonb(meta),
          ]),
        };
        const expected = rows.map(([id, note, amount, flag]) => [String(id), note, amount, String(flag)]);
        const full = read(fullBackup({ client }).replaceAll("\n", lineBreak));
        const only = read(clientsOnlyBackup(client).replaceAll("\n", lineBreak));
        for (const { tables } of [full, only]) {
          const found = tables.find(({ name }) => name === "client")?.rows ?? [];
          expect(found.map((values) => values.slice(0, 4))).toEqual(expected);
          const parsed = found.map(([, , , , meta]) => (meta == null ? null : JSON.parse(meta)));
          // -0 has no JSON text of its own.
          expect(JSON.stringify(parsed)).toBe(JSON.stringify(rows.map(([, , , , meta]) => meta)));
        }
      }),
      { numRuns: 300 },
    );
  });

  it("keeps nested documents at depth 500", () => {
    const deep = `${"[".repeat(500)}${"]".repeat(500)}`;
    expect(literalAsRead("jsonb", `'${deep}'`)).toBe(deep);
    expect(pythonRepr([1e-7, "a'b"])).toBe(`[1e-07, "a'b"]`);
  });
});

describe("bytes", () => {
  it("names the byte offset of what is not UTF-8", () => {
    const bytes = new TextEncoder().encode(fixture);
    for (const offset of [0, 3, 20_000, bytes.length - 1]) {
      const broken = bytes.slice();
      broken[offset] = 0xff;
      expect(() => readBackup(broken)).toThrow(`byte offset ${offset}`);
    }
    expect(() => readBackup(Uint8Array.from([0x2d, 0xc3, 0x28]))).toThrow("byte offset 1");
    expect(() => readBackup(Uint8Array.from([0x2d, 0x2d, 0xe2, 0x80]))).toThrow("byte offset 2");
  });

  it("refuses NUL and more than 32 MB", () => {
    expect(() => read("-- a\n-- \0")).toThrow(/line 2, column 4.* NUL/);
    expect(() => readBackup(new Uint8Array(32 * 1024 * 1024 + 1))).toThrow(/at most 33554432 \(32 MB\)/);
  });

  it("tells how far it has come", () => {
    const rows = Array.from({ length: 5000 }, (_, index) => [String(index), sql("x".repeat(100))]);
    const bytes = new TextEncoder().encode(
      fullBackup({
        client: {
          columns: [
            ["id", "bigint"],
            ["name", "text"],
          ],
          rows,
        },
      }),
    );
    const seen: number[] = [];
    readBackup(bytes, { onProgress: (bytesRead) => seen.push(bytesRead) });
    expect(seen.length).toBeGreaterThan(5);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(bytes.length);
  });
});
