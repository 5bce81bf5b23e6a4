import { createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { findCurrentRun } from "../src/backup/lock.ts";
import type { Manifest } from "../src/backup/manifest.ts";
import { findLastFailure, runBackup } from "../src/backup/run.ts";
import { findManifest, listBackupIds, listKeys, manifestKey } from "../src/backup/store.ts";
import worker from "../src/index.ts";
import { insertAccount, logIn } from "./support/accounts.ts";
import { signIn, sql } from "./support/api.ts";
import { database } from "./support/database.ts";

const cron = (pattern: string) => worker.scheduled(createScheduledController({ cron: pattern }), env);
const nightly = () => cron("0 2 * * *");
const hourly = () => cron("30 * * * *");
const at = (instant: string) => vi.setSystemTime(new Date(instant));
const source = { bucket: env.BACKUPS, databaseUrl: "" };

interface Sent {
  text: string;
  kind: string;
  environment: string;
  at: string;
  details: Record<string, unknown>;
}
let inbox = "";
const sent = async () => (await (await fetch(inbox)).json()) as Sent[];
const kinds = async () => (await sent()).map(({ kind }) => kind);

const variables = { ...env };
let logged: string[] = [];
beforeEach(() => {
  inbox = `${env.TEST_CONTROL_URL}inbox/${crypto.randomUUID()}`;
  Object.assign(env, { ALERT_WEBHOOK_URL: inbox, LOG_LEVEL: "info" });
  Object.assign(source, { databaseUrl: database.backupUrl });
  logged = [];
  for (const method of ["log", "error"] as const)
    vi.spyOn(console, method).mockImplementation((line) => void logged.push(String(line)));
  vi.useFakeTimers({ toFake: ["Date"] });
  at("2026-11-25T02:00:09Z");
});
afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  Object.assign(env, { DATABASE_URL: database.apiUrl, BACKUP_DATABASE_URL: database.backupUrl, LOG_LEVEL: "error" });
  for (const name of ["ALERT_WEBHOOK_URL", "DATABASE_LIMIT_BYTES", "BUCKET_LIMIT_BYTES"]) {
    if (!(name in variables)) Reflect.deleteProperty(env, name);
  }
  for (const key of await listKeys(env.BACKUPS, "")) await env.BACKUPS.delete(key);
});

/** Puts a backup in place that looks as old and as large as it is said to be. */
async function pretend(id: string, changes: Partial<Manifest> = {}): Promise<void> {
  const [template] = await listBackupIds(env.BACKUPS);
  const made = template === undefined ? await runBackup(source) : await findManifest(env.BACKUPS, template);
  if (!made) throw new Error("no backup to copy");
  const data = await (await env.BACKUPS.get(made.key))?.arrayBuffer();
  const key = `data/${id}/${made.run_id}.sql.gz`;
  await env.BACKUPS.put(key, data ?? "");
  const manifest = { ...made, id, key, started_at: `${id}T02:00:00.000Z`, ...changes };
  await env.BACKUPS.put(manifestKey(id), JSON.stringify(manifest));
}

describe("the nightly cron", () => {
  it("makes today's backup, and does nothing when it fires again, late or twice", async () => {
    await nightly();
    const first = await findManifest(env.BACKUPS, "2026-11-25");
    expect(first?.verification.read_back).toBe(true);
    at("2026-11-25T23:59:59Z");
    await nightly();
    expect(await findManifest(env.BACKUPS, "2026-11-25")).toEqual(first);
    await Promise.all([nightly(), nightly()]);
    expect(await findManifest(env.BACKUPS, "2026-11-25")).toEqual(first);
    at("2026-11-26T00:00:01Z");
    await Promise.all([nightly(), nightly()]);
    expect(await listBackupIds(env.BACKUPS)).toEqual(["2026-11-25", "2026-11-26"]);
    expect(await sent()).toEqual([]);
  });

  it("prunes what is too old, manifest and data, once the new one is proven", async () => {
    for (const id of ["2025-12-31", "2025-11-30", "2026-11-18", "2026-11-17", "2026-11-19"]) await pretend(id);
    await env.BACKUPS.delete(manifestKey("2026-11-25"));
    await nightly();
    const left = ["2025-12-31", "2026-11-19", "2026-11-25"];
    expect(await listBackupIds(env.BACKUPS)).toEqual(left);
    const data = await listKeys(env.BACKUPS, "data/");
    expect(data.map((key) => key.split("/")[1])).toEqual(left);
  });

  it("prunes nothing when it fails, alerts once an hour without a secret, and fails as a cron", async () => {
    for (const id of ["2025-11-30", "2026-11-17"]) await pretend(id);
    await env.BACKUPS.delete(manifestKey("2026-11-25"));
    const BACKUP_DATABASE_URL = database.backupUrl.replace(/:[^:@/]+@/, ":wrong-secret-and-long@");
    Object.assign(env, { BACKUP_DATABASE_URL });
    await expect(nightly()).rejects.toThrow(/password authentication failed/);
    expect(JSON.parse(logged.at(-1) ?? "")).toMatchObject({
      level: "error",
      event: "cron",
      ok: false,
      cause: { message: expect.stringContaining("password authentication failed") },
    });
    expect(await listBackupIds(env.BACKUPS)).toEqual(["2025-11-30", "2026-11-17"]);
    await expect(nightly()).rejects.toThrow();
    const alerts = await sent();
    expect(alerts).toMatchObject([
      {
        kind: "backup-failed",
        environment: "development",
        text: expect.stringContaining("2026-11-25"),
        at: expect.stringMatching(/^2026-11-25T02/),
      },
    ]);
    expect(JSON.stringify(alerts)).not.toContain("wrong-secret");
    expect(logged.join("\n")).not.toContain("wrong-secret");
    at("2026-11-25T03:00:09Z");
    await expect(nightly()).rejects.toThrow();
    expect(await kinds()).toEqual(["backup-failed", "backup-failed"]);
    Object.assign(env, { BACKUP_DATABASE_URL: database.backupUrl });
    await nightly();
    expect(await findLastFailure(env.BACKUPS)).toBeUndefined();
  });

  it("logs where it is, as JSON", async () => {
    await nightly();
    const lines = logged.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines[0]).toMatchObject({
      level: "info",
      event: "backup",
      backup: "2026-11-25",
      table: expect.any(String),
      rows: expect.any(Number),
    });
    expect(lines.at(-1)).toMatchObject({
      level: "info",
      event: "cron",
      cron: "0 2 * * *",
      ok: true,
      ms: expect.any(Number),
      backup: "2026-11-25",
      bytes: expect.any(Number),
      message: "complete, and read back",
    });
  });
});

