import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { kinds, type ProblemKind } from "../src/problem.ts";
import { call, roundTrips, signIn, sql } from "./support/api.ts";
import { freshDatabase } from "./support/database.ts";
import { anyIds, fill, guardedOperations, operations, prepared, titled } from "./support/operations.ts";
import { problem } from "./support/problem.ts";

const post = (body: string, headers: Record<string, string> = {}) =>
  call("/auth/login", { method: "POST", body, headers: { "Content-Type": "application/json", ...headers } });

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a body", () => {
  it.each<[string, string]>([
    ["nothing", ""],
    ["white space", " \n"],
    ["NaN", "NaN"],
    ["Infinity", '{"username":Infinity,"password":"x"}'],
    ["a minus infinity", "-Infinity"],
    ["undefined", "undefined"],
    ["an open object", '{"username":"asha"'],
    ["trailing garbage", '{"username":"asha","password":"x"} x'],
    ["two values", "{}{}"],
    ["a trailing comma", '{"username":"asha","password":"x",}'],
    ["single quotes", "{'username':'asha'}"],
    ["a comment", '{"username":"asha" /* me */,"password":"x"}'],
    ["a number with a leading zero", "01"],
    ["a hexadecimal number", "0x1"],
    ["a control character in a string", '{"username":"a\nb","password":"x"}'],
    ["form data", "username=asha&password=x"],
    ["10,000 open arrays", "[".repeat(10_000)],
  ])("that is no JSON is malformed: %s", async (_case, body) => {
    const trips = await roundTrips(async () => {
      const { detail } = await problem(await post(body), "malformed-request");
      expect(detail).toBe("The body is not valid JSON (RFC 8259), or has a key twice.");
    });
    expect(trips).toBe(0);
  });

  it("may be nested 10,000 levels deep: it is refused for its shape, not an error of ours", async () => {
    const deep = "[".repeat(10_000) + "]".repeat(10_000);
    const objects = `${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`;
    for (const body of [deep, objects, `{"username":${deep},"password":"x"}`]) {
      await problem(await post(body), "validation-failed");
    }
  });

  it.each([
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "a/b",
    "m~n",
    "~1",
    "",
    " ",
    "\ud800",
  ])("may not have the unknown field %j, and the pointer to it is escaped (RFC 6901)", async (name) => {
    const body = `{"username":"asha","password":"x",${JSON.stringify(name)}:{"username":"root"}}`;
    const { errors } = await problem(await post(body), "validation-failed");
    const escaped = name.replaceAll("~", "~0").replaceAll("/", "~1");
    expect(errors).toEqual([{ in: "body", pointer: `/${escaped}`, detail: expect.any(String) }]);
    expect(({} as Record<string, unknown>).username).toBeUndefined();
  });

  it("with thousands of unknown or very long fields does not blow the answer up", async () => {
    const many = Object.fromEntries(Array.from({ length: 4000 }, (_, index) => [`field${index}`, 1]));
    const long = { ["~".repeat(30_000)]: 1, username: "a".repeat(30_000), password: "x" };
    for (const body of [many, long]) {
      const response = await post(JSON.stringify(body));
      const text = await response.clone().text();
      expect(text.length).toBeLessThan(30_000);
      const { errors } = await problem(response, "validation-failed");
      expect(errors?.length).toBeLessThanOrEqual(100);
    }
  });

  it.each([
    ["NUL", "\\u0000"],
    ["a lone high surrogate", "\\ud83d"],
    ["a lone low surrogate", "\\ude00"],
    ["surrogates the wrong way round", "\\ude00\\ud83d"],
  ])("may not have %s in a string", async (_case, character) => {
    const body = `{"username":"a${character}b","password":"x${character}"}`;
    const { errors } = await problem(await post(body), "validation-failed");
    expect(errors?.map((error) => error.pointer).toSorted()).toEqual(["/password", "/username"]);
  });

  it("may have surrogate pairs, every other control character, and U+FFFF", async () => {
    const body = '{"username":"\\ud83d\\ude00\\u0001\\u001f\\u007f\\uffff\\u2028","password":"x"}';
    await problem(await post(body), "wrong-credentials");
  });

  it("may begin with a byte order mark", async () => {
    await problem(await post('\ufeff{"username":"nobody","password":"x"}'), "wrong-credentials");
  });

  it.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "json",
    "text/json",
    "application/jsonp",
    "*/*",
    "",
    ",",
  ])("of the media type %j is not supported", async (type) => {
    const response = await post('{"username":"asha","password":"x"}', { "Content-Type": type });
    await problem(response, "unsupported-media-type");
  });

  it("without a media type is not supported", async () => {
    const bytes = new TextEncoder().encode('{"username":"asha","password":"x"}');
    const response = await call("/auth/login", { method: "POST", bytes });
    await problem(response, "unsupported-media-type");
  });

  it("that is not there at all lacks its fields, or is malformed where JSON was announced", async () => {
    const { errors } = await problem(await call("/auth/login", { method: "POST" }), "validation-failed");
    expect(errors?.map((error) => error.pointer).toSorted()).toEqual(["/password", "/username"]);
    const headers = { "Content-Type": "application/json" };
    await problem(await call("/auth/login", { method: "POST", headers }), "malformed-request");
  });

  it.each([
    "application/json",
    "application/json; charset=utf-8",
    "Application/JSON",
    "application/json;charset=UTF-8",
  ])("may be %s", async (type) => {
    const response = await post('{"username":"nobody","password":"x"}', { "Content-Type": type });
    await problem(response, "wrong-credentials");
  });

  describe("of more than 1 MiB", () => {
    const bodyOf = (bytes: number) => {
      const frame = '{"username":"nobody","password":"x"}';
      return frame + " ".repeat(bytes - frame.length);
    };
    const stream = (text: string) =>
      new ReadableStream<Uint8Array>({
        start(controller) {
          const bytes = new TextEncoder().encode(text);
          for (let at = 0; at < bytes.length; at += 65_536) controller.enqueue(bytes.subarray(at, at + 65_536));
          controller.close();
        },
      });

    it("is too large, with and without a Content-Length", async () => {
      const body = bodyOf(2 ** 20 + 1);
      await problem(await post(body, { "Content-Length": String(body.length) }), "body-too-large");
      const headers = { "Content-Type": "application/json" };
      const streamed = await call("/auth/login", { method: "POST", bytes: stream(body), headers });
      await problem(streamed, "body-too-large");
    });

    it("is too large wherever it is sent, also to a path that is not there", async () => {
      const body = bodyOf(2 ** 20 + 1);
      for (const path of ["/client", "/nope", "/health"]) {
        await problem(await call(path, { method: "POST", body }), "body-too-large");
      }
    });

    it("begins behind 1 MiB, which is read", async () => {
      const { token } = await signIn("editor");
      const bodyOf = (bytes: number) => `{"name":"${crypto.randomUUID()}"}`.padEnd(bytes);
      expect((await call("/client", { method: "POST", token, body: bodyOf(2 ** 20) })).status).toBe(201);
      const headers = { "Content-Type": "application/json" };
      const streamed = await call("/client", { method: "POST", token, bytes: stream(bodyOf(2 ** 20)), headers });
      expect(streamed.status).toBe(201);
    });

    it("is not read of somebody without a token", async () => {
      let pulled = 0;
      const bytes = new ReadableStream<Uint8Array>({
        pull(controller) {
          pulled += 1;
          controller.enqueue(new Uint8Array(65_536).fill(32));
          if (pulled === 100) controller.close();
        },
      });
      const headers = { "Content-Type": "application/json" };
      await problem(await call("/po", { method: "POST", bytes, headers }), "unauthorized");
      expect(pulled).toBeLessThan(10);
    });

    it("costs no more where it comes in a thousand pieces", async () => {
      const { token } = await signIn("editor");
      const text = new TextEncoder().encode(`{"name":"${crypto.randomUUID()}"}`.padEnd(5000));
      const pieces = new ReadableStream<Uint8Array>({
        start(controller) {
          for (let at = 0; at < text.length; at += 5) controller.enqueue(text.subarray(at, at + 5));
          controller.close();
        },
      });
      const headers = { "Content-Type": "application/json" };
      expect((await call("/client", { method: "POST", token, bytes: pieces, headers })).status).toBe(201);
    });

    it("waits for eight of one sender at once, and no more", async () => {
      const [busy, other] = [await signIn("editor"), await signIn("editor")];
      const headers = { "Content-Type": "application/json" };
      const ends: (() => void)[] = [];
      const endless = () =>
        new ReadableStream<Uint8Array>({
          start(controller) {
            controller.enqueue(new TextEncoder().encode("{"));
            ends.push(() => controller.close());
          },
        });
      const held = Array.from({ length: 8 }, () =>
        call("/client", { method: "POST", token: busy.token, bytes: endless(), headers }),
      );
      const body = { name: crypto.randomUUID() };
      await vi.waitFor(async () => {
        const response = await call("/client", { method: "POST", token: busy.token, body });
        expect(response.headers.get("Retry-After")).toBe("5");
        await problem(response, "unavailable");
      });
      expect((await call("/client", { method: "POST", token: other.token, body })).status).toBe(201);
      for (const end of ends) end();
      for (const response of await Promise.all(held)) await problem(response, "malformed-request");
      const again = { name: crypto.randomUUID() };
      expect((await call("/client", { method: "POST", token: busy.token, body: again })).status).toBe(201);
    });

    it("begins behind 64 KiB where strangers send it", async () => {
      await problem(await post(bodyOf(2 ** 16)), "wrong-credentials");
      const headers = { "Content-Type": "application/json" };
      for (const path of ["/auth/login", "/auth/refresh", "/auth/nope"]) {
        const body = bodyOf(2 ** 16 + 1);
        await problem(await call(path, { method: "POST", body }), "body-too-large");
        // Of a length that is not told, only what is read is too large.
        const streamed = await call(path, { method: "POST", bytes: stream(body), headers });
        await problem(streamed, path === "/auth/nope" ? "not-found" : "body-too-large");
      }
    });
  });
});

