import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { confirm } from "@inquirer/prompts";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { unstable_readConfig } from "wrangler";
import { type Account, checkedUrl, interruption, passwordOf, Refused } from "./account.ts";
import { prepareAssets } from "./assets.ts";
import { ticker } from "./backup/progress.ts";
import { seconds } from "./backup/report.ts";
import { cloudflare, type Environment } from "./deploy/cloudflare.ts";
import { destructive } from "./deploy/destructive.ts";
import { lastWords, run } from "./deploy/process.ts";
import { migrate, migrationState, migrationText } from "./migrate.ts";
import { createRoles } from "./roles.ts";
import { checkedDatabaseUrl, ownerDatabaseUrl, root } from "./stack.ts";

interface Given {
  env: Environment;
  username?: string;
  url?: string;
  expect?: string;
  databaseUrl?: string;
  secretsFile?: string;
  settle: number;
  skipTests?: true;
  allowDirty?: true;
  allowDestructive?: true;
  yes?: true;
  dryRun?: true;
}

/** What the exit codes mean. */
const exit = { done: 0, nothingChanged: 1, usage: 2, asBefore: 3, byHand: 4, interrupted: 130 } as const;

const program = new Command("npm run deploy --")
  .description(
    "A release, from the commit to the proof: checks, tests, migrations, upload, smoke test; and back to the version of " +
      "before when the smoke test fails. docs/deploy.md says what each step is for.",
  )
  .addOption(new Option("--env <name>", "where to").choices(["staging", "production"]).makeOptionMandatory())
  .option(
    "--username <name>",
    "an admin's account for the smoke test; its password comes from NEXGEN_PASSWORD, else a prompt",
  )
  .option("--url <address>", "where the API answers (default: the custom domain in wrangler.toml)")
  .option("--expect <counts>", "passed on to the smoke test: client=2,vendor=13")
  .option("--database-url <url>", "the owner's URL of that environment's database (default: OWNER_DATABASE_URL)")
  .option("--secrets-file <file>", "secrets to upload with it, for the first release (docs/deploy.md)")
  .option(
    "--settle <seconds>",
    "wait before the smoke test, until every location serves the new version",
    wholeSeconds,
    10,
  )
  .option("--skip-tests", "no `npm run check` and no `npm test`: where they have just run on this commit")
  .option("--allow-dirty", "release what is not committed")
  .option("--allow-destructive", "apply migrations that take something away")
  .option("--yes", "do not ask before production")
  .option("--dry-run", "make every step that changes nothing, and say what would stop the release")
  .addHelpText(
    "after",
    "\nExit codes: 0 released, 1 stopped before anything changed (or the dry run found a reason to), 2 wrong usage,\n" +
      "3 the version of before serves (again) and applied migrations stay, 4 something is left to do by hand,\n" +
      "130 interrupted. The last lines say what is true then.",
  )
  .exitOverride();

function wholeSeconds(given: string): number {
  if (!/^\d{1,3}$/.test(given)) throw new InvalidArgumentError("Seconds, 0 to 999.");
  return Number(given);
}

/** What has happened so far, for whoever has to go on from there. */
const state = { migrated: [] as string[], uploading: false };
const applied = () =>
  state.migrated.length === 0
    ? "No migration was applied"
    : `Applied, and they stay (the code of before runs on them: expand, then contract): ${state.migrated.join(", ")}`;

const signal = interruption("Stopping in order, with what is under way; a second Ctrl-C leaves everything as it is …");
process.on("exit", (code) => {
  if (code === exit.interrupted && state.uploading)
    console.error("deploy: left in the middle of an upload: npx wrangler deployments status says what serves.");
});

class Interrupted extends Error {}
const goOn = () => {
  if (signal.aborted) throw new Interrupted();
};

/** Names, times and outcomes of the steps; `failures` are those of a dry run, which goes on behind them. */
function reporter(dryRun: boolean) {
  const failures: string[] = [];
  const line = ticker();
  return {
    failures,
    /** Makes a step. What it resolves to is said beside its name; in a dry run a failure is undefined. */
    async step<T>(
      name: string,
      work: (say: (detail: string) => void, progress: (detail: string) => void) => Promise<T>,
    ): Promise<T | undefined> {
      goOn();
      const began = performance.now();
      let detail = "";
      const print = (mark: string, text: string) =>
        console.log(
          `  ${mark} ${name.padEnd(14)} ${seconds((performance.now() - began) / 1000).padStart(7)}  ${text}`.trimEnd(),
        );
      if (process.stderr.isTTY) line.show(name, "…");
      try {
        const result = await work(
          (text) => {
            detail = text;
          },
          (text) =>
            process.stderr.isTTY && line.show(name, text.slice(0, Math.max(20, (process.stderr.columns ?? 80) - 20))),
        );
        line.end();
        goOn();
        print("ok  ", detail);
        return result;
      } catch (error) {
        line.end();
        if (signal.aborted) throw new Interrupted();
        print("FAIL", "");
        if (!dryRun) throw error;
        const message = messageOf(error);
        console.log(message.replace(/^/gm, "       "));
        failures.push(`${name}: ${message.split("\n")[0]}`);
        return undefined;
      }
    },
  };
}
const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

