import { env } from "cloudflare:workers";
import { base64url } from "jose";
import { describe, expect, it } from "vitest";
import { call, roundTrips, signIn, sql, token } from "./support/api.ts";
import { asDocumented, faults, isObject } from "./support/documented.ts";
import {
  bodyFor,
  document,
  fill,
  guardedOperations,
  type JsonSchema,
  type Operation,
  operations,
  prepared,
  rows,
  succeed,
  successOf,
  titled,
  tokenFor,
} from "./support/operations.ts";
import { problem } from "./support/problem.ts";

interface Place {
  /** Where in the document, for the message of a failure. */
  at: string;
  schema: JsonSchema;
  /** The example of the list or map around it shows it. */
  shown?: boolean;
}

/** The schema and all schemas in it, references aside, which are walked where they are defined. */
function* schemasIn(place: Place): Generator<Place> {
  const { at, schema } = place;
  yield place;
  for (const [name, property] of Object.entries(isObject(schema.properties) ? schema.properties : {})) {
    if (isObject(property)) yield* schemasIn({ at: `${at}.${name}`, schema: property });
  }
  for (const key of ["items", "additionalProperties"]) {
    const inner = schema[key];
    if (isObject(inner)) yield* schemasIn({ at: `${at}.${key}`, schema: inner, shown: "example" in schema });
  }
  for (const key of ["allOf", "anyOf", "oneOf"]) {
    const list = schema[key];
    if (!Array.isArray(list)) continue;
    for (const [index, inner] of list.entries()) {
      if (isObject(inner)) yield* schemasIn({ at: `${at}.${key}.${index}`, schema: inner });
    }
  }
}

const bodiesOf = (operation: Operation): Place[] => [
  ...Object.values(operation.requestBody?.content ?? {}).map(({ schema }) => ({
    at: `${operation.operationId} body`,
    schema,
  })),
  ...Object.entries(operation.responses).flatMap(([status, { content = {} }]) =>
    Object.values(content).map(({ schema }) => ({ at: `${operation.operationId} ${status}`, schema })),
  ),
];
const parametersOf = (operation: Operation): Place[] =>
  (operation.parameters ?? []).map(({ name, schema }) => ({ at: `${operation.operationId} ${name}`, schema }));
const everySchema = [
  ...Object.entries(document.components.schemas).map(([at, schema]) => ({ at, schema })),
  ...operations.flatMap((operation) => [...bodiesOf(operation), ...parametersOf(operation)]),
].flatMap((place) => [...schemasIn(place)]);