describe("a path", () => {
  it.each([
    "/nope",
    "/api/client",
    "/Client",
    "/CLIENT/1",
    "/client/1/x",
    "/client//1",
    "//client",
    "/po/1/line-items/1/x",
    "/po/aggregated/x",
    "/po/aggregated/by-store/x",
    "/openapiXjson",
    "/docs/scalarXjs",
    "/%",
    "/%00",
    "/%ff",
    `/${"a".repeat(5000)}`,
    "/__proto__",
    "/constructor",
  ])("that is not there is not found, with or without a token: %s", async (path) => {
    const { token } = await signIn();
    const trips = await roundTrips(async () => {
      await problem(await call(path, { token }), "not-found");
      await problem(await call(path), "not-found");
      await problem(await call(path, { method: "POST", body: {} }), "not-found");
    });
    expect(trips).toBe(0);
  });

  const documented = [...new Set(operations.map((operation) => operation.path))];
  const others = ["/openapi.json", "/docs", "/docs/scalar.js", "/problems/not-found"];
  it.each([...documented, ...others])("names the methods that it has: %s", async (path) => {
    const known = operations.filter((operation) => operation.path === path).map((operation) => operation.method);
    const has = known.length > 0 ? known : ["GET"];
    const allowed = [...has, ...(has.includes("GET") ? ["HEAD"] : []), "OPTIONS"];
    const asked = await call(fill(path, anyIds), { method: "OPTIONS" });
    expect([asked.status, await asked.text()]).toEqual([204, ""]);
    expect(asked.headers.get("Allow")?.split(", ").toSorted()).toEqual(allowed.toSorted());
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"]) {
      if (allowed.includes(method)) continue;
      const response = await call(fill(path, anyIds), { method });
      expect(response.headers.get("Allow")?.split(", ").toSorted()).toEqual(allowed.toSorted());
      await problem(response, "method-not-allowed");
    }
  });

  it("takes HEAD wherever it takes GET, with no body", async () => {
    for (const operation of operations.filter((each) => each.method === "GET")) {
      const { path, call: request } = await prepared(operation);
      const response = await call(path, { ...request, method: "HEAD" });
      expect(response.status).toBe(200);
      expect(await response.text()).toBe("");
    }
  });
});

