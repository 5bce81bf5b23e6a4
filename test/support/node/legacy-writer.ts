import { tables as legacyTables } from "../../../src/ops/tables.ts";

/** A writer of its own for the legacy's backup format, so that the reader is not tested against itself. */
export type WrittenTable = { columns: [name: string, type: string][]; rows: string[][] };

const unprintable = /[\p{C}\p{Zl}\p{Zp}\p{Zs}]/u;

function pythonCharacter(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const short = new Map([
    ["\n", "\\n"],
    ["\r", "\\r"],
    ["\t", "\\t"],
    ["\\", "\\\\"],
  ]).get(character);
  if (short !== undefined) return short;
  if (character === " " || !unprintable.test(character)) return character;
  const digits = code.toString(16);
  if (code < 0x100) return `\\x${digits.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${digits.padStart(4, "0")}` : `\\U${digits.padStart(8, "0")}`;
}

function pythonString(value: string): string {
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const body = [...value].map((character) => (character === quote ? `\\${character}` : pythonCharacter(character)));
  return `${quote}${body.join("")}${quote}`;
}

/** Python's repr of a JSON value: exponents have two digits at least. */
export function pythonRepr(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return String(value).replace(/e([-+])(\d)$/, "e$10$2");
  if (typeof value === "string") return pythonString(value);
  if (Array.isArray(value)) return `[${value.map(pythonRepr).join(", ")}]`;
  const entries = Object.entries(value as object).map(([key, entry]) => `${pythonString(key)}: ${pythonRepr(entry)}`);
  return `{${entries.join(", ")}}`;
}

export const sql = (value: string | null) => (value === null ? "NULL" : `'${value.replaceAll("'", "''")}'`);

/** An object or array as repr, a string as plain SQL text, numbers and booleans bare, null as NULL. */
export function jsonb(value: unknown): string {
  if (typeof value === "string" || value === null) return sql(value);
  return typeof value === "object" ? `'${pythonRepr(value)}'` : String(value);
}

const ruler = `-- ${"=".repeat(53)}\n`;
const plain: WrittenTable = { columns: [["id", "bigint"]], rows: [] };

function definition(name: string, { columns }: WrittenTable, lastComma: string): string {
  const lines = columns.map(([column, type]) => `    "${column}" ${type}`).join(",\n");
  return `DROP TABLE IF EXISTS "${name}" CASCADE;\n\nCREATE TABLE "${name}" (\n${lines}${lastComma}\n);\n\n`;
}

const tuple = (row: string[]) => `(${row.join(", ")})`;
const target = (name: string, { columns }: WrittenTable) =>
  `INSERT INTO "${name}" (${columns.map(([column]) => `"${column}"`).join(", ")}) VALUES`;

/** A full export of 19 tables; those not given have one column and no rows. LF endings. */
export function fullBackup(tables: Record<string, WrittenTable>, options: { lastComma?: string } = {}): string {
  let records = 0;
  let body = "";
  for (const name of legacyTables) {
    const table = tables[name] ?? plain;
    records += table.rows.length;
    body += `${ruler}-- Table: ${name} (${table.rows.length} records)\n${ruler}\n`;
    body += definition(name, table, options.lastComma ?? ",");
    if (table.rows.length > 0) body += `${target(name, table)}\n${table.rows.map(tuple).join(",\n")};\n\n`;
  }
  const head = `${ruler}-- NEXGEN ERP DATABASE BACKUP\n-- Exported: 2026-01-31 18:04:05\n-- Database: Nexgen_erp\n-- Schema: Finances\n${ruler}`;
  const foot = `${ruler}-- EXPORT COMPLETE\n-- Total tables: ${legacyTables.length}\n-- Total records: ${records}\n${ruler}`;
  return `${head}\nSET search_path TO "Finances";\n\n${body}${foot}`;
}

/** The other exporter's file: every definition, one INSERT per client and line, no footer. */
export function clientsOnlyBackup(client: WrittenTable, title = "-- NEXGEN ERP BACKUP\n"): string {
  const tables = legacyTables.map((name) => {
    const table = name === "client" ? client : plain;
    const rows = table.rows.map((row) => `${target(name, table)} ${tuple(row)};\n`);
    return definition(name, table, "") + rows.join("");
  });
  return `${title}SET search_path TO "Finances";\n\n${tables.join("\n")}`;
}
