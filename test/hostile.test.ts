import { beforeAll, describe, expect, it } from "vitest";
import { insertAccount, logIn } from "./support/accounts.ts";
import { call, signIn, sql } from "./support/api.ts";
import { asDocumented, resolve } from "./support/documented.ts";
import { injections } from "./support/json-values.ts";
import {
  bodyFor,
  fill,
  guardedOperations,
  type Ids,
  type JsonSchema,
  type Operation,
  operations,
  prepared,
  rows,
  successOf,
  titled,
  tokenFor,
} from "./support/operations.ts";
import { problem } from "./support/problem.ts";
import { insertClient } from "./support/rows.ts";

const withBody = operations.filter((operation) => operation.requestBody);
const reads = operations.filter((operation) => operation.method === "GET");
let ids: Ids = {};
beforeAll(async () => {
  ids = await rows();
});

/** The fields of the operation's body, of one object where it takes a list too. */
function fieldsOf(operation: Operation): [string, JsonSchema][] {
  const schema = resolve(operation.requestBody?.content["application/json"]?.schema ?? {});
  const form = resolve((schema.anyOf as JsonSchema[] | undefined)?.[0] ?? schema);
  return Object.entries(form.properties as Record<string, JsonSchema>);
}

describe("a text", () => {
  const isFree = (schema: JsonSchema) =>
    [schema.type].flat().includes("string") && !["pattern", "format", "enum"].some((key) => key in schema);
  const unique = ["name", "username", "po_number"];

  it.each(titled(withBody))("is stored as it is, or refused where it stands: %s", async (_title, operation) => {
    const free = fieldsOf(operation).filter(([, schema]) => isFree(schema));
    let { path, call: request } = await prepared(operation);
    let stored = 0;
    for (const text of injections) {
      // A status that a PO has already is no change, and its reason stays.
      if (operation.operationId === "setPurchaseOrderStatus") ({ path, call: request } = await prepared(operation));
      const given = Object.fromEntries(
        free
          .filter(([, schema]) => text.length <= Number(schema.maxLength) - 40)
          .map(([name]) => [name, unique.includes(name) ? `${text} ${crypto.randomUUID()}` : text]),
      );
      const good = operation.method === "POST" ? await bodyFor(operation, ids) : {};
      const response = await call(path, { ...request, body: { ...(good as object), ...given } });
      const body = (await asDocumented(operation, response)) as Record<string, unknown>;
      if (response.status < 300) {
        stored++;
        for (const [name, value] of Object.entries(given)) {
          // No answer has a password.
          if (name === "password") continue;
          const kept = String(body[name === "reason" ? "status_reason" : name]);
          expect([text, name, [value, value.trim()].includes(kept)]).toEqual([text, name, true]);
        }
      } else if (response.status === 422) {
        const { errors = [] } = await problem(response, "validation-failed");
        const pointed = errors.map(({ pointer }) => pointer.slice(1));
        expect([text, pointed.filter((name) => !(name in given))]).toEqual([text, []]);
      } else expect([text, operation["x-required-role"], response.status]).toEqual([text, "none", 401]);
    }
    const tag = operation.tags?.[0] ?? "";
    if (["client", "vendor", "po", "line-items"].includes(tag)) expect(stored).toBeGreaterThan(injections.length - 5);
  });

  const kept = withBody.filter(({ path }) => !path.startsWith("/auth/"));
  it.each(titled(kept))("has no character that steers a terminal: %s", async (_title, operation) => {
    const free = fieldsOf(operation).filter(([name, schema]) => isFree(schema) && name !== "password");
    const { path, call: request } = await prepared(operation);
    const good = operation.method === "POST" ? await bodyFor(operation, ids) : {};
    for (const character of ["\u001b", "\u0007", "\u007f", "\u009b"]) {
      const given = Object.fromEntries(free.map(([name]) => [name, `a${character}b`]));
      if (free.length === 0) continue;
      const response = await call(path, { ...request, body: { ...(good as object), ...given } });
      const { errors = [] } = await problem(response, "validation-failed");
      expect(errors.map(({ pointer }) => pointer.slice(1)).toSorted()).toEqual(Object.keys(given).toSorted());
    }
  });

  const raw = [
    "%00",
    "%ff",
    "%",
    "%zz",
    "%u0000",
    "%ED%A0%80",
    "1e400",
    "-0",
    "NaN",
    "Infinity",
    "1,2",
    "[]",
    "%5B%5D",
  ];
  const encoded = [...injections.slice(0, 10).map(encodeURIComponent), ...raw];
  const withParameters = operations.filter((operation) => operation.parameters?.length);
  it.each(titled(withParameters))("in a parameter is a value and nothing else: %s", async (_title, operation) => {
    const [token, body] = [await tokenFor(operation), await bodyFor(operation, ids)];
    for (const parameter of operation.parameters ?? []) {
      for (const text of encoded) {
        const inPath = parameter.in === "path";
        const path = fill(operation.path, inPath ? { ...ids, [parameter.name]: text } : ids);
        const response = await call(inPath ? path : `${path}?${parameter.name}=${text}`, {
          method: operation.method,
          token,
          body,
        });
        await asDocumented(operation, response);
        const expected = inPath
          ? [404]
          : parameter.name === "cursor"
            ? [400, 422]
            : isFree(parameter.schema) || (text === "-0" && /_(min|max)$/.test(parameter.name))
              ? [200, 422]
              : [422];
        expect([parameter.name, text, expected.includes(response.status), response.status]).toEqual([
          parameter.name,
          text,
          true,
          response.status,
        ]);
      }
    }
  });
});

