import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import { AlreadyRunning, findCurrentRun } from "../../src/backup/lock.ts";
import { runBackup } from "../../src/backup/run.ts";
import { callsOfARun, emptyBucket, interfered, isOpen, keys, source, visible } from "../support/backup.ts";

afterEach(async () => {
  vi.useRealTimers();
  await emptyBucket();
});

it("a run that dies at any call of R2 leaves a whole backup of the day, the old one or its own, and the next run ends what it began", {
  timeout: 300_000,
}, async () => {
  const calls = await callsOfARun();
  expect(calls).toBeGreaterThan(15);
  vi.useFakeTimers({ toFake: ["Date"] });
  for (let dying = 1; dying <= calls; dying += 1) {
    const at = `call ${dying}`;
    vi.setSystemTime(new Date("2026-11-25T01:00:00Z"));
    await runBackup(source());
    vi.setSystemTime(new Date("2026-11-25T02:00:00Z"));
    const { bucket, uploads } = interfered((call) => {
      if (call >= dying) throw new Error("gone");
    });
    await expect(runBackup(source(bucket)), at).rejects.toThrow("gone");
    expect(await visible(), at).toHaveLength(1);
    if (await findCurrentRun(env.BACKUPS)) await expect(runBackup(source()), at).rejects.toThrow(AlreadyRunning);
    vi.setSystemTime(new Date("2026-11-25T02:16:01Z"));
    expect((await findCurrentRun(env.BACKUPS))?.died ?? true, at).toBe(true);
    const whole = await runBackup(source());
    expect(await keys(), at).toEqual([whole.key, `manifest/${whole.id}.json`]);
    // Between R2's answer and the note of it nobody knows the upload's id: R2's own rule ends that one, after 7 days.
    for (const upload of uploads) expect(await isOpen(upload), at).toBe(dying === upload.call + 1);
    await emptyBucket();
  }
});