describe("the OpenAPI document", () => {
  it("is OpenAPI 3.1, as JSON, for anybody, without asking the database", async () => {
    const trips = await roundTrips(async () => {
      const response = await call("/openapi.json");
      expect(response.headers.get("Content-Type")).toBe("application/json");
      expect(await response.json()).toMatchObject({ openapi: expect.stringMatching(/^3\.1\.\d$/) });
    });
    expect(trips).toBe(0);
  });

  it("has the paths of the hosting checklist that there are", () => {
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining([
        "/health",
        "/health/detailed",
        "/auth/login",
        "/auth/logout",
        "/auth/me",
        "/auth/password",
        "/auth/refresh",
        "/auth/sessions",
        "/auth/sessions/{id}",
        "/user",
        "/user/{user_id}",
        "/client",
        "/client/{client_id}",
        "/vendor",
        "/vendor/{vendor_id}",
        "/po/list",
        "/po/aggregated/by-store",
        "/po/{po_id}",
        "/po/{po_id}/line-items",
        "/po/{po_id}/line-items/{line_item_id}",
      ]),
    );
  });

  it("gives every operation an id of its own, a summary and a tag that is explained", () => {
    const ids = operations.map((operation) => operation.operationId);
    expect(ids.filter((id) => !/^[a-z]+[A-Z][A-Za-z]+$/.test(id))).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
    const tags = document.tags.map((tag) => tag.name);
    for (const { summary, tags: own = [] } of operations) {
      expect(summary).toMatch(/^[A-Z].{5,}[^.]$/);
      expect(own).toHaveLength(1);
      expect(tags).toEqual(expect.arrayContaining(own));
    }
  });

  it("says of every operation whether it needs a token, and leaves open what is known to be open alone", () => {
    expect(document.components.securitySchemes).toMatchObject({ bearer: { type: "http", scheme: "bearer" } });
    const open = operations.filter((operation) => operation["x-required-role"] === "none");
    expect(open.map((operation) => operation.operationId).toSorted()).toEqual([
      "checkHealth",
      "logIn",
      "refreshTokens",
    ]);
    for (const operation of open) expect(operation.security).toEqual([]);
    for (const operation of guardedOperations) expect(operation.security).toEqual([{ bearer: [] }]);
  });

  it("lets viewers read, editors write, and admins alone delete companies and POs, keep accounts and operate", () => {
    const leastRole = ({ method, path }: Operation) => {
      if (/^\/(user|ops|health)\b/.test(path)) return "admin";
      // One's own account and sessions are everybody's to keep.
      if (method === "GET" || path.startsWith("/auth/")) return "viewer";
      return method === "DELETE" && !path.includes("/line-items") ? "admin" : "editor";
    };
    for (const [title, operation] of titled(guardedOperations)) {
      expect([title, operation["x-required-role"]]).toEqual([title, leastRole(operation)]);
    }
  });

  it("names every parameter of a path, and that it is required", () => {
    for (const { path, parameters = [] } of operations) {
      const inPath = parameters.filter((parameter) => parameter.in === "path");
      expect(inPath.map((parameter) => `{${parameter.name}}`)).toEqual(path.match(/\{\w+\}/g) ?? []);
      expect(inPath.every((parameter) => parameter.required)).toBe(true);
      const isId = ({ type, format }: JsonSchema) => type === "integer" || (type === "string" && format === "uuid");
      expect(inPath.every((parameter) => isId(parameter.schema))).toBe(true);
    }
  });

  it.each(titled(operations))("documents every answer of %s that may come", (_title, operation) => {
    const expected = [String(successOf(operation)), "422", "429", "500", "503"];
    if (operation["x-required-role"] !== "none") expected.push("401", "403");
    if (operation.path.includes("{")) expected.push("404");
    if (operation.requestBody) expected.push("400", "413", "415");
    const parameters = operation.parameters?.map((parameter) => parameter.name) ?? [];
    if (parameters.includes("cursor")) expected.push("400");
    if (parameters.includes("If-Match")) expected.push("412");
    if (parameters.includes("If-None-Match")) expected.push("304");
    expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(expected));
    for (const [status, { description, content = {} }] of Object.entries(operation.responses)) {
      expect(description).not.toBe("");
      const type = Number(status) < 400 ? "application/json" : "application/problem+json";
      const special: Record<string, string[]> = {
        "makeBackup 200": ["application/x-ndjson"],
        "checkHealthInDetail 503": ["application/json", "application/problem+json"],
        "listPurchaseOrders 200": ["application/json", "text/csv"],
      };
      const types = special[`${operation.operationId} ${status}`] ?? [type];
      expect(Object.keys(content)).toEqual(["204", "304"].includes(status) ? [] : types);
    }
  });

  it("has an example for every field and parameter", () => {
    const without = everySchema.filter(({ schema, shown }) => {
      // Objects and lists are shown by their parts, references where they lead.
      const parts = ["$ref", "properties", "items", "allOf", "anyOf", "oneOf"];
      return !shown && !("example" in schema) && !parts.some((part) => part in schema);
    });
    expect(without.map(({ at }) => at)).toEqual([]);
  });

  it("has examples that are what their own schemas say", () => {
    const examples = everySchema.filter(({ schema }) => "example" in schema);
    expect(examples.length).toBeGreaterThan(100);
    const wrong = examples.flatMap(({ at, schema }) =>
      faults(schema, schema.example).map((fault) => `${at}: ${JSON.stringify(schema.example)}: ${fault.error}`),
    );
    expect(wrong).toEqual([]);
  });

  it("bounds every text and every list", () => {
    const unbounded = everySchema.filter(({ schema }) => {
      const types = [schema.type].flat();
      // Any JSON value: what a table has of its own.
      if (types.length > 2) return false;
      if (types.includes("array")) return !("maxItems" in schema);
      return types.includes("string") && !["maxLength", "pattern", "enum", "const"].some((key) => key in schema);
    });
    expect(unbounded.map(({ at }) => at)).toEqual([]);
  });

  it("closes every object, so that a new field cannot slip in", () => {
    const open = everySchema.filter(({ schema }) => schema.type === "object" && !("additionalProperties" in schema));
    expect(open.map(({ at }) => at)).toEqual([]);
  });
});

