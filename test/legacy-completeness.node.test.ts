import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readBackup } from "../tools/legacy/backup.ts";
import { clientsOnlyBackup } from "./support/node/legacy-writer.ts";

const fixture = readFileSync(`${import.meta.dirname}/fixtures/legacy/Nexgen_erp_backup_20260131_180405.sql`, "utf8");
const read = (text: string, fileName?: string) =>
  readBackup(new TextEncoder().encode(text), fileName === undefined ? {} : { fileName });

describe("completeness", () => {
  const ends = [...fixture.matchAll(/;\n/g)].map(({ index }) => index);

  it("refuses the file cut at every statement, before and after its semicolon", () => {
    expect(ends.length).toBeGreaterThan(60);
    for (const end of ends) {
      for (const cut of [end, end + 1, end + 2]) {
        expect(() => read(fixture.slice(0, cut))).toThrow(/the file ends in the middle of|truncated/);
      }
    }
  });

  it("refuses every strict prefix", () => {
    const offsets = fc.integer({ min: 0, max: fixture.length - 1 });
    fc.assert(
      fc.property(offsets, (cut) => void expect(() => read(fixture.slice(0, cut))).toThrow()),
      { numRuns: 500 },
    );
    for (let cut = fixture.length - 300; cut < fixture.length; cut += 1) {
      expect(() => read(fixture.slice(0, cut))).toThrow(/truncated|counts do not match|ends in the middle/);
    }
  });

  it.each([
    ["within a row", `'PO09001', NULL`, /ends in the middle of table client_po at line 138, column \d+: expected/],
    ["within a definition", `"po_value" numeric`, /middle of the definition of table client_po at line/],
    ["after a table", "\n-- Table: vendor_payment", /no footer .* after table vendor_order_line_item began/],
    ["within the footer", "Total records", /ends within its footer/],
    ["in an index", "USING btree", /middle of a CREATE INDEX at line/],
  ])("says where it ends: cut %s", (_, marker, message) => {
    expect(() => read(fixture.slice(0, fixture.indexOf(marker)))).toThrow(message);
  });

  const footer = fixture.slice(fixture.lastIndexOf("-- ====", fixture.indexOf("EXPORT COMPLETE")));
  it.each([
    [
      "a row is gone",
      fixture.replace(/^\(650, .*\n/m, ""),
      /client_po_line_item has 155 rows, its comment says 156; .*195/,
    ],
    [
      "a comment's count is changed",
      fixture.replace("vendor (13 records)", "vendor (12 records)"),
      /vendor has 13 rows, its comment says 12/,
    ],
    [
      "the footer's records are changed",
      fixture.replace("records: 196", "records: 195"),
      /196 records, its footer says 195/,
    ],
    ["the footer's tables are changed", fixture.replace("tables: 19", "tables: 18"), /19 tables, its footer says 18/],
    ["the footer is there twice", fixture + footer, /a second footer/],
    ["a statement follows the footer", `${fixture}SET a TO b;\n`, /a statement after the footer/],
    [
      "a table's comment is gone",
      fixture.replace("-- Table: site (3 records)\n", ""),
      /table site has no "-- Table:" comment/,
    ],
    [
      "a table is there twice",
      `${fixture.slice(0, -footer.length)}CREATE TABLE "site" ("id" bigint);\n${footer}`,
      /expected table site once/,
    ],
    ["a table is unknown", fixture.replaceAll('"site"', '"sites"'), /sites is not one of the 19/],
    [
      "a column is unknown",
      fixture.replace('("id", "name", "created_at")', '("id", "nome", "created_at")'),
      /line 66, column 29, in table client: expected a column of client, found "\\"nome\\""/,
    ],
    [
      "another statement is in it",
      fixture.replace("SET search_path", "GRANT search_path"),
      /line 10, column 1, .*expected SET, DROP TABLE, .*found "GRANT"/,
    ],
  ])("refuses a file where %s", (_, text, message) => {
    expect(() => read(text)).toThrow(message);
  });

  it.each(["", "\n", "garbage", "-- EXPORT COMPLETE\n", "PK\u0003\u0004", "COPY client FROM stdin;\n1\n\\.\n"])(
    "refuses %j",
    (text) => {
      expect(() => read(text)).toThrow(/truncated|expected/);
    },
  );
});

describe("the clients-only exporter", () => {
  const client = {
    columns: [
      ["id", "bigint"],
      ["name", "character varying"],
      ["active", "boolean"],
    ] as [string, string][],
    rows: [
      ["1", "'Acme''s'", "True"],
      ["2", "'B'", "False"],
    ],
  };

  it("is read, and known by its contents, its header or its name", () => {
    for (const backup of [
      read(clientsOnlyBackup(client)),
      read(clientsOnlyBackup(client, "-- NEXGEN ERP CLIENTS BACKUP\n")),
      read(clientsOnlyBackup(client), "Nexgen_erp_clients_backup_20260131_180405.sql"),
    ]) {
      expect(backup).toMatchObject({ kind: "clients-only", footer: null });
      const rows = backup.tables.find(({ name }) => name === "client")?.rows;
      expect(rows).toEqual([
        ["1", "Acme's", "true"],
        ["2", "B", "false"],
      ]);
    }
  });

  it("is refused with a missing table", () => {
    const text = clientsOnlyBackup(client, "-- NEXGEN ERP CLIENTS BACKUP\n");
    expect(() => read(text.slice(0, text.lastIndexOf("DROP TABLE")))).toThrow(/1 are missing: vendor_payment/);
  });
});
