import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { AlreadyRunning, findCurrentRun } from "../src/backup/lock.ts";
import { Manifest } from "../src/backup/manifest.ts";
import { findLastFailure, runBackup } from "../src/backup/run.ts";
import { findManifest, listBackupIds, listKeys } from "../src/backup/store.ts";
import { createDb } from "../src/db/client.ts";
import { sql } from "./support/api.ts";
import { callsOfARun, emptyBucket, interfered, isOpen, keys, source, visible } from "./support/backup.ts";
import { database } from "./support/database.ts";
import { insertClient } from "./support/rows.ts";

const day = (date: string) => vi.setSystemTime(new Date(`${date}T02:00:07.123Z`));
const sha256 = async (bytes: ArrayBuffer) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();

afterEach(async () => {
  vi.useRealTimers();
  await emptyBucket();
});

describe("a backup", () => {
  it("is one gzip object and a manifest that tells all about it", async () => {
    await insertClient();
    const manifest = await runBackup(source());
    expect(Manifest.parse(manifest)).toEqual(manifest);
    expect(await findManifest(env.BACKUPS, manifest.id)).toEqual(manifest);
    expect(manifest.id).toBe(manifest.started_at.slice(0, 10));
    expect(await keys()).toEqual([`data/${manifest.id}/${manifest.run_id}.sql.gz`, `manifest/${manifest.id}.json`]);

    const object = await env.BACKUPS.get(manifest.key);
    const bytes = (await object?.arrayBuffer()) ?? new ArrayBuffer();
    expect(bytes.byteLength).toBe(manifest.bytes);
    expect(await sha256(bytes)).toBe(manifest.sha256);
    expect(manifest.verification).toMatchObject({ read_back: true, bytes: manifest.bytes, sha256: manifest.sha256 });
    const text = await new Response(new Response(bytes).body?.pipeThrough(new DecompressionStream("gzip"))).text();
    expect(new TextEncoder().encode(text).length).toBe(manifest.uncompressed_bytes);
    expect(text).toMatch(/^-- nexgen backup\n/);
    expect(text).toMatch(/\n-- nexgen backup complete\n$/);

    const [count] = await sql(`SELECT count(*) FROM "Finances".client`);
    expect(manifest.tables.find((table) => table.name === "client")?.rows).toBe(Number(count?.count));
    const [newest] = await sql(`SELECT count(*), max(created_at) FROM "Finances".schema_migration`);
    expect(manifest.schema_version).toEqual({ migrations: Number(newest?.count), newest: Number(newest?.max) });
    expect(manifest.postgres_version).toMatch(/^18\./);
  });

  it("is larger than one part, and is the same bytes after all", async () => {
    // Random text hardly shrinks, so that the parts of 8 MiB are full.
    await sql(`CREATE TABLE "Finances".noise (id integer PRIMARY KEY, noise text)`);
    await sql(`INSERT INTO "Finances".noise SELECT n, (SELECT string_agg(gen_random_uuid()::text, '') FROM generate_series(1, 100) WHERE n > 0)
               FROM generate_series(1, 5000) n`);
    await sql(`GRANT SELECT ON "Finances".noise TO nexgen_backup`);
    const seen: number[] = [];
    const manifest = await runBackup(source(), ({ table, rows }) => void (table === "noise" && seen.push(rows)));
    await sql(`DROP TABLE "Finances".noise`);
    expect(manifest.bytes).toBeGreaterThan(8 * 1024 * 1024);
    expect((await env.BACKUPS.head(manifest.key))?.size).toBe(manifest.bytes);
    expect(manifest.tables.find((table) => table.name === "noise")?.rows).toBe(5000);
    expect(seen.length).toBeGreaterThan(3);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  });

  it("of the same day takes the place of the one before, and leaves one object", async () => {
    const first = await runBackup(source());
    const second = await runBackup(source());
    expect(second.key).not.toBe(first.key);
    expect(await keys()).toEqual([second.key, `manifest/${second.id}.json`]);
  });

  it("stands beside those of other days", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    for (const date of ["2026-11-24", "2026-11-25"]) {
      day(date);
      expect((await runBackup(source())).id).toBe(date);
    }
    expect(await listBackupIds(env.BACKUPS)).toEqual(["2026-11-24", "2026-11-25"]);
    expect(await listKeys(env.BACKUPS, "data/")).toHaveLength(2);
  });

  it("is one snapshot: what is written meanwhile is in none of its tables", async () => {
    const client_id = await insertClient();
    const counted = await sql(
      `SELECT (SELECT count(*) FROM "Finances".client) AS client, (SELECT count(*) FROM "Finances".site) AS site`,
    );
    let written = false;
    const manifest = await runBackup(source(), async ({ table }) => {
      if (table !== "client" || written) return;
      written = true;
      await insertClient();
      const migration = `DO $$ BEGIN SET LOCAL lock_timeout = '100ms'; ALTER TABLE "Finances".vendor ADD COLUMN late text; END $$`;
      await expect(sql(migration), "no table changes its form meanwhile").rejects.toThrow(/lock timeout/);
      await sql(`INSERT INTO "Finances".site (site_name) VALUES ('Late')`);
      await sql(`DELETE FROM "Finances".client WHERE id = $1`, [client_id]);
    });
    expect(written).toBe(true);
    for (const name of ["client", "site"])
      expect(manifest.tables.find((table) => table.name === name)?.rows).toBe(Number(counted[0]?.[name]));
  });
});

