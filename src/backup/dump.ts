import { CopyPage, type Snapshot } from "../db/snapshot.ts";
import { type BackupTable, copyStatement, type Manifest, quoteIdent } from "./manifest.ts";
import { type DataTable, type KeyColumn, readSchema } from "./schema.ts";

/** Where a dump is: `table` has so many rows so far, and so many bytes of SQL were written in all. */
export interface DumpProgress {
  table: string;
  rows: number;
  bytes: number;
}

export type DumpSummary = Pick<
  Manifest,
  "uncompressed_bytes" | "postgres_version" | "schema_version" | "tables" | "sequences"
>;

/** Tables whose rows a restore must not revive: sessions that were ended, answers that were given, attempts that were counted. */
const withoutData = ["idempotency_key", "login_attempt", "refresh_session"];

/** A page of COPY text aims at this, so that two of them and what the driver holds stay small. */
const pageBytes = 2 * 1024 * 1024;
const mostPageBytes = 4 * pageBytes;
const firstPageRows = 500;
const mostPageRows = 50_000;

const encoder = new TextEncoder();

/**
 * Writes schema "Finances" of the snapshot as SQL that stock psql restores into an empty database:
 * `psql -v ON_ERROR_STOP=1 -1 -f FILE`. The bytes handed to `write` are used again after it settles.
 */
export async function dump(
  snapshot: Snapshot,
  write: (bytes: Uint8Array) => Promise<unknown>,
  progress: (now: DumpProgress) => void | Promise<void> = () => {},
): Promise<DumpSummary> {
  let bytes = 0;
  const put = async (chunk: Uint8Array) => {
    await write(chunk);
    bytes += chunk.length;
  };
  const say = (text: string) => put(encoder.encode(text));

  const [server] = await snapshot.rows(
    "SELECT current_setting('server_version') AS version, to_json(now()) #>> '{}' AS at",
  );
  const version = server?.version ?? "";
  const schema = await readSchema(snapshot);
  await say(header(version, server?.at ?? ""));
  for (const statement of schema.beforeData) await say(`${statement};\n\n`);

  const tables: BackupTable[] = [];
  const memory = [new CopyPage(pageBytes, mostPageBytes), new CopyPage(pageBytes, mostPageBytes)];
  for (const table of schema.tables) {
    const { name, columns } = table;
    const order_by = orderOf(table);
    const digest = new crypto.DigestStream("SHA-256");
    const hash = digest.getWriter();
    let rows = 0;
    if (!withoutData.includes(name)) {
      await say(`COPY "Finances".${quoteIdent(name)} (${columns.map(quoteIdent).join(", ")}) FROM stdin;\n`);
      for await (const page of pages(snapshot, table, order_by, memory)) {
        await hash.write(page.bytes);
        await put(page.bytes);
        rows += page.rows;
        await progress({ table: name, rows, bytes });
      }
      await say("\\.\n\n");
    }
    await hash.close();
    tables.push({
      name,
      data: withoutData.includes(name) ? "excluded" : "included",
      rows,
      sha256: hex(await digest.digest),
      columns,
      order_by,
    });
  }

  const positions = await sequencePositions(snapshot, schema.sequences);
  for (const { name, value, called } of positions)
    await say(`SELECT pg_catalog.setval(${quoteLiteral(`"Finances".${quoteIdent(name)}`)}, ${value}, ${called});\n`);
  await say("\n");
  for (const statement of schema.afterData) await say(`${statement};\n\n`);
  await say("-- nexgen backup complete\n");

  return {
    uncompressed_bytes: bytes,
    postgres_version: version,
    schema_version: await schemaVersion(snapshot, schema.tables),
    tables,
    sequences: Object.fromEntries(positions.map(({ name, value, called }) => [name, called ? value : null])),
  };
}

export const hex = (digest: ArrayBuffer) =>
  Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");

const quoteLiteral = (text: string) => `'${text.replaceAll("'", "''")}'`;

