import { type AlertKind, alert } from "./alert.ts";
import { failedLogIns } from "./auth/queries.ts";
import { buryDeadRun } from "./backup/run.ts";
import { backupFaults, backupState } from "./backup/state.ts";
import { bucketBytes } from "./backup/store.ts";
import { createDb } from "./db/client.ts";
import { purgeIdempotencyKeys } from "./db/once.ts";
import { settings } from "./env.ts";
import { databaseBytes } from "./health/queries.ts";
import { describe, log } from "./log.ts";
import { loggedBatches } from "./observe.ts";

/** So many pairs of account and address whose log-in failed within an hour, and did not succeed after that, are no accident. */
const suspectPairs = 20;

/**
 * The hourly cron: says what is wrong, also when nobody asks, and clears up. Answers what it found; throws what it could
 * not find out, when all else is done.
 */
export async function watch(env: Env): Promise<Record<string, unknown>> {
  const { databaseUrl, databaseLimitBytes, bucketLimitBytes, slowQueryMilliseconds } = await settings(env);
  const heard = loggedBatches(env, slowQueryMilliseconds, () => ({ cron: "watch" }));
  const db = createDb(databaseUrl, { milliseconds: 0, roundTrips: 0, heard });
  const found: Record<string, unknown> = {};
  const results = await Promise.allSettled([watchBackups(env), watchDatabase(), watchBucket()]);
  const failed = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
  if (failed.length > 0) throw new AggregateError(failed, "the watch could not find out everything");
  return found;

  async function watchDatabase() {
    const state = await Promise.all([databaseBytes(db), failedLogIns(db)]).catch((error: unknown) => {
      log(env, "error", "database-down", { cause: describe(error) });
      return undefined;
    });
    if (state === undefined) return alert(env, "database-down", "The database does not answer.");
    const [bytes, { pairs, accounts, sources }] = state;
    found.database_bytes = bytes;
    found.failed_log_ins = pairs;
    if (pairs >= suspectPairs) {
      const text = `In the last hour ${accounts} accounts were tried in vain from ${sources} addresses.`;
      await alert(env, "sign-in-attack", text, { pairs, accounts, sources });
    }
    await tooLarge("database-size", "The database", bytes, databaseLimitBytes);
    await purgeIdempotencyKeys(db);
  }

  async function watchBucket() {
    const bytes = await bucketBytes(env.BACKUPS);
    found.bucket_bytes = bytes;
    await tooLarge("bucket-size", "The bucket of the backups", bytes, bucketLimitBytes);
  }

  async function tooLarge(kind: AlertKind, what: string, bytes: number, limit: number | undefined) {
    if (limit !== undefined && bytes > limit)
      await alert(env, kind, `${what} has ${bytes} bytes, over the limit of ${limit}.`, { bytes, limit });
  }
}

async function watchBackups(env: Env): Promise<void> {
  const state = await backupState(env.BACKUPS);
  for (const { kind, text } of backupFaults(state, Date.now())) await alert(env, kind, text);
  if (state.run?.died) await buryDeadRun(env.BACKUPS);
}
