import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Backup, BackupPage, BackupProgress } from "../src/backup/contract.ts";
import { takeLock } from "../src/backup/lock.ts";
import type { Manifest } from "../src/backup/manifest.ts";
import { findManifest, listKeys, manifestKey } from "../src/backup/store.ts";
import { createDb } from "../src/db/client.ts";
import { DetailedHealth } from "../src/health/contract.ts";
import { ProblemBody } from "../src/problem.ts";
import { call, read, signIn, sql } from "./support/api.ts";
import { database } from "./support/database.ts";
import { problem } from "./support/problem.ts";

afterEach(async () => {
  vi.restoreAllMocks();
  Object.assign(env, { BACKUP_DATABASE_URL: database.backupUrl });
  for (const key of await listKeys(env.BACKUPS, "")) await env.BACKUPS.delete(key);
});

const admin = async () => (await signIn("admin")).token;
const today = () => new Date().toISOString().slice(0, 10);

/** Makes a backup by the route; answers its lines. */
async function post(): Promise<unknown[]> {
  const response = await call("/ops/backups", { method: "POST", token: await admin() });
  expect(response.status).toBe(200);
  expect(response.headers.get("Content-Type")).toBe("application/x-ndjson");
  const lines = (await response.text()).split("\n");
  expect(lines.pop(), "the last line ends too").toBe("");
  return lines.map((line) => JSON.parse(line) as unknown);
}

/** Today's backup again, as one of another day. */
async function pretend(id: string, changes: Partial<Manifest> = {}) {
  const made = await findManifest(env.BACKUPS, today());
  if (!made) throw new Error("make one first");
  const key = `data/${id}/${made.run_id}.sql.gz`;
  await env.BACKUPS.put(key, (await (await env.BACKUPS.get(made.key))?.arrayBuffer()) ?? "");
  await env.BACKUPS.put(
    manifestKey(id),
    JSON.stringify({ ...made, id, key, started_at: `${id}T02:00:00.000Z`, ...changes }),
  );
}

const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);

describe("POST /ops/backups", () => {
  it("tells line by line where it is, and ends with the backup, which the list then has", async () => {
    const lines = await post();
    const made = Backup.parse(lines.pop());
    expect(made).toMatchObject({ id: today(), state: "good", tiers: ["daily", "weekly", "monthly"] });
    expect(lines.length).toBeGreaterThan(1);
    for (const line of lines) BackupProgress.parse(line);
    const { data, next_cursor } = await read(BackupPage, "/ops/backups", await admin());
    expect(next_cursor).toBeNull();
    expect(data).toEqual([{ ...made, age_seconds: expect.any(Number) }]);
    const manifest = await findManifest(env.BACKUPS, made.id);
    expect(made).toMatchObject({ bytes: manifest?.bytes, duration_ms: manifest?.duration_ms });
  });

  it("speaks before it is done", async () => {
    const request = { method: "POST", headers: { Authorization: `Bearer ${await admin()}` } };
    const response = await exports.default.fetch("https://api.test/ops/backups", request);
    const reader = response.body?.getReader();
    const first = new TextDecoder().decode((await reader?.read())?.value);
    BackupProgress.parse(JSON.parse(first.split("\n")[0] ?? ""));
    expect(await findManifest(env.BACKUPS, today())).toBeUndefined();
    while (!(await reader?.read())?.done);
    expect(await findManifest(env.BACKUPS, today())).toBeDefined();
  });

  it("is in conflict with a run that is going on, and says since when", async () => {
    const lock = await takeLock(env.BACKUPS);
    const response = await call("/ops/backups", { method: "POST", token: await admin() });
    const { detail } = await problem(response, "conflict");
    expect(detail).toBe(`a backup is already running since ${lock.run.started_at}.`);
    await lock.release();
    expect(Backup.parse((await post()).at(-1)).state).toBe("good");
  });

  it("ends with a problem that says why it failed, without a password", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    Object.assign(env, { BACKUP_DATABASE_URL: database.backupUrl.replace(/:[^:@/]+@/, ":wrong-secret-and-long@") });
    const [last, ...rest] = (await post()).toReversed();
    expect(rest).toEqual([]);
    const body = ProblemBody.parse(last);
    expect(body).toMatchObject({
      type: "/problems/backup-failed",
      status: 500,
      detail: expect.stringMatching(/password authentication failed/),
    });
    expect(JSON.stringify(body)).not.toContain("wrong-secret");
    const health = DetailedHealth.parse(await (await call("/health/detailed", { token: await admin() })).json());
    expect(health.backup.last_failure?.reason).toBe(body.detail);
  });

  it("goes on for a while when the client goes away", async () => {
    const request = { method: "POST", headers: { Authorization: `Bearer ${await admin()}` } };
    const response = await exports.default.fetch("https://api.test/ops/backups", request);
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    await vi.waitFor(async () => expect(await findManifest(env.BACKUPS, today())).toBeDefined(), { timeout: 20_000 });
    await vi.waitFor(async () => expect(await listKeys(env.BACKUPS, "run/")).toEqual([]), { timeout: 20_000 });
  });

  it("prunes what need not be kept any more", async () => {
    await post();
    await pretend(daysAgo(500));
    await post();
    const { data } = await read(BackupPage, "/ops/backups", await admin());
    expect(data.map(({ id }) => id)).toEqual([today()]);
  });
});

