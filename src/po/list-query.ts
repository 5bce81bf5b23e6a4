import { z } from "@hono/zod-openapi";
import { pageQuery } from "../page.ts";
import { amountInput, dayInput, instantInput, queryId, severalOf, text } from "../wire.ts";
import { types } from "./contract.ts";
import { statuses } from "./status.ts";

export const sorts = [
  "-created_at",
  "created_at",
  "-po_date",
  "po_date",
  "-po_value",
  "po_value",
  "-updated_at",
  "updated_at",
] as const;

/** What else than the client a list in another order than its own can be filtered by: what that order's index finds. */
const filtersOfSort: Record<string, readonly string[]> = {
  po_date: ["po_date_from", "po_date_to"],
  po_value: ["po_value_min", "po_value_max"],
  updated_at: ["updated_since"],
};

const filters = {
  client_id: queryId("client_id", "Only this client's POs"),
  vendor_id: queryId("vendor_id", "Only this vendor's"),
  project_id: queryId("project_id", "Only this project's"),
  store_id: text(100, "BR0042", 1).optional().openapi({ description: "Exactly this store's" }),
  status: severalOf(statuses, ["pending"], "Only POs of one of these statuses"),
  po_type: z.enum(types).optional().openapi({ example: "standard" }),
  po_number_prefix: text(255, "PO09", 1).optional().openapi({ description: "What the number begins with" }),
  q: text(100, "borealis", 3)
    // What has none is on no index, and would be looked for in every PO.
    .refine((q) => q.length < 3 || /[\p{L}\p{Nd}].*[\p{L}\p{Nd}]/su.test(q), "must have two letters or digits at least")
    .optional()
    .openapi({
      description:
        "Part of the number, store, notes, or of the client's or vendor's name, whatever the case; at least two " +
        "of its characters are letters or digits",
    }),
  po_date_from: dayInput.optional().openapi({ description: "This day or later" }),
  po_date_to: dayInput.optional().openapi({ description: "This day or earlier" }),
  po_value_min: amountInput("10000.00").optional().openapi({ type: "string" }),
  po_value_max: amountInput("50000.00").optional().openapi({ type: "string" }),
  updated_since: instantInput(
    "updated_since",
    "Only POs that were changed from this moment on, those that waited longest first; see also `GET /po/deleted`",
  ),
};

export const PurchaseOrderQuery = z
  .strictObject({
    ...pageQuery,
    ...filters,
    sort: z
      .enum(sorts)
      .optional()
      .openapi({
        example: "-created_at",
        description:
          "`-` is descending; null comes before everything. Another order than by created_at combines with client_id and the " +
          "range of its own field alone. Default: `updated_at` with updated_since, else `-created_at`",
      }),
    include: severalOf(["total"], ["total"], "`total`: how many there are on all pages, counted up to 10,000"),
    expand: severalOf(
      ["client", "vendor", "line_items"],
      ["vendor"],
      "Puts these into each PO; a page carries at most 2,000 line items in all and ends early",
    ),
    format: z
      .enum(["json", "csv"])
      .optional()
      .openapi({ example: "json", description: "`csv`, like `Accept: text/csv`: all pages at once, as a file" }),
    bom: z.enum(["true", "false"]).default("false").openapi({
      example: "false",
      description: "`true`: the CSV begins with a byte order mark, by which Excel knows UTF-8",
    }),
  })
  .superRefine((query, context) => {
    const sort = sortOf(query).replace("-", "");
    if (sort !== "updated_at" && query.updated_since !== undefined) {
      context.addIssue({
        code: "custom",
        path: ["updated_since"],
        message: "goes with sort=updated_at or -updated_at",
      });
    }
    if (sort === "created_at") return;
    const fitting = ["client_id", ...(filtersOfSort[sort] ?? [])];
    const others = Object.keys(filters).filter((name) => {
      const value = query[name as keyof typeof filters];
      return !fitting.includes(name) && (Array.isArray(value) ? value.length > 0 : value !== undefined);
    });
    for (const name of others.filter((name) => name !== "updated_since")) {
      context.addIssue({ code: "custom", path: [name], message: `does not go with the order by ${sort}` });
    }
  });
export type PurchaseOrderQuery = z.infer<typeof PurchaseOrderQuery>;

/** The order that was asked for. */
export const sortOf = (query: { sort?: (typeof sorts)[number] | undefined; updated_since?: string | undefined }) =>
  query.sort ?? (query.updated_since === undefined ? "-created_at" : "updated_at");
