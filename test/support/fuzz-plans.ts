import fc from "fast-check";
import { anything, beyond, type Fields, invalid, known, oddKeys, singleFaults, valid } from "./json-values.ts";
import { missingIds } from "./lists.ts";
import { type Operation, operations } from "./operations.ts";
import { references } from "./rows.ts";

export type Role = Operation["x-required-role"];
export const ranks: Role[] = ["none", "viewer", "editor", "admin"];
const spoilable = ["nothing", "caller", "path", "query", "body", "text", "headers", "everything"] as const;
/** What is wrong with a request, most likely; `nothing`: all of it is as the document says. */
type Spoiled = (typeof spoilable)[number];

/** A request before it is known which rows there are. */
export interface Plan {
  operationId: string;
  caller: Role;
  ids: Record<string, unknown>;
  query: [name: string, value: unknown][];
  body: unknown;
  /** What becomes of the body's text. */
  garble: "keep" | "cut" | "comma" | "mark" | "repeat" | "nest";
  headers: Record<string, string>;
}

export function operationOf({ operationId }: Plan): Operation {
  const operation = operations.find((each) => each.operationId === operationId);
  if (!operation) throw new Error(`there is no ${operationId}`);
  return operation;
}

const passwords = fc.oneof(
  { weight: 3, arbitrary: fc.string({ minLength: 12, maxLength: 40 }) },
  fc.constantFrom("password1234", "short", "é".repeat(40), "x".repeat(72)),
);
const fieldsOf: Record<string, Fields> = {
  logIn: { username: known("username"), password: known("password") },
  refreshTokens: { refresh_token: known("refresh_token") },
  changePassword: { current_password: known("current_password"), new_password: passwords },
  createAccount: { password: passwords },
  updateAccount: { password: passwords },
};
const referring: Fields = Object.fromEntries(Object.keys(references).map((field) => [field, known(field)]));

const oddHeaders: fc.Arbitrary<Record<string, string>> = fc.constantFrom<Record<string, string>[]>(
  { Accept: "text/html;q=0.1, application/xml" },
  { Accept: "nothing" },
  { "Content-Type": "text/plain" },
  { "Content-Type": "application/json; charset=utf-16" },
  { "Content-Type": "application/merge-patch+json" },
  { "Content-Type": "application/problem+json;;;" },
  { "Content-Encoding": "gzip" },
  { "X-Request-Id": "x".repeat(5000) },
  { "X-Request-Id": "' OR 1=1" },
  { "X-HTTP-Method-Override": "DELETE" },
  { "X-Original-URL": "/user", "X-Rewrite-URL": "/user" },
  { "X-Forwarded-For": "127.0.0.1", Forwarded: "for=127.0.0.1;proto=http" },
  { "If-Match": '"0"', "If-None-Match": "*", Range: "bytes=0-1" },
  { Cookie: `session=${"a".repeat(4000)}` },
  { Authorization: "Basic YWRtaW46YWRtaW4=" },
  { Authorization: "Bearer ..." },
  { "User-Agent": "x".repeat(5000) },
);

const oddIds = fc.oneof(
  fc.constantFrom(...missingIds),
  fc.constantFrom(
    "%27%20OR%201%3D1",
    "1;2",
    "1%2F..%2F2",
    "null",
    "undefined",
    "__proto__",
    "1%0d%0aX:1",
    "0x1",
    "9".repeat(3000),
  ),
  // Ids in digits would be somebody's.
  fc
    .string({ minLength: 1, maxLength: 20, unit: "binary" })
    .filter((id) => !/^[\d.]+$|list/.test(id))
    .map(encodeURIComponent),
);

function queryOf({ parameters = [] }: Operation, spoiled: boolean): fc.Arbitrary<Plan["query"]> {
  const inQuery = parameters.filter((parameter) => parameter.in === "query");
  const good = inQuery.map(({ name, schema }) => {
    const usual: Record<string, fc.Arbitrary<unknown>> = {
      cursor: fc.oneof({ weight: 4, arbitrary: known("cursor") }, valid(schema)),
      limit: fc.oneof(fc.constantFrom(1, 2, 3), valid(schema)),
      client_id: known("client_id"),
    };
    return (usual[name] ?? valid(schema)).map((made): [string, unknown] => [name, made]);
  });
  const bad = inQuery.map(({ name, schema }) => invalid(schema).map((made): [string, unknown] => [name, made]));
  const unknown = fc.tuple(fc.oneof(fc.constantFrom(...oddKeys), fc.string({ unit: "binary" })), anything);
  const some =
    good.length === 0
      ? fc.constant<Plan["query"]>([])
      : fc
          .subarray(good, { maxLength: Math.min(good.length, 2) })
          .chain((list) => fc.tuple(...list).map((pairs) => [...pairs]));
  if (!spoiled) return some;
  return fc
    .tuple(some, fc.oneof(...bad, unknown), fc.boolean())
    .map(([list, pair, twice]) => (twice ? [...list, ...list, pair] : [...list, pair]));
}

