import { settings } from "./env.ts";
import { log } from "./log.ts";

export type AlertKind =
  | "backup-failed"
  | "backup-stale"
  | "backup-shrunk"
  | "backup-died"
  | "database-down"
  | "database-size"
  | "bucket-size"
  | "server-error"
  | "slow-answer"
  | "sign-in-attack";

const tries = 3;
const patienceMilliseconds = 5000;
const pauseMilliseconds = [1000, 4000];

/**
 * The hour in which this isolate has told of a kind, is telling, or has seen that another one did: a thousand failures a
 * second cost one look into R2, and one alert at a time is under way.
 */
const told = new Map<string, string>();

/**
 * Tells the operator: in the log, once per kind, hour and isolate, and at ALERT_WEBHOOK_URL, once per kind and hour whichever
 * isolate asks. It gives up after about 20 seconds; the same alert is then free to be sent again. Neither `text` nor
 * `details` may hold a secret.
 */
export async function alert(
  env: Env,
  kind: AlertKind,
  text: string,
  details: Record<string, unknown> = {},
): Promise<void> {
  const { alertWebhookUrl, environment } = await settings(env);
  const at = new Date().toISOString();
  const hour = at.slice(0, 13);
  const subject = `${kind} ${alertWebhookUrl}`;
  if (told.get(subject) === hour) return;
  told.set(subject, hour);
  log(env, "error", "alert", { alert: kind, text, ...details });
  if (alertWebhookUrl === undefined) return;
  if (!(await claim(env.BACKUPS, kind, hour))) return;
  const delivered = await deliver(env, alertWebhookUrl, { text, kind, environment, at, details });
  if (delivered) return;
  told.delete(subject);
  await release(env.BACKUPS, kind);
}

interface Alert {
  text: string;
  kind: AlertKind;
  environment: string;
  at: string;
  details: Record<string, unknown>;
}

/** As the receiver takes it: Slack documents no field of ours, and reads `<!channel>` in a text as a command. */
function bodyFor(url: string, alert: Alert): Record<string, unknown> {
  if (!/(^|\.)slack(-gov)?\.com$/.test(new URL(url).hostname)) return { ...alert };
  const text = `[${alert.environment}] ${alert.kind}: ${alert.text}`;
  return { text: text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;") };
}

const keyOf = (kind: AlertKind) => `alert/${kind}.json`;

/** Whether this is the first alert of its kind in this hour of the clock. Without R2 it is sent once too often. */
async function claim(bucket: R2Bucket, kind: AlertKind, hour: string): Promise<boolean> {
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

async function deliver(env: Env, url: string, alert: Alert): Promise<boolean> {
  for (let attempt = 0; ; attempt += 1) {
    const reason = await post(url, bodyFor(url, alert));
    if (reason === undefined) return true;
    log(env, "error", "alert-not-delivered", { alert: alert.kind, attempt: attempt + 1, reason });
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
