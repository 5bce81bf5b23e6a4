import { OpenAPIHono } from "@hono/zod-openapi";
import { cors } from "hono/cors";
import { requestId } from "hono/request-id";
import { secureHeaders } from "hono/secure-headers";
import { authRoutes } from "./auth/routes.ts";
import { backupRoutes } from "./backup/routes.ts";
import { boundedBody } from "./body.ts";
import { clientRoutes } from "./client/routes.ts";
import { createDb, type Timing } from "./db/client.ts";
import { docsHeaders, docsRoutes } from "./docs/routes.ts";
import { type AppEnv, settings } from "./env.ts";
import { exactJson } from "./exact-json.ts";
import { exposedHeaders } from "./exposed-headers.ts";
import { healthRoutes } from "./health/routes.ts";
import { lineItemRoutes } from "./line-item/routes.ts";
import { hearBatches, observed } from "./observe.ts";
import { assertEveryRouteIsGuarded, openApiDocument } from "./openapi.ts";
import { opsRoutes } from "./ops/routes.ts";
import { poRoutes } from "./po/routes.ts";
import { maintenance, Problem, renderProblem } from "./problem.ts";
import { rateLimit } from "./rate-limit.ts";
import { userRoutes } from "./user/routes.ts";
import { vendorRoutes } from "./vendor/routes.ts";

const apiHeaders = secureHeaders({
  strictTransportSecurity: "max-age=31536000; includeSubDomains",
  xFrameOptions: "DENY",
  // Neither base-uri nor form-action falls back to default-src.
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    objectSrc: ["'none'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
  },
});

const app = new OpenAPIHono<AppEnv>();

app.use(requestId({ limitLength: 100, headerName: "X-Request-Id" }));
app.use(observed);
app.use((c, next) => (/^\/docs(\/|$)/.test(c.req.path) ? docsHeaders : apiHeaders)(c, next));
app.use(async function answerHeaders(c, next) {
  const started = performance.now();
  await next();
  // Hono makes `var` anew each time it is asked for.
  const { requestId, caller, timing } = c.var;
  // A raw answer, such as a static file, does not carry what was set before it.
  c.res.headers.set("X-Request-Id", requestId);
  // For who has a token alone: it would tell a stranger to the millisecond what a guess made us do.
  if (caller) c.res.headers.set("Server-Timing", serverTiming(timing, started));
  if (!c.res.headers.has("Cache-Control")) c.res.headers.set("Cache-Control", "no-store");
});
app.use(async function configured(c, next) {
  const checked = await settings(c.env);
  c.set("settings", checked);
  hearBatches(c);
  c.set("db", createDb(checked.databaseUrl, c.get("timing")));
  await next();
});
const corsHeaders = cors({
  origin: (origin) => origin,
  allowMethods: ["GET", "HEAD", "POST", "PATCH", "DELETE"],
  allowHeaders: ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-Request-Id"],
  exposeHeaders: [...exposedHeaders],
  // Two hours, the most that Chrome keeps.
  maxAge: 7200,
});
app.use(async function listedOrigins(c, next) {
  // To a page that is not on the list nothing says that there is CORS at all. Tokens travel in a header that no browser
  // sends by itself, so that credentials are never allowed.
  const origin = c.req.header("Origin");
  const { corsOrigins } = c.get("settings");
  if (origin !== undefined && corsOrigins.includes(origin)) return corsHeaders(c, next);
  await next();
  if (corsOrigins.length > 0) c.res.headers.append("Vary", "Origin");
});
app.use(rateLimit("address"));
app.use(async function openForBusiness(c, next) {
  if (c.get("settings").maintenance && c.req.path !== "/health") throw maintenance();
  await next();
});
app.use(boundedBody);
app.use(exactJson);
app.use(async function knownMethod(c, next) {
  // A path that stands in the document as it is: PATCH /po/list is not a PATCH of the PO with the id "list".
  const methods = literalPaths().get(c.req.path);
  if (c.req.method === "OPTIONS") {
    const allowed = methods ?? methodsOf(c.req.path);
    if (allowed.length > 0) return c.body(null, 204, { Allow: allowed.join(", ") });
  }
  if (methods && !methods.includes(c.req.method)) throw notAllowed(methods);
  return next();
});
app.use(async function wholeQuery(c, next) {
  if (/[?&]=/.test(c.req.url)) {
    // Hono leaves out a parameter without a name, and no schema would see it.
    const queries: Record<string, string[]> = { ...c.req.queries(), "": [""] };
    c.req.queries = ((name?: string) => (name === undefined ? queries : queries[name])) as typeof c.req.queries;
  }
  await next();
});
app.use(async function knownJson(c, next) {
  const [type = ""] = (c.req.header("Content-Type") ?? "").split(";");
  const taken = c.req.method === "PATCH" ? /^application\/merge-patch\+json$/i : /^$/;
  if (/\+json$/i.test(type.trim()) && !taken.test(type.trim())) {
    // The validators read every +json alike, a JSON Patch too: under a type that is none of theirs they refuse it.
    const headers = new Headers(c.req.raw.headers);
    headers.set("Content-Type", "application/octet-stream");
    c.req.raw = new Request(c.req.raw, { headers });
  }
  await next();
});