const bodyOf = (operation: Operation) => ({
  schema: Object.values(operation.requestBody?.content ?? {})[0]?.schema,
  fields: { ...referring, ...fieldsOf[operation.operationId] },
});

/** Requests of one operation with one fault each: one for every way that a field or a parameter can be wrong. */
export function faultyPlans(operation: Operation): fc.Arbitrary<Plan[]> {
  const { schema, fields } = bodyOf(operation);
  const good = plans(operation, "nothing");
  const inBody = (schema ? singleFaults(schema, fields) : []).map((bodies) =>
    fc.tuple(good, bodies).map(([plan, body]): Plan => ({ ...plan, body })),
  );
  const inQuery = (operation.parameters ?? [])
    .filter((parameter) => parameter.in === "query")
    .flatMap(({ name, schema }) => beyond(schema).map((value): Plan["query"] => [[name, value]]));
  const withQuery = [...inQuery, [["nope", "1"]] as Plan["query"]].map((query) =>
    good.map((plan): Plan => ({ ...plan, query })),
  );
  return fc.tuple(...inBody, ...withQuery);
}

/** Requests of one operation. */
export function plans(operation: Operation, spoiled: Spoiled): fc.Arbitrary<Plan> {
  const is = (...parts: Spoiled[]) => spoiled === "everything" || parts.includes(spoiled);
  const least = operation["x-required-role"];
  const names = [...operation.path.matchAll(/\{(\w+)\}/g)].map((match) => String(match[1]));
  const { schema, fields } = bodyOf(operation);
  const type = fc.constantFrom("application/json", ...Object.keys(operation.requestBody?.content ?? {}));
  return fc.record<Plan>({
    operationId: fc.constant(operation.operationId),
    caller: is("caller") ? fc.constantFrom(...ranks) : fc.constant(least),
    ids: fc.record(
      Object.fromEntries(names.map((name) => [name, is("path") ? fc.oneof(oddIds, known(name)) : known(name)])),
    ),
    query: queryOf(operation, is("query")),
    body: schema ? (is("body") ? invalid(schema, fields) : valid(schema, fields)) : fc.constant(undefined),
    garble: is("text") ? fc.constantFrom("cut", "comma", "mark", "repeat", "nest") : fc.constant("keep"),
    headers: fc
      .tuple(type, is("headers") ? oddHeaders : fc.constant({}))
      .map(([media, odd]) => ({ ...(schema && { "Content-Type": media }), ...odd })),
  });
}

/** Passwords cost a tenth of a second each. */
const slow = ["logIn", "changePassword", "createAccount", "updateAccount"];
/** Requests of all operations, every other one as the document says. */
export const anyPlan: fc.Arbitrary<Plan> = fc
  .tuple(
    fc.oneof(
      ...operations.map((each) => ({ weight: slow.includes(each.operationId) ? 1 : 4, arbitrary: fc.constant(each) })),
    ),
    fc.oneof(
      { weight: 7, arbitrary: fc.constant<Spoiled>("nothing") },
      { weight: 8, arbitrary: fc.constantFrom(...spoilable.slice(1)) },
    ),
  )
  .chain(([operation, spoiled]) => plans(operation, spoiled));

export const garbles: Record<Plan["garble"], (text: string) => string> = {
  keep: (text) => text,
  cut: (text) => text.slice(0, Math.floor(text.length / 2)),
  comma: (text) => `${text.slice(0, -1)},${text.slice(-1)}`,
  mark: (text) => `\ufeff${text}`,
  repeat: (text) => text.replace(/^\{(("[^"\\]*":)[^,{}[\]]*)/, '{$1,$2"again"'),
  nest: (text) => `${"[".repeat(10_000)}${text}${"]".repeat(10_000)}`,
};