async function command(name: string, args: string[], env: NodeJS.ProcessEnv, progress: (line: string) => void) {
  const { code, output } = await run(name, args, { env, signal, report: progress });
  goOn();
  if (code !== 0) throw new Error(`${[name, ...args].join(" ")} failed (exit code ${code}):\n${lastWords(output)}`);
  return output;
}

/** Without what checks and tests must not see: the database, the account, the password. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const { OWNER_DATABASE_URL: _, NEXGEN_PASSWORD: __, CLOUDFLARE_API_TOKEN: ___, ...rest } = process.env;
  // npm tells its scripts which one runs.
  delete rest.npm_lifecycle_event;
  return rest;
}

interface Commit {
  id: string;
  subject: string;
}

async function checkout(allowDirty: boolean): Promise<Commit> {
  const git = async (...args: string[]) => {
    const { code, stdout, output } = await run("git", args);
    if (code !== 0) throw new Refused(`git ${args[0]} failed: ${lastWords(output, 3)}`);
    return stdout.trim();
  };
  const changed = await git("status", "--porcelain");
  if (changed !== "" && !allowDirty)
    throw new Refused(
      `not everything is committed (--allow-dirty releases it all the same):\n${lastWords(changed, 10)}`,
    );
  const id = (await git("rev-parse", "HEAD")).slice(0, 12);
  return { id: changed === "" ? id : `${id}-dirty`, subject: await git("log", "-1", "--format=%s") };
}

interface Target {
  url: URL;
  requiredSecrets: string[];
}

function targetOf({ env, url }: Given): Target {
  const { routes = [], secrets } = unstable_readConfig(
    { config: join(root, "wrangler.toml"), env },
    { hideWarnings: true },
  ) as { routes?: (string | { pattern: string; custom_domain?: boolean })[]; secrets?: { required?: string[] } };
  const [domain] = routes.flatMap((route) => (typeof route === "object" && route.custom_domain ? [route.pattern] : []));
  if (domain === undefined)
    throw new Refused(`[env.${env}] in wrangler.toml has no custom domain: docs/deploy.md, step 7`);
  if (/(^|\.)example\.(com|net|org)$/.test(domain))
    throw new Refused(
      `${domain} in [env.${env}] of wrangler.toml is an example: write your own there (docs/deploy.md, step 7)`,
    );
  return { url: checkedUrl(url ?? `https://${domain}`), requiredSecrets: secrets?.required ?? [] };
}

/** The migrations to come; throws for one that breaks the rule, and for a database that is not the environment's own. */
async function pendingMigrations(
  url: string,
  allowDestructive: boolean,
): Promise<{ applied: number; pending: string[] }> {
  const migrations = await migrationState(url);
  // An empty database has nothing to lose, and no code of before.
  if (migrations.applied === 0 || allowDestructive) return migrations;
  const found = migrations.pending.flatMap((tag) =>
    destructive(migrationText(tag)).map(
      ({ line, statement, reason }) => `drizzle/${tag}.sql, line ${line}: ${reason}: ${statement}`,
    ),
  );
  if (found.length > 0)
    throw new Refused(
      `the version that serves now may not survive this; once nothing that needs it can come back: --allow-destructive\n${found.join("\n")}`,
    );
  return migrations;
}

function secretsIn(file: string | undefined): string[] {
  if (file === undefined) return [];
  try {
    return Object.keys(JSON.parse(readFileSync(file, "utf8")) as object);
  } catch {
    throw new Refused(`${file} is not a JSON object of secrets, as docs/deploy.md shows it`);
  }
}

async function smokeAccount({ username, dryRun }: Given): Promise<Account | undefined> {
  if (dryRun) return undefined;
  if (username === undefined) throw new Refused("the smoke test needs an admin's account: --username");
  return { username, password: await passwordOf(username, signal) };
}

function ownerUrl({ databaseUrl }: Given): string {
  const given = databaseUrl ?? process.env.OWNER_DATABASE_URL;
  // Any other tool would take the dev stack's database now.
  if (!given) throw new Refused("whose database? Set OWNER_DATABASE_URL to the owner's URL of that environment");
  return given;
}

