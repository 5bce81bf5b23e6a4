import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { type Account, Refused } from "../account.ts";
import { freePort } from "../postgres.ts";
import { dataDirectory, root, runningStack } from "../stack.ts";

/** So many rows of that table so far, and bytes of SQL in all. */
export interface Progress {
  table: string;
  rows: number;
  bytes: number;
}

export interface Made {
  id: string;
  rows: number;
  bytes: number;
  duration_ms: number;
}

/** The lines of POST /ops/backups: where it is, and at last the backup or a problem. */
type Line = Partial<Progress & Made & { title: string; detail: string }>;

/** Asks the Worker for a backup now, as an admin; one made earlier today is replaced once the new one is proven. */
export async function createByRoute(url: URL, account: Account, onProgress: (now: Progress) => void): Promise<Made> {
  const token = await logIn(url, account);
  const answer = await fetch(new URL("/ops/backups", url), {
    method: "POST",
    headers: { Authorization: `Bearer ${token}` },
  });
  if (!answer.ok || !answer.body) throw new Refused(`${url.origin} refuses: ${await problemOf(answer)}`);
  let last: Line = { detail: "the connection ended before it was done" };
  try {
    for await (const text of linesOf(answer.body)) {
      last = JSON.parse(text) as Line;
      const { table, rows, bytes } = last;
      if (table !== undefined && rows !== undefined && bytes !== undefined) onProgress({ table, rows, bytes });
    }
  } catch (error) {
    throw new Refused(`the connection to ${url.origin} broke; whether the backup is made, list says`, { cause: error });
  }
  // The answer begins before the outcome is known, so a failure is its last line and not its status.
  const { id, rows, bytes, duration_ms } = last;
  if (id === undefined || rows === undefined || bytes === undefined || duration_ms === undefined)
    throw new Refused(`the backup failed: ${last.detail ?? last.title ?? "the Worker did not say why"}`);
  return { id, rows, bytes, duration_ms };
}

async function logIn(url: URL, account: Account): Promise<string> {
  const answer = await fetch(new URL("/auth/login", url), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(account),
  }).catch((error: Error) => {
    throw new Refused(`${url.origin} cannot be reached: ${String(error.cause ?? error)}`);
  });
  if (!answer.ok)
    throw new Refused(`log-in of ${account.username} at ${url.origin} refused: ${await problemOf(answer)}`);
  return ((await answer.json()) as { access_token: string }).access_token;
}

async function problemOf(answer: Response): Promise<string> {
  const text = await answer.text();
  try {
    const { title, detail } = JSON.parse(text) as { title?: string; detail?: string };
    return `${answer.status} ${detail ?? title ?? text}`;
  } catch {
    return `${answer.status} ${text.slice(0, 200)}`;
  }
}

async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") yield line;
  }
  if (rest !== "") yield rest;
}

/** The admin that the demo data came with, if this data directory has them. */
export function demoAccount(): Account | undefined {
  const path = join(dataDirectory(), "demo-login.txt");
  if (!existsSync(path)) return undefined;
  const [, username, password] = /^username: (.*)\npassword: (.*)$/m.exec(readFileSync(path, "utf8")) ?? [];
  return username && password ? { username, password } : undefined;
}

/** Fires the nightly cron of a local stack. It needs no account, and does nothing when today has its backup. */
export function fireCron(url: URL): Promise<void> {
  const address = new URL("/cdn-cgi/local/scheduled?cron=0+2+*+*+*", url);
  // Not by fetch, which gives up an answer that takes five minutes.
  return new Promise((done, failed) => {
    get({ host: "127.0.0.1", port: address.port, path: address.pathname + address.search }, (answer) => {
      answer.resume();
      answer.on("end", () =>
        answer.statusCode === 200 ? done() : failed(new Refused(`the backup failed (${answer.statusCode})`)),
      );
    }).on("error", failed);
  });
}

/** Uses the dev stack of the data directory: the running one, else one that is started for this work and ended after it. */
export async function withStack<T>(work: (url: URL) => Promise<T>, signal: AbortSignal): Promise<T> {
  const running = runningStack();
  if (running) {
    const url = new URL(running.url);
    await reachable(url);
    return work(url);
  }
  const port = await freePort();
  const child = spawn(process.execPath, [join(root, "tools/dev.ts")], {
    env: { ...process.env, PORT: String(port), NEXGEN_SEED: "none" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((done) => child.once("exit", () => done()));
  const stop = () => void child.kill("SIGTERM");
  signal.addEventListener("abort", stop, { once: true });
  try {
    await ready(child);
    return await work(new URL(`http://localhost:${port}`));
  } finally {
    stop();
    await ended;
    signal.removeEventListener("abort", stop);
  }
}

async function reachable(url: URL) {
  await fetch(new URL("/health?probe=live", url)).catch(() => {
    throw new Refused(`the dev stack on ${url.origin} does not answer yet: try again when it says Ready`);
  });
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((done, failed) => {
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (text: string) => {
        output += text;
        if (output.includes("\nReady on ")) done();
      });
    child.once("exit", () => failed(new Refused(`the stack did not start:\n${output.trim()}`)));
  });
}
