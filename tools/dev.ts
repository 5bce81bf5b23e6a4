import { type ChildProcess, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import pg from "pg";
import { prepareAssets } from "./assets.ts";
import { migrate } from "./migrate.ts";
import { startNeonLocal } from "./neon-local.ts";
import { freePort } from "./postgres.ts";
import { createRoles } from "./roles.ts";
import { seedDemo } from "./seed.ts";
import {
  checkedDatabaseUrl,
  dataDirectory,
  groupMembers,
  holdStack,
  isLoopback,
  root,
  type Stack,
  secrets,
  startEmbedded,
} from "./stack.ts";

/** What the Worker's side of the stack needs to know about its database. */
interface WorkerDatabase {
  host: string;
  port: number;
  ssl: boolean;
  /** With the roles' credentials; host and port become the Neon endpoint's. */
  apiUrl: URL;
  backupUrl: URL;
  /** Undefined for a remote database, which is only used. */
  ownerUrl: string | undefined;
  passwords: { nexgen_api: string; nexgen_backup: string; nexgen_readonly: string };
}

const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

const program = new Command("npm run dev --")
  .description("Runs the whole stack on this machine: PostgreSQL, migrations, roles, demo data and the Worker.")
  .option("--allow-remote", "let OWNER_DATABASE_URL be another machine; it is then never migrated, seeded or changed")
  .addHelpText(
    "after",
    `
Environment:
  PORT                port to serve on (8787); everything else picks a free one
  NEXGEN_DATA_DIR     where the database, R2 and the secrets live (.nexgen)
  NEXGEN_SEED         demo (default): demo data when the database is empty; none: no data
  OWNER_DATABASE_URL  use this PostgreSQL (15 to 18) instead of the embedded one: the URL of a role with CREATEROLE
                      that owns the database. With --allow-remote also DATABASE_URL (nexgen_api) and
                      BACKUP_DATABASE_URL (nexgen_backup)
  JWT_EXPIRY, BCRYPT_COST, LOG_LEVEL, CORS_ORIGINS, MAINTENANCE, ALERT_WEBHOOK_URL, SENTRY_DSN, SLOW_QUERY_MS,
  DATABASE_LIMIT_BYTES, BUCKET_LIMIT_BYTES  as for the Worker

Exit code: 130, 143 or 129 after Ctrl-C, SIGTERM or SIGHUP; 1 when something failed.`,
  )
  .parse();
const { allowRemote = false } = program.opts<{ allowRemote?: boolean }>();

const closers: (() => Promise<void> | void)[] = [];
const killers: (() => void)[] = [];
let current: Promise<unknown> = Promise.resolve();
let ending: Promise<never> | undefined;

/** One step of the start; none begins once the end has begun. */
async function step<T>(start: () => Promise<T>): Promise<T> {
  if (ending) return ending;
  const started = start();
  current = started;
  return await started;
}

function end(code: number): Promise<never> {
  ending ??= (async () => {
    // A step under way may be starting a process: wait, so that it is ended too.
    await Promise.race([current.catch(() => {}), sleep(30_000, undefined, { ref: false })]);
    for (const close of closers.reverse()) {
      try {
        await close();
      } catch (error) {
        console.error(explained(error));
      }
    }
    process.exit(code);
  })();
  return ending;
}

function endOnSignals() {
  let firstAt = 0;
  for (const [signal, code] of Object.entries(exitCodes)) {
    process.on(signal, () => {
      if (firstAt === 0) {
        firstAt = Date.now();
        console.log("\nStopping …");
        void end(code);
      } else if (Date.now() - firstAt > 1000) {
        // npm passes a terminal's Ctrl-C on, so the first one arrives twice; only a later one is a second one.
        for (const kill of killers) kill();
        process.exit(code);
      }
    });
  }
  // npm passes SIGTERM to its shell only, which dies of it and would leave this process to nobody.
  const parent = process.ppid;
  if (process.env.npm_lifecycle_event)
    setInterval(() => void (process.ppid === parent || end(exitCodes.SIGTERM)), 250).unref();
  // A terminal that is gone must not keep the processes from being ended.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
}

function chosenPort(): number {
  const port = Number(process.env.PORT || 8787);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new Error(`PORT=${process.env.PORT} is not a port. Choose one: PORT=8788 npm run dev`);
  return port;
}

function chosenSeed(): "demo" | "none" {
  const seed = process.env.NEXGEN_SEED || "demo";
  if (seed !== "demo" && seed !== "none") throw new Error(`NEXGEN_SEED=${seed} is unknown: demo or none.`);
  return seed;
}

/** On ::1 too: `localhost` may mean either, and the printed address must not lead to somebody else's server. */
async function refuseBusyPort(port: number) {
  for (const host of ["127.0.0.1", "::1"]) {
    const code = await new Promise<string | undefined>((fulfil) => {
      const server = createServer();
      server.once("error", (error: NodeJS.ErrnoException) => fulfil(error.code));
      server.listen({ port, host, exclusive: true }, () => server.close(() => fulfil(undefined)));
    });
    if (code === "EADDRINUSE")
      throw new Error(`Port ${port} is in use by another program. Choose another: PORT=${port + 1} npm run dev`);
    if (code === "EACCES")
      throw new Error(`Port ${port} needs more rights. Choose one above 1023: PORT=8788 npm run dev`);
  }
}

function withoutBrackets(host: string): string {
  return host.replace(/^\[|\]$/g, "");
}

/** OWNER_DATABASE_URL's database. Throws for one on another machine without --allow-remote. */
function externalDatabase(given: string): WorkerDatabase {
  const hostname = URL.parse(given)?.hostname;
  if (hostname && !isLoopback(hostname) && !allowRemote)
    throw new Error(
      `OWNER_DATABASE_URL goes to ${hostname}, which is not this machine. To use that database as it is, unchanged, write: npm run dev -- --allow-remote`,
    );
  const owner = checkedDatabaseUrl(given, "OWNER_DATABASE_URL");
  const remote = !isLoopback(owner.hostname);
  const place = { host: withoutBrackets(owner.hostname), port: Number(owner.port || 5432), ssl: remote };
  if (remote) {
    const role = (name: "DATABASE_URL" | "BACKUP_DATABASE_URL") => {
      const value = process.env[name];
      if (!value)
        throw new Error(`--allow-remote changes no roles, so it needs ${name} with a role's own credentials.`);
      const url = checkedDatabaseUrl(value, name);
      if (url.hostname.replace("-pooler.", ".") !== owner.hostname.replace("-pooler.", "."))
        throw new Error(`${name} and OWNER_DATABASE_URL go to different hosts.`);
      return url;
    };
    const passwords = { nexgen_api: "", nexgen_backup: "", nexgen_readonly: "" };
    return {
      ...place,
      apiUrl: role("DATABASE_URL"),
      backupUrl: role("BACKUP_DATABASE_URL"),
      ownerUrl: undefined,
      passwords,
    };
  }
  if (!owner.password) throw new Error("OWNER_DATABASE_URL needs a password: those of the roles are derived from it.");
  // Roles belong to the cluster: two stacks on it must not change each other's passwords, so both derive the same.
  const derived = (role: string) =>
    createHmac("sha256", decodeURIComponent(owner.password)).update(`nexgen dev ${role}`).digest("base64url");
  const passwords = {
    nexgen_api: derived("nexgen_api"),
    nexgen_backup: derived("nexgen_backup"),
    nexgen_readonly: derived("nexgen_readonly"),
  };
  const roleUrl = (role: "nexgen_api" | "nexgen_backup") => {
    const url = new URL(owner);
    url.username = role;
    url.password = passwords[role];
    return url;
  };
  return {
    ...place,
    apiUrl: roleUrl("nexgen_api"),
    backupUrl: roleUrl("nexgen_backup"),
    ownerUrl: owner.href,
    passwords,
  };
}

async function embeddedDatabase(stack: Stack): Promise<WorkerDatabase> {
  const database = await startEmbedded(stack);
  closers.push(() => database.stop());
  killers.push(() => kill(database.pid, "SIGQUIT"));
  void database.exited.then(() => {
    if (ending) return;
    console.error(`PostgreSQL has ended by itself; its log is ${join(dataDirectory(), "postgres.log")}`);
    void end(1);
  });
  return {
    host: "127.0.0.1",
    port: database.port,
    ssl: false,
    apiUrl: new URL(database.apiUrl),
    backupUrl: new URL(database.backupUrl),
    ownerUrl: database.ownerUrl,
    passwords: secrets(),
  };
}

function kill(pid: number, signal: NodeJS.Signals) {
  try {
    process.kill(pid, signal);
  } catch {} // It has ended already.
}

function secretsFile(database: WorkerDatabase, endpointPort: number): string {
  const local = (url: URL) => {
    const result = new URL(url);
    result.search = "";
    result.host = `127.0.0.1:${endpointPort}`;
    // The file's reader would take these for a quote and a variable.
    return result.href.replaceAll("'", "%27").replaceAll("$", "%24");
  };
  const values = {
    DATABASE_URL: local(database.apiUrl),
    BACKUP_DATABASE_URL: local(database.backupUrl),
    JWT_KEYS: JSON.stringify(secrets().JWT_KEYS),
  };
  const path = join(dataDirectory(), "worker.env");
  const lines = Object.entries(values).map(([name, value]) => `${name}='${value}'\n`);
  writeFileSync(path, lines.join(""), { mode: 0o600 });
  return path;
}

async function startWorker(stack: Stack, port: number, envFile: string): Promise<ChildProcess> {
  const home = join(dataDirectory(), "wrangler");
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const environment: Record<string, string | undefined> = {
    ...process.env,
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    WRANGLER_HIDE_BANNER: "true", // With its banner it asks the registry for updates.
    WRANGLER_LOG_PATH: join(home, "logs"),
    WRANGLER_REGISTRY_PATH: join(home, "registry"),
    WRANGLER_CACHE_DIR: join(home, "cache"),
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    // They would serve the backups, and a log of the requests, to whoever reaches the port.
    X_LOCAL_EXPLORER: "false",
    X_LOCAL_OBSERVABILITY: "false",
    ...(process.stdout.isTTY ? { FORCE_COLOR: "1" } : {}),
  };
  // wrangler prefers its environment to the file; ENVIRONMENT is wrangler.toml's alone.
  for (const name of ["DATABASE_URL", "BACKUP_DATABASE_URL", "JWT_KEYS", "ENVIRONMENT", "OWNER_DATABASE_URL"])
    delete environment[name];
  const limits = ["SLOW_QUERY_MS", "DATABASE_LIMIT_BYTES", "BUCKET_LIMIT_BYTES"];
  const optional = ["MAINTENANCE", "ALERT_WEBHOOK_URL", "SENTRY_DSN", ...limits];
  const variables = optional.flatMap((name) => {
    const value = process.env[name];
    return value ? ["--var", `${name}:${value}`] : [];
  });
  const wrangler = createRequire(import.meta.url).resolve("wrangler/package.json");
  const child = spawn(
    process.execPath,
    [
      join(wrangler, "..", "bin", "wrangler.js"),
      "dev",
      "--ip=127.0.0.1",
      `--port=${port}`,
      `--inspector-port=${await freePort()}`,
      "--inspector-ip=127.0.0.1",
      `--persist-to=${join(dataDirectory(), "r2state")}`,
      `--env-file=${envFile}`,
      "--show-interactive-dev-session=false",
      ...variables,
    ],
    // A group of its own: a terminal's Ctrl-C is for this process, which ends things in order.
    { cwd: root, env: environment as NodeJS.ProcessEnv, detached: true, stdio: ["ignore", "pipe", "pipe"] },
  );
  const pid = child.pid;
  if (pid === undefined) throw new Error("wrangler could not be started. Install again: npm ci");
  stack.noteChild("the Worker", pid, true);
  const exited = new Promise<void>((fulfil) => child.once("exit", () => fulfil()));
  killers.push(() => kill(-pid, "SIGKILL"));
  closers.push(async () => {
    kill(pid, "SIGTERM");
    await Promise.race([exited, sleep(8000, undefined, { ref: false })]);
    // What it left of its group, workerd above all.
    kill(-pid, "SIGKILL");
    for (const patience = Date.now() + 5000; groupMembers(pid).length > 0 && Date.now() < patience; ) await sleep(20);
  });
  void exited.then(() => {
    if (ending) return;
    console.error("The Worker has ended by itself.");
    void end(1);
  });
  return child;
}

/** Relays the Worker's output; what wrangler says about its own start is kept and shown only if it does not get ready. */
function relayOutput(child: ChildProcess): { quiet(): string; loud(): void } {
  let held: string | undefined = "";
  for (const [stream, target] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const) {
    stream?.setEncoding("utf8").on("data", (chunk: string) => {
      if (held !== undefined) held += chunk;
      else target.write(chunk);
    });
  }
  const quiet = () => {
    const text = held ?? "";
    held = undefined;
    return text;
  };
  return { quiet, loud: () => void process.stderr.write(quiet()) };
}

async function served(child: ChildProcess, port: number, output: { loud(): void }) {
  for (let tries = 1; child.exitCode === null && child.signalCode === null && !ending; tries++) {
    const answer = await fetch(`http://127.0.0.1:${port}/health?probe=live`).catch(() => undefined);
    if (answer) return;
    // Slow or broken: wrangler waits for the sources to be mended, so its messages must be seen.
    if (tries === 200) output.loud();
    await sleep(100);
  }
  if (!ending) {
    output.loud();
    await sleep(1000); // Its last words.
  }
  throw new Error("The Worker did not start.");
}

async function reach(url: string, { host, port }: WorkerDatabase) {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  try {
    await client.connect();
    await client.end();
  } catch (error) {
    throw new Error(`The database at ${host}:${port} refuses: ${explained(error)}`);
  }
}

function explained(error: unknown): string {
  // A host with several addresses fails with all their errors and no message of its own.
  if (error instanceof AggregateError) return error.errors.map(explained).join("; ");
  return error instanceof Error ? error.message : String(error);
}

async function prepareDatabase(database: WorkerDatabase, seed: "demo" | "none") {
  const { ownerUrl, passwords } = database;
  await step(() => reach(ownerUrl ?? database.apiUrl.href, database));
  if (ownerUrl === undefined) {
    console.log(`Using the database on ${database.host} as it is: no migrations, no roles, no demo data.`);
    return undefined;
  }
  const migrations = await step(() => migrate(ownerUrl));
  if (migrations.length > 0) console.log(`Migrations applied: ${migrations.join(", ")}`);
  const { nexgen_api, nexgen_backup, nexgen_readonly } = passwords;
  await step(() => createRoles(ownerUrl, { nexgen_api, nexgen_backup, nexgen_readonly }));
  return seed === "demo" ? step(() => seedDemo(ownerUrl)) : undefined;
}

function logInHint(
  fresh: { username: string; password: string } | undefined,
  seed: "demo" | "none",
  remote: boolean,
): string {
  if (remote) return "Log in    with an account of that database";
  const path = join(dataDirectory(), "demo-login.txt");
  if (fresh) {
    writeFileSync(path, `username: ${fresh.username}\npassword: ${fresh.password}\n`, { mode: 0o600 });
    return `Log in    ${fresh.username} / ${fresh.password}   (kept in ${path})`;
  }
  if (existsSync(path)) {
    const username = /^username: (.*)$/m.exec(readFileSync(path, "utf8"))?.[1] ?? "";
    return `Log in    ${username}, password in ${path}`;
  }
  const directory = process.env.NEXGEN_DATA_DIR ? `NEXGEN_DATA_DIR=${process.env.NEXGEN_DATA_DIR} ` : "";
  if (seed === "none") return `Next      ${directory}npm run import -- FILE.sql`;
  return `Log in    with an account of this database, or make one: ${directory}npm run user -- create`;
}

async function main() {
  endOnSignals();
  const port = chosenPort();
  const seed = chosenSeed();
  const url = `http://localhost:${port}`;
  const ownerGiven = process.env.OWNER_DATABASE_URL;
  const external = ownerGiven ? externalDatabase(ownerGiven) : undefined;

  const stack = await step(() => holdStack("npm run dev"));
  closers.push(() => stack.release());
  await step(() => refuseBusyPort(port));
  stack.note({ url, external: external !== undefined });

  if (!external) console.log("Starting PostgreSQL …");
  const database = external ?? (await step(() => embeddedDatabase(stack)));
  const logIn = logInHint(await prepareDatabase(database, seed), seed, database.ownerUrl === undefined);

  const { host, port: upstreamPort, ssl } = database;
  const endpoint = await step(() => startNeonLocal({ upstream: { host, port: upstreamPort, ssl } }));
  closers.push(() => endpoint.close());
  await step(prepareAssets);

  console.log("Starting the Worker …");
  const worker = await step(() => startWorker(stack, port, secretsFile(database, endpoint.port)));
  const output = relayOutput(worker);
  await step(() => served(worker, port, output));
  await sleep(300); // Its line about the request above comes late.
  output.quiet();
  console.log(`
Ready on ${url}
  API docs  ${url}/docs
  ${logIn}
  Data      ${dataDirectory()}
Ctrl-C ends everything.
`);
}

main().catch(async (error: unknown) => {
  // A terminal's Ctrl-C that made a child fail is about to reach this process as well.
  await sleep(100);
  if (ending) return;
  console.error(`\nnpm run dev: ${explained(error)}`);
  current = Promise.resolve();
  await end(1);
});
