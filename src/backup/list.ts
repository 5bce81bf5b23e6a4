import type { Backup } from "./contract.ts";
import type { Manifest } from "./manifest.ts";
import { kept } from "./retention.ts";
import { today } from "./run.ts";
import { isWhole, listBackupIds, listManifests } from "./store.ts";

/** All backups as an operator sees them, newest first. */
export async function listBackups(bucket: R2Bucket): Promise<Backup[]> {
  const manifests = await listManifests(bucket);
  return Promise.all(
    manifests.map((manifest) =>
      describe(
        bucket,
        manifest,
        manifests.map(({ id }) => id),
      ),
    ),
  );
}

export const describeBackup = async (bucket: R2Bucket, manifest: Manifest): Promise<Backup> =>
  describe(bucket, manifest, await listBackupIds(bucket));

async function describe(bucket: R2Bucket, manifest: Manifest, ids: string[]): Promise<Backup> {
  const { id, started_at, duration_ms, bytes, uncompressed_bytes, tables } = manifest;
  return {
    id,
    at: started_at.replace(/\.(\d{3})Z$/, ".$1000Z"),
    age_seconds: Math.max(0, Math.floor((Date.now() - Date.parse(started_at)) / 1000)),
    duration_ms,
    bytes,
    uncompressed_bytes,
    rows: tables.reduce((sum, table) => sum + table.rows, 0),
    tiers: kept(ids, today()).get(id) ?? [],
    state: (await isWhole(bucket, manifest)) ? "good" : "damaged",
  };
}
