import { ticker } from "../backup/progress.ts";
import { seconds } from "../backup/report.ts";
import { lastWords, run } from "./process.ts";

/** Ctrl-C. */
export class Interrupted extends Error {}

export function stopIf(signal: AbortSignal): void {
  if (signal.aborted) throw new Interrupted();
}

export type Step = ReturnType<typeof stepper>["step"];

/**
 * Names, times and outcomes of the steps, which `signal` stops between two of them. `failures` are those of a dry run, which
 * goes on behind them.
 */
export function stepper(signal: AbortSignal, dryRun: boolean) {
  const failures: string[] = [];
  const line = ticker();
  return {
    failures,
    /** Makes a step. What it resolves to is said beside its name; in a dry run a failure is undefined. */
    async step<T>(
      name: string,
      work: (say: (detail: string) => void, progress: (detail: string) => void) => Promise<T>,
    ): Promise<T | undefined> {
      stopIf(signal);
      const began = performance.now();
      let detail = "";
      const print = (mark: string, text: string) =>
        console.log(
          `  ${mark} ${name.padEnd(14)} ${seconds((performance.now() - began) / 1000).padStart(7)}  ${text}`.trimEnd(),
        );
      if (process.stderr.isTTY) line.show(name, "…");
      try {
        const result = await work(
          (text) => {
            detail = text;
          },
          (text) =>
            process.stderr.isTTY && line.show(name, text.slice(0, Math.max(20, (process.stderr.columns ?? 80) - 20))),
        );
        line.end();
        stopIf(signal);
        print("ok  ", detail);
        return result;
      } catch (error) {
        line.end();
        if (signal.aborted) throw new Interrupted();
        print("FAIL", "");
        if (!dryRun) throw error;
        const message = messageOf(error);
        console.log(message.replace(/^/gm, "       "));
        failures.push(`${name}: ${message.split("\n")[0]}`);
        return undefined;
      }
    },
  };
}

export const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Runs a command that `signal` may end, and answers what it said. Throws with its last words when it fails. */
export async function command(
  name: string,
  args: string[],
  { env, signal, progress }: { env: NodeJS.ProcessEnv; signal: AbortSignal; progress: (line: string) => void },
): Promise<string> {
  const { code, output } = await run(name, args, { env, signal, report: progress });
  stopIf(signal);
  if (code !== 0) throw new Error(`${[name, ...args].join(" ")} failed (exit code ${code}):\n${lastWords(output)}`);
  return output;
}

/** Without what checks and tests must not see: the database, the account, the password. */
export function ownEnvironment(): NodeJS.ProcessEnv {
  const { OWNER_DATABASE_URL: _, NEXGEN_PASSWORD: __, CLOUDFLARE_API_TOKEN: ___, ...rest } = process.env;
  // npm tells its scripts which one runs.
  delete rest.npm_lifecycle_event;
  return rest;
}
