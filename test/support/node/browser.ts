import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { freePort } from "../../../tools/postgres.ts";

const root = join(import.meta.dirname, "../../..");

export interface RunningStack {
  /** The Worker's address, such as http://localhost:51234. */
  url: string;
  username: string;
  password: string;
  /** Where its data is: NEXGEN_DATA_DIR. */
  directory: string;
  stop(): Promise<void>;
}

/** The whole dev stack with its demo data, in a directory of its own; `variables` join its environment. */
export async function startStack(variables: Record<string, string> = {}): Promise<RunningStack> {
  const directory = await mkdtemp(join(tmpdir(), "nexgen-browser-"));
  // As root the database's server is another user, who must be able to pass.
  await chmod(directory, 0o711);
  const port = await freePort();
  const { npm_lifecycle_event: _, ...environment } = process.env;
  const child = spawn(process.execPath, [join(root, "tools/dev.ts")], {
    env: { ...environment, OWNER_DATABASE_URL: "", ...variables, NEXGEN_DATA_DIR: directory, PORT: String(port) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const exited = once(child, "exit");
  await new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        output += chunk;
        if (output.includes("Ctrl-C ends everything")) resolve();
      });
    child.once("exit", () => reject(new Error(`the dev stack ended: ${output}`)));
  });
  const logIn = await readFile(join(directory, "demo-login.txt"), "utf8");
  return {
    url: `http://localhost:${port}`,
    username: /^username: (.*)$/m.exec(logIn)?.[1] ?? "",
    password: /^password: (.*)$/m.exec(logIn)?.[1] ?? "",
    directory,
    async stop() {
      child.kill("SIGINT");
      await exited;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

const executable = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Debian's Chromium, or the one that CHROMIUM names; it talks to nobody but the pages that are opened. */
export async function startBrowser(): Promise<Browser> {
  if (!existsSync(executable))
    throw new Error(`there is no ${executable}: apt-get install chromium, or set CHROMIUM to a Chromium's path`);
  return chromium.launch({
    executablePath: executable,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
