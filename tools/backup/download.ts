import { createHash } from "node:crypto";
import { createWriteStream, existsSync, rmSync } from "node:fs";
import { rename } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Manifest } from "../../src/backup/manifest.ts";
import { findManifest, listBackupIds } from "../../src/backup/store.ts";
import { Refused } from "../account.ts";

/** The bucket's binding gives an object whole to this process, so it is asked for in ranges. */
const rangeBytes = 8 * 1024 * 1024;
const attempts = 4;

/** The backup of that UTC date, or the newest one for `latest`. */
export async function findBackup(bucket: R2Bucket, id: string): Promise<Manifest> {
  const ids = await listBackupIds(bucket);
  const newest = ids.at(-1);
  if (newest === undefined) throw new Refused("there is no backup yet: npm run backup -- create");
  const manifest = await findManifest(bucket, id === "latest" ? newest : id);
  if (!manifest) throw new Refused(`there is no backup ${id}. There are: ${ids.join(", ")}`);
  return manifest;
}

/** The rows of each table that a restore must bring. */
export const expectedRows = (manifest: Manifest) =>
  Object.fromEntries(manifest.tables.flatMap(({ name, data, rows }) => (data === "included" ? [[name, rows]] : [])));

/** The stored bytes of a backup, as they are: whoever reads them compares their sha256. */
export function storedFile(
  bucket: R2Bucket,
  manifest: Manifest,
  onBytes: (bytes: number) => void = () => {},
): Readable {
  const ranges = async function* () {
    for (let offset = 0; offset < manifest.bytes; offset += rangeBytes) {
      const length = Math.min(rangeBytes, manifest.bytes - offset);
      const object = await readRange(bucket, manifest.key, { offset, length });
      if (!object) throw new Refused(`backup ${manifest.id} is lost: its object ${manifest.key} is not in the bucket`);
      if (object.size !== manifest.bytes)
        throw new Refused(
          `backup ${manifest.id} is damaged: ${manifest.key} has ${object.size} bytes, the manifest says ${manifest.bytes}`,
        );
      onBytes(offset + length);
      yield object.bytes;
    }
  };
  return Readable.from(ranges(), { objectMode: false, highWaterMark: 1 });
}

/** A restore of an hour must not end with a connection that breaks for a second. */
async function readRange(bucket: R2Bucket, key: string, range: { offset: number; length: number }) {
  for (let attempt = 1; ; attempt++) {
    try {
      const object = await bucket.get(key, { range });
      return object && { size: object.size, bytes: Buffer.from(await object.arrayBuffer()) };
    } catch (error) {
      if (attempt === attempts) throw error;
      await sleep(50 * 4 ** attempt);
    }
  }
}

/**
 * Writes a backup's stored file, byte for byte: under its name it is there whole and with the manifest's sha256, or not
 * at all.
 */
export async function download(
  bucket: R2Bucket,
  manifest: Manifest,
  output: string,
  options: { replace?: boolean; onBytes?: (bytes: number) => void; signal?: AbortSignal } = {},
): Promise<void> {
  if (existsSync(output) && !options.replace)
    throw new Refused(`${output} exists already: choose another name, or replace it with --yes`);
  const partial = `${output}.partial-${process.pid}`;
  const hash = createHash("sha256");
  try {
    await pipeline(
      storedFile(bucket, manifest, options.onBytes),
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          hash.update(chunk);
          yield chunk;
        }
      },
      // On disk before its name says that it is whole.
      createWriteStream(partial, { mode: 0o600, flags: "wx", flush: true }),
      ...(options.signal ? [{ signal: options.signal }] : []),
    );
    const sha256 = hash.digest("hex");
    if (sha256 !== manifest.sha256)
      throw new Refused(
        `backup ${manifest.id} is damaged: the sha256 of ${manifest.key} is ${sha256}, the manifest says ${manifest.sha256}`,
      );
    await rename(partial, output);
  } finally {
    rmSync(partial, { force: true });
  }
}
