import { env } from "cloudflare:workers";
import { runBackup } from "../../src/backup/run.ts";
import { findManifest, isWhole, listBackupIds, listKeys } from "../../src/backup/store.ts";
import { database } from "./database.ts";

/** This test file's own bucket and database. */
export const source = (bucket: R2Bucket = env.BACKUPS) => ({ bucket, databaseUrl: database.backupUrl });

export const keys = async (): Promise<string[]> => (await listKeys(env.BACKUPS, "")).sort();

export async function emptyBucket(): Promise<void> {
  for (const key of await keys()) await env.BACKUPS.delete(key);
}

/** The backups there are, of which none may be without its data. */
export async function visible() {
  const manifests = await Promise.all((await listBackupIds(env.BACKUPS)).map((id) => findManifest(env.BACKUPS, id)));
  for (const manifest of manifests) {
    if (!manifest || !(await isWhole(env.BACKUPS, manifest))) throw new Error(`${manifest?.id} is not whole`);
  }
  return manifests;
}

/** What a test does to calls of the bucket: `call` counts all of them, those of uploads too. */
type Interference = (call: number) => void;

/** The real bucket, which `interfere` is asked before every call. Notes the uploads that were begun. */
export function interfered(interfere: Interference) {
  let call = 0;
  const uploads: { key: string; uploadId: string; call: number }[] = [];
  const wrap = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(object, name) {
        const member: unknown = Reflect.get(object, name);
        if (typeof member !== "function") return member;
        return (...args: unknown[]) => {
          if (name === "resumeMultipartUpload") return wrap(member.apply(object, args));
          return (async () => {
            call += 1;
            const own = call;
            interfere(own);
            const result = await member.apply(object, args);
            if (name !== "createMultipartUpload") return result;
            uploads.push({ key: result.key, uploadId: result.uploadId, call: own });
            return wrap(result);
          })();
        };
      },
    });
  return { bucket: wrap(env.BACKUPS), uploads, calls: () => call };
}

/** Whether parts of an upload can still be sent. */
export const isOpen = (upload: { key: string; uploadId: string }) =>
  env.BACKUPS.resumeMultipartUpload(upload.key, upload.uploadId)
    .uploadPart(1, "x")
    .then(() => true)
    .catch(() => false);

/** How many calls of R2 a run makes that replaces a backup of the same day. */
export async function callsOfARun(): Promise<number> {
  await runBackup(source());
  const { bucket, calls } = interfered(() => {});
  await runBackup(source(bucket));
  await emptyBucket();
  return calls();
}
