import { sql } from "drizzle-orm";
import { type Db, prepare } from "../db/client.ts";

const ping = prepare(() => sql`SELECT 1`);

/** Settles when the database answers. */
export async function pingDatabase(db: Db): Promise<void> {
  await db.read(ping({}));
}

const size = prepare(() => sql`SELECT pg_database_size(current_database()) AS bytes`);

export async function databaseBytes(db: Db): Promise<number> {
  const [rows] = await db.read(size({}));
  return Number(rows?.[0]?.bytes);
}

const migrations = prepare(
  () => sql`SELECT count(*) AS applied, coalesce(max(created_at), 0) AS newest FROM "Finances".schema_migration`,
);

/** How large the database is, and which migrations it has had; `newestMigration` is drizzle's `when`. */
export async function databaseState(db: Db) {
  const [sizes, counts] = await db.read(size({}), migrations({}));
  return {
    bytes: Number(sizes?.[0]?.bytes),
    migrations: Number(counts?.[0]?.applied),
    newestMigration: Number(counts?.[0]?.newest),
  };
}
