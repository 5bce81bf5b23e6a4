import { sql } from "drizzle-orm";
import { type Db, prepare } from "../db/client.ts";

const ping = prepare(() => sql`SELECT 1`);

/** Settles when the database answers. */
export async function pingDatabase(db: Db): Promise<void> {
  await db.read(ping({}));
}
