import { recordPoint } from "./analytics.ts";
import { nightlyBackup } from "./backup/nightly.ts";
import { describe, log, tenths } from "./log.ts";
import { reportError } from "./sentry.ts";
import { watch } from "./watch.ts";

/**
 * What each cron of wrangler.toml does, and says that it has done. Cron may fire late or twice: every job bears both.
 */
const jobs: Record<string, (env: Env) => Promise<Record<string, unknown>>> = {
  "0 2 * * *": nightlyBackup,
  "30 * * * *": watch,
};

/** Throws for a cron that nobody knows: one that was renamed in wrangler.toml alone must not pass in silence. */
export async function runCron(cron: string, env: Env): Promise<void> {
  const started = performance.now();
  const ended = (ok: boolean, found: Record<string, unknown>) => {
    const ms = tenths(performance.now() - started);
    log(env, ok ? "info" : "error", "cron", { cron, ok, ms, ...found });
    recordPoint(env, { event: "cron", route: cron, outcome: ok ? "ok" : "failed", ms });
  };
  try {
    const job = jobs[cron];
    if (!job) throw new Error(`there is no job for the cron ${cron}`);
    ended(true, await job(env));
  } catch (error) {
    ended(false, { cause: describe(error) });
    await reportError(env, error, { tags: { cron } });
    throw error;
  }
}
