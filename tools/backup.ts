import { createReadStream, existsSync, statSync } from "node:fs";
import { password as askPassword } from "@inquirer/prompts";
import { Command, CommanderError, Option } from "commander";
import type { Manifest } from "../src/backup/manifest.ts";
import { listManifests } from "../src/backup/store.ts";
import { type Environment, environments, type OpenBucket, openBucket } from "./backup/bucket.ts";
import { checkedUrl, createByRoute, demoAccount, fireCron, type ProgressLine, withStack } from "./backup/create.ts";
import { download, expectedRows, findBackup, Refused, storedFile } from "./backup/download.ts";
import { age, count, progress, seconds, size, table } from "./backup/report.ts";
import { type Restored, restore } from "./backup/restore.ts";
import type { Verified } from "./backup/verify.ts";
import { ownerDatabaseUrl, runningStack } from "./stack.ts";

interface Place {
  remote?: true;
  env?: Environment;
}

const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  let first = 0;
  process.on(signal, () => {
    if (first === 0) {
      first = Date.now();
      console.error("\nStopping …");
      interrupted.abort();
    } else if (Date.now() - first > 1000) process.exit(130); // npm passes a terminal's Ctrl-C on: the first one comes twice.
  });
}
const { signal } = interrupted;

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
      const listed = await Promise.all((await listManifests(bucket)).map((manifest) => described(bucket, manifest)));
      if (options.json) console.log(JSON.stringify(listed, undefined, 2));
      else if (listed.length === 0) console.log(`No backup in ${name} yet: npm run backup -- create`);
      else console.log(listText(listed));
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
        onRestore: ({ phase, doing, rows }) =>
          bar.show(`restoring: ${phase}`, undefined, `${doing} ${count(rows)} rows`),
        onCompare: (name) => bar.show("comparing", undefined, name),
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

/** The schema is compared with the database that the backup is of, where that is in reach. */
async function live(options: Place & { databaseUrl?: string }): Promise<string | undefined> {
  const given = options.databaseUrl ?? process.env.OWNER_DATABASE_URL;
  if (given) return (await ownerDatabaseUrl(options.databaseUrl)).url;
  return options.remote ? undefined : runningStack()?.ownerUrl;
}

interface Listed {
  id: string;
  at: string;
  bytes: number;
  rows: number;
  state: "good" | "lost" | "damaged";
}

async function described(bucket: R2Bucket, manifest: Manifest): Promise<Listed> {
  const object = await bucket.head(manifest.key);
  return {
    id: manifest.id,
    at: manifest.finished_at,
    bytes: manifest.bytes,
    rows: manifest.tables.reduce((sum, { rows }) => sum + rows, 0),
    state: object === null ? "lost" : object.size === manifest.bytes ? "good" : "damaged",
  };
}

function listText(listed: Listed[]): string {
  const now = Date.now();
  const lines = listed.map(({ id, at, bytes, rows, state }) => [id, age(at, now), size(bytes), count(rows), state]);
  return table(["backup", "age", "size", "rows", "state"], lines, [1, 2, 3]);
}

async function create(options: Place & { url?: string; username?: string }): Promise<void> {
  if (options.remote && !options.url)
    throw new Refused("create --remote asks the deployed Worker: give its address, --url https://…, and --username");
  if (options.url) {
    if (!options.username) throw new Refused("--url needs --username, the account of an admin there");
    const url = checkedUrl(options.url);
    const account = { username: options.username, password: await password(options.username) };
    await createByRoute(url, account, showProgress());
    return;
  }
  await withStack(async (url) => {
    const account = options.username
      ? { username: options.username, password: await password(options.username) }
      : demoAccount();
    if (account) await createByRoute(url, account, showProgress());
    else await createByCron(url);
  }, signal);
}

async function createByCron(url: URL): Promise<void> {
  const newest = () => withBucket({}, async ({ bucket }) => (await listManifests(bucket))[0]);
  const before = await newest();
  await fireCron(url);
  const after = await newest();
  if (!after || after.run_id === before?.run_id)
    throw new Refused(
      "nothing was made: today has its backup, and the nightly run makes one a day. An admin can replace it: --username NAME",
    );
  console.log(
    madeText(
      after.id,
      after.bytes,
      after.tables.reduce((sum, { rows }) => sum + rows, 0),
      after.duration_ms / 1000,
    ),
  );
}

const madeText = (id: string, bytes: number, rows: number, took: number) =>
  `Backup ${id}: ${count(rows)} rows, ${size(bytes)}, in ${seconds(took)}, read back and found whole.`;

/** Every line of progress on a terminal in one place, elsewhere as it is. */
function showProgress(): (line: ProgressLine) => void {
  return (line) => console.log(JSON.stringify(line));
}

