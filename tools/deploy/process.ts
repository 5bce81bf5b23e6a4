import { spawn } from "node:child_process";
import { delimiter, join } from "node:path";
import { root } from "../stack.ts";

export interface Outcome {
  code: number;
  stdout: string;
  /** Both streams, as they came. */
  output: string;
}

interface Options {
  env?: NodeJS.ProcessEnv;
  /** Ends the command, with SIGINT, so that it can tidy up; without it the command is let finish. */
  signal?: AbortSignal;
  /** Hears of every line. */
  report?: (line: string) => void;
}

/**
 * Runs a command of PATH, then of the checkout's packages, to its end. It leads a process group of its own: a terminal's
 * Ctrl-C reaches us alone, and we decide what may be cut short.
 */
export function run(command: string, args: string[], { env = process.env, signal, report }: Options = {}) {
  return new Promise<Outcome>((fulfil, reject) => {
    const PATH = `${env.PATH}${delimiter}${join(root, "node_modules/.bin")}`;
    const child = spawn(command, args, {
      cwd: root,
      env: { ...env, PATH },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const interrupt = () => {
      // To the whole group: npm passes a signal on to its script, but not to what that started.
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGINT");
    };
    signal?.addEventListener("abort", interrupt);
    let stdout = "";
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        if (stream === child.stdout) stdout += text;
        output += text;
        const line = text.trimEnd().split("\n").at(-1);
        if (line) report?.(line);
      });
    child.once("error", (error) => reject(new Error(`${command} does not start: ${error.message}`)));
    child.once("close", (code) => {
      signal?.removeEventListener("abort", interrupt);
      fulfil({ code: code ?? 130, stdout, output });
    });
  });
}

/** The end of what a command said, where its reason stands, without a terminal's colours. */
export function lastWords(output: string, lines = 40): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they are made of
  const plain = output.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "");
  return plain.trimEnd().split("\n").slice(-lines).join("\n").trim();
}
