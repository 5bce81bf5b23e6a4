import { nightlyBackup } from "./backup/nightly.ts";
import { watch } from "./watch.ts";

/** What each cron of wrangler.toml does. Cron may fire late or twice: every job bears both. */
const jobs: Record<string, (env: Env) => Promise<void>> = {
  "0 2 * * *": nightlyBackup,
  "30 * * * *": watch,
};

/** Throws for a cron that nobody knows: one that was renamed in wrangler.toml alone must not pass in silence. */
export async function runCron(cron: string, env: Env): Promise<void> {
  const job = jobs[cron];
  if (!job) throw new Error(`there is no job for the cron ${cron}`);
  await job(env);
}
