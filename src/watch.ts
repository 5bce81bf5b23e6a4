import { type AlertKind, alert } from "./alert.ts";
import { buryDeadRun } from "./backup/run.ts";
import { backupFaults, backupState } from "./backup/state.ts";
import { bucketBytes } from "./backup/store.ts";
import { createDb } from "./db/client.ts";
import { purgeIdempotencyKeys } from "./db/once.ts";
import { settings } from "./env.ts";
import { databaseBytes } from "./health/queries.ts";

/**
 * The hourly cron: says what is wrong, also when nobody asks, and clears up. Throws what it could not find out, when all
 * else is done.
 */
export async function watch(env: Env): Promise<void> {
  const { databaseUrl, databaseLimitBytes, bucketLimitBytes } = await settings(env);
  const db = createDb(databaseUrl);
  const results = await Promise.allSettled([watchBackups(env), watchDatabase(), watchBucket()]);
  const failed = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
  if (failed.length > 0) throw new AggregateError(failed, "the watch could not find out everything");

  async function watchDatabase() {
    const bytes = await databaseBytes(db).catch((error: unknown) => {
      console.error(JSON.stringify({ level: "error", message: String(error) }));
      return undefined;
    });
    if (bytes === undefined) return alert(env, "database-down", "The database does not answer.");
    await tooLarge("database-size", "The database", bytes, databaseLimitBytes);
    await purgeIdempotencyKeys(db);
  }

  async function watchBucket() {
    await tooLarge("bucket-size", "The bucket of the backups", await bucketBytes(env.BACKUPS), bucketLimitBytes);
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
