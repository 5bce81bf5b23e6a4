import { z } from "@hono/zod-openapi";
import { Page } from "../page.ts";
import { Amount, Id, Instant, Percent, Quantity, Text, UnitPrice, Version } from "../wire.ts";

export const LineItem = z
  .strictObject({
    id: Id.openapi({ example: 731 }),
    client_po_id: Id.openapi({ example: 140 }),
    item_name: Text(5000, "Shelving: steel, 5 tier"),
    hsn_code: Text(50, "94032010").nullable(),
    unit: Text(50, "Nos").nullable(),
    quantity: Quantity.nullable(),
    unit_price: UnitPrice.nullable().openapi({ description: "Null for a line that is priced as a whole" }),
    rate: UnitPrice.nullable().openapi({ description: "Equals unit_price; read-only, kept for older clients" }),
    total_price: Amount.openapi({
      example: "31875.00",
      description: "Without GST: quantity x unit_price, or as given",
    }),
    gst_rate: Percent.nullable().openapi({
      description: "Null only for an imported line whose GST follows no clean rate",
    }),
    gst_amount: Amount.openapi({ example: "5737.50" }),
    gross_amount: Amount.openapi({ example: "37612.50", description: "total_price + gst_amount" }),
    created_at: Instant,
    updated_at: Instant,
    version: Version,
  })
  .openapi("LineItem");
export type LineItem = z.infer<typeof LineItem>;

export const LineItemPage = Page(LineItem).openapi("LineItemPage");
