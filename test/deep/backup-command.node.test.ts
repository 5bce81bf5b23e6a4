import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { takeLock } from "../../src/backup/lock.ts";
import type { Manifest } from "../../src/backup/manifest.ts";
import { lastFailureKey, listKeys, manifestKey } from "../../src/backup/store.ts";
import { configuredBucket, remoteConfig } from "../../tools/backup/bucket.ts";
import { firstLine, lastLine } from "../../tools/backup/script.ts";
import { dumping } from "../support/node/backup.ts";
import { inBucket, removeDataDirectory, storeBackup, temporaryDataDirectory } from "../support/node/bucket.ts";
import { describeServers } from "../support/node/database.ts";
import { contents, fixture, importText, query } from "../support/node/legacy-fixture.ts";

/** The file's rows, their audit entries and as many migrations as there are by now. */
const rowsOf = ({ tables }: Manifest) => tables.reduce((sum, { rows }) => sum + rows, 0);

const tool = join(import.meta.dirname, "../../tools/backup.ts");

describeServers(
  "npm run backup",
  (server) => {
    const dumpOf = dumping(server);
    // Every run of the tool loads wrangler or a database.
    vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });
    let dataDirectory = "";
    let files = "";
    let original = "";
    let newest: { manifest: Manifest; bytes: Uint8Array };

    /** Runs the tool as a script would: without a terminal. */
    const start = (args: string[], env: Record<string, string> = {}, directory = dataDirectory) => {
      const { OWNER_DATABASE_URL: _, CLOUDFLARE_API_TOKEN: __, ...rest } = process.env;
      const child = spawn(process.execPath, [tool, ...args], {
        env: { ...rest, ...env, NEXGEN_DATA_DIR: directory },
        stdio: ["ignore", "pipe", "pipe"],
      });
      const output = { out: "", err: "" };
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        output.out += text;
      });
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        output.err += text;
      });
      const ended = new Promise<{ code: number | null; out: string; err: string }>((done) =>
        child.on("close", (code) => done({ code, ...output })),
      );
      return { child, ended };
    };
    const backup = (...args: string[]) => start(args).ended;
    const empty = async () => server.url("nexgen_owner", await server.database("template0"));
    const schemas = (url: string) => query(url, "SELECT nspname FROM pg_namespace WHERE nspname = 'Finances'");

    beforeAll(async () => {
      dataDirectory = await temporaryDataDirectory();
      files = await mkdtemp(join(tmpdir(), "nexgen-backup-files-"));
      const database = await server.database();
      original = server.url("nexgen_owner", database);
      const before = await dumpOf(database);
      await importText(original, fixture);
      const dumped = await dumpOf(database);
      newest = await inBucket(dataDirectory, async (bucket) => {
        await storeBackup(bucket, "2026-11-24", before);
        return storeBackup(bucket, "2026-11-25", dumped);
      });
    });
    afterAll(async () => {
      await removeDataDirectory(dataDirectory);
      await rm(files, { recursive: true, force: true });
    });

    it("lists backups, newest first, for people and as JSON; none is an empty array", async () => {
      const why = { at: "2026-11-25T03:00:00.000Z", run_id: newest.manifest.run_id, reason: "no database" };
      await inBucket(dataDirectory, async (bucket) => {
        await bucket.put(lastFailureKey, JSON.stringify(why));
      });
      const { out, err, code } = await backup("list");
      expect(code).toBe(0);
      expect(err).toContain("The backup of 2026-11-25T03:00:00.000Z failed: no database\n");
      expect(out).toMatch(
        new RegExp(
          `^backup +age +size +rows +kept as +state\\n2026-11-25 +.* +${rowsOf(newest.manifest)} +.*good\\n2026-11-24 +`,
        ),
      );
      const listed = JSON.parse((await backup("list", "--json")).out);
      expect(listed).toMatchObject([
        {
          id: "2026-11-25",
          bytes: newest.bytes.length,
          rows: rowsOf(newest.manifest),
          state: "good",
          at: "2026-11-25T02:00:00.000000Z",
        },
        { id: "2026-11-24", state: "good" },
      ]);
      const nothing = await temporaryDataDirectory();
      expect(await start(["list", "--json"], {}, nothing).ended).toMatchObject({ code: 0, out: "[]\n" });
      await inBucket(nothing, async (bucket) => {
        await bucket.put(manifestKey("2026-11-25"), '{"version":2}');
      });
      expect(await start(["list"], {}, nothing).ended).toMatchObject({
        code: 1,
        err: expect.stringMatching(
          /^backup: the bucket has a manifest .* does not read .*\n✖ Invalid input: expected 1\n/,
        ),
      });
      await removeDataDirectory(nothing);
    });

    it("downloads the stored file byte for byte, and replaces no file unasked", async () => {
      const output = join(files, "copy.sql.gz");
      const { code, out } = await backup("download", "latest", "--output", output);
      expect(code).toBe(0);
      expect(Buffer.compare(await readFile(output), newest.bytes)).toBe(0);
      expect(out).toBe(`${createHash("sha256").update(newest.bytes).digest("hex")}  ${output}\n`);
      expect(await backup("download", "2026-11-24", "--output", output)).toMatchObject({
        code: 1,
        out: "",
        err: `backup: ${output} exists already: choose another name, or replace it with --yes\n`,
      });
    });

    it("prunes what no tier keeps, after a yes, and nothing while the newest is not whole or a run is going on", async () => {
      const pruned = await temporaryDataDirectory();
      const prune = (...args: string[]) => start(["prune", ...args], {}, pruned).ended;
      const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);
      const dumped = await dumpOf(new URL(original).pathname.slice(1));
      const [newestId, middle, oldest] = [daysAgo(1), daysAgo(2), daysAgo(400)];
      // Open all the while, as the dev stack has it.
      await inBucket(pruned, async (bucket) => {
        await storeBackup(bucket, oldest, dumped);
        await storeBackup(bucket, middle, dumped);
        const { manifest, bytes } = await storeBackup(bucket, newestId, dumped);
        await bucket.put("data/loose", "of a run that died");
        const all = await listKeys(bucket, "");

        expect(await prune()).toMatchObject({ code: 1, err: "backup: Delete 1 of 3 backups? Say --yes.\n" });
        await bucket.put(manifest.key, bytes.subarray(1));
        expect(await prune("--yes")).toMatchObject({
          code: 1,
          err: expect.stringContaining(`${newestId}, is not whole`),
        });
        await bucket.put(manifest.key, bytes);
        const lock = await takeLock(bucket);
        expect(await prune("--yes")).toMatchObject({ code: 1, err: expect.stringContaining("already running since") });
        await lock.release();
        expect(await listKeys(bucket, "")).toEqual(all);

        const { code, out } = await prune("--yes");
        expect(code).toBe(0);
        expect(out).toMatch(new RegExp(`^backup .*\\n${oldest} .*\\nDeleted 1 of 3 backups\\.\\n$`));
        expect(await listKeys(bucket, "")).toEqual(all.filter((key) => !key.includes(oldest) && key !== "data/loose"));
        expect((await prune("--yes")).out).toBe("Every backup is kept by a tier: nothing to delete.\n");
      });
      await removeDataDirectory(pruned);
    });

    it("verifies, and ends with 1 when something differs", async () => {
      const other = {
        ...newest.manifest,
        id: "2026-11-23",
        tables: newest.manifest.tables.map((table) =>
          table.name === "vendor" ? { ...table, sha256: "0".repeat(64) } : table,
        ),
      };
      await inBucket(dataDirectory, async (bucket) => {
        await bucket.put(manifestKey(other.id), JSON.stringify(other));
        const { code, out } = await backup("verify", other.id);
        await bucket.delete(manifestKey(other.id));
        expect(out).toMatch(/^Backup 2026-11-23 DIFFERS from its original:\n {2}table vendor: its rows differ from/);
        expect(code).toBe(1);
      });
    });

    it("restores by date and from a file, and says what comes next", async () => {
      const byDate = await empty();
      const { code, out } = await backup("restore", "2026-11-25", "--database-url", byDate);
      expect(code).toBe(0);
      expect(out).toMatch(
        new RegExp(
          `^Restored backup 2026-11-25 into test_\\w+ on 127\\.0\\.0\\.1: \\d+ tables with data, ${rowsOf(newest.manifest)} rows, in`,
        ),
      );
      expect(out).toContain("npm run db:roles");
      expect(out).not.toContain(server.password);

      const file = join(files, "restore.sql");
      await writeFile(file, gunzipSync(newest.bytes));
      const fromFile = await empty();
      const json = await backup("restore", file, "--database-url", fromFile, "--yes", "--json");
      expect(JSON.parse(json.out)).toMatchObject({ source: file, rows: { client_po_line_item: 156 } });
      for (const url of [byDate, fromFile]) expect(await contents(url)).toEqual(await contents(original));
    });

    it("refuses to restore into a database that is not empty, and from a file that is not there", async () => {
      const [full, none] = await Promise.all([
        backup("restore", "latest", "--database-url", original),
        backup("restore", "/no/such/file", "--database-url", await empty()),
      ]);
      expect(full).toMatchObject({ code: 1, out: "", err: expect.stringContaining('has a schema "Finances" already') });
      expect(none).toMatchObject({
        code: 1,
        err: "backup: /no/such/file is neither a UTC date (2026-11-25), nor latest, nor a file\n",
      });
    });

    it("leaves the database empty when a restore is interrupted, and says so", async () => {
      const url = await empty();
      const file = join(files, "slow.sql");
      await writeFile(file, `${firstLine}\nCREATE SCHEMA "Finances";\nSELECT pg_sleep(120);\n${lastLine}\n`);
      const { child, ended } = start(["restore", file, "--database-url", url]);
      const sleeping = () =>
        query(url, "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'");
      while ((await sleeping()).length === 0) await new Promise((done) => setTimeout(done, 50));
      child.kill("SIGINT");
      expect(await ended).toMatchObject({
        code: 130,
        err: expect.stringContaining("interrupted; nothing was changed"),
      });
      expect(await schemas(url)).toEqual([]);
      expect(await sleeping()).toEqual([]);
    });

    it("answers 2 to wrong usage, and 1 with what to do where something is missing", async () => {
      const cases: [code: number, args: string[], message: RegExp][] = [
        [2, ["burn"], /unknown command 'burn'/],
        [2, ["restore", "latest"], /required option '--database-url <url>'/],
        [2, ["list", "--remote", "--env", "moon"], /Allowed choices are staging, production/],
        [1, ["list", "--remote"], /--remote needs --env staging or --env production/],
        [
          1,
          ["restore", "latest", "--database-url", "postgres://o:p@db.example/x"],
          /end it with \?sslmode=verify-full/,
        ],
        [1, ["create", "--remote", "--env", "staging"], /--url https:\/\/…, and --username/],
        [1, ["create", "--url", "http://api.example", "--username", "a"], /would send the password unencrypted/],
        [1, ["create", "--url", "https://api.example", "--username", "a"], /set NEXGEN_PASSWORD/],
      ];
      for (const [code, args, message] of cases) {
        const refused = await backup(...args);
        expect(refused.err, args.join(" ")).toMatch(message);
        expect(refused.code, args.join(" ")).toBe(code);
      }
    });

    it("says what --remote needs when wrangler has no credentials", async () => {
      const nobody = { HOME: files, XDG_CONFIG_HOME: files, CI: "true" };
      const { code, err, out } = await start(["list", "--remote", "--env", "production"], nobody).ended;
      expect({ code, out }).toEqual({ code: 1, out: "" });
      expect(err).toMatch(
        /^backup: (?:.*wrangler\.toml has no environment production|the bucket \S+ cannot be reached\. It needs `npx wrangler login`, or CLOUDFLARE_API_TOKEN .*)$/m,
      );
    });

    it("explains itself", async () => {
      const { code, out } = await backup("--help");
      expect(code).toBe(0);
      for (const word of ["list", "create", "download", "verify", "restore", "prune", "Exit codes"])
        expect(out).toContain(word);
    });

    it("asks wrangler for the bucket that an environment of wrangler.toml has, and for no other", async () => {
      const file = join(files, "wrangler.toml");
      await writeFile(
        file,
        'name = "x"\n[[r2_buckets]]\nbinding = "BACKUPS"\nbucket_name = "dev-bucket"\n[[env.staging.r2_buckets]]\nbinding = "BACKUPS"\nbucket_name = "staging-bucket"\n[env.production.vars]\nA = "1"\n',
      );
      expect(await configuredBucket("staging", file)).toBe("staging-bucket");
      expect(await configuredBucket(undefined, file)).toBe("dev-bucket");
      await expect(configuredBucket("production", file)).rejects.toThrow("no [[env.production.r2_buckets]]");
      await writeFile(file, 'name = "x"\n[[r2_buckets]]\nbinding = "BACKUPS"\nbucket_name = "dev-bucket"\n');
      await expect(configuredBucket("production", file)).rejects.toThrow("has no environment production");
      expect(remoteConfig("staging-bucket")).toMatchObject({
        r2_buckets: [{ binding: "BACKUPS", bucket_name: "staging-bucket", remote: true }],
      });
    });
  },
  "embedded",
);
