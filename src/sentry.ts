import { settings } from "./env.ts";

/** Beyond that the log has to do: whoever fails a thousand times a second fails of one cause. */
const mostPerMinute = 20;
let sent = { minute: 0, errors: 0 };

function isTooMany(): boolean {
  const minute = Math.floor(Date.now() / 60_000);
  if (sent.minute !== minute) sent = { minute, errors: 0 };
  sent.errors += 1;
  return sent.errors > mostPerMinute;
}

/**
 * Tells Sentry, where SENTRY_DSN is set, of an error of ours: at most twenty a minute from one isolate. `tags` say where it
 * was; no value of a request belongs there.
 */
export async function reportError(
  env: Env,
  cause: unknown,
  context: { userId?: number | undefined; tags: Record<string, string | undefined> },
): Promise<void> {
  // It may be the settings that failed: the log says so.
  const found = await settings(env).catch(() => undefined);
  if (found?.sentryDsn === undefined || isTooMany()) return;
  const { sendToSentry } = await import("./sentry-client.ts");
  await sendToSentry({ dsn: found.sentryDsn, environment: found.environment }, cause, context);
}
