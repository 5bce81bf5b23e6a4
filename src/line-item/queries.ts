import { sql } from "drizzle-orm";
import { type Db, prepare } from "../db/client.ts";
import { json } from "../db/json.ts";
import { lineItemFields as fields } from "../db/line-item.ts";
import type { Json } from "../wire.ts";
import type { LineItem } from "./contract.ts";

const one = prepare<"po" | "id">(
  () => sql`SELECT ${json} FROM (
    SELECT ${fields} FROM "Finances".client_po_line_item line JOIN "Finances".client_po po ON po.id = line.client_po_id
    WHERE line.id = ${sql.placeholder("id")} AND po.id = ${sql.placeholder("po")}
  ) item`,
);

const poExists = prepare<"po">(() => sql`SELECT FROM "Finances".client_po WHERE id = ${sql.placeholder("po")}`);

const page = prepare<"po" | "after" | "limit">(
  () => sql`SELECT ${json}, item.id FROM (
    SELECT ${fields} FROM "Finances".client_po_line_item line
    WHERE line.client_po_id = ${sql.placeholder("po")} AND line.id > ${sql.placeholder("after")}::bigint
    ORDER BY line.id LIMIT ${sql.placeholder("limit")}
  ) item`,
);

/** The line of that PO; a line of another PO is not found. */
export async function findLineItem(db: Db, poId: number, id: number): Promise<Json<LineItem> | undefined> {
  const [rows] = await db.read(one({ po: poId, id }));
  return rows?.[0]?.json as Json<LineItem> | undefined;
}

/** The PO's lines after the id `after`, by id; undefined when there is no such PO. */
export async function listLineItems(db: Db, poId: number, after: string, limit: number) {
  const [pos = [], rows = []] = await db.read(poExists({ po: poId }), page({ po: poId, after, limit }));
  return pos.length === 0 ? undefined : (rows as { json: Json<LineItem>; id: string }[]);
}
