import { z } from "@hono/zod-openapi";
import { Page } from "../page.ts";
import {
  Amount,
  amountInput,
  decimalOrNull,
  Id,
  Instant,
  name,
  Percent,
  percentInput,
  prose,
  Quantity,
  quantityInput,
  Text,
  UnitPrice,
  unitPriceInput,
  Version,
} from "../wire.ts";

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

export const lineItemSorts = ["id", "-id"] as const;
export type LineItemSort = (typeof lineItemSorts)[number];

export const LineItemPage = Page(LineItem).openapi("LineItemPage");

const writable = {
  // 2,000 lines of a PO must fit into one answer of the database driver, which is 10 MB at the most.
  item_name: name(1000, "Shelving: steel, 5 tier"),
  hsn_code: prose(50, "94032010").nullable().optional(),
  unit: prose(50, "Nos").nullable().optional(),
  quantity: decimalOrNull(quantityInput("12.5")).optional(),
  unit_price: decimalOrNull(unitPriceInput("2550")).optional(),
  total_price: amountInput("31875.00", "not negative").optional().openapi({
    description: "For a line that is priced as a whole, instead of unit_price",
  }),
  gst_rate: decimalOrNull(percentInput).optional().openapi({ description: "Percent, 0 to 100 (0)" }),
};

const isGiven = (value: unknown) => value !== undefined && value !== null;
const onePrice = "give exactly one of unit_price and total_price";

export const NewLineItem = z
  .strictObject(writable)
  .superRefine((line, context) => {
    const issue = (field: string, message: string) => context.addIssue({ code: "custom", path: [field], message });
    if (isGiven(line.unit_price) === isGiven(line.total_price)) issue("unit_price", onePrice);
    if (isGiven(line.unit_price) && !isGiven(line.quantity)) issue("quantity", "is needed with a unit_price");
  })
  .openapi("NewLineItem", {
    example: {
      item_name: "Shelving: steel, 5 tier",
      unit: "Nos",
      quantity: "12.5",
      unit_price: "2550",
      gst_rate: "18",
    },
  });
export type NewLineItem = z.infer<typeof NewLineItem>;

/** One line, or up to 500 that are added all or none. */
export const NewLineItems = z.union([NewLineItem, z.array(NewLineItem).min(1).max(500)]);

export const LineItemList = z.strictObject({ data: z.array(LineItem).max(500) }).openapi("LineItemList");

export const LineItemChanges = z
  .strictObject(writable)
  .partial()
  .superRefine((line, context) => {
    if (isGiven(line.unit_price) && isGiven(line.total_price)) {
      context.addIssue({ code: "custom", path: ["unit_price"], message: onePrice });
    }
  })
  .openapi("LineItemChanges", { example: { quantity: "14", gst_rate: "12" } });
export type LineItemChanges = z.infer<typeof LineItemChanges>;
