import { z } from "@hono/zod-openapi";
import { Page } from "../page.ts";
import { Day, Instant } from "../wire.ts";

const count = (example: number, description?: string) =>
  z
    .int()
    .min(0)
    .openapi({ example, ...(description !== undefined && { description }) });

export const Backup = z
  .strictObject({
    id: Day.openapi({ example: "2026-11-25", description: "The UTC date of its run" }),
    at: Instant.openapi({ example: "2026-11-25T02:00:07.000000Z", description: "Of its snapshot" }),
    age_seconds: count(3600),
    duration_ms: count(4200),
    bytes: count(1_048_576, "Of the gzip object"),
    uncompressed_bytes: count(4_194_304, "Of the SQL in it"),
    rows: count(196),
    tiers: z
      .array(z.enum(["daily", "weekly", "monthly", "newest"]).openapi({ example: "daily" }))
      .max(4)
      .openapi({ description: "What it is kept as; empty: the next pruning takes it" }),
    state: z.enum(["good", "damaged"]).openapi({
      example: "good",
      description: "`good`: it was read back when it was made, and is there in full length",
    }),
  })
  .openapi("Backup");
export type Backup = z.infer<typeof Backup>;

export const BackupPage = Page(Backup).openapi("BackupPage");

export const BackupProgress = z
  .strictObject({
    table: z.string().max(63).openapi({ example: "client_po_line_item" }),
    rows: count(156, "Of this table so far"),
    bytes: count(52_000, "Of SQL so far"),
  })
  .openapi("BackupProgress");
