import type { AlertKind } from "../alert.ts";
import { type CurrentRun, findCurrentRun } from "./lock.ts";
import type { Manifest } from "./manifest.ts";
import { type Failure, findLastFailure } from "./run.ts";
import { isWhole, listManifests } from "./store.ts";

export interface BackupState {
  /** The newest backup whose data is there, and the one before it. */
  newest: Manifest | undefined;
  before: Manifest | undefined;
  run: { run: CurrentRun; died: boolean } | undefined;
  lastFailure: Failure | undefined;
}

export async function backupState(bucket: R2Bucket): Promise<BackupState> {
  const [manifests, run, lastFailure] = await Promise.all([
    listManifests(bucket),
    findCurrentRun(bucket),
    findLastFailure(bucket),
  ]);
  const whole: Manifest[] = [];
  for (const manifest of manifests) {
    if (await isWhole(bucket, manifest)) whole.push(manifest);
    if (whole.length === 2) break;
  }
  return { newest: whole[0], before: whole[1], run, lastFailure };
}

/** A nightly run may be late by an hour or two. */
const staleMilliseconds = 26 * 3_600_000;

export interface Fault {
  kind: AlertKind;
  text: string;
}

/** What is wrong with the backups at `now` (milliseconds); empty when all is well. */
export function backupFaults({ newest, before, run, lastFailure }: BackupState, now: number): Fault[] {
  const faults: Fault[] = [];
  if (newest === undefined) faults.push({ kind: "backup-stale", text: "There is no backup." });
  else if (now - Date.parse(newest.started_at) > staleMilliseconds)
    faults.push({ kind: "backup-stale", text: `The newest backup is of ${newest.started_at}, older than 26 hours.` });
  if (lastFailure)
    faults.push({ kind: "backup-failed", text: `The backup of ${lastFailure.at} failed: ${lastFailure.reason}` });
  if (run?.died)
    faults.push({ kind: "backup-died", text: `The backup that began at ${run.run.started_at} died without a word.` });
  if (newest && before && newest.uncompressed_bytes < before.uncompressed_bytes / 2)
    faults.push({
      kind: "backup-shrunk",
      text: `The backup ${newest.id} has ${newest.uncompressed_bytes} bytes of SQL, ${before.id} had ${before.uncompressed_bytes}.`,
    });
  return faults;
}
