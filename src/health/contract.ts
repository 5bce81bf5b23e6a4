import { z } from "@hono/zod-openapi";
import { Day } from "../wire.ts";

const instant = z.iso
  .datetime()
  .max(40)
  .openapi({ format: "date-time", example: "2026-11-25T02:00:07.123Z", description: "UTC" });

const Check = z.strictObject({
  name: z.enum(["migrations", "backup_age", "backup_run"]).openapi({ example: "backup_age" }),
  status: z.enum(["ok", "failing"]).openapi({ example: "ok" }),
  detail: z.string().max(1000).optional().openapi({ example: "There is no backup.", description: "What is failing" }),
});
export type Check = z.infer<typeof Check>;

export const DetailedHealth = z
  .strictObject({
    status: z.enum(["ok", "failing"]).openapi({ example: "ok", description: "`failing` as soon as one check is" }),
    version: z.string().max(50).openapi({ example: "0.2.0" }),
    checks: z.array(Check).max(10),
    database: z.strictObject({
      bytes: z.int().min(0).openapi({ example: 12_582_912 }),
      migrations: z.int().min(0).openapi({ example: 6, description: "How many were applied" }),
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
