import { describe, expect, it } from "vitest";
import { fitAccounts } from "../tools/legacy/accounts.ts";
import type { LegacyTable, LegacyTableName } from "../tools/legacy/backup.ts";
import { findOrphans } from "../tools/legacy/orphans.ts";
import type { ForeignKey } from "../tools/legacy/target.ts";

describe("orphans", () => {
  const key = (table: string, column: string, parent: string, required = false): ForeignKey => ({
    name: `${table}_${parent}_fkey`,
    table,
    column,
    parent,
    parentColumn: "id",
    required,
    definition: "",
  });
  const keys = [
    key("client_po", "client_id", "client", true),
    key("client_po", "parent_po_id", "client_po"),
    key("client_po_line_item", "client_po_id", "client_po", true),
  ];
  const table = (name: LegacyTableName, columns: string[], rows: (string | null)[][]): LegacyTable => ({
    name,
    declared: rows.length,
    columns: columns.map((column) => ({ name: column, type: "bigint" })),
    rows,
  });
  const tables = [
    table("client", ["id"], [["1"]]),
    table(
      "client_po",
      ["id", "client_id", "parent_po_id"],
      [
        ["10", "1", null],
        ["11", "9", null],
        ["12", "1", "11"],
        ["13", null, null],
      ],
    ),
    table(
      "client_po_line_item",
      ["id", "client_po_id"],
      [
        ["100", "10"],
        ["101", "11"],
        ["102", "77"],
        ["103", null],
        ["104", "12"],
        ["105", "13"],
      ],
    ),
  ];
  const found = (mode: "keep" | "quarantine") =>
    findOrphans(tables, keys, mode)
      .map(({ table: name, id, missing, handling }) => `${name} ${id} ${missing} ${handling}`)
      .toSorted();

  it("stay where they are, but for those that name no parent", () => {
    expect(found("keep")).toEqual([
      "client_po 11 9 kept",
      "client_po 13 null quarantined",
      "client_po_line_item 102 77 kept",
      "client_po_line_item 103 null quarantined",
      "client_po_line_item 105 13 kept",
    ]);
  });

  it("leave with their children, and the children's", () => {
    expect(found("quarantine")).toEqual([
      "client_po 11 9 quarantined",
      "client_po 12 11 quarantined",
      "client_po 13 null quarantined",
      "client_po_line_item 101 11 quarantined",
      "client_po_line_item 102 77 quarantined",
      "client_po_line_item 103 null quarantined",
      "client_po_line_item 104 12 quarantined",
      "client_po_line_item 105 13 quarantined",
    ]);
  });
});

it("fits accounts in beside those that exist", () => {
  const row = (id: string, username: string, email: string) => ({ id, username, email });
  const imported = [
    row("1", "a", "a@x"),
    row("2", "b", "B@X"),
    row("3", "boss", "c@x"),
    row("4", "d", "Boss@X"),
    row("5", "e", "b@x"),
  ];
  const { rows, skipped, renumbered } = fitAccounts(imported, [{ id: 2, username: "boss", email: "boss@x" }]);
  expect(rows.map(({ id, username }) => `${id} ${username}`)).toEqual(["1 a", "6 b"]);
  expect(renumbered).toEqual([{ username: "b", from: "2", to: "6" }]);
  expect(skipped.map(({ username, reason }) => `${username}: ${reason}`)).toEqual([
    "boss: the username is taken",
    "d: the e-mail address is taken",
    "e: the e-mail address is taken",
  ]);
});