describe("a parameter that is given twice", () => {
  const good: Record<string, string> = {
    limit: "1",
    cursor: "a",
    q: "abc",
    client_id: "1",
    include: "summary",
    probe: "live",
  };
  it.each(titled(operations))("is refused, whether it is known or not: %s", async (_title, operation) => {
    const { path, call: request } = await prepared(operation);
    const known = (operation.parameters ?? []).filter((parameter) => parameter.in === "query");
    for (const name of [...known.map((parameter) => parameter.name), "nope", "id", ""]) {
      const value = good[name] ?? "1";
      for (const query of [`${name}=${value}&${name}=${value}`, `${name}=${value}&%${hex(name)}=`]) {
        if (name === "" && query.includes("%")) continue;
        const response = await call(`${path}?${query}`, request);
        const { errors } = await problem(response, "validation-failed");
        expect([query, [...new Set(errors?.map((error) => error.pointer))]]).toEqual([query, [`/${name}`]]);
      }
    }
  });
  /** The name with its first letter as an escape, behind a `%`. */
  const hex = (name: string) => `${name.charCodeAt(0).toString(16)}${name.slice(1)}`;
});

describe.each(titled(withBody))("a body of %s", (_title, operation) => {
  let token: string | undefined;
  beforeAll(async () => {
    token = await tokenFor(operation);
  });
  const send = async (text: string) => {
    const response = await call(fill(operation.path, ids), { method: operation.method, token, body: text });
    await asDocumented(operation, response);
    return response;
  };

  it("with keys of a prototype is refused for them, and changes no prototype", async () => {
    const good = JSON.stringify(await bodyFor(operation, ids)).slice(0, -1);
    const keys = ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "toJSON"];
    for (const value of ['{"polluted":1}', '{"prototype":{"polluted":1}}', "null", '[{"__proto__":{"polluted":1}}]']) {
      const text = `${good},${keys.map((key) => `"${key}":${value}`).join(",")}}`;
      const { errors } = await problem(await send(text), "validation-failed");
      expect(errors?.map((error) => error.pointer)).toEqual(keys.map((key) => `/${key}`));
    }
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(Object.getOwnPropertyNames(Object.prototype)).not.toContain("polluted");
  });

  it.each([
    ["arrays", "[", "]"],
    ["objects", '{"a":', "}"],
    ["both", '[{"a":', "}]"],
  ])("that nests 10,000 %s is refused, anywhere and unfinished too", async (_case, open, close) => {
    const deep = `${open.repeat(10_000)}1${close.repeat(10_000)}`;
    const members = fieldsOf(operation).map(([name]) => `"${name}":${deep}`);
    // A mebibyte is all that is read.
    const halves = [members.slice(0, 5), members.slice(-5)];
    for (const text of [deep, ...halves.map((some) => `{${some.join(",")}}`)]) {
      const tooLarge = operation.path.startsWith("/auth/") && text.length > 2 ** 16;
      await problem(await send(text), tooLarge ? "body-too-large" : "validation-failed");
    }
    await problem(await send(open.repeat(10_000)), "malformed-request");
  });
});

