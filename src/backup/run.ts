import { z } from "zod";
import { openSnapshot } from "../db/snapshot.ts";
import { type DumpProgress, dump, hex } from "./dump.ts";
import { AlreadyRunning, type Lock, takeLock } from "./lock.ts";
import type { Manifest } from "./manifest.ts";
import { dataKey, lastFailureKey, manifestKey, patiently, sweepData } from "./store.ts";
import { GzipUpload } from "./upload.ts";

/** `run/last-failure.json` */
const Failure = z.strictObject({ at: z.iso.datetime(), run_id: z.uuid(), reason: z.string() });
export type Failure = z.infer<typeof Failure>;

/** Why the newest run failed; undefined when it succeeded. */
export async function findLastFailure(bucket: R2Bucket): Promise<Failure | undefined> {
  const object = await bucket.get(lastFailureKey);
  return object ? Failure.parse(await object.json()) : undefined;
}

export interface BackupSource {
  bucket: R2Bucket;
  /** Role nexgen_backup, on the direct host. */
  databaseUrl: string;
}

/** The id of a backup that is made now. */
export const today = () => new Date().toISOString().slice(0, 10);

type Progress = (now: DumpProgress) => void | Promise<void>;

/**
 * Makes today's backup, reads it back from R2 and only then writes its manifest, which replaces an earlier one of today.
 * `afterwards` is for what must not happen without a proven new backup. A run that fails leaves nothing visible but
 * `run/last-failure.json`. Throws AlreadyRunning when another run is alive.
 */
export async function runBackup(
  source: BackupSource,
  progress?: Progress,
  afterwards?: (made: Manifest) => Promise<void>,
): Promise<Manifest> {
  return runUnder(await takeLock(source.bucket), source, progress, afterwards);
}

/** The same for who has taken the lock already; it is released in any case. */
export async function runUnder(
  lock: Lock,
  { bucket, databaseUrl }: BackupSource,
  progress: Progress = () => {},
  afterwards: (made: Manifest) => Promise<void> = async () => {},
): Promise<Manifest> {
  try {
    await tidyUp(bucket, lock);
    const manifest = await store(bucket, databaseUrl, lock, progress);
    await lock.hold();
    const text = JSON.stringify(manifest, undefined, 2);
    const httpMetadata = { contentType: "application/json" };
    await patiently(() => bucket.put(manifestKey(manifest.id), text, { httpMetadata }));
    await afterwards(manifest);
    await sweepData(bucket);
    await bucket.delete(lastFailureKey);
    await lock.release();
    return manifest;
  } catch (error) {
    await giveUp(bucket, lock, error).catch(() => {
      // R2 itself fails, or another run took over. The lock says what is open: who takes it next ends it.
    });
    throw error;
  }
}

/** Clears up after a run that died, and notes that it failed. */
export async function buryDeadRun(bucket: R2Bucket): Promise<void> {
  const lock = await takeLock(bucket).catch((error: unknown) => {
    // The next run was faster.
    if (error instanceof AlreadyRunning) return undefined;
    throw error;
  });
  if (lock?.predecessor === undefined) return lock?.release();
  await giveUp(bucket, lock, new Error(`the run that began at ${lock.predecessor.started_at} died`));
}

async function giveUp(bucket: R2Bucket, lock: Lock, error: unknown): Promise<void> {
  await lock.hold();
  const failure: Failure = { at: new Date().toISOString(), run_id: lock.run.run_id, reason: reasonOf(error) };
  await bucket.put(lastFailureKey, JSON.stringify(failure));
  await tidyUp(bucket, lock);
  await lock.release();
}

/** An error's text for people who may not know the secrets: what looks like a URL with a password is cut. */
export const reasonOf = (error: unknown) =>
  (error instanceof Error ? error.message : String(error)).replace(/\b\w+:\/\/\S*@\S*/g, "(a URL)").slice(0, 500);

/** Ends the uploads that are still open, and deletes the data that no manifest names. */
async function tidyUp(bucket: R2Bucket, lock: Lock): Promise<void> {
  for (const { key, upload_id } of lock.run.uploads) await abortUpload(bucket.resumeMultipartUpload(key, upload_id));
  await sweepData(bucket);
}

/** Ends an upload that may have ended already (10024: there is no such upload). */
async function abortUpload(upload: R2MultipartUpload): Promise<void> {
  try {
    await upload.abort();
  } catch (error) {
    if (!(error instanceof Error && error.message.includes("(10024)"))) throw error;
  }
}

/** Dumps into R2 and proves it by reading it back. */
async function store(bucket: R2Bucket, databaseUrl: string, lock: Lock, progress: Progress): Promise<Manifest> {
  const { run_id, started_at } = lock.run;
  const id = started_at.slice(0, 10);
  const key = dataKey(id, run_id);
  const snapshot = await openSnapshot(databaseUrl);
  try {
    const multipart = await bucket.createMultipartUpload(key, { httpMetadata: { contentType: "application/gzip" } });
    const upload = new GzipUpload(multipart);
    try {
      await lock.noteUpload({ key, upload_id: multipart.uploadId });
      const summary = await dump(
        snapshot,
        (bytes) => upload.write(bytes),
        async (now) => {
          await lock.hold();
          await progress(now);
        },
      );
      const sent = await upload.complete();
      const found = await readBack(bucket, key, sent.bytes, lock);
      if (found.sha256 !== sent.sha256 || found.bytes !== sent.bytes)
        throw new Error(`what R2 has is not what was sent: ${found.bytes} bytes, sha256 ${found.sha256}`);
      const finished = new Date();
      return {
        version: 1,
        id,
        key,
        run_id,
        started_at,
        finished_at: finished.toISOString(),
        duration_ms: finished.getTime() - Date.parse(started_at),
        ...sent,
        ...summary,
        verification: { read_back: true, at: finished.toISOString(), ...found },
      };
    } catch (error) {
      // Once it is noted, the lock's holder ends it as well, and tries again when R2 fails.
      await upload.abort(error).catch(() => {});
      throw error;
    }
  } finally {
    await snapshot.end();
  }
}

const pieceBytes = 8 * 1024 * 1024;

/** Reads the object in pieces, whose bytes pass through the hash without a turn of JavaScript. */
async function readBack(
  bucket: R2Bucket,
  key: string,
  size: number,
  lock: Lock,
): Promise<{ bytes: number; sha256: string }> {
  const digest = new crypto.DigestStream("SHA-256");
  for (let offset = 0; offset < size; offset += pieceBytes) {
    const piece = await bucket.get(key, { range: { offset, length: Math.min(pieceBytes, size - offset) } });
    if (!piece) throw new Error("R2 does not have what was sent");
    await piece.body.pipeTo(digest, { preventClose: true });
    await lock.hold();
  }
  await digest.getWriter().close();
  return { bytes: Number(digest.bytesWritten), sha256: hex(await digest.digest) };
}