describe("GET /ops/backups", () => {
  it("is an empty page where there is none", async () => {
    expect(await read(BackupPage, "/ops/backups", await admin())).toEqual({ data: [], next_cursor: null });
  });

  it("shows age, rows, tiers, and whether the data is there in full length", async () => {
    await post();
    await pretend(daysAgo(1));
    await pretend(daysAgo(2));
    await pretend(daysAgo(500));
    await env.BACKUPS.put((await findManifest(env.BACKUPS, daysAgo(1)))?.key ?? "", "cut");
    await env.BACKUPS.delete((await findManifest(env.BACKUPS, daysAgo(2)))?.key ?? "");
    const { data } = await read(BackupPage, "/ops/backups", await admin());
    expect(data.map(({ id, state }) => [id, state])).toEqual([
      [today(), "good"],
      [daysAgo(1), "damaged"],
      [daysAgo(2), "damaged"],
      [daysAgo(500), "good"],
    ]);
    expect(data.at(-1)?.tiers).toEqual([]);
    expect(data[0]?.age_seconds).toBeLessThan(120);
    expect(data.at(-1)?.age_seconds).toBeGreaterThan(499 * 86_400);
    const [{ count: migrations } = {}] = await sql(`SELECT count(*) FROM "Finances".schema_migration`);
    expect(data[0]?.rows).toBeGreaterThanOrEqual(Number(migrations));
  });

  it("is walked page by page, newest first", async () => {
    await post();
    for (const days of [1, 2, 3, 4]) await pretend(daysAgo(days));
    const token = await admin();
    const seen: string[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const query = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const page: typeof BackupPage._output = await read(BackupPage, `/ops/backups?limit=2${query}`, token);
      expect(page.data.length).toBeLessThanOrEqual(2);
      seen.push(...page.data.map(({ id }) => id));
      cursor = page.next_cursor;
    }
    expect(seen).toEqual([0, 1, 2, 3, 4].map(daysAgo));
    await problem(await call("/ops/backups?cursor=WyIxIl0.x", { token }), "invalid-cursor");
  });
});

