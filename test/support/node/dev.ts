import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, vi } from "vitest";

/** A directory for the data of a dev stack. */
export async function dataDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "nexgen-dev-"));
  // As root the server is another user, who must be able to pass.
  await chmod(directory, 0o711);
  return directory;
}

/** Runs a tool as a person would, with these variables; `ready` waits until it is the dev stack that serves. */
export function runTool(tool: string, variables: Record<string, string>, args: readonly string[] = []) {
  const { npm_lifecycle_event: _, ...environment } = process.env;
  const child = spawn(process.execPath, [join(import.meta.dirname, "..", "..", "..", "tools", tool), ...args], {
    env: { ...environment, OWNER_DATABASE_URL: "", ...variables },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
  const exited = once(child, "exit").then(([code]) => ({ code: code as number | null, output }));
  const ready = async () => {
    const served = () => {
      if (!output.includes("Ctrl-C ends everything") && child.exitCode === null) throw new Error(output);
    };
    await vi.waitFor(served, { timeout: 40_000, interval: 50 });
    expect(output).toContain(`Ready on http://localhost:${variables.PORT}`);
    return output;
  };
  return { child, exited, ready };
}

/** Ends what is still running, and waits for it. */
export async function endAll(children: ChildProcess[]): Promise<void> {
  for (const child of children) if (child.exitCode === null) child.kill("SIGINT");
  await Promise.all(children.map((child) => child.exitCode ?? child.signalCode ?? once(child, "exit")));
}