describe("the hourly watch", () => {
  it("says nothing when all is well", async () => {
    await nightly();
    await hourly();
    expect(await sent()).toEqual([]);
  });

  it("says that there is no backup, that it is stale, and that the last run failed", async () => {
    await hourly();
    expect(await sent()).toMatchObject([{ kind: "backup-stale", text: "There is no backup." }]);
    at("2026-11-26T02:00:09Z");
    await nightly();
    at("2026-11-27T04:00:08Z");
    await hourly();
    expect(await kinds()).toEqual(["backup-stale"]);
    at("2026-11-27T05:00:10Z");
    await expect(
      runBackup({ ...source, databaseUrl: database.backupUrl.replace(/:[^:@/]+@/, ":no@") }),
    ).rejects.toThrow();
    await hourly();
    expect(await kinds()).toEqual(["backup-stale", "backup-stale", "backup-failed"]);
  });

  it("leaves one line that says what it found", async () => {
    await nightly();
    logged = [];
    await hourly();
    expect(logged.map((line) => JSON.parse(line))).toEqual([
      {
        level: "info",
        event: "cron",
        cron: "30 * * * *",
        ok: true,
        ms: expect.any(Number),
        database_bytes: expect.any(Number),
        bucket_bytes: expect.any(Number),
        failed_log_ins: 0,
      },
    ]);
  });

  it("forgets the idempotency keys of more than a day ago", async () => {
    await nightly();
    const { id } = await signIn();
    await sql(
      `INSERT INTO "Finances".idempotency_key (user_id, key, method, path, body_hash, created_at)
       VALUES ($1, 'old', 'POST', '/po', '', now() - interval '25 hours'), ($1, 'new', 'POST', '/po', '', now())`,
      [id],
    );
    await hourly();
    expect(await sql(`SELECT key FROM "Finances".idempotency_key WHERE user_id = $1`, [id])).toEqual([{ key: "new" }]);
  });

  it("counts a backup whose data is gone or cut as none", async () => {
    await nightly();
    const { key } = (await findManifest(env.BACKUPS, "2026-11-25")) ?? { key: "" };
    await env.BACKUPS.put(key, "cut");
    await hourly();
    expect(await kinds()).toEqual(["backup-stale"]);
  });

  it("says that a backup shrank by half", async () => {
    await nightly();
    const { uncompressed_bytes = 0 } = (await findManifest(env.BACKUPS, "2026-11-25")) ?? {};
    await pretend("2026-11-24", { uncompressed_bytes: 2 * uncompressed_bytes });
    await hourly();
    expect(await kinds()).toEqual([]);
    await pretend("2026-11-24", { uncompressed_bytes: 2 * uncompressed_bytes + 1 });
    await hourly();
    expect(await kinds()).toEqual(["backup-shrunk"]);
  });

  it("says that a run died, and ends what it left", async () => {
    await pretend("2026-11-24");
    await env.BACKUPS.delete(manifestKey("2026-11-25"));
    const upload = await env.BACKUPS.createMultipartUpload("data/2026-11-25/x.sql.gz");
    const run = {
      run_id: crypto.randomUUID(),
      started_at: "2026-11-25T02:00:09.000Z",
      heartbeat_at: "2026-11-25T02:10:00.000Z",
      uploads: [{ key: upload.key, upload_id: upload.uploadId }],
    };
    await env.BACKUPS.put("run/current.json", JSON.stringify(run));
    at("2026-11-25T02:26:00Z");
    await hourly();
    expect(await kinds()).toEqual([]);
    expect(await findCurrentRun(env.BACKUPS)).toBeDefined();
    at("2026-11-25T02:30:00Z");
    await hourly();
    expect(await kinds()).toEqual(["backup-died"]);
    expect(await findCurrentRun(env.BACKUPS)).toBeUndefined();
    expect(await findLastFailure(env.BACKUPS)).toMatchObject({ reason: expect.stringContaining("died") });
    await expect(upload.uploadPart(1, "x")).rejects.toThrow();
  });

  it("says that the database is down, and goes on with the rest", async () => {
    Object.assign(env, { DATABASE_URL: "postgres://nexgen_api:secret-word-and-long@127.0.0.1:1/nexgen" });
    await hourly();
    const alerts = await sent();
    expect(alerts.map(({ kind }) => kind).sort()).toEqual(["backup-stale", "database-down"]);
    expect(JSON.stringify(alerts)).not.toContain("secret-word");
  });

  it("says that somebody tries many log-ins, and not that a few people mistyped", async () => {
    await nightly();
    await sql(`SELECT "Finances".count_log_in('made-up-' || i, '203.0.113.9') FROM generate_series(1, 19) i`);
    const { username } = await insertAccount();
    expect((await logIn(username, "mistyped", "203.0.113.10")).status).toBe(401);
    expect((await logIn(username, "secret", "203.0.113.10")).status).toBe(200);
    await hourly();
    expect(await kinds()).toEqual([]);
    await logIn(username, "guess", "203.0.113.9");
    await hourly();
    expect(await sent()).toMatchObject([{ kind: "sign-in-attack", details: { pairs: 20, accounts: 20, sources: 1 } }]);
    expect(JSON.stringify([await sent(), logged])).not.toContain(username);
    // What was more than an hour ago is over.
    await sql(`UPDATE "Finances".login_attempt SET last_failed_at = last_failed_at - interval '61 minutes'`);
    at("2026-11-25T03:30:00Z");
    await hourly();
    expect(await kinds()).toEqual(["sign-in-attack"]);
  });

  it("compares sizes with the limits that are set, and with none where none is", async () => {
    await nightly();
    Object.assign(env, { DATABASE_LIMIT_BYTES: "1000", BUCKET_LIMIT_BYTES: "1000" });
    await hourly();
    const alerts = await sent();
    expect(alerts.map(({ kind }) => kind).sort()).toEqual(["bucket-size", "database-size"]);
    for (const { details } of alerts) expect(details).toMatchObject({ limit: 1000, bytes: expect.any(Number) });
    Object.assign(env, { DATABASE_LIMIT_BYTES: "100000000000", BUCKET_LIMIT_BYTES: "100000000000" });
    at("2026-11-25T03:30:00Z");
    await hourly();
    expect(await sent()).toHaveLength(2);
  });
});