describe("GET /health/detailed", () => {
  const health = async () => {
    const response = await call("/health/detailed", { token: await admin() });
    expect(response.headers.get("Content-Type")).toBe("application/json");
    const body = DetailedHealth.parse(await response.json());
    expect(response.status).toBe(body.status === "ok" ? 200 : 503);
    return { ...body, failing: body.checks.filter(({ status }) => status === "failing").map(({ name }) => name) };
  };

  it("is 503 where there is no backup, and 200 as soon as there is one", async () => {
    expect((await health()).failing).toEqual(["backup_age"]);
    await post();
    const good = await health();
    expect(good.failing).toEqual([]);
    expect(good.backup).toMatchObject({ newest_id: today(), running_since: null, last_failure: null });
    expect(good.database.bytes).toBeGreaterThan(1_000_000);
  });

  it("says how large tables and bucket are, and who is connected in which state, but not with what", async () => {
    await post();
    const secret = crypto.randomUUID();
    const busy = createDb(database.ownerUrl).write({ text: "SELECT pg_sleep(2), $1::text", params: [secret] });
    await vi.waitFor(async () => {
      const { database: seen } = await health();
      expect(seen.connections.by_role).toContainEqual({
        role: "nexgen_owner",
        state: "active",
        count: expect.any(Number),
      });
      expect(seen.longest_transaction_seconds).toBeGreaterThan(1);
    }, 5000);
    const response = await call("/health/detailed", { token: await admin() });
    expect(await response.text()).not.toMatch(new RegExp(`${secret}|pg_sleep`));
    await busy;
    const { database: seen, bucket } = await health();
    expect(seen.connections.by_role).toContainEqual({ role: "nexgen_api", state: "active", count: expect.any(Number) });
    expect(seen.connections.used).toBe(seen.connections.by_role.reduce((sum, { count }) => sum + count, 0));
    expect(seen.connections.limit).toBe(Number((await sql("SHOW max_connections"))[0]?.max_connections));
    expect(seen.largest_tables).toHaveLength(10);
    const sizes = seen.largest_tables.map(({ bytes }) => bytes);
    expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
    const objects = (await env.BACKUPS.list()).objects.map(({ size }) => size);
    expect(bucket.bytes).toBe(objects.reduce((sum, size) => sum + size, 0));
  });

  it.each<[string, string, string[]]>([
    ["a transaction is older than 15 minutes", "('someone', 'idle in transaction', 1, 901)", ["transactions"]],
    ["one is no older", "('someone', 'idle in transaction', 1, 900)", []],
    ["the old one is a backup's", "('nexgen_backup', 'active', 1, 3600)", []],
    ["more than nine tenths of the connections are taken", "('someone', 'idle', 181, NULL::float8)", ["connections"]],
    ["as many as that are", "('someone', 'unknown', 180, NULL::float8)", []],
  ])("is 503 only where something is wrong: %s", async (_case, row, failing) => {
    await post();
    const text = (body: string) =>
      `CREATE OR REPLACE FUNCTION "Finances".connections(OUT role text, OUT state text, OUT connections integer, OUT oldest_transaction_seconds double precision)
       RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ ${body} $$`;
    const [was] = await sql(`SELECT pg_get_functiondef('"Finances".connections()'::regprocedure) AS text`);
    const most = Number((await sql("SHOW max_connections"))[0]?.max_connections);
    expect(most).toBe(200);
    await sql(text(`VALUES ${row}`));
    const { failing: found, checks } = await health();
    await sql(String(was?.text));
    expect(found).toEqual(failing);
    for (const name of failing) expect(checks.find((each) => each.name === name)?.detail).toMatch(/^\w.+\.$/);
  });

  it("is 503 when the newest good backup is older than 26 hours", async () => {
    await post();
    const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
    await pretend(today(), { started_at: hoursAgo(25.9) });
    expect((await health()).failing).toEqual([]);
    await pretend(today(), { started_at: hoursAgo(26.1) });
    const { failing, checks } = await health();
    expect(failing).toEqual(["backup_age"]);
    expect(checks.find(({ name }) => name === "backup_age")?.detail).toMatch(/older than 26 hours/);
  });

  it("is 503 when a run died, and says since when another one runs", async () => {
    await post();
    const lock = await takeLock(env.BACKUPS);
    expect(await health()).toMatchObject({ failing: [], backup: { running_since: lock.run.started_at } });
    const old = { ...lock.run, heartbeat_at: new Date(Date.now() - 17 * 60_000).toISOString() };
    await env.BACKUPS.put("run/current.json", JSON.stringify(old));
    expect(await health()).toMatchObject({ failing: ["backup_run"], backup: { running_since: null } });
  });

  it("is 503 when the database lacks a migration that the code was made for", async () => {
    await post();
    const [gone] = await sql(
      `DELETE FROM "Finances".schema_migration WHERE created_at = (SELECT max(created_at) FROM "Finances".schema_migration) RETURNING *`,
    );
    expect((await health()).failing).toEqual(["migrations"]);
    await sql(`INSERT INTO "Finances".schema_migration (id, hash, created_at) VALUES ($1, $2, $3)`, [
      gone?.id,
      gone?.hash,
      gone?.created_at,
    ]);
    expect((await health()).failing).toEqual([]);
  });
});
