import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { tables as legacyTables } from "../../../src/ops/tables.ts";
import { readBackup } from "../../../tools/legacy/backup.ts";
import { type TakeOverOptions, takeOver } from "../../../tools/legacy/take-over.ts";
import { migrate } from "../../../tools/migrate.ts";
import { startCluster } from "../../../tools/postgres.ts";

export const fixturePath = join(import.meta.dirname, "../../fixtures/legacy/Nexgen_erp_backup_20260131_180405.sql");
export const fixture = readFileSync(fixturePath, "utf8");

const installed15 = "/usr/lib/postgresql/15/bin";
/** The embedded PostgreSQL, and the oldest supported one where the machine has it. */
export const servers: { name: string; binaries?: string }[] = [
  { name: "the embedded PostgreSQL 18" },
  ...(existsSync(installed15) ? [{ name: "PostgreSQL 15", binaries: installed15 }] : []),
];

export type Databases = { empty(): Promise<string>; unmigrated(): Promise<string>; stop(): Promise<void> };

/** A throw-away cluster whose migrated databases belong to an ordinary role with CREATEROLE, as on Neon. */
export async function startDatabases(binaries?: string): Promise<Databases> {
  const directory = await mkdtemp(join(tmpdir(), "nexgen-import-"));
  const cluster = await startCluster({ directory, durable: false, ...(binaries === undefined ? {} : { binaries }) });
  const admin = new pg.Client({ connectionString: cluster.superuserUrl });
  await admin.connect();
  await admin.query("CREATE ROLE legacy_owner LOGIN CREATEROLE PASSWORD 'owner'");
  const url = (name: string) => `postgres://legacy_owner:owner@127.0.0.1:${cluster.port}/${name}`;
  await admin.query("CREATE DATABASE migrated OWNER legacy_owner");
  await migrate(url("migrated"));
  let made = 0;
  const create = async (template: string) => {
    const name = `database_${++made}`;
    await admin.query(`CREATE DATABASE ${name} OWNER legacy_owner TEMPLATE ${template}`);
    return url(name);
  };
  return {
    empty: () => create("migrated"),
    unmigrated: () => create("template0"),
    async stop() {
      await admin.end();
      await cluster.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Imports a text as the command would with its default options. */
export function importText(url: string, text: string, options: Partial<TakeOverOptions> = {}) {
  return takeOver(url, readBackup(new TextEncoder().encode(text)), {
    file: "backup.sql",
    timezone: "Asia/Kolkata",
    userRole: "editor",
    acceptLineTotals: false,
    orphans: "keep",
    force: false,
    dryRun: false,
    requestId: "test",
    ...options,
  });
}

/** Runs SQL as the owner, in UTC; the rows of the last statement. */
export async function query(url: string, sql: string, values?: unknown[]): Promise<Record<string, unknown>[]> {
  const connection = new pg.Client({ connectionString: url });
  await connection.connect();
  try {
    await connection.query("SET timezone = 'UTC'");
    return (await connection.query(sql, values)).rows;
  } finally {
    await connection.end();
  }
}

/** Every row of the 19 tables as text, in the order of the ids. */
export async function contents(url: string): Promise<Record<string, unknown[]>> {
  const tables = legacyTables.map(
    (table) => `SELECT '${table}' AS name, array(SELECT t::text FROM "Finances"."${table}" t ORDER BY id) AS rows`,
  );
  const all = await query(url, tables.join(" UNION ALL "));
  return Object.fromEntries(all.map(({ name, rows }) => [name, rows as unknown[]]));
}

/** The fixture with one more row in a table that has some, its counts with it. */
export function withRow(text: string, table: string, row: string): string {
  const insert = text.indexOf(`INSERT INTO "${table}"`);
  const values = text.indexOf("VALUES\n", insert) + "VALUES\n".length;
  if (insert === -1) throw new Error(`${table} has no rows`);
  const longer = `${text.slice(0, values)}${row},\n${text.slice(values)}`;
  return longer
    .replace(new RegExp(`(-- Table: ${table} \\()(\\d+)`), (_, head, count) => `${head}${Number(count) + 1}`)
    .replace(/(-- Total records: )(\d+)/, (_, head, count) => `${head}${Number(count) + 1}`);
}