const header = (version: string, at: string) => `-- nexgen backup
-- Format 1, taken at ${at} from PostgreSQL ${version}.
-- Into an empty database, as its owner: gunzip -c FILE | psql -v ON_ERROR_STOP=1 -1 -d DATABASE

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';
SET intervalstyle = 'postgres';

DO $backup$ BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'Finances') THEN
    RAISE EXCEPTION 'this database has a schema "Finances" already: restore into an empty one';
  END IF;
END $backup$;

`;

const keyColumn = ({ name, collatable }: KeyColumn) => `t.${quoteIdent(name)}${collatable ? ' COLLATE "C"' : ""}`;

/** By primary key; without one by the rows' text, which is slow, and right. */
const orderOf = ({ key }: DataTable) => (key.length === 0 ? 't::text COLLATE "C"' : key.map(keyColumn).join(", "));

/**
 * A table in pages of about `pageBytes`, the next one read while a page is in use. There are two of them, `memory`: a page
 * is another one as soon as the one after it is asked for.
 */
async function* pages(
  snapshot: Snapshot,
  { name, columns, key }: DataTable,
  order_by: string,
  memory: readonly CopyPage[],
): AsyncGenerator<CopyPage> {
  const table = { name, columns, order_by };
  let limit = firstPageRows;
  let done = 0;
  let number = 0;
  const read = async (from: { where?: string; offset?: number }) => {
    const page = memory[number++ % 2] as CopyPage; // There are two.
    for (;;) {
      await snapshot.copy(copyStatement(table, { ...from, limit }), page);
      if (page.fitting === undefined) return page;
      // Wider rows than the ones before.
      limit = page.fitting;
    }
  };
  let next: Promise<CopyPage> | undefined = read({});
  while (next !== undefined) {
    const page: CopyPage = await next;
    done += page.rows;
    next = undefined;
    if (page.rows === limit) {
      // No more than eight times as many rows at once: the next ones may be wider.
      const fitting = Math.floor((pageBytes / page.bytes.length) * page.rows);
      limit = Math.max(1, Math.min(fitting, 8 * limit, mostPageRows));
      next = read(key.length === 0 ? { offset: done } : { where: beyond(page.bytes, columns, key) });
      // Whoever stops in the middle does not wait for it.
      next.catch(() => {});
    }
    if (page.rows > 0) yield page;
  }
}

const newline = 0x0a;

/** The condition of the rows after the last one of a page, whose key stands in its COPY text. */
function beyond(bytes: Uint8Array, columns: string[], key: KeyColumn[]): string {
  const start = bytes.lastIndexOf(newline, bytes.length - 2) + 1;
  const fields = new TextDecoder().decode(bytes.subarray(start, bytes.length - 1)).split("\t");
  const values = key.map(
    ({ name, type }) => `${quoteLiteral(unescaped(fields[columns.indexOf(name)] ?? ""))}::${type}`,
  );
  return `(${key.map(keyColumn).join(", ")}) > (${values.join(", ")})`;
}

const escapes: Record<string, string> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };

/** A value of COPY's text format, which is not NULL. */
const unescaped = (field: string) => field.replace(/\\(.)/gs, (_, letter: string) => escapes[letter] ?? letter);

async function sequencePositions(snapshot: Snapshot, names: string[]) {
  if (names.length === 0) return [];
  const one = (name: string) =>
    `SELECT ${quoteLiteral(name)} AS name, last_value AS value, is_called FROM "Finances".${quoteIdent(name)}`;
  const rows = await snapshot.rows(names.map(one).join(" UNION ALL "));
  return rows.map(({ name, value, is_called }) => ({
    name: name ?? "",
    value: value ?? "",
    called: is_called === "t",
  }));
}

async function schemaVersion(snapshot: Snapshot, tables: DataTable[]) {
  if (!tables.some(({ name }) => name === "schema_migration")) return { migrations: 0, newest: 0 };
  const [row] = await snapshot.rows(
    'SELECT count(*) AS migrations, coalesce(max(created_at), 0) AS newest FROM "Finances".schema_migration',
  );
  return { migrations: Number(row?.migrations), newest: Number(row?.newest) };
}
