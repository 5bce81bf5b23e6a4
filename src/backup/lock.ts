import { z } from "zod";
import { currentRunKey, patiently } from "./store.ts";

const Upload = z.strictObject({ key: z.string(), upload_id: z.string() });

/** `run/current.json` */
const CurrentRun = z.strictObject({
  run_id: z.uuid(),
  started_at: z.iso.datetime(),
  heartbeat_at: z.iso.datetime(),
  /** This run's upload, and those of runs that died before it: whoever holds the lock sees to it that none stays open. */
  uploads: z.array(Upload),
});
export type CurrentRun = z.infer<typeof CurrentRun>;

/** A cron run ends after 15 minutes at the latest; one that has been silent for longer has died. */
const silenceMilliseconds = 16 * 60_000;
const beatMilliseconds = 60_000;

export class AlreadyRunning extends Error {
  constructor(since?: string) {
    super(`a backup is already running${since === undefined ? "" : ` since ${since}`}`);
  }
}

/** The one run that may write backups. Every method throws when another run took over. */
export interface Lock {
  readonly run: CurrentRun;
  /** The run that had died with the lock. */
  readonly predecessor: CurrentRun | undefined;
  /** Says that the run is alive, at most once a minute: nobody takes over for a quarter of an hour. */
  hold(): Promise<void>;
  noteUpload(upload: z.infer<typeof Upload>): Promise<void>;
  release(): Promise<void>;
}

/** The run that holds the lock. */
export async function findCurrentRun(bucket: R2Bucket): Promise<{ run: CurrentRun; died: boolean } | undefined> {
  const object = await bucket.get(currentRunKey);
  if (!object) return undefined;
  const run = CurrentRun.parse(await object.json());
  return { run, died: hasDied(run) };
}

const hasDied = (run: CurrentRun) => Date.now() - Date.parse(run.heartbeat_at) > silenceMilliseconds;

/** Takes the lock, from a run that died as well. Throws AlreadyRunning when another run is alive. */
export async function takeLock(bucket: R2Bucket): Promise<Lock> {
  const now = new Date().toISOString();
  const fresh: CurrentRun = { run_id: crypto.randomUUID(), started_at: now, heartbeat_at: now, uploads: [] };
  const created = await put(bucket, fresh, { etagDoesNotMatch: "*" });
  if (created) return lock(bucket, fresh, created.etag);
  const object = await bucket.get(currentRunKey);
  if (!object) throw new AlreadyRunning();
  const current = CurrentRun.parse(await object.json());
  if (!hasDied(current)) throw new AlreadyRunning(current.started_at);
  // What it left open is ours to end, and must not be forgotten if this run dies too.
  const heir = { ...fresh, uploads: current.uploads };
  const taken = await put(bucket, heir, { etagMatches: object.etag });
  if (!taken) throw new AlreadyRunning();
  return lock(bucket, heir, taken.etag, current);
}

const put = (bucket: R2Bucket, run: CurrentRun, onlyIf: R2Conditional): Promise<R2Object | null> =>
  patiently(() => bucket.put(currentRunKey, JSON.stringify(run), { onlyIf }));

function lock(bucket: R2Bucket, taken: CurrentRun, takenEtag: string, predecessor?: CurrentRun): Lock {
  let run = taken;
  let etag = takenEtag;
  const write = async (changes: Partial<CurrentRun>) => {
    const next = { ...run, ...changes, heartbeat_at: new Date().toISOString() };
    const written = await put(bucket, next, { etagMatches: etag });
    if (!written) throw new Error("another run took over: this one was silent for too long");
    run = next;
    etag = written.etag;
  };
  const hold = async () => {
    if (Date.now() - Date.parse(run.heartbeat_at) >= beatMilliseconds) await write({});
  };
  return {
    get run() {
      return run;
    },
    predecessor,
    hold,
    noteUpload: (upload) => write({ uploads: [...run.uploads, upload] }),
    async release() {
      // A delete knows no condition: only whoever holds the lock for sure may delete it.
      await hold();
      await patiently(() => bucket.delete(currentRunKey));
    },
  };
}
