import pg from "pg";
import { tables as legacyTables } from "../../src/ops/tables.ts";
import { qualified } from "./load.ts";
import type { Orphan } from "./orphans.ts";
import type { Repaired } from "./repair.ts";
import type { Target } from "./target.ts";

/** The import was refused and nothing was written; `reasons` are lines for a person. */
export class Refusal extends Error {
  override name = "Refusal";
  readonly reasons: readonly string[];
  constructor(reasons: readonly string[]) {
    super(reasons.join("\n"));
    this.reasons = reasons;
  }
}

const mostListed = 50;

function listed(title: string, lines: readonly string[]): Refusal {
  const more = lines.length > mostListed ? [`  … and ${lines.length - mostListed} more`] : [];
  return new Refusal([title, ...lines.slice(0, mostListed).map((line) => `  ${line}`), ...more]);
}

/** Throws unless every migration of this checkout is applied. */
export async function requireMigrated(connection: pg.Client) {
  // Only here: drizzle takes most of a second to load, which wrong usage need not wait for.
  const { journal } = await import("../migrate.ts");
  const { rows } = await connection.query<{ journaled: boolean }>(
    `SELECT to_regclass('"Finances".schema_migration') IS NOT NULL AS journaled`,
  );
  const newest = rows[0]?.journaled
    ? await connection.query<{ newest: string }>(
        'SELECT coalesce(max(created_at), 0) AS newest FROM "Finances".schema_migration',
      )
    : undefined;
  if (Number(newest?.rows[0]?.newest ?? 0) < (journal().at(-1)?.when ?? 0)) {
    throw new Refusal(["The database is not migrated: run `npm run db:migrate` first."]);
  }
}

/** One import at a time, and nobody else writes until the transaction ends; reading goes on until keys are changed. */
export async function takeLocks(connection: pg.Client) {
  await connection.query(
    "SELECT set_config('lock_timeout', '10s', true), set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)",
  );
  const { rows } = await connection.query<{ free: boolean }>(
    "SELECT pg_try_advisory_xact_lock(hashtext('nexgen-import')) AS free",
  );
  if (!rows[0]?.free) throw new Refusal(["Another import is running on this database: wait until it ends."]);
  const tables = [...legacyTables, "legacy_orphan"].map(qualified).join(", ");
  await connection.query(`LOCK TABLE ${tables} IN SHARE ROW EXCLUSIVE MODE`);
}

/** Throws when any of the 19 tables has a row, `user` aside: accounts are made before the data comes. */
export async function requireEmpty(connection: pg.Client, file: string) {
  const filled: string[] = [];
  for (const table of legacyTables) {
    if (table === "user") continue;
    const { rows } = await connection.query<{ count: string }>(`SELECT count(*) AS count FROM ${qualified(table)}`);
    if (rows[0]?.count !== "0") filled.push(`${table} ${rows[0]?.count}`);
  }
  if (filled.length === 0) return;
  throw new Refusal([
    `The database is not empty (${filled.join(", ")}). The legacy's data goes into a database of its own:`,
    "",
    "  NEXGEN_SEED=none NEXGEN_DATA_DIR=.nexgen-legacy npm run dev",
    `  NEXGEN_DATA_DIR=.nexgen-legacy npm run import -- ${file}`,
    "",
    "(the second one from another terminal), or with --force beside what is here already.",
  ]);
}

export function refuseProblems({ problems, differences }: Repaired, acceptLineTotals: boolean) {
  if (problems.length > 0) throw listed("The file has values that the database cannot take:", problems);
  if (differences.length === 0 || acceptLineTotals) return;
  const lines = differences.map(({ id, number, lines: count, fileValue, lineTotal }) => {
    const name = number === null ? `PO ${id}` : `PO ${id} (${number})`;
    return `${name}: po_value ${fileValue ?? "none"}, its ${count} lines add up to ${lineTotal}`;
  });
  throw listed("POs whose value is not what their lines add up to (--accept-line-totals takes the lines' sum):", lines);
}

/**
 * Before adding to a database with data: no id is taken (accounts are renumbered instead), and no kept orphan refers to
 * a row that is here already and would get it as its own.
 */
export async function requireFree(
  connection: pg.Client,
  { rows }: Repaired,
  target: Target,
  orphans: readonly Orphan[],
) {
  const taken: string[] = [];
  const present = async (table: string, column: string, values: string[]) => {
    const name = pg.escapeIdentifier(column);
    const found = await connection.query<{ value: string }>(
      `SELECT ${name}::text AS value FROM ${qualified(table)} WHERE ${name}::text = ANY ($1) ORDER BY ${name}`,
      [values],
    );
    return found.rows.map(({ value }) => value);
  };
  for (const table of target.columns.keys()) {
    if (table === "user") continue;
    const ids = await present(
      table,
      "id",
      (rows.get(table) ?? []).map(({ id }) => String(id)),
    );
    if (ids.length > 0) taken.push(`${table}: ${ids.slice(0, 20).join(", ")}${ids.length > 20 ? ", …" : ""}`);
  }
  if (taken.length > 0) throw listed("Ids of the file are taken in the database:", taken);
  const adopted: string[] = [];
  for (const [key, kept] of Map.groupBy(orphans, (orphan) => orphan.key)) {
    const missing = kept.flatMap(({ handling, missing: value }) =>
      handling === "kept" && value !== null ? [value] : [],
    );
    const found = await present(key.parent, key.parentColumn, [...new Set(missing)]);
    for (const value of found)
      adopted.push(`${key.table}.${key.column} = ${value}: the file has no such ${key.parent}, the database does`);
  }
  if (adopted.length > 0) {
    throw listed(
      "Orphans of the file would be taken for children of rows that are here (use --orphans quarantine):",
      adopted,
    );
  }
}

const sqlStates: Record<string, string> = {
  "55P03": "Somebody else is writing to the database: stop the API (MAINTENANCE=on) or try again.",
  "40P01": "Somebody else is writing to the database: stop the API (MAINTENANCE=on) or try again.",
  "42501": "The import needs the owner of the database:",
};

/** A failure of the database in words, without a row of `user`, which has a password hash. */
export function explained(error: unknown): unknown {
  if (!(error instanceof pg.DatabaseError)) return error;
  const { code = "", table, detail, message } = error;
  const place = table === undefined ? "" : `${table}: `;
  const more = detail === undefined || table === "user" ? "" : ` (${detail.slice(0, 300)})`;
  return new Error([sqlStates[code], `${place}${message}${more}`].filter(Boolean).join(" "), { cause: error });
}
