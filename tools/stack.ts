import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  createWriteStream,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { serverAccount, startCluster } from "./postgres.ts";

/** The checkout. */
export const root = dirname(import.meta.dirname);
const databaseName = "nexgen";

interface Secrets {
  nexgen_owner: string;
  nexgen_api: string;
  nexgen_backup: string;
  nexgen_readonly: string;
  JWT_KEYS: { kid: string; key: string }[];
}

interface Child {
  name: string;
  pid: number;
  /** When it started, as far as the system can tell: a pid alone is given away again. */
  identity: string;
  /** Leads a process group of its own. */
  group: boolean;
}

interface StackState {
  pid: number;
  identity: string;
  command: string;
  children: Child[];
  url?: string;
  databasePort?: number;
  /** The stack runs on OWNER_DATABASE_URL. */
  external?: boolean;
}

/** The right to use a data directory, held until `release`. */
export interface Stack {
  note(changes: Partial<Omit<StackState, "pid" | "identity" | "command" | "children">>): void;
  noteChild(name: string, pid: number, group: boolean): void;
  release(): void;
}

export interface Database {
  ownerUrl: string;
  apiUrl: string;
  backupUrl: string;
  readonlyUrl: string;
  stop(): Promise<void>;
}

export interface EmbeddedDatabase extends Database {
  port: number;
  pid: number;
  exited: Promise<void>;
}

