import { z } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { once } from "./db/once.ts";
import type { AppEnv } from "./env.ts";
import { guarded, type Role } from "./openapi.ts";
import { Problem } from "./problem.ts";

/** The header of a POST that may be sent again when its answer was lost. */
export const idempotencyKey = z.object({
  "Idempotency-Key": z
    .string()
    .regex(/^[!-~]{1,255}$/, "must be 1 to 255 visible ASCII characters, such as a UUID")
    .optional()
    .openapi({
      example: "5e0f3a9c-63f4-4d0e-a8c9-0d6f7a1f2b3c",
      description:
        "New for every new request: sent again with the same body within 24 hours, nothing happens twice, and the first " +
        "answer is given again with `Idempotent-Replayed: true`",
    }),
});

const idempotent: MiddlewareHandler<AppEnv> = async function idempotent(c, next) {
  if (c.req.header("If-Match") !== undefined) {
    // Who sends it counts on nothing being done to another version (RFC 9110, section 13.1.1).
    const detail = "is not looked at here: send it with PATCH or DELETE";
    throw new Problem("validation-failed", undefined, { errors: [{ in: "header", pointer: "/If-Match", detail }] });
  }
  const key = c.req.header("Idempotency-Key");
  if (key !== undefined) {
    const bodyHash = new Uint8Array(await crypto.subtle.digest("SHA-256", await c.req.arrayBuffer())).toHex();
    const claim = { key, method: c.req.method, path: c.req.path, bodyHash };
    c.set(
      "db",
      once(c.var.db, claim, () => c.header("Idempotent-Replayed", "true")),
    );
  }
  await next();
};

/** `guarded`, for a POST that happens once for one Idempotency-Key. */
export function repeatable<const Least extends Role>(role: Least) {
  const { middleware, ...rest } = guarded(role);
  return { ...rest, middleware: [...middleware, idempotent] as [...typeof middleware, MiddlewareHandler<AppEnv>] };
}

const replayed = {
  "Idempotent-Replayed": {
    description: "`true`: the first answer to this Idempotency-Key, given again",
    required: false,
    schema: { type: "string" as const, enum: ["true"], example: "true" },
  },
};

/** The answer of a repeatable operation, for the document. */
export const repeated = <Answer extends { headers: object }>(answer: Answer) => ({
  ...answer,
  headers: { ...answer.headers, ...replayed } as Answer["headers"] & typeof replayed,
});
