import { OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler, TypedResponse } from "hono";
import { requireUser } from "./auth/require-user.ts";
import type { AppEnv } from "./env.ts";
import { type FieldError, Problem } from "./problem.ts";
import { rateLimit } from "./rate-limit.ts";
import type { Json } from "./wire.ts";

export const roles = ["viewer", "editor", "admin"] as const;
export type Role = (typeof roles)[number];

/** Marks an operation in the document; `assertEveryRouteIsGuarded` refuses to start without it. */
const roleMark = "x-required-role";

/** What `guarded` has made: a name would not survive the minifier. */
const guards = new WeakSet<object>();

/** Everything an operation needs so that only a signed-in user with at least `role` gets through. */
export const guarded = <const Least extends Role>(role: Least, ...more: MiddlewareHandler<AppEnv>[]) => {
  const guard = requireUser(role);
  guards.add(guard);
  return {
    security: [{ bearer: [] }],
    middleware: [guard, rateLimit("user"), ...more],
    [roleMark]: role,
  };
};

/** An operation that anybody may call; every one of them is named here by hand. */
export const open = { security: [], [roleMark]: "none" };

/** An application for one feature; what does not validate becomes a problem. */
export const feature = () =>
  new OpenAPIHono<AppEnv>({
    strict: false,
    defaultHook: (result) => {
      if (result.success) return;
      // An id that cannot exist is not a fault of form: there is no such thing.
      if (result.target === "param") throw new Problem("not-found", "There is no such id.");
      const part = result.target === "json" ? "body" : result.target === "query" ? "query" : "header";
      throw new Problem("validation-failed", undefined, { errors: fieldErrors(result.error, part) });
    },
  });

/** At most this many faults are listed: a caller fixes them in turns anyway. */
const mostErrors = 100;

export function fieldErrors(error: z.ZodError, part: FieldError["in"]): FieldError[] {
  return error.issues
    .flatMap(unionIssues)
    .flatMap((issue) =>
      issue.code === "unrecognized_keys"
        ? issue.keys.map((key) => ({ path: [...issue.path, key], message: "is not a field of this request" }))
        : [{ path: issue.path, message: issue.message }],
    )
    .slice(0, mostErrors)
    .map(({ path, message }) => ({ in: part, pointer: pointer(path), detail: inWords(message).slice(0, 500) }));
}

/** Zod names the class of what it got: see InexactNumber. */
const inWords = (message: string) =>
  message.replace("received InexactNumber", "received a number that cannot be read exactly");

/** The faults of the form that was meant: where one of several forms has the right type, its own faults say more. */
function unionIssues(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== "invalid_union") return [issue];
  const meant = issue.errors.find(
    (faults) => !faults.some((fault) => fault.path.length === 0 && fault.code === "invalid_type"),
  );
  return meant === undefined ? [issue] : meant.map((fault) => ({ ...fault, path: [...issue.path, ...fault.path] }));
}

/** RFC 6901; names that a caller made up are cut, so that an error cannot grow without bound. */
const pointer = (path: readonly PropertyKey[]) =>
  path.map((step) => `/${String(step).slice(0, 100).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");

/** A JSON answer of an operation, for the document. */
export const json = <Schema extends z.ZodType>(schema: Schema, description: string) => ({
  description,
  content: { "application/json": { schema } },
});

/** The query of an operation that has none: an unknown parameter is an error there too. */
export const noQuery = z.strictObject({});

/** A required JSON body. */
export const jsonBody = <Schema extends z.ZodType>(schema: Schema) => ({
  required: true,
  content: { "application/json": { schema } },
});

/** A created thing, and where it is. */
export const created = <Schema extends z.ZodType>(schema: Schema, description: string) => ({
  ...json(schema, description),
  headers: {
    ETag: {
      description: "The version of a single row that has one",
      required: false,
      schema: { type: "string" as const, example: '"1"' },
    },
    Location: {
      description: "Path of what was created",
      required: true,
      schema: { type: "string" as const, example: "/client/3" },
    },
  },
});

/** An answer without a body. */
export const done = (description: string) => ({ description });

/** Nothing to say: it is gone. */
export const gone = done("Deleted");

/** Answers JSON text that Postgres made, as it is. */
export function sendJson<T, Status extends 200 | 201>(
  c: Context,
  body: Json<T>,
  status: Status,
  headers: Record<string, string> = {},
): Response & TypedResponse<T, Status, "json"> {
  const answer: unknown = c.body(body, status, { ...headers, "Content-Type": "application/json" });
  // Hono types what it serialises itself; this text is a T already.
  return answer as Response & TypedResponse<T, Status, "json">;
}

/**
 * Deny by default: throws for a route that is neither an operation nor one of `pages`, and for an operation that declares
 * neither that it is open nor a role, or that declares a role and does not ask for the token first.
 */
export function assertEveryRouteIsGuarded(app: OpenAPIHono<AppEnv>, pages: readonly string[]): void {
  const known = new Set(pages);
  for (const definition of app.openAPIRegistry.definitions) {
    if (definition.type !== "route") continue;
    const { method, path: template, operationId, ...route } = definition.route;
    const path = template.replaceAll(/\{(\w+)\}/g, ":$1");
    known.add(path);
    const mark = (route as { [roleMark]?: unknown })[roleMark];
    const first = app.routes.find((each) => each.method === method.toUpperCase() && each.path === path);
    const asks = first !== undefined && guards.has(first.handler);
    if (mark === "none" ? asks : !roles.some((role) => role === mark) || !asks) {
      throw new Error(`${method.toUpperCase()} ${template} (${operationId}) is not guarded as it declares`);
    }
  }
  const stray = app.routes.find(({ method, path }) => method !== "ALL" && !known.has(path));
  if (stray) throw new Error(`${stray.method} ${stray.path} is neither an operation nor one of the open pages`);
}

const info = {
  title: "Nexgen Finance API",
  version: "0.4.0",
  description:
    "Purchase orders, their line items, clients and vendors of Nexgen ERP. Log in with `POST /auth/login` and send the " +
    "`access_token` as `Authorization: Bearer …`. Amounts are INR, exact, and leave as decimal strings. Errors are " +
    "RFC 9457 problems. Lists are walked with `next_cursor`.",
};

const tags = [
  { name: "auth", description: "Log-in, sessions and who one is" },
  { name: "user", description: "Accounts (role admin)" },
  { name: "client", description: "Customer companies" },
  { name: "vendor", description: "Subcontractors and suppliers" },
  { name: "po", description: "Purchase orders from clients, also bundled by store" },
  { name: "line-items", description: "What a purchase order is made of" },
  { name: "ops", description: "For the operator (role admin)" },
  { name: "health", description: "For monitors" },
];

/** The OpenAPI 3.1 document of everything that is mounted on `app`, as JSON text. */
export function openApiDocument(app: OpenAPIHono<AppEnv>): string {
  const document = app.getOpenAPI31Document({ openapi: "3.1.0", info, tags, servers: [{ url: "/" }] });
  for (const { patch } of Object.values(document.paths ?? {})) {
    const body = patch?.requestBody;
    if (!body || !("content" in body)) continue;
    // RFC 7396: a PATCH here is a merge, under either name.
    const merge = body.content["application/json"];
    if (merge) body.content["application/merge-patch+json"] = merge;
  }
  return JSON.stringify({
    ...document,
    components: {
      ...document.components,
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "The access token of a log-in" },
      },
    },
  });
}