/** The hourly cron of another isolate, which remembers nothing. */
async function hourlyElsewhere(): Promise<void> {
  vi.resetModules();
  const { default: other } = await import("../src/index.ts");
  expect(other).not.toBe(worker);
  await other.scheduled(createScheduledController({ cron: "30 * * * *" }), env);
}

describe("an alert", () => {
  it("is sent once per kind and hour, however many isolates notice", async () => {
    await Promise.all([hourly(), hourly(), hourlyElsewhere(), hourlyElsewhere()]);
    expect(await kinds()).toEqual(["backup-stale"]);
    at("2026-11-25T02:59:59Z");
    await Promise.all([hourly(), hourlyElsewhere()]);
    expect(await kinds()).toEqual(["backup-stale"]);
    at("2026-11-25T03:00:00Z");
    await Promise.all([hourly(), hourlyElsewhere()]);
    expect(await kinds()).toEqual(["backup-stale", "backup-stale"]);
  });

  it("is tried again when it is not taken", async () => {
    Object.assign(env, { ALERT_WEBHOOK_URL: `${inbox}?refuse=2` });
    await hourly();
    expect(await kinds()).toEqual(["backup-stale"]);
  });

  it("that cannot be delivered is free to be sent again, and stops nobody", async () => {
    Object.assign(env, { ALERT_WEBHOOK_URL: `${inbox}?refuse=3` });
    await hourly();
    expect(await kinds()).toEqual([]);
    await hourly();
    expect(await kinds()).toEqual(["backup-stale"]);
  });

  it("stands in the log where there is no webhook", async () => {
    Reflect.deleteProperty(env, "ALERT_WEBHOOK_URL");
    await hourly();
    await hourly();
    expect(logged.filter((line) => line.includes('"alert":"backup-stale"'))).toHaveLength(1);
    expect(await listKeys(env.BACKUPS, "alert/")).toEqual([]);
  });
});

describe("a cron that nobody knows", () => {
  it("is an error", async () => {
    await expect(cron("*/5 * * * *")).rejects.toThrow(/no job for the cron/);
  });
});