/** NEXGEN_DATA_DIR (default `.nexgen` in the checkout) as an absolute path; made when missing, private to its user. */
export function dataDirectory(): string {
  const path = resolve(root, process.env.NEXGEN_DATA_DIR || ".nexgen");
  mkdirSync(dirname(path), { recursive: true });
  try {
    mkdirSync(path, { mode: 0o700 });
    const server = serverAccount();
    if (server) {
      // Root's directory, which the server's account may pass through but not read.
      chownSync(path, 0, server.gid);
      chmodSync(path, 0o710);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const { uid } = statSync(path);
  const mine = process.getuid?.();
  if (mine !== undefined && uid !== mine)
    throw new Error(
      `The data directory ${path} belongs to another user (uid ${uid}). Start as that user, or choose another: NEXGEN_DATA_DIR=.nexgen-mine`,
    );
  return path;
}

function writePrivate(path: string, content: string) {
  const partial = `${path}.${process.pid}`;
  writeFileSync(partial, content, { mode: 0o600 });
  renameSync(partial, path);
}

/** The data directory's passwords and token keys, generated on first use. */
export function secrets(): Secrets {
  const path = join(dataDirectory(), "secrets.json");
  const random = () => randomBytes(32).toString("base64url");
  const fresh: Secrets = {
    nexgen_owner: random(),
    nexgen_api: random(),
    nexgen_backup: random(),
    nexgen_readonly: random(),
    JWT_KEYS: [{ kid: `dev-${randomBytes(4).toString("hex")}`, key: random() }],
  };
  try {
    writeFileSync(path, `${JSON.stringify(fresh, undefined, 2)}\n`, { mode: 0o600, flag: "wx" });
    return fresh;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return JSON.parse(readFileSync(path, "utf8")) as Secrets;
  }
}

/** Tells a process from a later one with the same pid; undefined when it does not run (any more). */
export function processIdentity(pid: number): string | undefined {
  try {
    if (process.platform === "linux") {
      const fields = statFields(pid);
      if (fields[0] === "Z" || fields[0] === "X") return undefined;
      return `${fields[19]}@${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}`;
    }
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim() || undefined;
  } catch {
    return undefined;
  }
}

/** /proc/PID/stat from the state on: [0] state, [2] process group, [19] start time. */
function statFields(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** The running processes of a group whose program belongs to this checkout's packages. */
export function groupMembers(group: number): number[] {
  const processes: { pid: number; command: string }[] = [];
  if (process.platform === "linux") {
    for (const entry of readdirSync("/proc")) {
      const pid = Number(entry);
      if (!Number.isInteger(pid)) continue;
      try {
        const fields = statFields(pid);
        if (Number(fields[2]) !== group || fields[0] === "Z") continue;
        processes.push({ pid, command: readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ") });
      } catch {} // It ended meanwhile.
    }
  } else {
    const table = execFileSync("ps", ["-axo", "pid=,pgid=,command="], { encoding: "utf8" });
    for (const line of table.split("\n")) {
      const [, pid, pgid, command = ""] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
      if (Number(pgid) === group) processes.push({ pid: Number(pid), command });
    }
  }
  return processes.filter(({ command }) => command.includes(join(root, "node_modules"))).map(({ pid }) => pid);
}

function running(child: Child): number[] {
  const members = child.group ? groupMembers(child.pid) : [];
  if (processIdentity(child.pid) === child.identity) return [...new Set([child.pid, ...members])];
  // Its leader is gone; while members live their group's number is not given to anybody else.
  return processIdentity(child.pid) === undefined ? members : [];
}

/** Ends what a killed run of this data directory left behind, by recorded pid and start time. */
async function endLeftovers(children: Child[]) {
  for (const child of children) {
    for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
      const pids = running(child);
      if (pids.length === 0) break;
      if (signal === "SIGINT")
        console.log(`Ending ${child.name} that an earlier run left behind (pid ${pids.join(", ")})`);
      for (const pid of pids) {
        try {
          process.kill(pid, signal);
        } catch {} // It ended meanwhile.
      }
      for (const end = Date.now() + 10_000; running(child).length > 0 && Date.now() < end; ) await sleep(50);
    }
  }
}

const stateFile = () => join(dataDirectory(), "stack.json");

function readState(path: string): StackState | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as StackState;
  } catch {
    return undefined;
  }
}

/** The live holder of the data directory, if any. */
function holder(): StackState | undefined {
  const state = readState(stateFile());
  return state && processIdentity(state.pid) === state.identity ? state : undefined;
}

/** The dev stack that is using the data directory: where it serves, and the owner's URL if the database is its own. */
export function runningStack(): { url: string; ownerUrl: string | undefined } | undefined {
  const current = holder();
  if (current?.command !== "npm run dev" || current.url === undefined) return undefined;
  const { databasePort } = current;
  return { url: current.url, ownerUrl: databasePort === undefined ? undefined : databaseUrls(databasePort).ownerUrl };
}

/** Another process holds the data directory. */
export class StackHeld extends Error {
  constructor(by: StackState) {
    super(
      `\`${by.command}\` (pid ${by.pid}${by.url ? `, ${by.url}` : ""}) is using the data directory ${dataDirectory()}. Stop it, or choose another directory: NEXGEN_DATA_DIR=.nexgen-2`,
    );
  }
}

/**
 * Takes the data directory for this process; throws StackHeld while another one has it. What a killed run left behind
 * is ended first.
 */
export async function holdStack(command: string): Promise<Stack> {
  const path = stateFile();
  const identity = processIdentity(process.pid) ?? "";
  let state: StackState = { pid: process.pid, identity, command, children: [] };
  for (;;) {
    // Linked into place, so that nobody reads it half written.
    const draft = `${path}.${process.pid}`;
    writeFileSync(draft, JSON.stringify(state), { mode: 0o600 });
    try {
      linkSync(draft, path);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    } finally {
      rmSync(draft, { force: true });
    }
    const current = holder();
    if (current) throw new StackHeld(current);
    // Of two that find the same dead holder, one moves its file away; the other must not move the winner's.
    const stale = `${path}.stale-${process.pid}`;
    const seen = readState(path);
    try {
      renameSync(path, stale);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") continue;
      throw error;
    }
    const moved = readState(stale);
    if (moved && (moved.pid !== seen?.pid || moved.identity !== seen.identity)) {
      renameSync(stale, path);
      throw new StackHeld(moved);
    }
    rmSync(stale, { force: true });
    if (moved) {
      // Kept on record until they are gone: this run may be killed as well.
      state = { ...state, children: moved.children };
    }
  }
  const write = () => writePrivate(path, JSON.stringify(state));
  if (state.children.length > 0) {
    await endLeftovers(state.children);
    state = { ...state, children: [] };
    write();
  }
  return {
    note(changes) {
      state = { ...state, ...changes };
      write();
    },
    noteChild(name, pid, group) {
      state = { ...state, children: [...state.children, { name, pid, identity: processIdentity(pid) ?? "", group }] };
      write();
    },
    release() {
      const now = readState(path);
      if (now?.pid === process.pid && now.identity === identity) rmSync(path, { force: true });
    },
  };
}

function databaseUrls(port: number): Omit<Database, "stop"> {
  const passwords = secrets();
  const url = (role: Exclude<keyof Secrets, "JWT_KEYS">) =>
    `postgres://${role}:${passwords[role]}@127.0.0.1:${port}/${databaseName}`;
  return {
    ownerUrl: url("nexgen_owner"),
    apiUrl: url("nexgen_api"),
    backupUrl: url("nexgen_backup"),
    readonlyUrl: url("nexgen_readonly"),
  };
}

async function ensureOwner(superuserUrl: string) {
  const client = new pg.Client({ connectionString: superuserUrl });
  await client.connect();
  try {
    const password = pg.escapeLiteral(secrets().nexgen_owner);
    const exists = async (query: string) => (await client.query(query)).rowCount !== 0;
    const verb = (await exists("SELECT FROM pg_roles WHERE rolname = 'nexgen_owner'")) ? "ALTER" : "CREATE";
    await client.query(`${verb} ROLE nexgen_owner LOGIN CREATEROLE PASSWORD ${password}`);
    // As at Neon, where the owner has it from neon_superuser.
    await client.query("GRANT pg_monitor TO nexgen_owner");
    if (!(await exists(`SELECT FROM pg_database WHERE datname = '${databaseName}'`)))
      await client.query(`CREATE DATABASE ${databaseName} OWNER nexgen_owner`);
  } finally {
    await client.end();
  }
}

/** Starts the embedded database for the holder of the data directory, who ends it. */
export async function startEmbedded(stack: Stack): Promise<EmbeddedDatabase> {
  const directory = dataDirectory();
  const log = createWriteStream(join(directory, "postgres.log"), { mode: 0o600 });
  const cluster = await startCluster({
    directory: join(directory, "postgres"),
    log: (line) => log.write(`${line}\n`),
    notice: (line) => console.error(line),
  });
  stack.noteChild("PostgreSQL", cluster.pid, false);
  const stop = async () => {
    await cluster.stop();
    log.end();
  };
  try {
    await ensureOwner(cluster.superuserUrl);
  } catch (error) {
    await stop();
    throw error;
  }
  stack.note({ databasePort: cluster.port });
  return { ...databaseUrls(cluster.port), port: cluster.port, pid: cluster.pid, exited: cluster.exited, stop };
}

const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * The embedded database of the data directory: the running dev stack's (then `stop` does nothing), else one started
 * for this process, which a signal ends as well.
 */
export async function startDatabase(): Promise<Database> {
  const script = process.env.npm_lifecycle_event;
  const command = script ? `npm run ${script}` : `node ${process.argv[1] ?? ""}`;
  let waiting = false;
  for (const end = Date.now() + 60_000; ; await sleep(200)) {
    try {
      const own = await holdStack(command);
      const database = await startEmbedded(own).catch((error) => {
        own.release();
        throw error;
      });
      let stopping: Promise<void> | undefined;
      const stop = () => {
        stopping ??= database.stop().then(() => own.release());
        return stopping;
      };
      for (const [signal, code] of Object.entries(signals))
        process.once(signal, () => void stop().finally(() => process.exit(code)));
      // A tool that fails without `stop` must not leave a server running.
      process.once("exit", () => {
        if (stopping) return;
        try {
          process.kill(database.pid, "SIGINT");
        } catch {} // It has ended already.
      });
      return { ...database, stop };
    } catch (error) {
      if (!(error instanceof StackHeld) || Date.now() > end) throw error;
      const current = holder();
      if (current?.external)
        throw new Error(
          "The running dev stack uses OWNER_DATABASE_URL: set the same OWNER_DATABASE_URL for this command (or --database-url).",
        );
      // Another tool's database ends with that tool, so only a dev stack's is shared.
      if (current?.command === "npm run dev" && current.databasePort !== undefined)
        return { ...databaseUrls(current.databasePort), stop: async () => {} };
      if (current && !waiting) {
        waiting = true;
        console.error(`Waiting for \`${current.command}\` (pid ${current.pid}), which is using the database …`);
      }
    }
  }
}

/** Whether that host can only be this machine. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * A connection string as this project uses it: postgres://user:password@host[:port]/database. What could lead elsewhere
 * or weaken TLS (host, sslrootcert, uselibpqcompat, …) is dropped. A host that is not loopback needs TLS with a verified
 * certificate, else this throws; no message contains the password.
 */
export function checkedDatabaseUrl(given: string, name: string): URL {
  let url: URL;
  try {
    url = new URL(given);
  } catch {
    throw new Error(`${name} is not a URL. Write postgres://user:password@host/database`);
  }
  if (!/^postgres(ql)?:$/.test(url.protocol) || !url.hostname || !url.username || url.pathname.length < 2)
    throw new Error(`${name} is incomplete. Write postgres://user:password@host/database`);
  const query = url.searchParams;
  const modes = query.getAll("sslmode");
  const verified =
    modes.length === 1 &&
    (modes[0] === "verify-full" || (modes[0] === "require" && query.get("channel_binding") === "require"));
  const application = query.get("application_name");
  url.search = "";
  if (application) url.searchParams.set("application_name", application);
  if (isLoopback(url.hostname)) {
    if (modes[0] && modes[0] !== "disable") url.searchParams.set("sslmode", modes[0]);
    return url;
  }
  if (!verified)
    throw new Error(
      `${name} goes to ${url.hostname}, which is not this machine: end it with ?sslmode=verify-full, so that its certificate is checked (Neon's ?sslmode=require&channel_binding=require is taken as that).`,
    );
  if (process.env.NODE_TLS_REJECT_UNAUTHORIZED === "0")
    throw new Error("NODE_TLS_REJECT_UNAUTHORIZED=0 switches the check of certificates off: unset it.");
  url.searchParams.set("sslmode", "verify-full");
  return url;
}

/**
 * The owner's database for a tool: the given `--database-url`, else OWNER_DATABASE_URL, else the dev stack's embedded
 * one, started when it is not running. Call `stop` when done. Throws for a remote host without verified TLS.
 */
export async function ownerDatabaseUrl(flag?: string): Promise<{ url: string; stop(): Promise<void> }> {
  const given = flag ?? process.env.OWNER_DATABASE_URL;
  if (given) {
    const name = flag ? "--database-url" : "OWNER_DATABASE_URL";
    const url = checkedDatabaseUrl(given, name);
    // Locks, COPY and long transactions need a session, which the pooler does not keep.
    if (url.hostname.includes("-pooler."))
      throw new Error(`${name} goes to Neon's pooler: use the direct host, without -pooler.`);
    return { url: url.href, stop: async () => {} };
  }
  const { ownerUrl, stop } = await startDatabase();
  return { url: ownerUrl, stop };
}

/**
 * Runs a tool's work on the owner's database (`ownerDatabaseUrl`). An error ends the tool with exit code 1 and its
 * message, without a stack: it is written for the person at the keyboard.
 */
export async function runOnDatabase(
  command: string,
  flag: string | undefined,
  work: (ownerUrl: string) => Promise<void>,
): Promise<void> {
  try {
    const owner = await ownerDatabaseUrl(flag);
    await work(owner.url).finally(owner.stop);
  } catch (error) {
    const { code } = error as { code?: string };
    const advice =
      code === "42P01" || code === "3F000"
        ? " (the database is not migrated yet: npm run db:migrate)"
        : code === "ECONNREFUSED"
          ? " (nothing listens there: is the database running?)"
          : "";
    const message = `${messageOf(error)}${advice}`;
    console.error(`${command}: ${message}`);
    process.exitCode = 1;
  }
}

/** Node joins the failures of several addresses in an error without a message of its own. */
const messageOf = (error: unknown): string =>
  error instanceof AggregateError && error.message === ""
    ? error.errors.map(messageOf).join("; ")
    : error instanceof Error
      ? error.message
      : String(error);