async function deploy(given: Given): Promise<number> {
  const { env } = given;
  const dryRun = given.dryRun ?? false;
  const { step, failures } = reporter(dryRun);
  const wrangler = cloudflare(env);
  const secretsFile = given.secretsFile === undefined ? undefined : resolve(given.secretsFile);
  const account = await smokeAccount(given);

  console.log(`${dryRun ? "What stands before a release" : "Release"} to ${env}`);
  const commit = await step("checkout", async (say) => {
    const found = await checkout(given.allowDirty ?? false);
    say(`${found.id} ${found.subject}`);
    return found;
  });
  const target = await step("configuration", async (say) => {
    const found = targetOf(given);
    say(found.url.origin);
    return found;
  });
  const loggedIn = await step("account", async (say) => {
    say(await wrangler.account());
    return true;
  });
  // In a dry run the rest would fail for the same reason.
  const live =
    loggedIn &&
    (await step("live version", async (say) => {
      const version = await wrangler.liveVersion();
      say(version ?? "none: this is the first release");
      return { version };
    }));
  if (live && target)
    await step("secrets", async (say) => {
      const uploaded = live.version === undefined ? [] : await wrangler.secretNames();
      const known = new Set([...uploaded, ...secretsIn(secretsFile)]);
      const missing = target.requiredSecrets.filter((name) => !known.has(name));
      if (missing.length > 0)
        throw new Refused(
          `missing: ${missing.join(", ")}: npx wrangler secret put NAME --env ${env}; the first time: --secrets-file`,
        );
      say([...known].toSorted().join(", "));
    });
  const database = await step("migrations", async (say) => {
    const { url } = await ownerDatabaseUrl(ownerUrl(given));
    const { pending, applied } = await pendingMigrations(url, given.allowDestructive ?? false);
    const { hostname, pathname } = checkedDatabaseUrl(url, "the URL");
    say(
      `${pending.length === 0 ? "none to apply" : pending.join(", ")} (${applied} applied) in ${hostname}${pathname}`,
    );
    return { url, pending };
  });
  if (!dryRun) await consent(given, commit, database?.pending ?? []);
  if (!given.skipTests) {
    // A data directory that is not there: the dev stack's database is not what is released.
    const NEXGEN_DATA_DIR = join(mkdtempSync(join(tmpdir(), "nexgen-release-")), "none");
    const own = { ...ownEnvironment(), NEXGEN_DATA_DIR };
    await step("check", (_, progress) => command("npm", ["run", "check"], own, progress));
    await step("tests", async (say, progress) =>
      say(/Tests +(.+)/.exec(lastWords(await command("npm", ["test"], own, progress)))?.[1] ?? ""),
    );
    rmSync(resolve(NEXGEN_DATA_DIR, ".."), { recursive: true });
  }
  await step("bundle", async (say) => {
    await prepareAssets();
    say(await wrangler.build(signal));
  });
  const schema = (url: string) =>
    step("schema", (_, progress) =>
      command(
        "npm",
        ["run", "check", "--", "--schema-only"],
        { ...ownEnvironment(), OWNER_DATABASE_URL: url },
        progress,
      ),
    );

  if (dryRun) {
    if (database?.pending.length === 0) await schema(database.url);
    for (const failure of failures) console.error(`deploy: would stop: ${failure}`);
    console.log(failures.length === 0 ? "\nNothing stands in the way. Nothing was changed." : "\nNothing was changed.");
    return failures.length === 0 ? exit.done : exit.nothingChanged;
  }
  if (!commit || !target || !database || !account) throw new Error("a step of a release has no result");

  await step("migrate", async (say) => {
    state.migrated = await migrate(database.url);
    say(state.migrated.join(", ") || "nothing to apply");
  });
  await step("roles", () => createRoles(database.url, {}));
  await schema(database.url);

  return upload({ given, commit, target, account, secretsFile, step });
}

interface Upload {
  given: Given;
  commit: Commit;
  target: Target;
  account: Account;
  secretsFile: string | undefined;
  step: ReturnType<typeof reporter>["step"];
}

/** Uploads, proves, and goes back to the version of before when the proof fails. */
async function upload({ given, commit, target, account, secretsFile, step }: Upload): Promise<number> {
  const wrangler = cloudflare(given.env);
  // Once more: it may be another one by now.
  const before = await wrangler.liveVersion();
  let reason = "";
  state.uploading = true;
  try {
    await step("upload", async (say) => {
      const message = commit.subject.slice(0, 100);
      say(await wrangler.deploy({ tag: commit.id, message, secretsFile }));
    });
    await step("reach", () => reach(target.url, before === undefined, given.settle));
    await step("smoke test", async (say, progress) => {
      const output = await command(
        process.execPath,
        smokeArguments(given, target),
        smokeEnvironment(account),
        progress,
      );
      say(/\d+ passed.*$/m.exec(output)?.[0] ?? "");
    });
    state.uploading = false;
    console.log(`\nReleased ${commit.id} to ${given.env}: ${target.url.origin}`);
    return exit.done;
  } catch (error) {
    reason = error instanceof Interrupted ? "interrupted before it was proven" : messageOf(error);
  }
  console.error(`deploy: ${reason}`);
  const code = await goBack(wrangler, before, given.env, commit);
  state.uploading = false;
  return signal.aborted && code === exit.asBefore ? exit.interrupted : code;
}

