import { type SQL, sql } from "drizzle-orm";
import { decimal, instant, plain } from "./json.ts";

/** A line item as it is read, on its own, in its PO and in a bundle; the table's alias is `line`. */
export const lineItemFields: SQL = sql`${plain("line.id", "line.client_po_id", "line.item_name", "line.hsn_code", "line.unit")},
  ${decimal("line.quantity")}, ${decimal("line.unit_price")}, ${decimal("line.rate")}, ${decimal("line.total_price")},
  ${decimal("line.gst_rate")}, ${decimal("line.gst_amount")}, ${decimal("line.gross_amount")},
  ${instant("line.created_at")}, ${instant("line.updated_at")}, line.version`;
