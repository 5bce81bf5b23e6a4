import { sql } from "drizzle-orm";
import { type Db, prepare } from "../db/client.ts";
import { instant, json, plain } from "../db/json.ts";
import type { Json } from "../wire.ts";
import type { Client } from "./contract.ts";

const fields = sql`${plain("c.id", "c.name", "c.bundle_by_store")}, ${instant("c.created_at")}, ${instant("c.updated_at")}, c.version`;

const one = prepare<"id">(
  () => sql`SELECT ${json} FROM (SELECT ${fields} FROM "Finances".client c WHERE c.id = ${sql.placeholder("id")}) item`,
);

const page = prepare<"after" | "limit">(
  () => sql`SELECT ${json}, item.id FROM (
    SELECT ${fields} FROM "Finances".client c
    WHERE c.id > ${sql.placeholder("after")}::bigint ORDER BY c.id LIMIT ${sql.placeholder("limit")}
  ) item`,
);

export async function findClient(db: Db, id: number): Promise<Json<Client> | undefined> {
  const [rows] = await db.read(one({ id }));
  return rows?.[0]?.json as Json<Client> | undefined;
}

/** The clients after the id `after`, by id. */
export async function listClients(db: Db, after: string, limit: number) {
  const [rows = []] = await db.read(page({ after, limit }));
  return rows as { json: Json<Client>; id: string }[];
}
