import { type SQL, sql } from "drizzle-orm";
import { prepare } from "./client.ts";
import { decimal, instant, plain } from "./json.ts";
import { type Columns, names, record } from "./write.ts";

/** A line item as it is read, on its own, in its PO and in a bundle; the table's alias is `line`. */
export const lineItemFields: SQL = sql`${plain("line.id", "line.client_po_id", "line.item_name", "line.hsn_code", "line.unit")},
  ${decimal("line.quantity")}, ${decimal("line.unit_price")}, ${decimal("line.rate")}, ${decimal("line.total_price")},
  ${decimal("line.gst_rate")}, ${decimal("line.gst_amount")}, ${decimal("line.gross_amount")},
  ${instant("line.created_at")}, ${instant("line.updated_at")}, line.version`;

/** What a body may write of a line. */
export const lineItemColumns = {
  item_name: "text",
  hsn_code: "text",
  unit: "text",
  quantity: "numeric",
  unit_price: "numeric",
  total_price: "numeric",
  gst_rate: "numeric",
} satisfies Columns;

/**
 * First statement of every batch that touches lines: writers that lock the PO first never deadlock. FOR UPDATE would, on
 * the KEY SHARE lock of a new line's foreign key.
 */
export const lockPo = prepare<"po">(
  () => sql`SELECT id FROM "Finances".client_po WHERE id = ${sql.placeholder("po")} FOR NO KEY UPDATE`,
);

/** Inserts the JSON array `lines` for the one row of a CTE `po`, in the array's order, which is then that of the ids. */
export const insertLines = (lines: SQL): SQL => sql`
  INSERT INTO "Finances".client_po_line_item (client_po_id, ${names(lineItemColumns)})
  SELECT po.id, ${names(lineItemColumns, "given")}
  FROM po, jsonb_array_elements(${lines}) WITH ORDINALITY AS element (line, place),
    LATERAL jsonb_to_record(element.line) AS given (${record(lineItemColumns)})
  ORDER BY element.place
  RETURNING id`;
