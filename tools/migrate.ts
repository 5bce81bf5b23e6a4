import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate as applyMigrations } from "drizzle-orm/node-postgres/migrator";
import pg from "pg";
import { runOnDatabase } from "./stack.ts";

const folder = fileURLToPath(new URL("../drizzle", import.meta.url));

/**
 * Applies the migrations of `drizzle/` that the database has not seen, as its owner, all in one transaction.
 * Answers their names, in order; none when it is up to date. Two runs at once: the second waits.
 */
export async function migrate(url: string): Promise<string[]> {
  const connection = new pg.Client({ connectionString: url });
  await connection.connect();
  try {
    // Session-wide, given back with the connection: drizzle's migrator takes no lock of its own.
    await connection.query("SELECT pg_advisory_lock(hashtext('nexgen-migrate'))");
    const before = await applied(connection);
    await applyMigrations(drizzle(connection), {
      migrationsFolder: folder,
      migrationsSchema: "Finances",
      migrationsTable: "schema_migration",
    });
    return journal()
      .filter((entry) => entry.when > before)
      .map((entry) => entry.tag);
  } finally {
    await connection.end();
  }
}

/** How many migrations the database has seen, and the names of those that it has not, in order. */
export async function migrationState(url: string): Promise<{ applied: number; pending: string[] }> {
  const connection = new pg.Client({ connectionString: url });
  await connection.connect();
  try {
    const newest = await applied(connection);
    const pending = journal().filter((entry) => entry.when > newest);
    return { applied: journal().length - pending.length, pending: pending.map((entry) => entry.tag) };
  } finally {
    await connection.end();
  }
}

/** The SQL of a migration of this checkout. */
export const migrationText = (tag: string) => readFileSync(`${folder}/${tag}.sql`, "utf8");

/** The migrations of this checkout, oldest first; `when` is the journal's milliseconds. */
export function journal(): { when: number; tag: string }[] {
  return (
    JSON.parse(readFileSync(`${folder}/meta/_journal.json`, "utf8")) as { entries: { when: number; tag: string }[] }
  ).entries;
}

/** The `when` of the newest migration the database has, 0 for none. */
async function applied(connection: pg.Client): Promise<number> {
  const { rows } = await connection.query(`SELECT to_regclass('"Finances".schema_migration') IS NOT NULL AS journaled`);
  if (!rows[0]?.journaled) return 0;
  const newest = await connection.query(
    `SELECT coalesce(max(created_at), 0) AS newest FROM "Finances".schema_migration`,
  );
  return Number(newest.rows[0]?.newest);
}

if (import.meta.main) {
  const program = new Command("npm run db:migrate --")
    .description("Applies the migrations of drizzle/ that the database has not seen, all in one transaction.")
    .option("--database-url <url>", "the owner's URL (default: OWNER_DATABASE_URL, else the dev stack's database)")
    .parse();
  await runOnDatabase("db:migrate", program.opts<{ databaseUrl?: string }>().databaseUrl, async (url) => {
    const names = await migrate(url);
    console.log(names.length === 0 ? "Up to date: nothing to apply." : `Applied: ${names.join(", ")}.`);
    if (names.length > 0) console.log("Now `npm run db:roles`, so that the roles may use what is new.");
  });
}
