import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { freePort } from "../../tools/postgres.ts";
import { type Checkout, copyCheckout } from "../support/node/checkout.ts";
import { describeServers, type TestServer } from "../support/node/database.ts";
import { dataDirectory, endAll, runTool } from "../support/node/dev.ts";
import { newVersion, oldVersion, recordedCommands } from "../support/node/recorded.ts";

vi.setConfig({ testTimeout: 60_000 });

let checkout: Checkout;
let commands: Awaited<ReturnType<typeof recordedCommands>>;

beforeAll(async () => {
  [checkout, commands] = await Promise.all([copyCheckout(), recordedCommands()]);
});
afterAll(() => Promise.all([checkout?.remove(), commands?.remove()]));
beforeEach(() => commands.behave());

/** Starts the tool in the copied checkout as a person would. */
function start(args: string[], given: { databaseUrl?: string; path?: string; password?: string } = {}) {
  const { databaseUrl, path = commands.bin, password = "seven green boats at noon" } = given;
  const { npm_lifecycle_event: _, CLOUDFLARE_API_TOKEN: __, ...environment } = process.env;
  const child = spawn(process.execPath, [join(checkout.directory, "tools/deploy.ts"), ...args], {
    env: {
      ...environment,
      PATH: `${path}${delimiter}${process.env.PATH}`,
      NEXGEN_PASSWORD: password,
      OWNER_DATABASE_URL: databaseUrl ?? "",
      ...(path === commands.bin && { CLOUDFLARE_API_TOKEN: "of-the-account" }),
      // Nobody is logged in here, whoever runs the tests.
      HOME: checkout.directory,
      XDG_CONFIG_HOME: checkout.directory,
      CLOUDFLARE_CF_FETCH_ENABLED: "false",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { output: "" };
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      said.output += text;
    });
  const ended = once(child, "close").then(([code]) => {
    expect(said.output).not.toContain(password);
    if (databaseUrl) expect(said.output).not.toContain(new URL(databaseUrl).password);
    return { code: code as number, output: said.output };
  });
  return { child, said, ended };
}

describeServers(
  "npm run deploy",
  (server: TestServer) => {
    let api: Server;
    let answer: (request: IncomingMessage, response: ServerResponse) => void;
    let url = "";
    let databaseUrl = "";
    let migration = "";

    beforeAll(async () => {
      api = createServer((request, response) => answer(request, response)).listen(0, "127.0.0.1");
      await once(api, "listening");
      url = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
    });
    afterAll(() => {
      api.closeAllConnections();
      api.close();
    });
    beforeEach(async () => {
      // An API that lives, and that the smoke test finds wanting.
      answer = (request, response) => response.writeHead(request.url?.includes("probe=live") ? 200 : 500).end();
      databaseUrl = server.url("nexgen_owner", await server.database());
      migration = await checkout.addMigration("notes", `ALTER TABLE "Finances".client ADD COLUMN notes text;`);
    });
    afterEach(() => checkout.reset());

    const usual = () => ["--username", "operator", "--url", url, "--settle", "0"];
    const toStaging = (...args: string[]) => start(["--env", "staging", ...usual(), ...args], { databaseUrl }).ended;
    const isMigrated = async () => {
      const client = await server.connect(new URL(databaseUrl).pathname.slice(1));
      const { rowCount } = await client.query(
        `SELECT FROM information_schema.columns WHERE table_schema = 'Finances' AND table_name = 'client' AND column_name = 'notes'`,
      );
      return rowCount === 1;
    };
    /** What wrangler was asked to change. */
    const changes = async () =>
      (await commands.calls()).filter((call) => /^wrangler (deploy (?!--dry-run)|rollback|secret put)/.test(call));
    const nothingChanged = async ({ code, output }: { code: number; output: string }) => {
      expect(output).toContain("Nothing was changed.");
      expect(code).toBe(1);
      expect(await changes()).toEqual([]);
      expect(await isMigrated()).toBe(false);
    };

    it("checks, tests, migrates, uploads, and goes back to the version of before when the smoke test fails", async () => {
      const { code, output } = await toStaging();
      const calls = await commands.calls();
      const [commit] = /[0-9a-f]{12}/.exec(output) ?? [];
      expect(calls).toEqual([
        "wrangler whoami --json",
        "wrangler deployments status --json --env staging",
        "wrangler secret list --env staging",
        "npm run check",
        "npm test",
        expect.stringMatching(/^wrangler deploy --dry-run --minify --env staging --outdir \S+$/),
        "npm run check -- --schema-only",
        "wrangler deployments status --json --env staging",
        `wrangler deploy --minify --env staging --tag ${commit} --message drizzle: notes`,
        "wrangler deployments status --json --env staging",
        `wrangler rollback ${oldVersion} --env staging --yes --message not proven: ${commit}`,
        "wrangler deployments status --json --env staging",
      ]);
      expect(output).toContain(`ok   migrations`);
      expect(output).toMatch(new RegExp(`ok {3}migrate +\\S+ s {2}${migration}`));
      expect(output).toMatch(new RegExp(`ok {3}upload +\\S+ s {2}${newVersion}`));
      expect(output).toMatch(/FAIL smoke test[\s\S]*GET \/health/);
      expect(output).toContain(`rolled back to ${oldVersion}, which serves again. Applied, and they stay`);
      expect(output).toContain(`: ${migration}.`);
      expect(code).toBe(3);
      expect(await commands.live()).toBe(oldVersion);
      expect(await isMigrated()).toBe(true);
    });

    it("releases to a running stack, which the whole smoke test then proves", async () => {
      await checkout.reset();
      const tag = await checkout.addMigration("remark", `COMMENT ON TABLE "Finances".client IS 'Who buys';`);
      await commands.behave({ real: ["npm run check -- --schema-only"] });
      const directory = await dataDirectory();
      const port = await freePort();
      const ofStack = { OWNER_DATABASE_URL: databaseUrl, NEXGEN_DATA_DIR: directory, PORT: String(port) };
      const stack = runTool("dev.ts", { ...ofStack, BCRYPT_COST: "10" });
      try {
        const [, password = ""] = /admin \/ (\S+)/.exec(await stack.ready()) ?? [];
        const args = ["--env", "staging", "--username", "admin", "--url", `http://localhost:${port}`, "--settle", "0"];
        const { code, output } = await start(args, { databaseUrl, password }).ended;
        expect(output).toMatch(/ok {3}smoke test +[\d.]+ s {2}\d+ passed, 0 failed/);
        expect(output).toMatch(new RegExp(`ok {3}migrate .*${tag}`));
        expect(output).toContain("ok   schema");
        expect(output).toMatch(/\nReleased [0-9a-f]{12} to staging: http:\/\/localhost/);
        expect(code).toBe(0);
        expect(await commands.live()).toBe(newVersion);
        expect((await commands.calls()).filter((call) => call.includes("rollback"))).toEqual([]);
        args[1] = "production";
        const production = await start([...args, "--yes", "--skip-tests"], { databaseUrl, password }).ended;
        expect(production.output).toMatch(/ok {3}migrations +[\d.]+ s {2}none to apply/);
        const notRun = (text: string) => Number(/smoke test.* (\d+) not run/.exec(text)?.[1]);
        // It writes nothing there.
        expect(notRun(production.output)).toBeGreaterThan(notRun(output));
        expect(production.code).toBe(0);
      } finally {
        await endAll([stack.child]);
        await rm(directory, { recursive: true, force: true });
      }
    }, 120_000);

    it("uploads nothing when the database is not what the code expects after the migrations", async () => {
      await commands.behave({ real: ["npm run check -- --schema-only"] });
      const { code, output } = await toStaging();
      expect(output).toContain("client.notes");
      expect(output).toContain(`Nothing was uploaded. Applied, and they stay`);
      expect(code).toBe(3);
      expect(await changes()).toEqual([]);
    });

    it.each<[string, Parameters<typeof commands.behave>[0], string]>([
      ["nobody is logged in", { loggedIn: false }, "wrangler is not logged in: npx wrangler login"],
      [
        "a secret is missing",
        { secrets: ["DATABASE_URL"] },
        "missing: BACKUP_DATABASE_URL, JWT_KEYS: npx wrangler secret put",
      ],
      ["the check fails", { failing: ["npm run check"] }, "it does not hold"],
      ["the tests fail", { failing: ["npm test"] }, "npm test failed (exit code 1)"],
      ["two versions share the traffic", { gradual: true }, "finish that gradual deployment first"],
      ["the bundle cannot be built", { failing: ["wrangler deploy --dry-run"] }, "wrangler deploy --dry-run failed"],
    ])("changes nothing when %s", async (_case, behaviour, words) => {
      await commands.behave(behaviour);
      const ended = await toStaging();
      expect(ended.output).toContain(words);
      await nothingChanged(ended);
    });

    it("refuses a migration that takes away, by its file, line and statement, and applies it when told to", async () => {
      const tag = await checkout.addMigration(
        "narrow",
        `-- One day.\nALTER TABLE "Finances".vendor\n  DROP COLUMN phone;`,
      );
      const refused = await toStaging();
      expect(refused.output).toContain(
        `drizzle/${tag}.sql, line 2: drops a column: ALTER TABLE "Finances".vendor DROP COLUMN phone`,
      );
      expect(refused.output).toContain("--allow-destructive");
      await nothingChanged(refused);
      // The smoke test fails, which is beside the point.
      expect((await toStaging("--allow-destructive", "--skip-tests")).code).toBe(3);
      expect(await isMigrated()).toBe(true);
      expect(await commands.calls()).not.toContain("npm test");
    });

    it("says after an upload that failed whether anything new serves, and goes back if it does", async () => {
      await commands.behave({ failing: ["wrangler deploy --minify"] });
      const { code, output } = await toStaging();
      expect(output).toContain("A request to the Cloudflare API failed. [code: 10013]");
      expect(output).toContain(`nothing new serves: ${oldVersion}. Applied, and they stay`);
      expect(code).toBe(3);
      await commands.behave({ failsLate: true });
      const late = await toStaging();
      expect(late.output).toContain("A route is in use by another Worker.");
      expect(late.output).toContain(`rolled back to ${oldVersion}, which serves again. No migration was applied.`);
      expect(late.code).toBe(3);
      expect(await commands.live()).toBe(oldVersion);
    });

    it("goes back when the new version does not even live", async () => {
      answer = (_, response) => response.writeHead(500).end();
      const { code, output } = await toStaging();
      expect(output).toContain(`${url} answers 500`);
      expect(code).toBe(3);
      expect(await commands.live()).toBe(oldVersion);
    });

    it("says how to go back by hand when the rollback fails", async () => {
      await commands.behave({ failing: ["wrangler rollback"] });
      const { code, output } = await toStaging();
      expect(output).toContain("THE ROLLBACK FAILED: wrangler rollback failed");
      expect(output).toContain(`By hand: npx wrangler rollback ${oldVersion} --env staging --message`);
      expect(code).toBe(4);
      expect(await commands.live()).toBe(newVersion);
    });

    it("takes the secrets of a first release from a file, and then has nothing to go back to", async () => {
      const file = join(checkout.directory, "..", "secrets.json");
      await commands.behave({ live: null });
      const missing = await toStaging();
      expect(missing.output).toContain("missing: DATABASE_URL, BACKUP_DATABASE_URL, JWT_KEYS");
      await nothingChanged(missing);
      await writeFile(file, JSON.stringify({ DATABASE_URL: "a", BACKUP_DATABASE_URL: "b", JWT_KEYS: "c" }));
      const { code, output } = await toStaging("--secrets-file", file);
      expect(await changes()).toEqual([expect.stringContaining(`--secrets-file ${file}`)]);
      expect(output).toContain(`${newVersion} serves, is not proven, and there is no version to go back to.`);
      expect(code).toBe(4);
    });

    it("releases no example, no uncommitted change, nothing unasked to production, and to no unknown database", async () => {
      const run = (env: string, more: string[] = [], database = databaseUrl) =>
        start(["--env", env, ...usual(), ...more], { databaseUrl: database }).ended;
      const asked = await run("production");
      expect(asked.output).toContain("production is asked for first");
      await nothingChanged(asked);
      const unknown = await run("staging", [], "");
      expect(unknown.output).toContain("whose database? Set OWNER_DATABASE_URL");
      await nothingChanged(unknown);
      const unverified = await run("staging", [], "postgres://owner:secret-of-the-owner@db.nexgen.test/nexgen");
      expect(unverified.output).toContain("?sslmode=verify-full");
      await nothingChanged(unverified);
      const { domains } = checkout;
      await checkout.change("wrangler.toml", (text) => text.replace(domains.staging, "api-staging.example.com"), false);
      const dirty = await run("staging");
      expect(dirty.output).toContain("not everything is committed");
      expect(dirty.output).toContain("wrangler.toml");
      await nothingChanged(dirty);
      const example = await run("staging", ["--allow-dirty"]);
      expect(example.output).toContain("api-staging.example.com in [env.staging] of wrangler.toml is an example");
      await nothingChanged(example);
    });

    it("does in a dry run all that changes nothing, and says what stands in the way", async () => {
      const dryRun = () => start(["--env", "production", "--dry-run"], { databaseUrl }).ended;
      const { code, output } = await dryRun();
      expect(output).toContain("Nothing stands in the way. Nothing was changed.");
      expect(output).toContain(`https://${checkout.domains.production}`);
      expect(output).toContain(migration);
      expect(code).toBe(0);
      expect(await commands.calls()).toEqual(expect.arrayContaining(["npm run check", "npm test"]));
      await checkout.addMigration("worse", `DROP TABLE "Finances".vendor;`);
      await commands.behave({ secrets: [], failing: ["npm test"] });
      const worse = await dryRun();
      for (const step of ["secrets: missing", "migrations: the version that serves now", "tests: npm test failed"])
        expect(worse.output).toContain(`deploy: would stop: ${step}`);
      await nothingChanged(worse);
    });

    it("builds in a dry run with the real wrangler what it would upload", async () => {
      const { code, output } = await start(["--env", "production", "--dry-run", "--skip-tests"], {
        databaseUrl,
        path: join(import.meta.dirname, "../../node_modules/.bin"),
      }).ended;
      expect(output).toMatch(/ok {3}bundle +\S+ s {2}\d+\.\d+ KiB \/ gzip: \d+\.\d+ KiB/);
      expect(output).toContain("deploy: would stop: account: wrangler is not logged in");
      expect(code).toBe(1);
    });

    const interrupted = async (run: ReturnType<typeof start>, at: string) => {
      await vi.waitFor(async () => expect((await commands.calls()).join("\n")).toContain(at), { timeout: 30_000 });
      run.child.kill("SIGINT");
      return run.ended;
    };

    it("changes nothing when it is interrupted while it checks", async () => {
      await commands.behave({ slow: ["npm run check"] });
      const { code, output } = await interrupted(
        start(["--env", "staging", ...usual()], { databaseUrl }),
        "npm run check",
      );
      expect(output).toContain("deploy: interrupted\ndeploy: Nothing was changed.");
      expect(code).toBe(130);
      expect(await changes()).toEqual([]);
      expect(await isMigrated()).toBe(false);
    });

    it("lets the migrations finish when it is interrupted in them, and uploads nothing", async () => {
      const tag = await checkout.addMigration("slow", "SELECT pg_sleep(3);");
      const run = start(["--env", "staging", ...usual()], { databaseUrl });
      const sleeps = `SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3)%' AND state = 'active' AND pid <> pg_backend_pid()`;
      await vi.waitFor(async () => expect((await server.superuser(sleeps)).rowCount).toBe(1), { timeout: 30_000 });
      run.child.kill("SIGINT");
      const { code, output } = await run.ended;
      expect(output).toContain("Nothing was uploaded. Applied, and they stay");
      expect(output).toContain(`: ${migration}, ${tag}.`);
      expect(code).toBe(130);
      expect(await changes()).toEqual([]);
      expect(await isMigrated()).toBe(true);
    });

    it("leaves everything as it is at a second Ctrl-C, and says how to find out", async () => {
      await commands.behave({ slow: ["wrangler deploy --minify"] });
      const run = start(["--env", "staging", ...usual()], { databaseUrl });
      const second = interrupted(run, "wrangler deploy --minify").then(({ code, output }) => {
        expect(output).toContain("left in the middle of an upload: npx wrangler deployments status");
        expect(code).toBe(130);
      });
      await vi.waitFor(() => expect(run.said.output).toContain("a second Ctrl-C"), { timeout: 40_000 });
      await sleep(1100);
      run.child.kill("SIGINT");
      await second;
      // Wrangler was let go on.
      await vi.waitFor(async () => expect(await commands.live()).toBe(newVersion), { timeout: 10_000 });
      expect((await commands.calls()).filter((call) => call.includes("rollback"))).toEqual([]);
    });

    it("lets an upload finish when it is interrupted, and goes back: it is not proven", async () => {
      await commands.behave({ slow: ["wrangler deploy --minify"] });
      const run = start(["--env", "staging", ...usual()], { databaseUrl });
      const { code, output } = await interrupted(run, "wrangler deploy --minify");
      expect(output).toContain("interrupted before it was proven");
      expect(output).toContain(`rolled back to ${oldVersion}, which serves again. Applied, and they stay`);
      expect(code).toBe(130);
      expect(await commands.live()).toBe(oldVersion);
    });

    it("goes back when it is interrupted in the smoke test", async () => {
      let asked = 0;
      answer = (request, response) => {
        asked += 1;
        if (request.url?.includes("probe=live")) response.end();
      };
      const run = start(["--env", "staging", ...usual()], { databaseUrl });
      await vi.waitFor(() => expect(asked).toBeGreaterThan(1), { timeout: 30_000 });
      run.child.kill("SIGINT");
      const { code, output } = await run.ended;
      expect(output).toContain(`rolled back to ${oldVersion}`);
      expect(code).toBe(130);
    });

    it("gives nobody a secret that is not theirs", async () => {
      await toStaging();
      expect((await commands.calls()).filter((call) => call.startsWith("LEAKED"))).toEqual([]);
    });
  },
  "embedded",
);
