import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import type { Miniflare as MiniflareClass } from "miniflare";
import { prepareAssets } from "../assets.ts";
import { root } from "../stack.ts";

/** Something that serves, in a process of its own. */
export interface Server {
  port: number;
  pid: number;
  stop(): Promise<void>;
}

/** Starts a program of this folder in a process of its own, which ends with this one. */
export function start(program: string, message?: unknown): ChildProcess {
  const child = fork(join(import.meta.dirname, program), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  if (message !== undefined) child.send(message as object);
  return child;
}

/** The same for one that listens, and says where. */
export async function startServer(program: string, message: unknown): Promise<Server> {
  const child = start(program, message);
  const exited = once(child, "exit");
  const [said] = await Promise.race([once(child, "message"), exited]);
  const { port } = (said ?? {}) as { port?: number };
  if (port === undefined || child.pid === undefined) throw new Error(`${program} did not start`);
  return {
    port,
    pid: child.pid,
    async stop() {
      // A terminal's Ctrl-C has reached it as well.
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}

const quiet = {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_SEND_ERROR_REPORTS: "false",
  WRANGLER_HIDE_BANNER: "true",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
};

/** Bundles a Worker as a deployment does; answers its code. `main`: another one than this project's. */
export async function bundle(directory: string, main?: string): Promise<string> {
  mkdirSync(directory, { recursive: true });
  const wrangler = join(createRequire(import.meta.url).resolve("wrangler/package.json"), "..", "bin", "wrangler.js");
  const args = ["deploy", "--dry-run", "--minify", `--outdir=${directory}`];
  if (main === undefined) {
    await prepareAssets();
    args.push("--env=production");
  } else {
    const config = join(directory, "wrangler.json");
    writeFileSync(
      config,
      JSON.stringify({ name: "bench", main: resolve(root, main), compatibility_date, keep_names: false }),
    );
    args.push(`--config=${config}`);
  }
  const env = { ...process.env, ...quiet } as unknown as NodeJS.ProcessEnv;
  await promisify(execFile)(process.execPath, [wrangler, ...args], { cwd: root, env });
  const built = readdirSync(directory).find((name) => name.endsWith(".js"));
  return readFileSync(join(directory, built ?? ""), "utf8");
}

/** wrangler.toml's, which the floor shares. */
const compatibility_date =
  /^compatibility_date = "(.*)"$/m.exec(readFileSync(join(root, "wrangler.toml"), "utf8"))?.[1] ?? "";

export interface WorkerOptions {
  code: string;
  variables: Record<string, string>;
  /** A module of its own in front of `code`, which it imports as "./worker.js". */
  entry?: string;
  /** With the Worker's other bindings: its bucket, kept in this folder, and its rate limits. */
  bucketDirectory?: string;
  inspectorPort?: number;
}

/**
 * At Cloudflare a rate limit is a count in the machine's own memory, which keeps nobody waiting; miniflare's is a Durable
 * Object that two calls per request would queue for. So the bundle gets a count of this kind, in the place of the binding.
 */
const withRateLimits = `
import worker from "./worker.js";
const minute = 60_000;
const counter = () => {
  let counts = new Map();
  let until = 0;
  return {
    async limit({ key }) {
      const now = Date.now();
      if (now > until) [counts, until] = [new Map(), now + minute];
      const count = (counts.get(key) ?? 0) + 1;
      counts.set(key, count);
      return { success: count < 1e9 };
    },
  };
};
const limits = { USER_LIMIT: counter(), ADDRESS_LIMIT: counter(), SIGN_IN_LIMIT: counter() };
let whole;
export default {
  fetch: (request, env, context) => worker.fetch(request, (whole ??= { ...env, ...limits }), context),
  scheduled: (event, env, context) => worker.scheduled(event, (whole ??= { ...env, ...limits }), context),
};
`;

/**
 * Runs a bundle in workerd. The port is the Worker's own socket: miniflare writes workerd's configuration and gives it the
 * bucket, and its proxy stands aside.
 */
export async function startWorker({
  code,
  variables,
  bucketDirectory,
  entry = bucketDirectory === undefined ? undefined : withRateLimits,
  inspectorPort,
}: WorkerOptions): Promise<Server & { miniflare: MiniflareClass }> {
  Object.assign(process.env, quiet);
  const { Miniflare, convertV4MiniflareOptions } = await import("miniflare");
  const handlers = (["SIGINT", "SIGTERM"] as const).map((name) => [name, process.listeners(name)] as const);
  const before = new Set(workerds());
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      telemetry: { enabled: false },
      cf: false,
      // The platform takes the lines; a terminal would be as slow as it is.
      handleStructuredLogs: ({ level, message }) => {
        if (level === "error") console.error(message);
      },
      modules:
        entry === undefined
          ? [{ type: "ESModule", path: "index.js", contents: code }]
          : [
              { type: "ESModule", path: "index.js", contents: entry },
              { type: "ESModule", path: "worker.js", contents: code },
            ],
      compatibilityDate: compatibility_date,
      bindings: variables,
      unsafeDirectSockets: [{ host: "127.0.0.1", port: 0, proxy: false }],
      stripCfConnectingIp: false,
      ...(inspectorPort === undefined ? {} : { inspectorPort }),
      ...(bucketDirectory === undefined ? {} : { r2Buckets: ["BACKUPS"], r2Persist: bucketDirectory }),
      analyticsEngineDatasets: { ANALYTICS: { dataset: "bench" } },
    }),
  );
  await miniflare.ready;
  // It ends the process at a signal, before the bench could stop what else it has started.
  for (const [name, own] of handlers)
    for (const added of process.listeners(name)) if (!own.includes(added)) process.off(name, added);
  const { port } = await miniflare.unsafeGetDirectURL();
  const pid = workerds().find((each) => !before.has(each)) ?? 0;
  return { port: Number(port), pid, miniflare, stop: () => miniflare.dispose() };
}

/** The workerd processes that this one has started. */
const workerds = () => children(process.pid).filter((pid) => commandOf(pid).includes("workerd"));

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

/** /proc/PID/stat behind the name: [1] parent, [11] user, [12] system ticks, [13] and [14] those of children that ended. */
function statOf(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined; // It has ended, or there is no /proc.
  }
}

/** The process that has started that one; 0 without /proc. */
export const parentOf = (pid: number): number => Number(statOf(pid)?.[1] ?? 0);

function children(parent: number): number[] {
  try {
    return readdirSync("/proc")
      .map(Number)
      .filter((pid) => pid > 0 && parentOf(pid) === parent);
  } catch {
    return [];
  }
}

const tickMilliseconds = 10;

/** CPU time of a process so far, in ms, to 10 ms; with those it has started and that it waited for. 0 without /proc. */
export function cpuOf(pid: number, tree = false): number {
  const stat = statOf(pid);
  if (!stat) return 0;
  const ticks = [stat[11], stat[12], ...(tree ? [stat[13], stat[14]] : [])].map(Number);
  const own = ticks.reduce((sum, each) => sum + each, 0) * tickMilliseconds;
  return tree ? children(pid).reduce((sum, child) => sum + cpuOf(child), own) : own;
}

/** Resident memory of a process in bytes; 0 without /proc. */
export function residentBytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
  } catch {
    return 0;
  }
}