async function goBack(
  wrangler: ReturnType<typeof cloudflare>,
  before: string | undefined,
  env: Environment,
  commit: Commit,
): Promise<number> {
  const byHand = (what: string) => {
    console.error(`deploy: ${what}\n${applied()}.\nWhat to do: docs/rollback.md`);
    return exit.byHand;
  };
  try {
    const now = await wrangler.liveVersion();
    if (now === before) {
      console.error(`deploy: nothing new serves: ${before ?? "there is still no version"}. ${applied()}.`);
      return state.migrated.length === 0 ? exit.nothingChanged : exit.asBefore;
    }
    if (before === undefined) return byHand(`${now} serves, is not proven, and there is no version to go back to.`);
    await wrangler.rollBack(before, `not proven: ${commit.id}`);
    const after = await wrangler.liveVersion();
    if (after !== before) return byHand(`wrangler rolled back, and yet ${after} serves instead of ${before}.`);
    console.error(`deploy: rolled back to ${before}, which serves again. ${applied()}.`);
    return exit.asBefore;
  } catch (error) {
    return byHand(
      `THE ROLLBACK FAILED: ${messageOf(error)}\nBy hand: npx wrangler rollback ${before ?? "VERSION"} --env ${env} --message "not proven: ${commit.id}"`,
    );
  }
}

/** Waits until the address answers at all (a new domain gets its certificate first), then for the rest of the edge. */
async function reach(url: URL, first: boolean, settleSeconds: number): Promise<void> {
  const patience = first ? 600_000 : 60_000;
  for (const end = Date.now() + patience; ; await sleep(1000, undefined, { signal })) {
    const answer = await fetch(new URL("/health?probe=live", url), {
      redirect: "manual",
      signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]),
    }).catch((error: Error) => error);
    goOn();
    if (answer instanceof Response && answer.status < 500) break;
    const what = answer instanceof Response ? `answers ${answer.status}` : `does not answer (${answer.message})`;
    // A Worker that fails will not get better; a name or certificate that is new may.
    if (answer instanceof Response || Date.now() > end) throw new Error(`${url.origin} ${what}`);
  }
  await sleep(settleSeconds * 1000, undefined, { signal });
}

function smokeArguments({ env, username = "", expect }: Given, { url }: Target): string[] {
  const tool = join(root, "tools/smoke.ts");
  const readOnly = env === "production" ? ["--read-only"] : [];
  return [tool, url.origin, "--username", username, ...readOnly, ...(expect === undefined ? [] : ["--expect", expect])];
}

const smokeEnvironment = ({ password }: Account): NodeJS.ProcessEnv => ({
  ...ownEnvironment(),
  NEXGEN_PASSWORD: password,
});

async function consent({ env, yes }: Given, commit: Commit | undefined, pending: string[]): Promise<void> {
  if (env !== "production" || yes) return;
  if (!process.stdin.isTTY) throw new Refused("production is asked for first: run this in a terminal, or with --yes");
  const migrations = pending.length === 0 ? "no migration" : `${pending.length} migration(s): ${pending.join(", ")}`;
  const message = `Release ${commit?.id} to production, with ${migrations}?`;
  if (!(await confirm({ message, default: false }, { signal }))) throw new Refused("not released");
}

async function main(): Promise<number> {
  try {
    let code: number = exit.done;
    program.action(async (given: Given) => {
      code = await deploy(given);
    });
    await program.parseAsync();
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exit.usage;
    // The latter is Ctrl-C at a prompt.
    const interrupted =
      error instanceof Interrupted || signal.aborted || (error instanceof Error && error.name === "ExitPromptError");
    console.error(`deploy: ${interrupted ? "interrupted" : messageOf(error)}`);
    const tail = state.migrated.length === 0 ? "Nothing was changed." : `Nothing was uploaded. ${applied()}.`;
    console.error(`deploy: ${tail}`);
    if (interrupted) return exit.interrupted;
    return state.migrated.length === 0 ? exit.nothingChanged : exit.asBefore;
  }
}

process.exitCode = await main();
