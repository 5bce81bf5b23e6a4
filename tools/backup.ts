import { createReadStream, statSync } from "node:fs";
import type { Readable } from "node:stream";
import { confirm } from "@inquirer/prompts";
import { Command, CommanderError, Option } from "commander";
import { z } from "zod";
import { findCurrentRun, takeLock } from "../src/backup/lock.ts";
import { findManifest, manifestKey, sweepData } from "../src/backup/store.ts";
import { type Account, checkedUrl, interruption, passwordOf, Refused } from "./account.ts";
import { type Environment, environments, type OpenBucket, openBucket } from "./backup/bucket.ts";
import { createByRoute, demoAccount, fireCron, withStack } from "./backup/create.ts";
import { download, expectedRows, findBackup, storedFile } from "./backup/download.ts";
import { type Progress, progress, ticker } from "./backup/progress.ts";
import { type Backup, count, listText, madeText, restoredText, size, verifiedText } from "./backup/report.ts";
import { type RestoreOptions, type RestoreProgress, restore } from "./backup/restore.ts";
import { ownerDatabaseUrl, runningStack } from "./stack.ts";

interface Place {
  remote?: true;
  env?: Environment;
}

const signal = interruption("Stopping …");

const program = new Command("npm run backup --")
  .description(
    "Backups: made nightly by the Worker, kept in R2, proven by restoring them. Without --remote this is about the dev\n" +
      "stack's own. docs/disaster-recovery.md says what to do when.",
  )
  .addHelpText("after", "\nExit codes: 0 done, 1 refused, failed or different, 2 wrong usage, 130 interrupted.")
  .exitOverride();

function command(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option("--remote", "the deployed Worker's bucket, with wrangler's credentials")
    .addOption(new Option("--env <name>", "of which environment").choices(environments));
}

command("list", "show every backup, newest first")
  .option("--json", "an array; [] until a backup is complete")
  .action((options: Place & { json?: true }) =>
    withBucket(options, async ({ bucket, name }) => {
      const backups = await listed(bucket);
      if (options.json) return console.log(JSON.stringify(backups, undefined, 2));
      if (backups.length === 0) console.log(`No backup in ${name} yet: npm run backup -- create`);
      else console.log(listText(backups));
      const { running, faults } = await condition(bucket);
      if (running !== undefined) console.error(`A backup is being made since ${running}.`);
      for (const { kind, text } of faults) if (backups.length > 0 || kind !== "backup-stale") console.error(text);
    }),
  );

command("create", "make a backup now; one made earlier today is replaced once the new one is proven")
  .option("--url <address>", "of a deployed Worker: https://…")
  .option("--username <name>", "an admin's account there; the password comes from NEXGEN_PASSWORD, else from a prompt")
  .action((options: Place & { url?: string; username?: string }) => create(options));

command("download", "write a backup's stored file; prints its sha256 as `sha256sum -c` reads it")
  .argument("<id>", "a UTC date, or latest")
  .requiredOption("--output <file>", "where to")
  .option("--yes", "replace a file that is there")
  .action((id: string, options: Place & { output: string; yes?: true }) =>
    withBucket(options, async ({ bucket }) => {
      const manifest = await findBackup(bucket, id);
      const bar = progress(manifest.bytes);
      const onBytes = (bytes: number) => bar.show("downloading", bytes, size(bytes));
      await download(bucket, manifest, options.output, { replace: options.yes === true, onBytes, signal }).finally(
        bar.end,
      );
      console.error(`Backup ${manifest.id}: ${size(manifest.bytes)}, as its manifest says.`);
      console.log(`${manifest.sha256}  ${options.output}`);
    }),
  );

