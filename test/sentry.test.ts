import { createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import packageJson from "../package.json" with { type: "json" };
import worker from "../src/index.ts";
import { call, signIn, sql } from "./support/api.ts";
import { database } from "./support/database.ts";
import { brokenOffExport } from "./support/export.ts";

/** What the SDK sends: a header, and for each item a header and its content. */
interface Envelope {
  headers: Record<string, string>;
  lines: [Record<string, unknown>, { type: string }, Event];
}
interface Event {
  level: string;
  sdk: Record<string, unknown>;
  environment: string;
  release: string;
  tags: Record<string, string>;
  user?: Record<string, unknown>;
  exception: { values: { type: string; value: string; stacktrace?: { frames: Record<string, unknown>[] } }[] };
}

let inbox = "";
const received = async () => (await (await fetch(inbox)).json()) as Envelope[];
async function events(count: number): Promise<Event[]> {
  await vi.waitFor(async () => expect(await received()).toHaveLength(count), { timeout: 20_000 });
  return (await received()).map(({ lines }) => lines[2]);
}

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  const name = crypto.randomUUID();
  inbox = `${env.TEST_CONTROL_URL}inbox/${name}/api/42/envelope/`;
  Object.assign(env, { SENTRY_DSN: `${env.TEST_CONTROL_URL.replace("//", "//publickey@")}inbox/${name}/42` });
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.useRealTimers();
  Object.assign(env, { DATABASE_URL: database.apiUrl, BACKUP_DATABASE_URL: database.backupUrl });
  Reflect.deleteProperty(env, "SENTRY_DSN");
  await sql(`GRANT SELECT ON "Finances".vendor TO nexgen_api`);
});
const breakVendors = () => sql(`REVOKE SELECT ON "Finances".vendor FROM nexgen_api`);

describe("Sentry is told", () => {
  it("of a failure of ours, with where and whose it was, and nothing else of the request", async () => {
    const { id, token } = await signIn("editor");
    await breakVendors();
    const response = await call("/vendor?q=searched-word", {
      token,
      headers: { Cookie: "session=cookie-word", "X-Forwarded-For": "198.51.100.7", "User-Agent": "agent-word" },
    });
    expect(response.status).toBe(500);
    const [event] = await events(1);
    const request_id = response.headers.get("X-Request-Id");
    expect(event).toMatchObject({
      level: "error",
      environment: "development",
      release: `nexgen-finance-api@${packageJson.version}`,
      tags: { request_id, method: "GET", route: "/vendor", problem: "internal" },
      exception: { values: [{ type: "NeonDbError", value: "permission denied for table vendor" }] },
    });
    expect(event?.user).toEqual({ id: String(id) });
    expect(event?.sdk).toMatchObject({ name: "sentry.javascript.cloudflare", settings: { infer_ip: "never" } });
    expect(event?.exception.values[0]?.stacktrace?.frames.length).toBeGreaterThan(2);
    for (const part of ["request", "breadcrumbs", "extra", "contexts", "spans"]) expect(event).not.toHaveProperty(part);
    const [envelope] = await received();
    expect(envelope?.lines.map((line) => (line as { type?: string }).type)).toEqual([undefined, "event", undefined]);
    const text = JSON.stringify(envelope);
    const secrets = [token, "searched-word", "cookie-word", "198.51.100.7", "2001:db8", "agent-word"];
    for (const secret of [...secrets, new URL(database.apiUrl).password, env.JWT_KEYS])
      expect(text).not.toContain(secret);
  });

  it("without the values that an error quotes", async () => {
    const { token } = await signIn("editor");
    await sql(
      `CREATE FUNCTION "Finances".nosy() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'no thing like this: "%" at postgres://who:pass-word@host/db?x', NEW.name; END $$`,
    );
    await sql(`CREATE TRIGGER nosy BEFORE INSERT ON "Finances".client FOR EACH ROW EXECUTE FUNCTION "Finances".nosy()`);
    const answer = await call("/client", { method: "POST", token, body: { name: "client-word" } });
    await sql(`DROP TRIGGER nosy ON "Finances".client`);
    expect(answer.status).toBe(500);
    const [event] = await events(1);
    expect(event?.exception.values[0]?.value).toBe('no thing like this: "…" at <url>');
    expect(JSON.stringify(await received())).not.toMatch(/client-word|pass-word/);
  });

  it("of an export that broke off by our fault, and of a backup that failed", async () => {
    const { token } = await signIn("admin");
    await brokenOffExport(token);
    expect(await events(1)).toMatchObject([{ tags: { route: "/po/list", problem: "internal" } }]);
    Object.assign(env, { BACKUP_DATABASE_URL: database.backupUrl.replace(/:[^:@/]+@/, ":wrong-secret-and-long@") });
    await call("/ops/backups", { method: "POST", token });
    const [, backup] = await events(2);
    expect(backup).toMatchObject({ tags: { route: "/ops/backups", problem: "backup-failed" } });
    expect(JSON.stringify(backup)).not.toContain("wrong-secret");
  });

  it("of a run of a cron that failed, with everything that it could not do", async () => {
    await expect(worker.scheduled(createScheduledController({ cron: "9 9 9 9 9" }), env)).rejects.toThrow();
    const [event] = await events(1);
    expect(event).toMatchObject({
      tags: { cron: "9 9 9 9 9" },
      exception: { values: [{ type: "Error", value: "there is no job for the cron 9 9 9 9 9" }] },
    });
    expect(event).not.toHaveProperty("user");
  });

  it("of nothing that is the caller's fault, nor of maintenance", async () => {
    const { token } = await signIn();
    await call("/vendor");
    await call("/vendor/424242", { token });
    Object.assign(env, { MAINTENANCE: "on" });
    await call("/vendor", { token });
    Reflect.deleteProperty(env, "MAINTENANCE");
    await breakVendors();
    await call("/vendor", { token, headers: { "X-Request-Id": "the-only-one" } });
    expect(await events(1)).toMatchObject([{ tags: { request_id: "the-only-one" } }]);
  });

  it("of twenty errors a minute at most", async () => {
    const { token } = await signIn();
    await breakVendors();
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 120_000 });
    const storm = async () => {
      const answers = await Promise.all(Array.from({ length: 30 }, () => call("/vendor", { token })));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([500]));
    };
    await storm();
    await events(20);
    vi.setSystemTime(Date.now() + 60_000);
    await storm();
    await events(40);
  });
});

describe("a Sentry that is away", () => {
  it.each([
    ["refuses", () => `${env.TEST_CONTROL_URL.replace("//", "//publickey@")}inbox/refuse/42`],
    ["is not there", () => "http://publickey@127.0.0.1:9/42"],
  ])("costs nobody an answer: it %s", async (_case, dsn) => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 600_000 });
    Object.assign(env, { SENTRY_DSN: dsn() });
    const { token } = await signIn();
    await breakVendors();
    expect((await call("/vendor", { token })).status).toBe(500);
    await expect(worker.scheduled(createScheduledController({ cron: "9 9 9 9 9" }), env)).rejects.toThrow(/no job/);
  });
});
