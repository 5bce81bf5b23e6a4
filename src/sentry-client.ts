import { CloudflareClient, createTransport, linkedErrorsIntegration, Scope } from "@sentry/cloudflare";
import { createStackParser, type ErrorEvent, nodeStackLineParser } from "@sentry/core";
import packageJson from "../package.json" with { type: "json" };
import { scrub } from "./log.ts";

const patienceMilliseconds = 5000;

/**
 * Sends an error of ours to Sentry, and settles when it has taken it or not: errors alone, without what the SDK could gather
 * by itself (requests, consoles, fetches, traces), since all of these would carry what is no business of Sentry's.
 *
 * Loaded when there is something to send: nobody else pays for it.
 */
export async function sendToSentry(
  { dsn, environment }: { dsn: string; environment: string },
  cause: unknown,
  { userId, tags }: { userId?: number | undefined; tags: Record<string, string | undefined> },
): Promise<void> {
  // One for each error, for what it waits for belongs to one request.
  const client = new CloudflareClient({
    dsn,
    environment,
    release: `${packageJson.name}@${packageJson.version}`,
    sendDefaultPii: false,
    sendClientReports: false,
    maxBreadcrumbs: 0,
    integrations: [linkedErrorsIntegration()],
    stackParser: createStackParser(nodeStackLineParser()),
    transport: (options) =>
      createTransport(options, async ({ body }) => {
        const response = await fetch(options.url, {
          method: "POST",
          body: body as string | Uint8Array<ArrayBuffer>,
          signal: AbortSignal.timeout(patienceMilliseconds),
        });
        await response.body?.cancel();
        return { statusCode: response.status };
      }),
    beforeSend: onlyWhatIsMeant,
  });
  client.init();
  const scope = new Scope();
  scope.setTags(tags);
  if (userId !== undefined) scope.setUser({ id: String(userId) });
  client.captureException(cause, undefined, scope);
  await client.flush(patienceMilliseconds);
}

const meant = [
  "type",
  "event_id",
  "timestamp",
  "level",
  "platform",
  "environment",
  "release",
  "sdk",
  "tags",
  "user",
  "exception",
] as const satisfies (keyof ErrorEvent)[];

/** What is not named stays here, whatever a later SDK adds. */
function onlyWhatIsMeant(event: ErrorEvent): ErrorEvent {
  for (const each of event.exception?.values ?? []) if (each.value !== undefined) each.value = scrub(each.value);
  // Sentry would look for an address of the caller by itself.
  const sdk = { ...event.sdk, settings: { infer_ip: "never" } };
  // Every other field may be missing.
  return Object.fromEntries(meant.map((name) => [name, name === "sdk" ? sdk : event[name]])) as unknown as ErrorEvent;
}
