import { alert } from "../alert.ts";
import { settings } from "../env.ts";
import { log } from "../log.ts";
import { AlreadyRunning } from "./lock.ts";
import { kept } from "./retention.ts";
import { reasonOf, runBackup, today } from "./run.ts";
import { findManifest, listBackupIds, manifestKey } from "./store.ts";

const logEveryMilliseconds = 10_000;

/** The nightly cron: one backup per UTC date, however often and late it fires. Throws when the backup failed. */
export async function nightlyBackup(env: Env): Promise<Record<string, unknown>> {
  const { backupDatabaseUrl } = await settings(env);
  const bucket = env.BACKUPS;
  let lastLog = 0;
  try {
    if (await findManifest(bucket, today())) return { backup: today(), message: "there is one of today already" };
    const made = await runBackup(
      { bucket, databaseUrl: backupDatabaseUrl },
      (now) => {
        if (Date.now() - lastLog < logEveryMilliseconds) return;
        lastLog = Date.now();
        log(env, "info", "backup", { backup: today(), ...now });
      },
      () => prune(bucket),
    );
    const { id, bytes, uncompressed_bytes, duration_ms } = made;
    return { backup: id, bytes, uncompressed_bytes, duration_ms, message: "complete, and read back" };
  } catch (error) {
    if (error instanceof AlreadyRunning) return { backup: today(), message: error.message };
    await alert(env, "backup-failed", `The backup of ${today()} failed: ${reasonOf(error)}`);
    throw error;
  }
}

/** Takes the manifests of what need not be kept away; their data follows as everything that no manifest names. */
export async function prune(bucket: R2Bucket): Promise<void> {
  const ids = await listBackupIds(bucket);
  const keep = kept(ids, today());
  for (const id of ids) if (!keep.has(id)) await bucket.delete(manifestKey(id));
}