describe("a query", () => {
  it.each(titled(operations))("with an unknown parameter does not validate: %s", async (_title, operation) => {
    const {
      path,
      call: { token, body },
    } = await prepared(operation);
    const trips = await roundTrips(async () => {
      const response = await call(`${path}?nope=1&a%2Fb=2`, { method: operation.method, token, body });
      const { errors } = await problem(response, "validation-failed");
      expect(errors?.map((error) => [error.in, error.pointer]).toSorted()).toEqual([
        ["query", "/a~1b"],
        ["query", "/nope"],
      ]);
    });
    expect(trips).toBe(0);
  });

  it("tells no stranger what is wrong with it: without a token it is 401", async () => {
    for (const operation of guardedOperations) {
      await problem(await call(`${fill(operation.path, anyIds)}?nope=1`, { method: operation.method }), "unauthorized");
    }
  });
});

describe("instance", () => {
  it("is the X-Request-Id that the caller sent, if that is short and plain", async () => {
    const id = "Trace-1_2=";
    const response = await call("/nope", { headers: { "X-Request-Id": id } });
    expect(response.headers.get("X-Request-Id")).toBe(id);
    expect((await problem(response, "not-found")).instance).toBe(`urn:request:${id}`);
  });

  it.each(["a b", "<script>", "a".repeat(101), '"', "a,b", "urn:x"])("is a fresh UUID instead of %s", async (id) => {
    const response = await call("/nope", { headers: { "X-Request-Id": id } });
    expect((await problem(response, "not-found")).instance).toMatch(/^urn:request:[0-9a-f-]{36}$/);
  });

  it("differs between requests", async () => {
    const [one, two] = [await call("/nope"), await call("/nope")];
    expect((await problem(one, "not-found")).instance).not.toBe((await problem(two, "not-found")).instance);
  });
});

