import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { confirm } from "@inquirer/prompts";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { type Account, interruption, passwordOf, Refused } from "./account.ts";
import { prepareAssets } from "./assets.ts";
import { type Commit, checkout, pendingMigrations, secretsIn, targetOf } from "./deploy/before.ts";
import { cloudflare, type Environment } from "./deploy/cloudflare.ts";
import { lastWords } from "./deploy/process.ts";
import { uploadAndProve } from "./deploy/prove.ts";
import { command, Interrupted, messageOf, ownEnvironment, stepper } from "./deploy/steps.ts";
import { migrate } from "./migrate.ts";
import { createRoles } from "./roles.ts";
import { checkedDatabaseUrl, ownerDatabaseUrl } from "./stack.ts";

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
const soFar = { migrated: [] as string[], uploading: false };
const applied = () =>
  soFar.migrated.length === 0
    ? "No migration was applied"
    : `Applied, and they stay (the code of before runs on them: expand, then contract): ${soFar.migrated.join(", ")}`;

const signal = interruption("Stopping in order, with what is under way; a second Ctrl-C leaves everything as it is …");
process.on("exit", (code) => {
  if (code === exit.interrupted && soFar.uploading)
    console.error("deploy: left in the middle of an upload: npx wrangler deployments status says what serves.");
});

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
  const { step, failures } = stepper(signal, dryRun);
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
    const found = targetOf(env, given.url);
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
    const own = { env: { ...ownEnvironment(), NEXGEN_DATA_DIR }, signal };
    try {
      await step("check", (_, progress) => command("npm", ["run", "check"], { ...own, progress }));
      await step("tests", async (say, progress) => {
        const output = await command("npm", ["test"], { ...own, progress });
        say(/Tests +(.+)/.exec(lastWords(output))?.[1] ?? "");
      });
    } finally {
      rmSync(dirname(NEXGEN_DATA_DIR), { recursive: true });
    }
  }
  await step("bundle", async (say) => {
    await prepareAssets();
    say(await wrangler.build(signal));
  });
  const schema = (url: string) =>
    step("schema", (_, progress) => {
      const env = { ...ownEnvironment(), OWNER_DATABASE_URL: url };
      return command("npm", ["run", "check", "--", "--schema-only"], { env, signal, progress });
    });

  if (dryRun) {
    if (database?.pending.length === 0) await schema(database.url);
    for (const failure of failures) console.error(`deploy: would stop: ${failure}`);
    console.log(failures.length === 0 ? "\nNothing stands in the way. Nothing was changed." : "\nNothing was changed.");
    return failures.length === 0 ? exit.done : exit.nothingChanged;
  }
  if (!commit || !target || !database || !account) throw new Error("a step of a release has no result");

  await step("migrate", async (say) => {
    soFar.migrated = await migrate(database.url);
    say(soFar.migrated.join(", ") || "nothing to apply");
  });
  await step("roles", () => createRoles(database.url, {}));
  await schema(database.url);

  const { settle: settleSeconds, expect } = given;
  const upload = { env, commit, url: target.url, secretsFile, account, expect, settleSeconds };
  soFar.uploading = true;
  const { state, words } = await uploadAndProve(upload, step, signal);
  soFar.uploading = false;
  if (state === "released") {
    console.log(`\n${words}`);
    return exit.done;
  }
  console.error(`deploy: ${words} ${applied()}.`);
  if (state === "by-hand") {
    console.error("What to do: docs/rollback.md");
    return exit.byHand;
  }
  if (signal.aborted) return exit.interrupted;
  return state === "rolled-back" ? exit.asBefore : unchanged();
}

/** Nothing new ever served: is the database as it was, too? */
const unchanged = () => (soFar.migrated.length === 0 ? exit.nothingChanged : exit.asBefore);

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
    const tail = soFar.migrated.length === 0 ? "Nothing was changed." : `Nothing was uploaded. ${applied()}.`;
    console.error(`deploy: ${tail}`);
    if (interrupted) return exit.interrupted;
    return unchanged();
  }
}

process.exitCode = await main();
