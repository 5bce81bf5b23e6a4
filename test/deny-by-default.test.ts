import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import { Hono } from "hono";
import { describe, expect, it } from "vitest";
import { docsRoutes } from "../src/docs/routes.ts";
import type { AppEnv } from "../src/env.ts";
import { assertEveryRouteIsGuarded, guarded, open } from "../src/openapi.ts";
import { rateLimit } from "../src/rate-limit.ts";

const operation = {
  method: "get",
  path: "/thing/{id}",
  operationId: "findThing",
  responses: { 204: { description: "" } },
} as const;

/** Mounts one operation as src/app.ts does, and looks at it as the Worker's start does. */
function start(declared: object, pages: string[] = []): void {
  const feature = new OpenAPIHono<AppEnv>().openapi(createRoute({ ...operation, ...declared }), (c) =>
    c.body(null, 204),
  );
  const app = new OpenAPIHono<AppEnv>();
  app.use((_c, next) => next());
  app.route("/", feature);
  app.route(
    "/",
    new Hono<AppEnv>().get("/page", (c) => c.text("")),
  );
  assertEveryRouteIsGuarded(app, ["/page", ...pages]);
}

describe("the Worker starts", () => {
  it.each(["viewer", "editor", "admin"] as const)("with an operation that needs the role %s", (role) => {
    expect(() => start(guarded(role))).not.toThrow();
  });

  it("with an operation that is declared open, also one with a limit of its own", () => {
    expect(() => start(open)).not.toThrow();
    expect(() => start({ ...open, middleware: rateLimit("sign-in") })).not.toThrow();
  });
});

describe("the Worker does not start", () => {
  it.each<[string, object]>([
    ["declares nothing", {}],
    ["declares a role that there is not", { ...guarded("viewer"), "x-required-role": "boss" }],
    ["declares a role and asks for no token", { "x-required-role": "viewer", security: [{ bearer: [] }] }],
    ["loses its guard to a limit of its own", { ...guarded("admin"), middleware: rateLimit("sign-in") }],
    [
      "limits before it asks for the token",
      { ...guarded("admin"), middleware: guarded("admin").middleware.toReversed() },
    ],
    ["is declared open and asks for a token", { ...guarded("viewer"), ...open }],
  ])("with an operation that %s", (_case, declared) => {
    expect(() => start(declared)).toThrow("GET /thing/{id} (findThing) is not guarded as it declares");
  });

  it("with a route that is no operation and not known as a page", () => {
    const app = new OpenAPIHono<AppEnv>();
    app.get("/page", (c) => c.text(""));
    app.post("/debug", (c) => c.text(""));
    expect(() => assertEveryRouteIsGuarded(app, ["/page"])).toThrow(
      "POST /debug is neither an operation nor one of the open pages",
    );
  });

  it("with such a route among its own", async () => {
    docsRoutes.get("/debug", (c) => c.text(""));
    await expect(import("../src/app.ts")).rejects.toThrow(
      "GET /debug is neither an operation nor one of the open pages",
    );
  });
});
