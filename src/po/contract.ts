import { z } from "@hono/zod-openapi";
import { Client } from "../client/contract.ts";
import { LineItem, NewLineItem } from "../line-item/contract.ts";
import { Page } from "../page.ts";
import { Vendor } from "../vendor/contract.ts";
import {
  Amount,
  amountInput,
  Day,
  dayInput,
  decimalOrNull,
  gstinInput,
  Id,
  Instant,
  idInput,
  name,
  orNull,
  prose,
  Text,
  Version,
} from "../wire.ts";
import { statuses } from "./status.ts";

export const types = ["standard", "verbal_agreement"] as const;

const Gstin = Text(100, "27ABCDE1234F1Z5").nullable();
const Address = Text(5000, "12 Station Road, Pune").nullable();
const lineItemCount = z.int().min(0).max(2000).openapi({ example: 12 });

const header = {
  po_number: Text(255, "PO09001").nullable().openapi({ description: "Unique per client" }),
  po_date: Day.nullable(),
  status: z.enum(statuses).openapi({ example: "pending" }),
  po_type: z.enum(types).openapi({ example: "standard" }),
  parent_po_id: Id.nullable().openapi({ example: null }),
  agreement_date: Day.nullable(),
  pi_number: Text(255, "PI-2026-17").nullable().openapi({ description: "Proforma invoice" }),
  pi_date: Day.nullable(),
  vendor_id: Id.nullable().openapi({ example: 34 }),
  site_id: Id.nullable().openapi({ example: 49 }),
  notes: Text(10_000, "Second phase").nullable(),
};

const Po = z.strictObject({
  id: Id.openapi({ example: 140 }),
  client_id: Id.openapi({ example: 2 }),
  project_id: Id.nullable().openapi({ example: null }),
  store_id: Text(100, "BR0042").nullable().openapi({ description: "The client's name for the site; POs bundle by it" }),
  ...header,
  status_reason: Text(1000, "Landlord withdrew")
    .nullable()
    .openapi({ description: "What was said when the status was set last", example: null }),
  vendor_gstin: Gstin,
  bill_to_gstin: Gstin,
  vendor_address: Address,
  bill_to_address: Address,
  ship_to_address: Address,
  po_value: Amount.nullable().openapi({
    example: "37612.50",
    description: "Sum of the lines' gross amounts; as given without lines",
  }),
  receivable_amount: Amount.nullable().openapi({ example: "37612.50" }),
  subtotal: Amount.nullable().openapi({
    example: "31875.00",
    description: "Sum of total_price; null when there never were lines",
  }),
  total_tax: Amount.nullable().openapi({ example: "5737.50", description: "Sum of gst_amount" }),
  cgst: Amount.nullable().openapi({
    example: "2868.75",
    description: "Half of the tax when both GSTINs are of one state",
  }),
  sgst: Amount.nullable().openapi({ example: "2868.75" }),
  igst: Amount.nullable().openapi({ example: null, description: "All of the tax when the states differ" }),
  line_item_count: lineItemCount,
  created_at: Instant,
  updated_at: Instant,
  version: Version,
});

export const PurchaseOrder = Po.openapi("PurchaseOrder");
export type PurchaseOrder = z.infer<typeof PurchaseOrder>;

export const PurchaseOrderWithLines = z
  .strictObject({ ...Po.shape, line_items: z.array(LineItem).max(2000) })
  .openapi("PurchaseOrderWithLines");
export type PurchaseOrderWithLines = z.infer<typeof PurchaseOrderWithLines>;

export const ListedPurchaseOrder = z
  .strictObject({
    ...Po.shape,
    client: Client.optional(),
    vendor: Vendor.nullable().optional().openapi({ description: "With `expand=vendor`" }),
    line_items: z.array(LineItem).max(2000).optional().openapi({ description: "With `expand=line_items`" }),
  })
  .openapi("ListedPurchaseOrder");
export type ListedPurchaseOrder = z.infer<typeof ListedPurchaseOrder>;

export const PurchaseOrderPage = Page(ListedPurchaseOrder)
  .extend({
    total: z
      .int()
      .min(0)
      .optional()
      .openapi({ example: 137, description: "With `include=total`: how many there are on all pages, 10,000 at most" }),
    total_is_exact: z
      .boolean()
      .optional()
      .openapi({ example: true, description: "False: there are more than `total`" }),
  })
  .openapi("PurchaseOrderPage");
