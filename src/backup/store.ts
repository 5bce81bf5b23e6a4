import { Manifest } from "./manifest.ts";

/**
 * Backups in R2:
 * - `data/<id>/<run id>.sql.gz`: the dump. A second run of one day writes a second one, so that a good one is never
 *   overwritten by one that is not proven.
 * - `manifest/<id>.json`: written last; without it a backup does not exist.
 * - `run/current.json`: the run that is going on, and the lock against a second one.
 * - `run/last-failure.json`: why the newest run failed; gone when one succeeds.
 */
export const dataKey = (id: string, runId: string) => `data/${id}/${runId}.sql.gz`;
export const manifestKey = (id: string) => `manifest/${id}.json`;
export const currentRunKey = "run/current.json";
export const lastFailureKey = "run/last-failure.json";

const pausesMilliseconds = [1200, 4000];

/**
 * Tries a write again that R2 asks to repeat: it takes one write of a key a second (10058), and has moments of its own
 * (10001, 10043).
 */
export async function patiently<T>(write: () => Promise<T>): Promise<T> {
  for (const pause of pausesMilliseconds) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof Error && /\((10001|10043|10058)\)/.test(error.message))) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
  return write();
}

/** The manifest of a backup; undefined when there is no such backup. */
export async function findManifest(bucket: R2Bucket, id: string): Promise<Manifest | undefined> {
  const object = await bucket.get(manifestKey(id));
  return object ? Manifest.parse(await object.json()) : undefined;
}

/** Ids of the backups there are, oldest first. */
export async function listBackupIds(bucket: R2Bucket): Promise<string[]> {
  const keys = await listKeys(bucket, "manifest/");
  return keys.flatMap((key) => /^manifest\/(\d{4}-\d\d-\d\d)\.json$/.exec(key)?.[1] ?? []).sort();
}

/** The manifests of all backups, newest first. */
export async function listManifests(bucket: R2Bucket): Promise<Manifest[]> {
  const ids = await listBackupIds(bucket);
  const manifests = await Promise.all(ids.reverse().map((id) => findManifest(bucket, id)));
  // One that was pruned between the two calls is no longer there.
  return manifests.filter((manifest) => manifest !== undefined);
}

/** Whether the data object is there, in full length. */
export async function isWhole(bucket: R2Bucket, manifest: Manifest): Promise<boolean> {
  return (await bucket.head(manifest.key))?.size === manifest.bytes;
}

export const listKeys = async (bucket: R2Bucket, prefix: string): Promise<string[]> =>
  (await listObjects(bucket, prefix)).map((object) => object.key);

/** Of everything in the bucket. */
export const bucketBytes = async (bucket: R2Bucket): Promise<number> =>
  (await listObjects(bucket, "")).reduce((sum, object) => sum + object.size, 0);

async function listObjects(bucket: R2Bucket, prefix: string): Promise<R2Object[]> {
  const objects: R2Object[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await bucket.list({ prefix, ...(cursor === undefined ? {} : { cursor }) });
    objects.push(...page.objects);
    if (!page.truncated) return objects;
    cursor = page.cursor;
  }
}

/**
 * Deletes the data objects that no manifest names: what failed, died or was replaced. Only for who holds the lock: another
 * run's is without a manifest until it is proven.
 */
export async function sweepData(bucket: R2Bucket): Promise<void> {
  const keys = await listKeys(bucket, "data/");
  const named = new Set((await listManifests(bucket)).map((manifest) => manifest.key));
  for (const key of keys) if (!named.has(key)) await deleteUnlessLocked(bucket, key);
}

/** A bucket lock (docs/disaster-recovery.md) holds objects for some days: they go when it lets them. */
async function deleteUnlessLocked(bucket: R2Bucket, key: string): Promise<void> {
  try {
    await bucket.delete(key);
  } catch (error) {
    if (!(error instanceof Error && error.message.includes("(10069)"))) throw error;
  }
}