command("verify", "restore a backup into a throw-away PostgreSQL and compare every table")
  .argument("<id>", "a UTC date, or latest")
  .option("--database-url <url>", "the owner's URL of the live database, to compare its schema as well")
  .option("--json", "print the result as JSON")
  .action((id: string, options: Place & { databaseUrl?: string; json?: true }) =>
    withBucket(options, async ({ bucket }) => {
      const manifest = await findBackup(bucket, id);
      const liveUrl = await live(options);
      // It brings drizzle with it, which the other commands need not wait for.
      const { verify } = await import("./backup/verify.ts");
      const bar = progress(manifest.bytes);
      const verified = await verify(bucket, manifest, {
        ...(liveUrl === undefined ? {} : { liveUrl }),
        onDownload: (bytes) => bar.show("downloading", bytes, size(bytes)),
        onRestore: (now) => showRestore(bar, now),
        onCompare: (name) => bar.show("comparing", manifest.bytes, name),
        signal,
      }).finally(bar.end);
      console.log(options.json ? JSON.stringify(verified, undefined, 2) : verifiedText(verified));
      if (verified.differences.length > 0) process.exitCode = 1;
    }),
  );

command("restore", "restore a backup into an empty database, whole or not at all")
  .argument("<id|file>", "a UTC date, latest, or a file (.sql.gz or .sql)")
  .requiredOption("--database-url <url>", "the owner's URL of the new, empty database")
  .option("--yes", "accepted for scripts: a restore never asks, since it touches an empty database only")
  .option("--json", "print the result as JSON")
  .action((source: string, options: Place & { databaseUrl: string; json?: true }) => restoreInto(source, options));

command("prune", "delete the backups that no tier keeps; the Worker does so every night")
  .option("--yes", "do not ask")
  .action((options: Place & { yes?: true }) =>
    withBucket(options, async ({ bucket }) => {
      const backups = await listed(bucket);
      const going = backups.filter(({ tiers }) => tiers.length === 0);
      if (going.length === 0) return console.log("Every backup is kept by a tier: nothing to delete.");
      const [newest] = backups;
      if (newest?.state !== "good")
        throw new Refused(
          `the newest backup, ${newest?.id}, is not whole: nothing is deleted while it is not replaced`,
        );
      console.log(listText(going));
      if (!(await agreed(`Delete ${going.length} of ${backups.length} backups?`, options.yes)))
        return console.log("Nothing was deleted.");
      const current = await findCurrentRun(bucket);
      if (current?.died) throw new Refused("the last run died: the next backup clears up after it, prune after that");
      const lock = await takeLock(bucket);
      try {
        for (const { id } of going) await bucket.delete(manifestKey(id));
        await sweepData(bucket);
      } finally {
        await lock.release();
      }
      console.log(`Deleted ${going.length} of ${backups.length} backups.`);
    }),
  );

/** The schema is compared with the database that the backup is of, where that is in reach. */
async function live(options: Place & { databaseUrl?: string }): Promise<string | undefined> {
  const given = options.databaseUrl ?? process.env.OWNER_DATABASE_URL;
  if (given) return (await ownerDatabaseUrl(options.databaseUrl)).url;
  return options.remote ? undefined : runningStack()?.ownerUrl;
}

const today = () => new Date().toISOString().slice(0, 10);

// By computed names: the Worker's types are not the tools' types.
const worker = (file: string) => import(new URL(`../src/backup/${file}`, import.meta.url).href);

const listed = async (bucket: R2Bucket): Promise<Backup[]> => (await worker("list.ts")).listBackups(bucket);

/** What the hourly watch would say. */
async function condition(bucket: R2Bucket): Promise<{ running?: string; faults: { kind: string; text: string }[] }> {
  const { backupFaults, backupState } = await worker("state.ts");
  const state = await backupState(bucket);
  const faults = backupFaults(state, Date.now());
  return state.run && !state.run.died ? { running: state.run.run.started_at, faults } : { faults };
}

