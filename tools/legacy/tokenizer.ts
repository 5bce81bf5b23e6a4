import { jsonbText, sqlText } from "./literal.ts";
import { errorAt } from "./source.ts";

export type Column = { name: string; type: string };

/** Values in the order of the table's columns; numbers and instants as their text, jsonb as JSON text, null for NULL. */
export type Row = (string | null)[];

export type Statement = { at: number } & (
  | { kind: "comment"; text: string }
  | { kind: "SET" }
  | { kind: "DROP TABLE"; table: string }
  | { kind: "CREATE TABLE"; table: string; columns: Column[] }
  | { kind: "INSERT"; table: string; rows: Row[] }
  | { kind: "CREATE INDEX" }
);

type Cursor = { readonly text: string; at: number; within: string; onRow: (at: number) => void };

const blank = /(?:[ \t\r\n]+|--[^\n]*)*/y;
const space = /[ \t\r\n]*/y;
const comment = /--[^\n]*/y;
const word = /[A-Za-z_][A-Za-z_0-9]*/y;
const bareValue = /[-+]?[A-Za-z_0-9.][-+A-Za-z_0-9.]*/y;
const number = /^[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$/;
const notFinite = /^[-+]?(?:inf|infinity|nan)$/i;

function take(c: Cursor, pattern: RegExp): string | undefined {
  pattern.lastIndex = c.at;
  const found = pattern.exec(c.text)?.[0];
  if (found) c.at += found.length;
  return found || undefined;
}

function fail(c: Cursor, expected: string, at = c.at): never {
  const found = /^(?:"[^"\n]*"|[A-Za-z_0-9]+|.?)/su.exec(c.text.slice(at, at + 40))?.[0] ?? "";
  throw errorAt(c.text, at, c.within, `expected ${expected}${found ? `, found ${JSON.stringify(found)}` : ""}`);
}

/** The next word in upper case, which is all that keywords are compared by. A word cut off by the end is a truncation. */
function keyword(c: Cursor): string {
  take(c, blank);
  return (take(c, word) ?? "").toUpperCase();
}

function expectWords(c: Cursor, ...words: string[]) {
  for (const wanted of words) {
    take(c, blank);
    const at = c.at;
    const found = keyword(c);
    if (found !== wanted) fail(c, wanted, c.at === c.text.length ? c.at : at);
  }
}

function expect(c: Cursor, character: string) {
  take(c, blank);
  if (c.text[c.at] !== character) fail(c, character);
  c.at += 1;
}

function accept(c: Cursor, character: string): boolean {
  take(c, blank);
  if (c.text[c.at] !== character) return false;
  c.at += 1;
  return true;
}

function identifier(c: Cursor): string {
  take(c, blank);
  if (c.text[c.at] !== '"') return take(c, word) ?? fail(c, "a name");
  const end = c.text.indexOf('"', c.at + 1);
  if (end === -1) fail(c, 'the closing " of a name', c.text.length);
  const name = c.text.slice(c.at + 1, end);
  c.at = end + 1;
  return name;
}

/** Passes tokens over, brackets and strings whole, up to one of `ends` (which is left standing). */
function skipTo(c: Cursor, ...ends: string[]) {
  for (let depth = 0; ; ) {
    take(c, blank);
    const character = c.text[c.at];
    if (character === undefined) fail(c, ends.join(" or "));
    if (depth === 0 && ends.includes(character)) return;
    if (character === "'") {
      c.at = sqlText(c.text, c.at + 1, c.within).end;
    } else if (character === '"') {
      identifier(c);
    } else {
      if (character === "(") depth += 1;
      if (character === ")") depth -= 1;
      c.at += 1;
    }
  }
}

/** `"name" type [DEFAULT expression] [NOT NULL]` per column; the Windows exporter leaves a comma after the last one. */
function columnDefinitions(c: Cursor): Column[] {
  const columns: Column[] = [];
  expect(c, "(");
  while (!accept(c, ")")) {
    const name = identifier(c);
    const type: string[] = [];
    for (;;) {
      take(c, blank);
      const at = c.at;
      const next = take(c, word);
      if (next === undefined || ["DEFAULT", "NOT"].includes(next.toUpperCase())) {
        c.at = at;
        break;
      }
      type.push(next);
    }
    if (type.length === 0) fail(c, `the type of column ${name}`);
    columns.push({ name, type: type.join(" ").toLowerCase() });
    skipTo(c, ",", ")");
    accept(c, ",");
  }
  expect(c, ";");
  return columns;
}

function value(c: Cursor, type: string): string | null {
  take(c, blank);
  const start = c.at;
  if (c.text[start] === "'") {
    const read = type === "jsonb" || type === "json" ? jsonbText : sqlText;
    const literal = read(c.text, start + 1, c.within);
    c.at = literal.end;
    return literal.value;
  }
  const bare = take(c, bareValue) ?? fail(c, "a value");
  if (c.at === c.text.length) fail(c, ", or )");
  if (/^null$/i.test(bare)) return null;
  if (/^(?:true|false)$/i.test(bare)) return bare.toLowerCase();
  const isJson = type === "jsonb" || type === "json";
  if (number.test(bare) || (notFinite.test(bare) && !isJson)) return bare;
  return fail(c, isJson ? "a JSON value" : "a value", start);
}

function tuple(c: Cursor, columns: readonly Column[], positions: readonly number[]): Row {
  const row: Row = new Array(columns.length).fill(null);
  expect(c, "(");
  for (const [index, position] of positions.entries()) {
    if (index > 0) expect(c, ",");
    row[position] = value(c, columns[position]?.type ?? "");
  }
  expect(c, ")");
  return row;
}

function insert(c: Cursor, table: string, columns: readonly Column[]): Row[] {
  const positions: number[] = [];
  expect(c, "(");
  do {
    take(c, blank);
    const at = c.at;
    const name = identifier(c);
    const position = columns.findIndex((column) => column.name === name);
    if (position === -1) fail(c, `a column of ${table}`, at);
    if (positions.includes(position)) fail(c, "each column once", at);
    positions.push(position);
  } while (accept(c, ","));
  expect(c, ")");
  expectWords(c, "VALUES");
  const rows: Row[] = [];
  do {
    rows.push(tuple(c, columns, positions));
    c.onRow(c.at);
  } while (accept(c, ","));
  expect(c, ";");
  return rows;
}

/**
 * The statements and comments of a legacy backup, in order; nothing of it is executed. Types come from the CREATE TABLE
 * that precedes an INSERT. Throws LegacyFileError with line and column at anything the two exporters never write.
 */
export function* statements(text: string, onRow: (offset: number) => void = () => {}): Generator<Statement> {
  const c: Cursor = { text, at: 0, within: "the file", onRow };
  const tables = new Map<string, Column[]>();
  for (;;) {
    take(c, space);
    if (c.at === text.length) return;
    const at = c.at;
    const remark = take(c, comment);
    if (remark !== undefined) {
      yield { kind: "comment", text: remark.slice(2).trim(), at };
      continue;
    }
    c.within = "a statement";
    const verb = keyword(c);
    const createsIndex = () => {
      const next = keyword(c);
      return next === "INDEX" || (next === "UNIQUE" && keyword(c) === "INDEX");
    };
    if (verb === "SET") {
      c.within = "a SET";
      skipTo(c, ";");
      expect(c, ";");
      yield { kind: "SET", at };
    } else if (verb === "DROP") {
      c.within = "a DROP TABLE";
      expectWords(c, "TABLE", "IF", "EXISTS");
      const table = identifier(c);
      expectWords(c, "CASCADE");
      expect(c, ";");
      yield { kind: "DROP TABLE", table, at };
    } else if (verb === "INSERT") {
      expectWords(c, "INTO");
      take(c, blank);
      const nameAt = c.at;
      const table = identifier(c);
      c.within = `table ${table}`;
      const columns = tables.get(table) ?? fail(c, "a table that was created before", nameAt);
      yield { kind: "INSERT", table, rows: insert(c, table, columns), at };
    } else if (verb === "CREATE") {
      const afterCreate = c.at;
      if (keyword(c) === "TABLE") {
        const table = identifier(c);
        c.within = `the definition of table ${table}`;
        const columns = columnDefinitions(c);
        if (tables.has(table)) fail(c, `table ${table} once`, at);
        tables.set(table, columns);
        yield { kind: "CREATE TABLE", table, columns, at };
      } else {
        c.at = afterCreate;
        if (!createsIndex()) fail(c, "CREATE TABLE or CREATE INDEX", c.at === text.length ? c.at : at);
        c.within = "a CREATE INDEX";
        skipTo(c, ";");
        expect(c, ";");
        yield { kind: "CREATE INDEX", at };
      }
    } else {
      const cutOff = c.at === text.length || text.slice(c.at) === "-";
      fail(c, "SET, DROP TABLE, CREATE TABLE, INSERT INTO or CREATE INDEX", cutOff ? text.length : at);
    }
    c.within = "the file";
  }
}
