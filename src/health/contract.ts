import { z } from "@hono/zod-openapi";
import { Day } from "../wire.ts";

const instant = z.iso
  .datetime()
  .max(40)
  .openapi({ format: "date-time", example: "2026-11-25T02:00:07.123Z", description: "UTC" });

const Check = z.strictObject({
  name: z
    .enum(["migrations", "connections", "transactions", "bucket", "backup_age", "backup_run"])
    .openapi({ example: "backup_age" }),
  status: z.enum(["ok", "failing"]).openapi({ example: "ok" }),
  detail: z.string().max(1000).optional().openapi({ example: "There is no backup.", description: "What is failing" }),
});
export type Check = z.infer<typeof Check>;

export const DetailedHealth = z
  .strictObject({
    status: z.enum(["ok", "failing"]).openapi({ example: "ok", description: "`failing` as soon as one check is" }),
    version: z.string().max(50).openapi({ example: "0.4.0" }),
    checks: z.array(Check).max(10),
    database: z.strictObject({
      bytes: z.int().min(0).openapi({ example: 12_582_912 }),
      migrations: z.int().min(0).openapi({ example: 6, description: "How many were applied" }),
      largest_tables: z
        .array(
          z.strictObject({
            name: z.string().max(63).openapi({ example: "client_po_line_item" }),
            bytes: z.int().min(0).openapi({ example: 8_388_608, description: "With its indexes" }),
          }),
        )
        .max(10),
      connections: z.strictObject({
        used: z.int().min(0).openapi({ example: 7, description: "Of clients, to the whole server" }),
        limit: z.int().min(1).openapi({ example: 112 }),
        by_role: z
          .array(
            z.strictObject({
              role: z.string().max(63).openapi({ example: "nexgen_api" }),
              state: z
                .string()
                .max(50)
                .openapi({ example: "idle", description: "`unknown` of those that the owner does not see into" }),
              count: z.int().min(1).openapi({ example: 5 }),
            }),
          )
          .max(200),
      }),
      longest_transaction_seconds: z
        .number()
        .min(0)
        .nullable()
        .openapi({ example: 0.004, description: "Of all that the owner sees; null for none" }),
    }),
    bucket: z.strictObject({
      bytes: z.int().min(0).nullable().openapi({
        example: 104_857_600,
        description: "The backups and all that belongs to them; null without an answer",
      }),
    }),
    backup: z.strictObject({
      newest_id: Day.nullable().openapi({ example: "2026-11-25" }),
      age_seconds: z.int().min(0).nullable().openapi({ example: 3600 }),
      running_since: instant.nullable(),
      last_failure: z
        .strictObject({
          at: instant,
          reason: z.string().max(500).openapi({ example: "the database gave no answer in 120000 ms" }),
        })
        .nullable(),
    }),
  })
  .openapi("DetailedHealth");
