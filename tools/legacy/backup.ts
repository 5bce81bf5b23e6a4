import { tables as legacyTables } from "../../src/ops/tables.ts";
import { decode, errorAt, LegacyFileError } from "./source.ts";
import { type Column, type Row, statements } from "./tokenizer.ts";

export type LegacyTableName = (typeof legacyTables)[number];

/** Rows as they stand in the file; `declared` is the count of the file's own comment. */
export type LegacyTable = { name: LegacyTableName; declared: number | null; columns: Column[]; rows: Row[] };

export type LegacyBackup = {
  kind: "full" | "clients-only";
  /** `YYYY-MM-DD HH:MM:SS` on the exporting machine's clock. */
  exportedAt: string | null;
  database: string | null;
  schema: string | null;
  tables: LegacyTable[];
  footer: { tables: number; records: number } | null;
};

type Header = Pick<LegacyBackup, "exportedAt" | "database" | "schema">;
type Footer = {
  at: number;
  tables: number | null;
  records: number | null;
  openingRuler: string | null;
  closed: boolean;
};
type Contents = {
  header: Header;
  title: string;
  tables: Map<string, LegacyTable>;
  declared: Map<string, number>;
  footers: Footer[];
  hasIndexes: boolean;
  last: { table: string | null; afterFooter: number | null };
};

const ruler = /^=+$/;

function isLegacyTable(name: string): name is LegacyTableName {
  return (legacyTables as readonly string[]).includes(name);
}

/**
 * Reads a legacy backup and proves it complete: 19 tables, every count equal to the file's own comments, footer whole.
 * `fileName` tells a clients-only file by its name. Throws LegacyFileError naming what is missing or where it breaks.
 */
export function readBackup(
  bytes: Uint8Array,
  options: { fileName?: string; onProgress?: (bytesRead: number) => void } = {},
): LegacyBackup {
  const text = decode(bytes);
  let reported = 0;
  const contents = collect(text, (offset) => {
    if (offset - reported < 65_536) return;
    reported = offset;
    options.onProgress?.(Math.round((offset / text.length) * bytes.length));
  });
  const tables = [...contents.tables.values()];
  const backup = { ...contents.header, tables };
  if (contents.footers.length === 0 && looksClientsOnly(contents, options.fileName ?? "")) {
    verifyTables(contents);
    verifyClientCount(contents);
    options.onProgress?.(bytes.length);
    return { kind: "clients-only", ...backup, footer: null };
  }
  const footer = verifyFooter(text, contents);
  verifyTables(contents);
  verifyCounts(contents, footer);
  options.onProgress?.(bytes.length);
  return { kind: "full", ...backup, footer };
}

function collect(text: string, onRow: (offset: number) => void): Contents {
  const header: Header = { exportedAt: null, database: null, schema: null };
  const title: string[] = [];
  const tables = new Map<string, LegacyTable>();
  const declared = new Map<string, number>();
  const footers: Footer[] = [];
  const last: Contents["last"] = { table: null, afterFooter: null };
  let hasIndexes = false;
  let previous = "";
  let inHeader = true;

  const onComment = (comment: string, at: number) => {
    const table = /^Table: (\S+) \((\d+) records?\)$/.exec(comment);
    const footer = footers.at(-1);
    if (table?.[1] !== undefined) {
      inHeader = false;
      if (declared.has(table[1])) throw errorAt(text, at, "the file", `table ${table[1]} is announced twice`);
      declared.set(table[1], Number(table[2]));
    } else if (inHeader) {
      title.push(comment);
      const [, key, value] = /^(Exported|Database|Schema): (.+)$/.exec(comment) ?? [];
      if (key === "Exported" && value !== undefined) header.exportedAt = value.trim();
      if (key === "Database" && value !== undefined) header.database = value.trim();
      if (key === "Schema" && value !== undefined) header.schema = value.trim();
    } else if (/^EXPORT COMPLETE$/.test(comment)) {
      const openingRuler = ruler.test(previous) ? previous : null;
      footers.push({ at, tables: null, records: null, openingRuler, closed: openingRuler === null });
    } else if (footer !== undefined) {
      const [, key, count] = /^Total (tables|records): (\d+)$/.exec(comment) ?? [];
      if (key === "tables") footer.tables = Number(count);
      else if (key === "records") footer.records = Number(count);
      else if (comment === footer.openingRuler) footer.closed = true;
    }
    previous = comment;
  };

  for (const statement of statements(text, onRow)) {
    if (statement.kind === "comment") {
      onComment(statement.text, statement.at);
      continue;
    }
    inHeader = false;
    if (footers.length > 0) last.afterFooter ??= statement.at;
    if (statement.kind === "CREATE INDEX") hasIndexes = true;
    if (statement.kind === "CREATE TABLE") {
      const { table: name, columns, at } = statement;
      if (!isLegacyTable(name)) throw errorAt(text, at, "the file", `${name} is not one of the 19 legacy tables`);
      tables.set(name, { name, declared: declared.get(name) ?? null, columns, rows: [] });
      last.table = name;
    }
    if (statement.kind === "INSERT") {
      const rows = tables.get(statement.table)?.rows;
      for (const row of statement.rows) rows?.push(row);
    }
  }
  return { header, title: title.join("\n"), tables, declared, footers, hasIndexes, last };
}