describe("a path", () => {
  const spellings: [name: string, make: (path: string) => string][] = [
    ["a slash at its end", (path) => `${path}/`],
    ["two slashes", (path) => `/${path}`],
    ["two slashes within", (path) => path.replace(/(.)\//, "$1//")],
    ["dots", (path) => `/.${path}/.`],
    ["encoded dots", (path) => `/health/%2e%2E${path}`],
    ["encoded slashes", (path) => `/${path.slice(1).replaceAll("/", "%2f")}`],
    ["encoded slashes behind dots", (path) => `/health/..%2f${path.slice(1)}`],
    ["a backslash", (path) => path.replaceAll("/", "\\")],
    ["encoded backslashes", (path) => `/${path.slice(1).replaceAll("/", "%5c")}`],
    ["a parameter of its own", (path) => `${path};jsessionid=1`],
    ["upper case", (path) => path.toUpperCase()],
    ["an encoded letter", (path) => path.replace(/[a-z]/, (letter) => `%${letter.charCodeAt(0).toString(16)}`)],
    ["a twice encoded letter", (path) => path.replace(/[a-z]/, (letter) => `%25${letter.charCodeAt(0).toString(16)}`)],
    ["a NUL", (path) => `${path}%00`],
    ["a NUL and an ending", (path) => `${path}%00.json`],
    ["an ending", (path) => `${path}.json`],
    ["a blank", (path) => `${path}%20`],
    ["a line break", (path) => `${path}%0d%0a`],
    ["what is no UTF-8", (path) => `${path}%c0%af`],
    ["a full-width slash", (path) => path.replaceAll("/", "/\uff0f")],
    ["thousands of letters", (path) => `${path}/${"a".repeat(8000)}`],
    ["thousands of segments", (path) => `${path}${"/1".repeat(4000)}`],
  ];

  it.each(titled(guardedOperations))("spelt otherwise opens nothing: %s", async (_title, operation) => {
    const { path, call: request } = await prepared(operation);
    const canonical = new URL(path, "https://api.test").pathname;
    const { method, body } = request;
    const { token } = await signIn();
    for (const [name, make] of spellings) {
      const response = await call(make(path), { method, body });
      const answered = response.headers.get("Content-Type");
      // Either it is not there, or it is the same path and wants a token.
      expect([name, response.status, answered]).toEqual([
        name,
        expect.toSatisfy((status: number) => [401, 404, 405].includes(status)),
        "application/problem+json",
      ]);
      if (operation["x-required-role"] === "viewer") continue;
      const asViewer = await call(make(path), { method, body, token });
      expect([name, [403, 404, 405, 422].includes(asViewer.status), asViewer.status]).toEqual([
        name,
        true,
        asViewer.status,
      ]);
    }
    expect((await call(canonical, request)).status).toBe(successOf(operation));
  });

  it("is read once: an encoded path is that path, a twice encoded one is not", async () => {
    const { token } = await signIn();
    const id = await insertClient();
    expect((await call(`/%63lient/${id}`, { token })).status).toBe(200);
    await problem(await call(`/%2563lient/${id}`, { token }), "not-found");
    await problem(await call(`/client%2f${id}`, { token }), "not-found");
    await problem(await call(`/po/list/`, { method: "PATCH", token, body: { notes: "x" } }), "not-found");
  });
});

describe("a header", () => {
  const forged = {
    "X-HTTP-Method-Override": "DELETE",
    "X-HTTP-Method": "DELETE",
    "X-Method-Override": "DELETE",
    "X-Original-URL": "/user",
    "X-Rewrite-URL": "/user",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-For": "203.0.113.9",
    "X-Real-IP": "203.0.113.9",
    "X-Client-IP": "203.0.113.9",
    "True-Client-IP": "203.0.113.9",
    Forwarded: "for=203.0.113.9;host=evil.example;proto=http",
    "X-User-Id": "1",
    "X-Role": "admin",
    Cookie: "role=admin; token=x",
  };

  it.each(titled(reads))("of a proxy changes neither method nor path nor answer: %s", async (_title, operation) => {
    const { path, call: request } = await prepared(operation);
    const { token } = request;
    const plain = await call(path, { token });
    const response = await call(path, { token, headers: forged });
    expect(response.status).toBe(plain.status);
    await asDocumented(operation, response);
    const [text, plainText] = [await response.text(), await plain.text()];
    // These tell of what changes by itself.
    const changing = ["/auth/sessions", "/health/detailed", "/ops/backups"];
    if (!changing.includes(operation.path)) expect(text).toBe(plainText);
    expect(`${text}${JSON.stringify([...response.headers])}`).not.toContain("evil");
  });

  it("of a proxy gives nobody a role", async () => {
    const { token } = await signIn();
    const client = await insertClient();
    await problem(await call(`/client/${client}`, { method: "DELETE", token, headers: forged }), "forbidden");
    await problem(await call("/user", { token, headers: forged }), "forbidden");
    await problem(await call("/client", { headers: forged }), "unauthorized");
    const posted = await call(`/client/${client}`, { method: "POST", token, headers: forged, body: {} });
    await problem(posted, "method-not-allowed");
    expect((await call(`/client/${client}`, { token, headers: forged })).status).toBe(200);
  });

  it("does not send a caller to another host: a Location is a path", async () => {
    const { token } = await signIn("editor");
    const name = `Acme ${crypto.randomUUID()}`;
    const response = await call("/client", { method: "POST", token, body: { name }, headers: forged });
    expect(response.headers.get("Location")).toMatch(/^\/client\/\d+$/);
  });

  it("does not give a caller another address, neither in a session nor for the failed log-ins", async () => {
    const address = "2001:db8:1:2::3";
    const account = await insertAccount();
    const attempt = (password: string, last: number) =>
      call("/auth/login", {
        method: "POST",
        body: { username: account.username, password },
        headers: { ...forged, "X-Forwarded-For": `203.0.113.${last}`, "CF-Connecting-IP": address },
      });
    expect((await attempt("secret", 1)).status).toBe(200);
    const [session] = await sql(`SELECT address FROM "Finances".refresh_session WHERE user_id = $1`, [account.id]);
    expect(session).toEqual({ address });
    for (const last of [1, 2, 3, 4, 5]) await problem(await attempt("wrong", last), "wrong-credentials");
    await problem(await attempt("secret", 6), "too-many-requests");
    // Only the address counts: from another one the right password still opens.
    expect((await logIn(account.username, "secret")).status).toBe(200);
  });
});