app.route("/", healthRoutes);
app.route("/", authRoutes);
app.route("/", userRoutes);
app.route("/", clientRoutes);
app.route("/", vendorRoutes);
app.route("/", poRoutes);
app.route("/", lineItemRoutes);
app.route("/", opsRoutes);
app.route("/", backupRoutes);
app.route("/", docsRoutes);

/** Until the answer begins; what an export streams afterwards is not in it. */
const serverTiming = ({ milliseconds, roundTrips }: Timing, started: number) =>
  `db;dur=${milliseconds.toFixed(1)};desc="round trips: ${roundTrips}", total;dur=${(performance.now() - started).toFixed(1)}`;

let document: string | undefined;
app.get("/openapi.json", (c) => {
  document ??= openApiDocument(app);
  return c.body(document, 200, { "Content-Type": "application/json" });
});
assertEveryRouteIsGuarded(app, ["/", "/docs", "/docs/:file{(scalar|start)\\.js}", "/problems/:kind", "/openapi.json"]);

/** What a request may do with a route's methods: HEAD is served wherever GET is, OPTIONS wherever there is anything. */
const served = (methods: string[]) => [
  ...new Set(methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]))),
  ...(methods.length > 0 ? ["OPTIONS"] : []),
];

let literals: Map<string, string[]> | undefined;
/** The methods of every path that has no parameter. */
function literalPaths(): Map<string, string[]> {
  if (!literals) {
    const routes = app.routes.filter((route) => route.method !== "ALL" && !/[:*]/.test(route.path));
    literals = new Map(
      routes.map(({ path }) => [path, served(routes.filter((each) => each.path === path).map((each) => each.method))]),
    );
  }
  return literals;
}

/** The methods of the paths with parameters that this one fits. */
const methodsOf = (path: string): string[] =>
  served(
    app.routes
      .filter((route) => route.method !== "ALL" && patternOf(route.path).test(path))
      .map((route) => route.method),
  );
const patternOf = (route: string) =>
  new RegExp(`^${route.replace(/:\w+(?:\{(.+)\})?|\./g, (part, shape) => shape ?? (part === "." ? "\\." : "[^/]+"))}$`);

const notAllowed = (allowed: string[]) =>
  new Problem("method-not-allowed", `This path has ${allowed.join(", ")}.`, { headers: { Allow: allowed.join(", ") } });

app.notFound((c) => {
  const allowed = methodsOf(c.req.path);
  throw allowed.length === 0
    ? new Problem("not-found", "There is nothing at this path: see /docs.")
    : notAllowed(allowed);
});
app.onError(renderProblem);

export { app };
