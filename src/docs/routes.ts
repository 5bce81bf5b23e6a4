import { zValidator } from "@hono/zod-validator";
import { Hono } from "hono";
import { secureHeaders } from "hono/secure-headers";
import { z } from "zod";
import type { AppEnv } from "../env.ts";
import { kinds, Problem, type ProblemKind } from "../problem.ts";

/** For the docs page: Scalar styles itself with inline styles; scripts, data and images come from this host alone. */
export const docsHeaders = secureHeaders({
  strictTransportSecurity: "max-age=31536000; includeSubDomains",
  xFrameOptions: "DENY",
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    objectSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'", "'unsafe-inline'"],
    imgSrc: ["'self'", "data:"],
    fontSrc: ["'self'", "data:"],
    connectSrc: ["'self'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
  },
});

/** A static file; its headers come immutable, and ours are to join them. */
async function asset(assets: Fetcher, url: string | URL): Promise<Response> {
  const file = await assets.fetch(url);
  return new Response(file.body, file);
}

const isKind = (value: string): value is ProblemKind => Object.hasOwn(kinds, value);

/** What people read: it stands outside of the OpenAPI document. */
export const docsRoutes = new Hono<AppEnv>()
  .get("/", (c) => c.redirect("/docs"))
  .get("/docs", (c) => asset(c.env.ASSETS, new URL("/docs/", c.req.url)))
  .get("/docs/:file{(scalar|start)\\.js}", (c) => asset(c.env.ASSETS, c.req.url))
  .get(
    "/problems/:kind",
    zValidator("param", z.strictObject({ kind: z.string().max(50).refine(isKind) }), (result) => {
      if (!result.success)
        throw new Problem(
          "not-found",
          `There is no such kind of problem. There are: ${Object.keys(kinds).join(", ")}.`,
        );
    }),
    (c) => {
      const { kind } = c.req.valid("param");
      return c.json({ type: `/problems/${kind}`, ...kinds[kind as ProblemKind] });
    },
  );
