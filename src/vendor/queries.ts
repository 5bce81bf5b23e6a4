import { sql } from "drizzle-orm";
import { type Db, prepare } from "../db/client.ts";
import { instant, json, plain } from "../db/json.ts";
import type { Json } from "../wire.ts";
import type { Vendor } from "./contract.ts";

const fields = sql`${plain("v.id", "v.name", "v.contact_person", "v.email", "v.phone", "v.address", "v.gstin", "v.payment_terms", "v.status")},
  ${instant("v.created_at")}, ${instant("v.updated_at")}, v.version`;

const one = prepare<"id">(
  () => sql`SELECT ${json} FROM (SELECT ${fields} FROM "Finances".vendor v WHERE v.id = ${sql.placeholder("id")}) item`,
);

const page = prepare<"after" | "pattern" | "limit">(
  () => sql`SELECT ${json}, item.id FROM (
    SELECT ${fields} FROM "Finances".vendor v
    WHERE v.id > ${sql.placeholder("after")}::bigint
      AND (${sql.placeholder("pattern")}::text IS NULL OR v.name ILIKE ${sql.placeholder("pattern")}::text)
    ORDER BY v.id LIMIT ${sql.placeholder("limit")}
  ) item`,
);

export async function findVendor(db: Db, id: number): Promise<Json<Vendor> | undefined> {
  const [rows] = await db.read(one({ id }));
  return rows?.[0]?.json as Json<Vendor> | undefined;
}

/** The vendors after the id `after` whose name contains `search`, whatever the case, by id. */
export async function listVendors(db: Db, after: string, search: string | undefined, limit: number) {
  const pattern = search === undefined ? null : `%${search.replace(/[\\%_]/g, "\\$&")}%`;
  const [rows = []] = await db.read(page({ after, pattern, limit }));
  return rows as { json: Json<Vendor>; id: string }[];
}
