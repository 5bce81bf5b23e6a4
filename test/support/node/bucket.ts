import { createHash, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Manifest } from "../../../src/backup/manifest.ts";
import { dataKey, manifestKey } from "../../../src/backup/store.ts";
import { openBucket } from "../../../tools/backup/bucket.ts";
import type { Dumped } from "./backup.ts";

/** A data directory with a bucket of its own, as the dev stack has it. */
export async function temporaryDataDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), "nexgen-backup-"));
}

/** Works on the bucket of a data directory. */
export async function inBucket<T>(directory: string, work: (bucket: R2Bucket) => Promise<T>): Promise<T> {
  process.env.NEXGEN_DATA_DIR = directory;
  const { bucket, close } = await openBucket(undefined);
  return work(bucket).finally(close);
}

export const removeDataDirectory = (directory: string) => rm(directory, { recursive: true, force: true });

/** Stores a dump of the Worker's code as the Worker does, under the date `id`. */
export async function storeBackup(bucket: R2Bucket, id: string, dumped: Dumped, changes: Partial<Manifest> = {}) {
  const bytes = gzipSync(dumped.text);
  const { text: _, largestWrite: __, ...summary } = dumped;
  const run_id = randomUUID();
  const at = `${id}T02:00:05.000Z`;
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const manifest = {
    version: 1,
    id,
    key: dataKey(id, run_id),
    run_id,
    started_at: `${id}T02:00:00.000Z`,
    finished_at: at,
    duration_ms: 5000,
    bytes: bytes.length,
    sha256,
    ...summary,
    verification: { read_back: true, at, bytes: bytes.length, sha256 },
    ...changes,
  } as Manifest;
  await bucket.put(manifest.key, bytes);
  await bucket.put(manifestKey(id), JSON.stringify(manifest));
  return { manifest, bytes };
}