describe("a run that fails", () => {
  it("at any call of R2 leaves a whole backup of the day, the old one or its own, no open upload, no lock, and says why", {
    timeout: 120_000,
  }, async () => {
    const calls = await callsOfARun();
    expect(calls).toBeGreaterThan(10);
    for (let failing = 1; failing <= calls; failing += 1) {
      await runBackup(source());
      const { bucket, uploads } = interfered((call) => {
        if (call === failing) throw new Error("R2 is having a moment");
      });
      const result = await runBackup(source(bucket)).then(
        () => "done",
        (error: Error) => error.message,
      );
      expect(result, `call ${failing}`).toBe("R2 is having a moment");
      const named = (await visible()).length;
      expect(named, `call ${failing}`).toBe(1);
      expect(await listKeys(env.BACKUPS, "data/"), `call ${failing}`).toHaveLength(named);
      for (const upload of uploads) expect(await isOpen(upload), `call ${failing}`).toBe(false);
      expect(await findCurrentRun(env.BACKUPS), `call ${failing}`).toBeUndefined();
      if (failing > 1) expect(await findLastFailure(env.BACKUPS), `call ${failing}`).toMatchObject({ reason: result });
      await emptyBucket();
    }
  });

  it("for a moment is tried again: R2 takes one write of a key a second", async () => {
    const written = new Map<unknown, number>();
    let refused = 0;
    const limited = new Proxy(env.BACKUPS, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== "function") return member;
        if (name !== "put" && name !== "delete") return member.bind(target);
        return async (...args: unknown[]) => {
          if (Date.now() - (written.get(args[0]) ?? 0) < 1000) {
            refused += 1;
            throw new Error(`${name}: Reduce your rate of simultaneous writes on the same object. (10058)`);
          }
          written.set(args[0], Date.now());
          return member.apply(target, args);
        };
      },
    });
    const made = await runBackup(source(limited));
    expect(refused).toBeGreaterThan(0);
    expect(await keys()).toEqual([made.key, `manifest/${made.id}.json`]);
  });

  it("for want of a database leaves nothing but the reason, without the password", async () => {
    const databaseUrl = database.backupUrl.replace(/:[^:@/]+@/, ":wrong-secret@");
    await expect(runBackup({ bucket: env.BACKUPS, databaseUrl })).rejects.toThrow(/password authentication failed/);
    expect(await keys()).toEqual(["run/last-failure.json"]);
    const failure = await findLastFailure(env.BACKUPS);
    expect(failure?.reason).toMatch(/password authentication failed/);
    expect(JSON.stringify(failure)).not.toContain("wrong-secret");
  });

  it("because its connection is cut in the middle leaves nothing but the reason", async () => {
    await insertClient();
    const cut = runBackup(source(), async ({ table }) => {
      if (table !== "client") return;
      const text = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND usename = current_user AND state = 'idle in transaction'`;
      const [ended] = await createDb(database.backupUrl).read({ text, params: [] });
      expect(ended).toHaveLength(1);
    });
    await expect(cut).rejects.toThrow(/terminat|connection/i);
    expect(await keys()).toEqual(["run/last-failure.json"]);
  });

  it("in its progress leaves nothing but the reason, and a good run clears that too", async () => {
    const stopped = runBackup(source(), () => {
      throw new Error("nobody listens");
    });
    await expect(stopped).rejects.toThrow("nobody listens");
    expect(await keys()).toEqual(["run/last-failure.json"]);
    const { key, id } = await runBackup(source());
    expect(await keys()).toEqual([key, `manifest/${id}.json`]);
  });

  it("does not touch the good backup of the same day", async () => {
    const good = await runBackup(source());
    await expect(
      runBackup(source(), () => {
        throw new Error("no");
      }),
    ).rejects.toThrow("no");
    expect(await findManifest(env.BACKUPS, good.id)).toEqual(good);
    expect(await env.BACKUPS.head(good.key)).not.toBeNull();
  });

  it("finds a byte that R2 has changed, by reading back what it sent", async () => {
    const { bucket } = interfered(() => {});
    const changed = new Proxy(bucket, {
      get(target, name) {
        if (name !== "get") return Reflect.get(target, name);
        return async (key: string, options: R2GetOptions) => {
          if (key.startsWith("data/")) {
            const bytes = new Uint8Array((await (await env.BACKUPS.get(key))?.arrayBuffer()) ?? []);
            bytes[100] = (bytes[100] ?? 0) ^ 1;
            await env.BACKUPS.put(key, bytes);
          }
          return env.BACKUPS.get(key, options);
        };
      },
    });
    await expect(runBackup(source(changed))).rejects.toThrow(/what R2 has is not what was sent/);
    expect(await keys()).toEqual(["run/last-failure.json"]);
  });
});

describe("two runs at once", () => {
  it("make one backup, and the other one says since when", async () => {
    const runs = await Promise.allSettled([runBackup(source()), runBackup(source()), runBackup(source())]);
    const made = runs.filter((run) => run.status === "fulfilled");
    expect(made).toHaveLength(1);
    for (const run of runs) {
      if (run.status === "rejected") expect(run.reason).toBeInstanceOf(AlreadyRunning);
    }
    expect(await keys()).toHaveLength(2);
  });

  it("where one was silent for too long: it writes nothing more once the other took over", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    day("2026-11-25");
    const { promise: taken, resolve: takeOver } = Promise.withResolvers<void>();
    const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
    let waited = false;
    const silent = runBackup(source(), async () => {
      if (waited) return;
      waited = true;
      reach();
      await taken;
    });
    silent.catch(() => {});
    await reached;
    vi.setSystemTime(new Date("2026-11-25T02:17:00Z"));
    const other = await runBackup(source());
    takeOver();
    await expect(silent).rejects.toThrow(/another run took over|upload does not exist/);
    expect(await keys()).toEqual([other.key, `manifest/${other.id}.json`]);
  });
});
