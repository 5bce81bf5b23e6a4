import { sql } from "drizzle-orm";
import { type Db, prepare } from "../db/client.ts";
import { decimal, instant, json, plain } from "../db/json.ts";
import { lineItemFields } from "../db/line-item.ts";
import type { Json } from "../wire.ts";
import type { PurchaseOrder, PurchaseOrderWithLines } from "./contract.ts";

const fields = sql`${plain("po.id", "po.client_id", "po.project_id", "po.store_id", "po.po_number", "po.po_date", "po.status", "po.po_type", "po.parent_po_id", "po.agreement_date", "po.pi_number", "po.pi_date", "po.vendor_id", "po.site_id", "po.notes", "po.vendor_gstin", "po.bill_to_gstin", "po.vendor_address", "po.bill_to_address", "po.ship_to_address")},
  ${decimal("po.po_value")}, ${decimal("po.receivable_amount")}, ${decimal("po.subtotal")}, ${decimal("po.total_tax")},
  ${decimal("po.cgst")}, ${decimal("po.sgst")}, ${decimal("po.igst")}, po.line_item_count,
  ${instant("po.created_at")}, ${instant("po.updated_at")}, po.version`;

const one = prepare<"id">(
  () => sql`SELECT ${json} FROM (
    SELECT ${fields}, (
      SELECT coalesce(json_agg(line_item ORDER BY line_item.id), '[]')
      FROM (SELECT ${lineItemFields} FROM "Finances".client_po_line_item line WHERE line.client_po_id = po.id) line_item
    ) AS line_items
    FROM "Finances".client_po po WHERE po.id = ${sql.placeholder("id")}
  ) item`,
);

const page = prepare<"at" | "id" | "limit">(
  () => sql`SELECT ${json}, item.created_at AS at, item.id FROM (
    SELECT ${fields} FROM "Finances".client_po po
    WHERE ${sql.placeholder("at")}::timestamptz IS NULL
       OR (po.created_at, po.id) < (${sql.placeholder("at")}::timestamptz, ${sql.placeholder("id")}::bigint)
    ORDER BY po.created_at DESC, po.id DESC LIMIT ${sql.placeholder("limit")}
  ) item`,
);

export async function findPo(db: Db, id: number): Promise<Json<PurchaseOrderWithLines> | undefined> {
  const [rows] = await db.read(one({ id }));
  return rows?.[0]?.json as Json<PurchaseOrderWithLines> | undefined;
}

/** The POs older than `position` (created_at, id), newest first. */
export async function listPos(db: Db, position: string[] | undefined, limit: number) {
  const [rows = []] = await db.read(page({ at: position?.[0] ?? null, id: position?.[1] ?? null, limit }));
  return rows as { json: Json<PurchaseOrder>; at: string; id: string }[];
}