const idPattern = /^\d{4}-\d{2}-\d{2}$/;

async function restoreInto(source: string, options: Place & { databaseUrl: string; json?: true }): Promise<void> {
  const { url } = await ownerDatabaseUrl(options.databaseUrl);
  if (source === "latest" || idPattern.test(source)) {
    await withBucket(options, async ({ bucket }) => {
      const manifest = await findBackup(bucket, source);
      const expected = { sha256: manifest.sha256, rows: expectedRows(manifest) };
      const bar = progress(manifest.bytes);
      let read = 0;
      const file = storedFile(bucket, manifest, (bytes) => {
        read = bytes;
      });
      const restored = await restore(url, file, { expected, signal, onProgress: shown(bar, () => read) }).finally(
        bar.end,
      );
      report(`backup ${manifest.id}`, restored);
    });
    return;
  }
  if (!existsSync(source) || !statSync(source).isFile())
    throw new Refused(`${source} is neither a UTC date (2026-11-25), nor latest, nor a file`);
  const file = createReadStream(source, { highWaterMark: 256 * 1024 });
  const bar = progress(statSync(source).size);
  const restored = await restore(url, file, { signal, onProgress: shown(bar, () => file.bytesRead) }).finally(bar.end);
  report(source, restored);

  function report(name: string, restored: Restored) {
    if (options.json) console.log(JSON.stringify({ source: name, ...restored }, undefined, 2));
    else console.log(restoredText(name, url, restored));
  }
}

const shown =
  (bar: ReturnType<typeof progress>, read: () => number) =>
  ({ phase, doing, rows }: { phase: string; doing: string; rows: number }) =>
    bar.show(phase, read(), `${count(rows)} rows, ${doing}`);

function restoredText(name: string, url: string, { rows, seconds: took }: Restored): string {
  const { hostname, pathname } = new URL(url);
  const total = Object.values(rows).reduce((sum, each) => sum + each, 0);
  const phases = Object.entries(took).map(([phase, each]) => `${phase} ${seconds(each)}`);
  const all = Object.values(took).reduce((sum, each) => sum + each, 0);
  return `Restored ${name} into ${pathname.slice(1)} on ${hostname}: ${Object.keys(rows).length} tables with data, ${count(total)} rows, in ${seconds(all)}
(${phases.join(", ")}).

Next, with this database's URL as URL:
  1. npm run db:roles -- --database-url "$URL"     the three roles, their rights and, where they are new, passwords
  2. npm run db:migrate -- --database-url "$URL"   nothing to apply, unless the backup is older than this checkout
  3. npm run check -- --database-url "$URL"        the schema; compare counts and money with what you know
  4. npx wrangler secret put DATABASE_URL --env …  and BACKUP_DATABASE_URL: only now does the Worker move over
Keep the old database until the new one is proven.`;
}

function verifiedText({ id, tables, rows, bytes, differences, notices, seconds: took }: Verified): string {
  const times = Object.entries(took).map(([phase, each]) => `${phase} ${seconds(each)}`);
  const all = took.download + took.restore + took.compare;
  return [
    differences.length === 0
      ? `Backup ${id} is good: ${tables} tables, ${count(rows)} rows, ${size(bytes)}; restored and compared, nothing differs.`
      : `Backup ${id} DIFFERS from its original:`,
    ...differences.map((line) => `  ${line}`),
    ...notices.map((line) => `  (${line})`),
    `Recovery time: ${seconds(all)} (${times.join(", ")}).`,
  ].join("\n");
}

async function withBucket<T>(options: Place, work: (open: OpenBucket) => Promise<T>): Promise<T> {
  if (options.remote && !options.env) throw new Refused("--remote needs --env staging or --env production");
  if (options.env && !options.remote) throw new Refused(`--env ${options.env} is for --remote`);
  const open = await openBucket(options.env);
  return work(open).finally(open.close);
}

async function password(username: string): Promise<string> {
  const given = process.env.NEXGEN_PASSWORD;
  if (given) return given;
  if (!process.stdin.isTTY)
    throw new Refused("no password: set NEXGEN_PASSWORD, or run this in a terminal to be asked for it");
  return askPassword({ message: `Password of ${username}`, mask: true }, { signal });
}

async function main(): Promise<number> {
  try {
    await program.parseAsync();
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (signal.aborted) {
      console.error("backup: interrupted; nothing was changed.");
      return 130;
    }
    console.error(`backup: ${messageOf(error)}`);
    return 1;
  }
}

/** Node joins the failures of several addresses in an error without a message of its own. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}

process.exitCode = await main();