async function create(options: Place & { url?: string; username?: string }): Promise<void> {
  if (options.remote && !options.url)
    throw new Refused("create --remote asks the deployed Worker: give its address, --url https://…, and --username");
  if (options.url) {
    if (!options.username) throw new Refused("--url needs --username, the account of an admin there");
    const url = checkedUrl(options.url);
    return createAs({ username: options.username, password: await passwordOf(options.username, signal) }, url);
  }
  const account = options.username
    ? { username: options.username, password: await passwordOf(options.username, signal) }
    : demoAccount();
  if (account) return withStack((url) => createAs(account, url), signal);
  // Nobody's account: the nightly run does it, which makes one a day.
  const ofToday = () => withBucket({}, ({ bucket }) => findManifest(bucket, today()));
  if (await ofToday())
    throw new Refused("today has its backup already. An admin of this database can replace it: --username NAME");
  await withStack(fireCron, signal);
  const made = await ofToday();
  if (!made) throw new Refused("the backup failed: see the Worker's log");
  console.log(madeText({ ...made, rows: made.tables.reduce((sum, { rows }) => sum + rows, 0) }));
}

async function createAs(account: Account, url: URL): Promise<void> {
  const line = ticker();
  const made = await createByRoute(url, account, ({ table, rows, bytes }) =>
    line.show(`dumping ${table}`, `${count(rows)} rows, ${size(bytes)} in all`),
  ).finally(line.end);
  console.log(madeText(made));
}

const idPattern = /^\d{4}-\d{2}-\d{2}$/;

async function restoreInto(source: string, options: Place & { databaseUrl: string; json?: true }): Promise<void> {
  const { url } = await ownerDatabaseUrl(options.databaseUrl);
  const run = async (name: string, bytes: number, file: Readable, expected?: RestoreOptions["expected"]) => {
    const bar = progress(bytes);
    const onProgress: RestoreOptions["onProgress"] = (now) => showRestore(bar, now);
    const restored = await restore(url, file, { ...(expected && { expected }), signal, onProgress }).finally(bar.end);
    if (options.json) console.log(JSON.stringify({ source: name, ...restored }, undefined, 2));
    else console.log(restoredText(name, url, restored));
  };
  if (source === "latest" || idPattern.test(source))
    return withBucket(options, async ({ bucket }) => {
      const manifest = await findBackup(bucket, source);
      const expected = { sha256: manifest.sha256, rows: expectedRows(manifest) };
      await run(`backup ${manifest.id}`, manifest.bytes, storedFile(bucket, manifest), expected);
    });
  const found = statSync(source, { throwIfNoEntry: false });
  if (!found?.isFile()) throw new Refused(`${source} is neither a UTC date (2026-11-25), nor latest, nor a file`);
  await run(source, found.size, createReadStream(source, { highWaterMark: 256 * 1024 }));
}

function showRestore(bar: Progress, { phase, doing, rows, bytes }: RestoreProgress) {
  bar.show(`restoring ${phase}`, bytes, `${count(rows)} rows, ${doing}`);
}

async function withBucket<T>(options: Place, work: (open: OpenBucket) => Promise<T>): Promise<T> {
  if (options.remote && !options.env) throw new Refused("--remote needs --env staging or --env production");
  if (options.env && !options.remote) throw new Refused(`--env ${options.env} is for --remote`);
  const open = await openBucket(options.env);
  return work(open).finally(open.close);
}

/** Whoever cannot be asked must have said --yes. */
async function agreed(question: string, yes: true | undefined): Promise<boolean> {
  if (yes) return true;
  if (!process.stdin.isTTY) throw new Refused(`${question} Say --yes.`);
  return confirm({ message: question, default: false }, { signal });
}

async function main(): Promise<number> {
  try {
    await program.parseAsync();
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    // The latter is Ctrl-C at a prompt.
    if (signal.aborted || (error instanceof Error && error.name === "ExitPromptError")) {
      console.error("backup: interrupted; nothing was changed.");
      return 130;
    }
    console.error(`backup: ${messageOf(error)}`);
    return 1;
  }
}

/** Node joins the failures of several addresses in an error without a message of its own. */
function messageOf(error: unknown): string {
  if (error instanceof z.ZodError)
    return `the bucket has a manifest or a state that this checkout does not read (was it made by a newer one?):\n${z.prettifyError(error)}`;
  if (error instanceof AggregateError && error.message === "") return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}

process.exitCode = await main();