describe("headers", () => {
  it("may be huge without an error of ours", async () => {
    const huge = "a".repeat(60_000);
    await problem(await call("/client", { token: huge }), "unauthorized");
    await problem(await call("/client", { headers: { Authorization: huge } }), "unauthorized");
    const { token } = await signIn();
    expect(
      (await call("/client", { token, headers: { "X-Huge": huge, Accept: huge, "X-Request-Id": huge } })).status,
    ).toBe(200);
  });
});

describe("the database", () => {
  const quietly = () => vi.spyOn(console, "error").mockImplementation(() => {});

  it.each(titled(operations))("may be down: 503 with Retry-After, logged once: %s", async (_title, operation) => {
    const {
      path,
      call: { token, body },
    } = await prepared(operation);
    const logged = quietly();
    const url = env.DATABASE_URL;
    // Nothing listens on port 9 (discard).
    Object.assign(env, { DATABASE_URL: url.replace(/:\d+\//, ":9/") });
    const started = Date.now();
    const response = await call(path, { method: operation.method, token, body });
    Object.assign(env, { DATABASE_URL: url });
    expect(Date.now() - started).toBeLessThan(3000);
    expect(response.headers.get("Retry-After")).toMatch(/^\d+$/);
    await problem(response, "unavailable");
    const lines = logged.mock.calls.map(([line]) => String(line)).filter((line) => !line.includes('"event":"alert"'));
    expect(lines).toHaveLength(1);
    const [line = ""] = lines;
    expect(JSON.parse(line)).toMatchObject({
      level: "error",
      request_id: response.headers.get("X-Request-Id"),
      problem: "unavailable",
    });
    expect(line).not.toContain(new URL(url).password);
  });

  it.each<[string, ProblemKind]>([
    ["NX401", "unauthorized"],
    ["NX403", "forbidden"],
    ["40001", "unavailable"],
    ["40P01", "unavailable"],
    ["55P03", "unavailable"],
    ["57014", "unavailable"],
    ["57P01", "unavailable"],
    ["57P02", "unavailable"],
    ["57P03", "unavailable"],
    ["53300", "unavailable"],
    ["08006", "unavailable"],
    ["NX405", "internal"],
    ["23505", "internal"],
    ["42501", "internal"],
    ["42P01", "internal"],
    ["22P02", "internal"],
    ["P0001", "internal"],
    ["XX000", "internal"],
  ])("says %s: %s, and nothing of its own words", async (state, kind) => {
    await freshDatabase();
    quietly();
    const { token } = await signIn();
    await sql(
      `CREATE OR REPLACE FUNCTION "Finances".guard(session_id uuid, user_id integer, token_version integer, least_role text, request_id text)
       RETURNS void LANGUAGE plpgsql AS $$ BEGIN
         RAISE EXCEPTION 'SELECT * FROM "Finances".client_po_line_item'
         USING ERRCODE = '${state}', DETAIL = 'Key (secret)', HINT = 'Finances', CONSTRAINT = 'toString';
       END $$`,
    );
    const response = await call("/client", { token });
    const { detail } = await problem(response, kind);
    if (kind === "internal") expect(detail).toBeUndefined();
    expect(response.headers.has("Retry-After")).toBe(kind === "unavailable");
    expect(response.headers.has("WWW-Authenticate")).toBe(kind === "unauthorized");
  });

  it("may have more than one answer carries: the page says so, and a smaller one is answered", async () => {
    await freshDatabase();
    const { token } = await signIn();
    await sql(
      `WITH one AS (INSERT INTO "Finances".client (name) VALUES ('Large') RETURNING id)
       INSERT INTO "Finances".client_po (client_id, notes) SELECT one.id, repeat('x', 100000) FROM one, generate_series(1, 130)`,
    );
    const { errors } = await problem(await call("/po/list?limit=200", { token }), "validation-failed");
    expect(errors).toEqual([{ in: "query", pointer: "/limit", detail: expect.stringContaining("a smaller one") }]);
    expect((await call("/po/list?limit=50", { token })).status).toBe(200);
  });

  it("may refuse a right: an error of ours, without a word of SQL", async () => {
    await freshDatabase();
    const logged = quietly();
    const { token } = await signIn();
    await sql(`REVOKE SELECT ON "Finances".client FROM nexgen_api`);
    const body = await problem(await call("/client", { token }), "internal");
    expect(body).not.toHaveProperty("detail");
    expect(String(logged.mock.calls[0]?.[0])).toContain("permission denied");
  });
});

describe("GET /problems/{kind}", () => {
  it.each(Object.entries(kinds))("explains %s", async (kind, { status, title }) => {
    const response = await call(`/problems/${kind}`);
    expect(response.status).toBe(200);
    expect(response.headers.get("Content-Type")).toMatch(/^application\/json/);
    expect(await response.json()).toEqual({ type: `/problems/${kind}`, status, title });
  });

  it.each(["nope", "__proto__", "constructor", "toString", "NOT-FOUND", "not-found%00", "a".repeat(1000), "%ff"])(
    "does not know %s, and names what it knows",
    async (kind) => {
      const { detail } = await problem(await call(`/problems/${kind}`), "not-found");
      for (const known of Object.keys(kinds)) expect(detail).toContain(known);
    },
  );
});