export type PurchaseOrderPage = z.infer<typeof PurchaseOrderPage>;

export const PurchaseOrderCsv = z
  .string()
  .regex(/^\ufeff?id,/)
  .openapi("PurchaseOrderCsv", {
    example: "id,client_id,project_id\r\n140,2,\r\n",
    description:
      "RFC 4180 with a header: the fields of a PO, then client_name and vendor_name. Text that a spreadsheet would take for a " +
      "formula begins with a quote (').",
  });

/** A sum of amounts, which may have more digits than any one of them. */
const sum = (example: string, description: string) =>
  z
    .string()
    .regex(/^-?\d+\.\d\d$/)
    .max(50)
    .openapi({ example, description });
const ofEntry = "Sum over all POs of the entry; null counts as 0.00";

export const Bundle = z
  .strictObject({
    bundle_id: Text(200, "store:2:BR0042").openapi({
      description: "`store:<client_id>:<store_id>` for a PO that can bundle, alone or not, else `po:<id>`",
    }),
    display_identifier: Text(300, "BUNDLED-BR0042"),
    is_bundled: z.boolean().openapi({ example: true }),
    badge: z.strictObject({
      type: z.enum(["bundled", "single"]).openapi({ example: "bundled" }),
      label: Text(50, "Bundle (2 POs)"),
      color: z.enum(["blue", "gray"]).openapi({ example: "blue" }),
      icon: z.enum(["package", "file"]).openapi({ example: "package" }),
    }),
    bundling_note: Text(5000, "2 POs for store BR0042: PO09002, PO09001").nullable(),
    client_id: Id.openapi({ example: 2 }),
    client_name: Text(255, "Borealis Pharmacy"),
    store_id: Text(100, "BR0042").nullable(),
    po_ids: z
      .array(Id)
      .max(200)
      .openapi({ example: [141, 140], description: "The newest 200, newest first" }),
    po_numbers: z
      .array(Text(255, "PO09002").nullable())
      .max(200)
      .openapi({
        example: ["PO09002", "PO09001"],
        description: "Of the same POs in the same order; null where there is none",
      }),
    po_count: z.int().positive().openapi({ example: 2 }),
    project_id: Id.nullable().openapi({ example: null, description: "The newest that is not null" }),
    ...header,
    created_at: Instant,
    po_value: sum("45355579.53", ofEntry),
    receivable_amount: sum("45355579.53", ofEntry),
    subtotal: sum("38436931.80", ofEntry),
    total_tax: sum("6918647.73", ofEntry),
    line_item_count: z.int().min(0).openapi({ example: 35 }),
    line_items: z
      .array(LineItem)
      .max(2000)
      .optional()
      .openapi({ description: "With `include=line_items`: the lines of all POs of the entry, by PO, newest PO first" }),
  })
  .openapi("Bundle");
export type Bundle = z.infer<typeof Bundle>;

export const Summary = z
  .strictObject({
    bundle_count: z.int().min(0).openapi({ example: 3, description: "Entries on all pages" }),
    bundled_count: z.int().min(0).openapi({ example: 1 }),
    single_count: z.int().min(0).openapi({ example: 2 }),
    total_po_value: sum("84403121.92", "Sum over all POs of all pages"),
    total_line_items: z.int().min(0).openapi({ example: 84 }),
  })
  .openapi("BundleSummary");
export type Summary = z.infer<typeof Summary>;

export const bundleSorts = ["-created_at", "created_at"] as const;
export type BundleSort = (typeof bundleSorts)[number];

export const BundlePage = z
  .strictObject({
    bundles: z.array(Bundle).max(200),
    next_cursor: z.string().max(1000).nullable().openapi({ example: null }),
    summary: Summary.optional(),
  })
  .openapi("BundlePage");
export type BundlePage = z.infer<typeof BundlePage>;

const address = prose(1000, "12 Station Road, Pune").nullable().optional();
const reference = (example: number) => idInput(example).nullable().optional();
const day = dayInput.nullable().optional();
const gstin = gstinInput.nullable().optional();

