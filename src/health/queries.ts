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
