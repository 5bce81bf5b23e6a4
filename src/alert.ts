import { settings } from "./env.ts";
import { log } from "./log.ts";

export type AlertKind =
  | "backup-failed"
  | "backup-stale"
  | "backup-shrunk"
  | "backup-died"
  | "database-down"
  | "database-size"
  | "bucket-size";

const tries = 3;
const patienceMilliseconds = 5000;
const pauseMilliseconds = [1000, 4000];

/**
 * Tells the operator: always in the log, and at ALERT_WEBHOOK_URL, as JSON whose `text` Slack and its kin show, once per
 * kind and hour whichever isolate asks. It gives up after about 20 seconds; the same alert is then free to be sent again.
 * Neither `text` nor `details` may hold a secret.
 */
export async function alert(
  env: Env,
  kind: AlertKind,
  text: string,
  details: Record<string, unknown> = {},
): Promise<void> {
  log(env, "error", "alert", { alert: kind, text, ...details });
  const { alertWebhookUrl, environment } = await settings(env);
  if (alertWebhookUrl === undefined) return;
  const at = new Date().toISOString();
  if (!(await claim(env.BACKUPS, kind, at))) return;
  const delivered = await deliver(env, alertWebhookUrl, { text, kind, environment, at, details });
  if (!delivered) await release(env.BACKUPS, kind);
}

const keyOf = (kind: AlertKind) => `alert/${kind}.json`;

/** Whether this is the first alert of its kind in this hour of the clock. Without R2 it is sent once too often. */
async function claim(bucket: R2Bucket, kind: AlertKind, at: string): Promise<boolean> {
  const hour = at.slice(0, 13);
  try {
    const last = await bucket.get(keyOf(kind));
    if (last !== null && (await last.json<{ hour: string }>()).hour === hour) return false;
    const onlyIf = last === null ? { etagDoesNotMatch: "*" } : { etagMatches: last.etag };
    return (await bucket.put(keyOf(kind), JSON.stringify({ hour }), { onlyIf })) !== null;
  } catch {
    return true;
  }
}

async function release(bucket: R2Bucket, kind: AlertKind): Promise<void> {
  await bucket.delete(keyOf(kind)).catch(() => {
    // Then the next hour's alert is the first one to be sent.
  });
}

async function deliver(env: Env, url: string, body: Record<string, unknown>): Promise<boolean> {
  for (let attempt = 0; ; attempt += 1) {
    const reason = await post(url, body);
    if (reason === undefined) return true;
    log(env, "error", "alert-not-delivered", { alert: body.kind, attempt: attempt + 1, reason });
    if (attempt + 1 === tries) return false;
    await new Promise((resolve) => setTimeout(resolve, pauseMilliseconds[attempt]));
  }
}

/** Undefined when it was taken, else why not; never the URL, which is a secret. */
async function post(url: string, body: Record<string, unknown>): Promise<string | undefined> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      redirect: "manual",
      signal: AbortSignal.timeout(patienceMilliseconds),
    });
    await response.body?.cancel();
    return response.ok ? undefined : `status ${response.status}`;
  } catch (error) {
    return error instanceof Error ? error.name : "unknown";
  }
}
