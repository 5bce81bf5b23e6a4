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

const connections = prepare(
  () => sql`SELECT c.role, c.state, c.connections, c.oldest_transaction_seconds AS seconds,
      current_setting('max_connections') AS most
    FROM "Finances".connections() c ORDER BY c.connections DESC, c.role, c.state`,
);

const largestTables = prepare(
  () => sql`SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes FROM pg_class c
    WHERE c.relnamespace = '"Finances"'::regnamespace AND c.relkind = 'r' ORDER BY 2 DESC, 1 LIMIT 10`,
);

export interface Connections {
  role: string;
  state: string;
  count: number;
  /** The age of the oldest transaction among them; null when none is in one. */
  transactionSeconds: number | null;
}

/**
 * How large the database is, which migrations it has had (`newestMigration` is drizzle's `when`), and who is connected to its
 * server.
 */
export async function databaseState(db: Db) {
  const [sizes, counts, connected = [], tables = []] = await db.read(
    size({}),
    migrations({}),
    connections({}),
    largestTables({}),
  );
  return {
    bytes: Number(sizes?.[0]?.bytes),
    migrations: Number(counts?.[0]?.applied),
    newestMigration: Number(counts?.[0]?.newest),
    mostConnections: Number(connected[0]?.most),
    connections: connected.map(
      ({ role, state, connections: count, seconds = null }): Connections => ({
        role: String(role),
        state: String(state),
        count: Number(count),
        transactionSeconds: seconds === null ? null : Number(seconds),
      }),
    ),
    largestTables: tables.map(({ name, bytes }) => ({ name: String(name), bytes: Number(bytes) })),
  };
}
