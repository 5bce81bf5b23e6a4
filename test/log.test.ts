import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createDb } from "../src/db/client.ts";
import { insertAccount, logIn } from "./support/accounts.ts";
import { call, signIn, sql } from "./support/api.ts";
import { database } from "./support/database.ts";
import { halfReadExport } from "./support/export.ts";
import { logged } from "./support/log.ts";
import { operations, prepared, successOf, titled } from "./support/operations.ts";
import { insertClient, insertPo } from "./support/rows.ts";

let lines: ReturnType<typeof logged>;
beforeEach(() => {
  Object.assign(env, { LOG_LEVEL: "info" });
  lines = logged();
});
afterEach(() => {
  vi.restoreAllMocks();
  Object.assign(env, { LOG_LEVEL: "error", DATABASE_URL: database.apiUrl });
  Reflect.deleteProperty(env, "SLOW_QUERY_MS");
});
const requests = () => lines.filter(({ event }) => event === "request");

describe("a request", () => {
  it.each(titled(operations))("leaves one line that says what came of it: %s", async (_title, operation) => {
    const { path, call: request } = await prepared(operation);
    lines.length = 0;
    const response = await call(path, request);
    await response.arrayBuffer();
    expect(response.status).toBe(successOf(operation));
    expect(requests()).toEqual([
      expect.objectContaining({
        level: "info",
        request_id: response.headers.get("X-Request-Id"),
        method: operation.method,
        route: operation.path,
        status: response.status,
        ms: expect.any(Number),
        db_ms: expect.any(Number),
        round_trips: expect.any(Number),
      }),
    ]);
    expect(requests()[0]).not.toHaveProperty("problem");
    expect(requests()[0]).not.toHaveProperty("cause");
  });

  it("says who asked, and what the database cost", async () => {
    const { id, token } = await signIn();
    await call("/client", { token });
    expect(requests()).toMatchObject([{ user_id: id, route: "/client", round_trips: 1 }]);
    expect(requests()[0]?.db_ms).toBeGreaterThan(0);
    expect(requests()[0]?.ms).toBeGreaterThanOrEqual(Number(requests()[0]?.db_ms));
  });

  it.each<[string, string, number, string, string | undefined]>([
    ["GET", "/client", 401, "unauthorized", "/client"],
    ["GET", "/po/424242", 401, "unauthorized", "/po/{po_id}"],
    ["GET", "/nope/secret", 404, "not-found", undefined],
    ["PUT", "/client", 405, "method-not-allowed", undefined],
    ["GET", "/health?nope=secret", 422, "validation-failed", "/health"],
    ["GET", "/problems/nope", 404, "not-found", "/problems/{kind}"],
  ])("that is refused says why: %s %s", async (method, path, status, problem, route) => {
    expect((await call(path, { method })).status).toBe(status);
    expect(requests()).toMatchObject([{ level: "info", method, status, problem, ...(route && { route }) }]);
    expect(requests()[0]?.route).toBe(route);
    expect(requests()[0]).not.toHaveProperty("cause");
    expect(JSON.stringify(requests())).not.toContain("secret");
  });

  it("that we fail is an error with its cause, once", async () => {
    const { token } = await signIn();
    Object.assign(env, { DATABASE_URL: database.apiUrl.replace(/:\d+\//, ":9/") });
    expect((await call("/vendor?q=secret-word", { token })).status).toBe(503);
    expect(requests()).toMatchObject([
      {
        level: "error",
        status: 503,
        problem: "unavailable",
        route: "/vendor",
        round_trips: 1,
        cause: { name: "NeonDbError" },
      },
    ]);
    expect(JSON.stringify(lines)).not.toContain("secret-word");
  });

  it("turned away by maintenance is no error", async () => {
    Object.assign(env, { MAINTENANCE: "on" });
    await call("/client");
    Reflect.deleteProperty(env, "MAINTENANCE");
    expect(requests()).toMatchObject([{ level: "info", status: 503, problem: "maintenance", route: "/client" }]);
  });

  it("leaves none where LOG_LEVEL lets errors through alone, and its statements where it is debug", async () => {
    const { token } = await signIn();
    Object.assign(env, { LOG_LEVEL: "warn" });
    await call("/client", { token });
    expect(lines).toEqual([]);
    Object.assign(env, { LOG_LEVEL: "debug" });
    await call("/client", { token });
    expect(lines.map(({ level, event }) => [level, event])).toEqual([
      ["debug", "query"],
      ["info", "request"],
    ]);
  });

  it("leaves no e-mail address and no username", async () => {
    const { username, email } = await insertAccount();
    expect((await logIn(username, "secret")).status).toBe(200);
    await logIn(email, "secret-word");
    expect(requests()).toMatchObject([
      { route: "/auth/login", status: 200 },
      { route: "/auth/login", status: 401, problem: "wrong-credentials" },
    ]);
    for (const word of [username, email, "secret-word"]) expect(JSON.stringify(lines)).not.toContain(word);
  });
});

describe("a stream", () => {
  it("leaves its line when its last byte is read, with how many there were", async () => {
    const { token } = await signIn();
    await insertPo({ client_id: await insertClient() });
    const response = await call("/po/list", { token, headers: { Accept: "text/csv" } });
    const { byteLength } = await response.arrayBuffer();
    expect(requests()).toMatchObject([{ status: 200, route: "/po/list", bytes: byteLength, round_trips: 1 }]);
    expect(requests()[0]?.body_ms).toBeGreaterThanOrEqual(Number(requests()[0]?.ms));
    expect(requests()[0]).not.toHaveProperty("broke_off");
  });

  it("leaves it at once for a HEAD, which reads nothing", async () => {
    const { token } = await signIn();
    await call("/po/list", { token, method: "HEAD", headers: { Accept: "text/csv" } });
    expect(requests()).toMatchObject([{ method: "HEAD", status: 200, route: "/po/list" }]);
  });

  /** An export of two pages, of which the first is read. */
  async function halfRead() {
    const { token } = await signIn();
    const reader = await halfReadExport(token);
    expect(requests()).toEqual([]);
    return { reader };
  }

  it("whose reader goes away says that it broke off", async () => {
    const { reader } = await halfRead();
    await reader?.cancel();
    await vi.waitFor(() => expect(requests()).toMatchObject([{ level: "info", status: 200, broke_off: true }]));
  });

  it.each<[string, string, Record<string, unknown>]>([
    [
      "because the session ends",
      `UPDATE "Finances".refresh_session SET revoked_at = now()`,
      { level: "info", problem: "unauthorized" },
    ],
    [
      "by our fault",
      `ALTER TABLE "Finances".client_po RENAME TO elsewhere`,
      { level: "error", problem: "internal", cause: { code: "42P01" } },
    ],
  ])("that breaks off %s says so", async (_case, interference, expected) => {
    const { reader } = await halfRead();
    await sql(interference);
    await expect(
      (async () => {
        while (!(await reader?.read())?.done);
      })(),
    ).rejects.toThrow();
    await sql(`ALTER TABLE IF EXISTS "Finances".elsewhere RENAME TO client_po`);
    expect(requests()).toMatchObject([{ status: 200, broke_off: true, ...expected }]);
  });
});

describe("a slow batch", () => {
  it("is a warning with its statements, without a value", async () => {
    const { token } = await signIn("editor");
    const client_id = await insertClient();
    const held = createDb(database.ownerUrl).write(
      { text: `LOCK TABLE "Finances".client_po IN ACCESS EXCLUSIVE MODE`, params: [] },
      { text: "SELECT pg_sleep(1)", params: [] },
    );
    await vi.waitFor(async () => {
      const locks = await sql(
        `SELECT FROM pg_locks WHERE relation = '"Finances".client_po'::regclass AND mode = 'AccessExclusiveLock' AND granted`,
      );
      expect(locks).toHaveLength(1);
    });
    Object.assign(env, { SLOW_QUERY_MS: "200" });
    const body = { client_id, po_number: "SECRET-NUMBER" };
    const response = await call("/po", { method: "POST", token, body });
    expect(response.status).toBe(201);
    await held;
    const slow = lines.filter(({ event }) => event === "slow-query");
    expect(slow).toMatchObject([
      {
        level: "warn",
        request_id: response.headers.get("X-Request-Id"),
        route: "/po",
        statements: expect.arrayContaining([expect.stringMatching(/^SELECT "Finances"\.guard\(\$1/)]),
      },
    ]);
    expect(slow[0]?.ms).toBeGreaterThan(200);
    expect(JSON.stringify(slow)).not.toContain("SECRET-NUMBER");
  });

  it("is one from a second on, unless SLOW_QUERY_MS says otherwise", async () => {
    const { token } = await signIn();
    await call("/client", { token });
    expect(lines.map(({ event }) => event)).toEqual(["request"]);
    Object.assign(env, { SLOW_QUERY_MS: "0" });
    await call("/client", { token });
    expect(lines.map(({ event }) => event)).toEqual(["request", "slow-query", "request"]);
  });
});
