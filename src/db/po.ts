import { type SQL, sql } from "drizzle-orm";
import { decimal, instant, plain } from "./json.ts";

/** A PO as it is read, on its own and in lists; the table's alias is `po`. */
export const poFields: SQL = sql`${plain("po.id", "po.client_id", "po.project_id", "po.store_id", "po.po_number", "po.po_date", "po.status", "po.status_reason", "po.po_type", "po.parent_po_id", "po.agreement_date", "po.pi_number", "po.pi_date", "po.vendor_id", "po.site_id", "po.notes", "po.vendor_gstin", "po.bill_to_gstin", "po.vendor_address", "po.bill_to_address", "po.ship_to_address")},
  ${decimal("po.po_value")}, ${decimal("po.receivable_amount")}, ${decimal("po.subtotal")}, ${decimal("po.total_tax")},
  ${decimal("po.cgst")}, ${decimal("po.sgst")}, ${decimal("po.igst")}, po.line_item_count,
  ${instant("po.created_at")}, ${instant("po.updated_at")}, po.version`;
