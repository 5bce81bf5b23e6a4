import { createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import bcrypt from "bcryptjs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Busy } from "../src/busy.ts";
import worker from "../src/index.ts";
import { call, signIn, sql } from "./support/api.ts";
import { interfered } from "./support/backup.ts";
import { database } from "./support/database.ts";
import { brokenOffExport } from "./support/export.ts";
import { logged } from "./support/log.ts";
import { problem } from "./support/problem.ts";

interface Sent {
  text: string;
  kind: string;
  environment: string;
  details: Record<string, unknown>;
}
let inbox = "";
const sent = async () => (await (await fetch(inbox)).json()) as Sent[];
/** Waits for the alert that a request sends when it is over. */
const eventually = (expected: unknown[]) =>
  vi.waitFor(async () => expect(await sent()).toMatchObject(expected), { timeout: 5000 });

const bucket = env.BACKUPS;
let lines: ReturnType<typeof logged>;
beforeEach(async () => {
  inbox = `${env.TEST_CONTROL_URL}inbox/${crypto.randomUUID()}`;
  Object.assign(env, { ALERT_WEBHOOK_URL: inbox });
  lines = logged();
  for (const { key } of (await bucket.list({ prefix: "alert/" })).objects) await bucket.delete(key);
});
afterEach(async () => {
  vi.restoreAllMocks();
  Object.assign(env, { DATABASE_URL: database.apiUrl, BACKUPS: bucket });
  Reflect.deleteProperty(env, "ALERT_WEBHOOK_URL");
  await sql(`GRANT SELECT ON "Finances".client TO nexgen_api`);
});

/** From now on every GET /client is a 500. */
const breakClients = () => sql(`REVOKE SELECT ON "Finances".client FROM nexgen_api`);
const breakDatabase = () => Object.assign(env, { DATABASE_URL: database.apiUrl.replace(/:\d+\//, ":9/") });

describe("a request tells the operator", () => {
  it("that it failed by our fault, with the id to look for in the log", async () => {
    const { token } = await signIn();
    await breakClients();
    const response = await call("/client?limit=7", { token });
    expect(response.status).toBe(500);
    await eventually([
      {
        kind: "server-error",
        environment: "development",
        text: "GET /client failed: internal.",
        details: { request_id: response.headers.get("X-Request-Id"), route: "/client" },
      },
    ]);
    expect(JSON.stringify(await sent())).not.toMatch(/limit=7|permission denied/);
  });

  it("at once that the database is down, whichever request notices", async () => {
    const { token } = await signIn();
    breakDatabase();
    expect((await call("/po/list", { token })).status).toBe(503);
    await eventually([{ kind: "database-down", text: expect.stringContaining("GET /po/list") }]);
    expect((await call("/health")).status).toBe(503);
    expect(JSON.stringify(await sent())).not.toContain(new URL(database.apiUrl).password);
  });

  it("that it took more than five seconds", async () => {
    let now = performance.now();
    vi.spyOn(performance, "now").mockImplementation(() => now);
    const limit = env.ADDRESS_LIMIT;
    const slowed = (milliseconds: number) =>
      Object.assign(env, {
        ADDRESS_LIMIT: {
          limit: async () => {
            now += milliseconds;
            return { success: true };
          },
        },
      });
    slowed(5000);
    await call("/health?probe=live");
    expect(await sent()).toEqual([]);
    slowed(5001);
    await call("/health?probe=live");
    Object.assign(env, { ADDRESS_LIMIT: limit });
    await eventually([{ kind: "slow-answer", text: "GET /health took 5.0 s to answer.", details: { ms: 5001 } }]);
  });

  it("that an export broke off by our fault", async () => {
    const { token } = await signIn();
    await brokenOffExport(token);
    await eventually([{ kind: "server-error", details: { route: "/po/list" } }]);
  });

  it("nothing of a body that comes slowly or breaks off, nor of passwords that strangers keep busy", async () => {
    const { token } = await signIn();
    let now = performance.now();
    vi.spyOn(performance, "now").mockImplementation(() => now);
    const slowly = (end: (controller: ReadableStreamDefaultController) => void) =>
      new ReadableStream<Uint8Array>(
        {
          async pull(controller) {
            // When the request has begun.
            await scheduler.wait(50);
            now += 6000;
            controller.enqueue(new TextEncoder().encode(`{"username":"nobody","password":"x"}`));
            end(controller);
          },
        },
        // Not before it is read.
        { highWaterMark: 0 },
      );
    const post = (path: string, bytes: ReadableStream<Uint8Array>) =>
      call(path, { method: "POST", bytes, token, headers: { "Content-Type": "application/json" } });
    for (const path of ["/auth/login", "/client"]) {
      const expected = path === "/client" ? 422 : 401;
      expect(
        (
          await post(
            path,
            slowly((controller) => controller.close()),
          )
        ).status,
      ).toBe(expected);
      const brokenOff = await post(
        path,
        slowly((controller) => controller.error(new Error("gone"))),
      );
      await problem(brokenOff, "malformed-request");
    }
    vi.restoreAllMocks();
    lines = logged();
    vi.spyOn(bcrypt, "compare").mockRejectedValue(new Busy("busy"));
    const login = { method: "POST", body: { username: "nobody", password: "x" } };
    await problem(await call("/auth/login", login), "unavailable");
    vi.restoreAllMocks();
    lines = logged();
    // What comes next is told of, and nothing was before it.
    breakDatabase();
    expect((await call("/po/list", { token })).status).toBe(503);
    await eventually([{ kind: "database-down" }]);
    expect(await sent()).toHaveLength(1);
  });

  it("nothing of what is the caller's fault, nor of maintenance", async () => {
    const { token } = await signIn();
    await call("/client");
    await call("/client/424242", { token });
    await call("/nope", { token });
    Object.assign(env, { MAINTENANCE: "on" });
    expect((await call("/client", { token })).status).toBe(503);
    Reflect.deleteProperty(env, "MAINTENANCE");
    await breakClients();
    await call("/client", { token });
    await eventually([{ kind: "server-error" }]);
    expect(await sent()).toHaveLength(1);
  });
});

describe("a storm of failures", () => {
  it("is one alert and costs one look into R2, however many requests fail", async () => {
    const { token } = await signIn();
    await breakClients();
    const watched = interfered(() => {});
    Object.assign(env, { BACKUPS: watched.bucket });
    const answers = await Promise.all(Array.from({ length: 100 }, () => call("/client", { token })));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([500]));
    await eventually([{ kind: "server-error" }]);
    await call("/client", { token });
    // The reading of the last alert and the writing of this one.
    expect(watched.calls()).toBe(2);
    expect(await sent()).toHaveLength(1);
    expect(lines.filter(({ event }) => event === "alert")).toHaveLength(1);
    expect(lines.filter(({ event }) => event === "request")).toHaveLength(101);
  });

  it("that nobody can be told of is tried by one request at a time", async () => {
    const { token } = await signIn();
    await breakClients();
    Object.assign(env, { ALERT_WEBHOOK_URL: `${inbox}?refuse=1` });
    await Promise.all(Array.from({ length: 20 }, () => call("/client", { token })));
    await eventually([{ kind: "server-error" }]);
    expect(lines.filter(({ event }) => event === "alert-not-delivered")).toHaveLength(1);
    expect(await sent()).toHaveLength(1);
  });

  it("harms no answer where the settings are wrong", async () => {
    Object.assign(env, { ALERT_WEBHOOK_URL: "nonsense" });
    expect((await call("/health")).status).toBe(500);
    expect(lines).toMatchObject([{ event: "request", status: 500, problem: "internal" }]);
  });
});

describe("the message", () => {
  it("to Slack is a text alone, in which nothing is a command", async () => {
    const posts: unknown[] = [];
    const real = fetch;
    vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
      if (!String(input).startsWith("https://hooks.slack.com/")) return real(input, init);
      posts.push(JSON.parse(String(init?.body)));
      return new Response("ok");
    });
    Object.assign(env, {
      ALERT_WEBHOOK_URL: "https://hooks.slack.com/services/T0/B0/x",
      BACKUP_DATABASE_URL: database.backupUrl.replace(/[^/]+$/, "%3C!channel%3E&"),
    });
    await expect(worker.scheduled(createScheduledController({ cron: "0 2 * * *" }), env)).rejects.toThrow(/<!channel>/);
    Object.assign(env, { BACKUP_DATABASE_URL: database.backupUrl });
    expect(posts).toEqual([
      { text: expect.stringMatching(/^\[development\] backup-failed: The backup of .+&lt;!channel&gt;&amp;/) },
    ]);
  });

  it("to anybody else has its parts as well", async () => {
    const { token } = await signIn();
    await breakClients();
    await call("/client", { token });
    await eventually([{ kind: "server-error" }]);
    expect(Object.keys((await sent())[0] ?? {}).toSorted()).toEqual(["at", "details", "environment", "kind", "text"]);
  });
});
