import { createRoute, z } from "@hono/zod-openapi";
import packageJson from "../../package.json" with { type: "json" };
import { feature, json, open } from "../openapi.ts";
import { problems, unavailable } from "../problem.ts";
import { pingDatabase } from "./queries.ts";

const Health = z
  .strictObject({
    status: z.literal("ok").openapi({ example: "ok" }),
    database: z.enum(["up", "not-checked"]).openapi({ example: "up" }),
    version: z.string().max(50).openapi({ example: packageJson.version }),
  })
  .openapi("Health");

/** A monitor wants a clear no sooner than a late yes. */
const patienceMilliseconds = 2500;

export const healthRoutes = feature().openapi(
  createRoute({
    ...open,
    method: "get",
    path: "/health",
    operationId: "checkHealth",
    tags: ["health"],
    summary: "Whether the service and its database answer",
    request: {
      query: z.strictObject({
        probe: z
          .enum(["live"])
          .optional()
          .openapi({ example: "live", description: "Leave the database alone, so that it may sleep" }),
      }),
    },
    responses: { 200: json(Health, "All is well"), ...problems(422) },
  }),
  async (c) => {
    const { probe } = c.req.valid("query");
    if (probe !== "live") {
      await Promise.race([pingDatabase(c.var.db), tooLate()]).catch((cause: unknown) => {
        throw unavailable("The database does not answer.", { cause });
      });
    }
    return c.json(
      {
        status: "ok" as const,
        database: probe === "live" ? ("not-checked" as const) : ("up" as const),
        version: packageJson.version,
      },
      200,
    );
  },
);

const tooLate = () =>
  new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`no answer in ${patienceMilliseconds} ms`)), patienceMilliseconds);
  });