const writable = {
  client_id: idInput(2),
  project_id: reference(7),
  store_id: prose(100, "BR0042").nullable().optional(),
  po_number: orNull(name(255, "PO09001"), "string").optional(),
  po_date: day,
  po_type: z.enum(types).openapi({ example: "standard" }),
  parent_po_id: reference(138),
  agreement_date: day,
  pi_number: prose(255, "PI-2026-17").nullable().optional(),
  pi_date: day,
  vendor_id: reference(34),
  site_id: reference(49),
  notes: prose(5000, "Second phase").nullable().optional(),
  vendor_gstin: gstin,
  bill_to_gstin: gstin,
  vendor_address: address,
  bill_to_address: address,
  ship_to_address: address,
  po_value: decimalOrNull(amountInput("37612.50"))
    .optional()
    .openapi({ description: "Only for a PO without line items" }),
  receivable_amount: decimalOrNull(amountInput("37612.50")).optional().openapi({ description: "Defaults to po_value" }),
};

export const NewPurchaseOrder = z
  .strictObject({
    ...writable,
    po_type: writable.po_type.default("standard"),
    status: z.enum(statuses).default("pending").openapi({ example: "pending" }),
    line_items: z.array(NewLineItem).max(500).optional(),
  })
  .superRefine((po, context) => {
    if (po.po_value != null && po.line_items !== undefined && po.line_items.length > 0) {
      context.addIssue({ code: "custom", path: ["po_value"], message: "follows from the line items: leave it out" });
    }
  })
  .openapi("NewPurchaseOrder", {
    example: {
      client_id: 2,
      po_number: "PO09003",
      po_date: "2026-01-29",
      store_id: "BR0042",
      line_items: [
        { item_name: "Shelving: steel, 5 tier", unit: "Nos", quantity: "12.5", unit_price: "2550", gst_rate: "18" },
      ],
    },
  });
export type NewPurchaseOrder = z.infer<typeof NewPurchaseOrder>;

export const PurchaseOrderChanges = z
  .strictObject(writable)
  .partial()
  .openapi("PurchaseOrderChanges", { example: { notes: "Second phase", po_date: "2026-02-01" } });
export type PurchaseOrderChanges = z.infer<typeof PurchaseOrderChanges>;

export const StatusChange = z
  .strictObject({
    status: z.enum(statuses).openapi({ example: "active" }),
    reason: prose(1000, "Approved by the client").nullable().optional(),
  })
  .openapi("StatusChange");

const anyValue = z
  .json()
  .openapi({ type: ["object", "array", "string", "number", "boolean", "null"], example: "12.500" });

export const AuditEntry = z
  .strictObject({
    id: Id.openapi({ example: 5310 }),
    occurred_at: Instant,
    user_id: Id.nullable().openapi({ example: 1, description: "Null when no user of the API wrote" }),
    username: Text(255, "asha").nullable().openapi({ description: "The account's name now" }),
    actor: Text(255, "import").nullable().openapi({ example: null, description: "The tool that wrote, if it said so" }),
    database_role: Text(63, "nexgen_api"),
    request_id: Text(255, "5e0f3a9c-63f4-4d0e-a8c9-0d6f7a1f2b3c").nullable(),
    action: z.enum(["insert", "update", "delete"]).openapi({ example: "update" }),
    table: Text(63, "client_po_line_item"),
    row_id: Text(40, "731"),
    client_po_id: Id.nullable().openapi({ example: 140, description: "The PO that the row is, or belongs to" }),
    changes: z
      .record(
        z.string().max(63),
        z.union([
          z.strictObject({ before: anyValue.optional(), after: anyValue.optional() }),
          z.literal("changed").openapi({ example: "changed" }),
        ]),
      )
      .openapi({
        example: { quantity: { before: "12.500", after: "14.000" } },
        description: "The fields that changed; of a password only that it did",
      }),
  })
  .openapi("AuditEntry");
export type AuditEntry = z.infer<typeof AuditEntry>;

export const AuditEntryPage = Page(AuditEntry).openapi("AuditEntryPage");

export const DeletedPurchaseOrder = z
  .strictObject({ id: Id.openapi({ example: 139 }), deleted_at: Instant })
  .openapi("DeletedPurchaseOrder");
export type DeletedPurchaseOrder = z.infer<typeof DeletedPurchaseOrder>;

export const DeletedPurchaseOrderPage = Page(DeletedPurchaseOrder).openapi("DeletedPurchaseOrderPage");