/** By name, by header, or by what it holds: every definition, rows of `client` alone, no indexes. */
function looksClientsOnly({ title, tables, hasIndexes }: Contents, fileName: string): boolean {
  if (/clients[_-]backup/i.test(fileName) || /\bclients\b/i.test(title)) return true;
  const onlyClients = [...tables.values()].every(({ name, rows }) => name === "client" || rows.length === 0);
  const nothingMissing = [...tables.values()].every(({ declared, rows }) => (declared ?? 0) <= rows.length);
  return tables.size === legacyTables.length && !hasIndexes && onlyClients && nothingMissing;
}

function verifyFooter(text: string, { footers, last }: Contents): { tables: number; records: number } {
  const [footer, second] = footers;
  if (footer === undefined) {
    const reached = last.table === null ? "before the first table" : `after table ${last.table} began`;
    throw new LegacyFileError(
      `truncated: the file has no footer ("EXPORT COMPLETE"), the export crashed or the copy stopped ${reached}`,
    );
  }
  if (second !== undefined) throw errorAt(text, second.at, "the file", "a second footer: two exports in one file");
  if (last.afterFooter !== null) throw errorAt(text, last.afterFooter, "the file", "a statement after the footer");
  const { tables, records } = footer;
  if (tables === null || records === null || !footer.closed || !text.endsWith("\n")) {
    throw new LegacyFileError(
      'truncated: the file ends within its footer ("Total tables", "Total records", a closing ruler and a line break)',
    );
  }
  return { tables, records };
}

function verifyTables({ tables }: Contents) {
  const missing = legacyTables.filter((name) => !tables.has(name));
  if (missing.length > 0) {
    throw new LegacyFileError(`truncated: of the 19 tables ${missing.length} are missing: ${missing.join(", ")}`);
  }
}

/** A clients-only file carries no totals, and the counts of tables that it leaves out mean nothing. */
function verifyClientCount({ tables, declared }: Contents) {
  const announced = declared.get("client");
  const rows = tables.get("client")?.rows.length;
  if (announced !== undefined && announced !== rows) {
    throw new LegacyFileError(`the counts do not match: table client has ${rows} rows, its comment says ${announced}`);
  }
}

function verifyCounts({ tables, declared }: Contents, footer: { tables: number; records: number }) {
  const problems: string[] = [];
  let records = 0;
  for (const { name, rows } of tables.values()) {
    const announced = declared.get(name);
    records += rows.length;
    if (announced === undefined) problems.push(`table ${name} has no "-- Table:" comment`);
    if (announced !== undefined && announced !== rows.length) {
      problems.push(`table ${name} has ${rows.length} rows, its comment says ${announced}`);
    }
  }
  for (const name of declared.keys()) if (!tables.has(name)) problems.push(`table ${name} is announced and not there`);
  if (footer.tables !== tables.size) {
    problems.push(`the file has ${tables.size} tables, its footer says ${footer.tables}`);
  }
  if (footer.records !== records) {
    problems.push(`the file has ${records} records, its footer says ${footer.records}`);
  }
  if (problems.length > 0) throw new LegacyFileError(`the counts do not match: ${problems.join("; ")}`);
}
