import { nightlyBackup } from "./backup/nightly.ts";
import { describe, log, tenths } from "./log.ts";
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
  const since = () => tenths(performance.now() - started);
  try {
    const job = jobs[cron];
    if (!job) throw new Error(`there is no job for the cron ${cron}`);
    const done = await job(env);
    log(env, "info", "cron", { cron, ok: true, ms: since(), ...done });
  } catch (error) {
    log(env, "error", "cron", { cron, ok: false, ms: since(), cause: describe(error) });
    throw error;
  }
}