describe("every operation", () => {
  it.each(titled(operations))("answers with a real row what the document says: %s", async (_title, operation) => {
    const response = await succeed(operation);
    expect(response.status).toBe(successOf(operation));
    await asDocumented(operation, response);
  });

  it("answers bundles with lines and totals as the document says", async () => {
    const operation = operations.find((each) => each.operationId === "listBundles");
    if (!operation) throw new Error("there is no listBundles");
    const response = await succeed(operation, "?include=line_items,summary");
    expect(await response.clone().json()).toHaveProperty("summary");
    await asDocumented(operation, response);
  });

  it.each(titled(operations))(
    "answers an unknown query parameter as the document says: %s",
    async (_title, operation) => {
      const response = await succeed(operation, "?unheard_of=1");
      await asDocumented(operation, response);
      await problem(response, "validation-failed");
    },
  );

  const withIds = operations.filter((operation) => operation.path.includes("{"));
  it.each(titled(withIds))(
    "answers an unknown id as the document says, whichever it is: %s",
    async (_title, operation) => {
      const [accessToken, ids] = [await tokenFor(operation), await rows()];
      const body = await bodyFor(operation, ids);
      for (const name of operation.path.match(/(?<=\{)\w+(?=\})/g) ?? []) {
        for (const unknown of [9007199254740991, crypto.randomUUID()]) {
          const path = fill(operation.path, { ...ids, [name]: unknown });
          const response = await call(path, { method: operation.method, token: accessToken, body });
          await asDocumented(operation, response);
          await problem(response, "not-found");
        }
      }
    },
  );

  const withBody = operations.filter((operation) => operation.requestBody);
  it.each(titled(withBody))(
    "answers a body that it cannot take as the document says: %s",
    async (_title, operation) => {
      const accessToken = await tokenFor(operation);
      const path = fill(operation.path, await rows());
      const send = (body: string, type = "application/json") =>
        call(path, { method: operation.method, token: accessToken, body, headers: { "Content-Type": type } });
      for (const [response, status] of [
        [await send("{"), 400],
        [await send(" ".repeat(2 ** 20 + 1)), 413],
        [await send("{}", "text/plain"), 415],
        [await send('{"unheard_of":1}'), 422],
      ] as const) {
        expect(response.status).toBe(status);
        await asDocumented(operation, response);
      }
    },
  );
});

describe("every guarded operation", () => {
  const stranger = base64url.encode(crypto.getRandomValues(new Uint8Array(32)));
  const unsigned = (claims: object) =>
    `${base64url.encode(JSON.stringify({ alg: "none", typ: "at+jwt", kid: "test" }))}.${base64url.encode(JSON.stringify(claims))}.`;
  const now = Math.floor(Date.now() / 1000);

  type Caller = Awaited<ReturnType<typeof signIn>>;
  const claims = (user: Caller) => ({ sub: String(user.id), sid: user.sessionId });
  const refusals: [name: string, make: (user: Caller) => Promise<string | undefined>][] = [
    ["no token", async () => undefined],
    ["an expired one", (user) => token(claims(user), { issuedAt: -7200, expiresAt: -3600 })],
    [
      "one of the alg none",
      async (user) =>
        unsigned({
          iss: "nexgen-finance",
          aud: "nexgen-finance-api",
          token_version: 1,
          iat: now,
          exp: now + 60,
          ...claims(user),
        }),
    ],
    ["one of another key", (user) => token(claims(user), { key: stranger })],
    ["another typ", (user) => token(claims(user), { header: { typ: "JWT" } })],
    ["another audience", (user) => token({ ...claims(user), aud: "other" })],
    ["another issuer", (user) => token({ ...claims(user), iss: "other" })],
    [
      "a revoked session",
      async (user) => {
        await sql(`UPDATE "Finances".refresh_session SET revoked_at = now() WHERE id = $1`, [user.sessionId]);
        return user.token;
      },
    ],
  ];

  it.each(titled(guardedOperations))("refuses every token that is not good: %s", async (_title, operation) => {
    const role = operation["x-required-role"];
    if (role === "none") throw new Error("not guarded");
    const { path, call: request } = await prepared(operation);
    for (const [name, make] of refusals) {
      const response = await call(path, { ...request, token: await make(await signIn(role)) });
      expect([name, response.status]).toEqual([name, 401]);
      expect(response.headers.get("WWW-Authenticate")).toMatch(/^Bearer /);
      await asDocumented(operation, response);
      await problem(response, "unauthorized");
    }
    // The same user with a good token gets through: it was the token.
    expect((await call(path, request)).status).toBe(successOf(operation));
  });

  const ranks = ["viewer", "editor", "admin"] as const;
  it.each(titled(guardedOperations))(
    "refuses every role below its own, and no other: %s",
    async (_title, operation) => {
      const role = operation["x-required-role"];
      if (role === "none") throw new Error("not guarded");
      const least = ranks.indexOf(role);
      for (const [rank, each] of ranks.entries()) {
        const { path, call: request } = await prepared(operation, each);
        const response = await call(path, request);
        expect([each, response.status]).toEqual([each, rank < least ? 403 : successOf(operation)]);
        await asDocumented(operation, response);
        if (rank < least) await problem(response, "forbidden");
      }
    },
  );

  it("is checked with the key of the tests, which is a real one", () => {
    expect(JSON.parse(env.JWT_KEYS)).toMatchObject([{ kid: "test", key: expect.stringMatching(/^[\w-]{43}$/) }]);
  });
});
