import { z } from "@hono/zod-openapi";
import { Page } from "../page.ts";
import { Text } from "../wire.ts";
import { tables } from "./tables.ts";

const rows = z.int().min(0).openapi({ example: 13 });
export const Counts = z
  .strictObject({
    tables: z.strictObject(
      Object.fromEntries(tables.map((name) => [name, rows])) as Record<(typeof tables)[number], typeof rows>,
    ),
    total: z.int().min(0).openapi({ example: 196 }),
  })
  .openapi("Counts");
export type Counts = z.infer<typeof Counts>;

export const Orphan = z
  .strictObject({
    state: z.enum(["kept", "quarantined"]).openapi({
      example: "kept",
      description: "`kept`: the row stands in its table; `quarantined`: it stands here alone",
    }),
    table: Text(63, "client_po_line_item"),
    row_id: Text(40, "636"),
    constraint: Text(63, "client_po_line_item_po_fkey").openapi({ description: "The foreign key that the row breaks" }),
    missing_key: Text(255, "133")
      .nullable()
      .openapi({ description: "The parent that does not exist; null where the file named none" }),
    row: z
      .record(
        z.string().max(63),
        z.json().openapi({ type: ["object", "array", "string", "number", "boolean", "null"] }),
      )
      .openapi({ example: { id: 636, client_po_id: 133 }, description: "The whole row" }),
  })
  .openapi("Orphan");
export type Orphan = z.infer<typeof Orphan>;

export const OrphanPage = Page(Orphan).openapi("OrphanPage");
export type OrphanPage = z.infer<typeof OrphanPage>;

/** The log's own order, newest first, is first. */
export const auditSorts = ["-id", "id"] as const;
export type AuditSort = (typeof auditSorts)[number];
