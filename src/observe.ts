import type { Context, MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { type AlertKind, alert } from "./alert.ts";
import { recordPoint } from "./analytics.ts";
import { isDatabaseDown, type Timing } from "./db/client.ts";
import type { AppEnv } from "./env.ts";
import { describe, log, tenths } from "./log.ts";
import { failureOf } from "./problem.ts";
import { reportError } from "./sentry.ts";

/** What is sent piece by piece while it is made. */
const streams = /^(text\/csv|application\/x-ndjson)\b/;

/**
 * Leaves one line in the log and one point in Analytics Engine for each request, when it is answered or, for a stream, when
 * its body has ended; and alerts of what should not have been.
 */
export const observed: MiddlewareHandler<AppEnv> = async function observed(c, next) {
  const started = performance.now();
  const since = () => tenths(performance.now() - started);
  c.set("timing", { milliseconds: 0, roundTrips: 0 });
  await next();
  const ms = since();
  const { body, headers } = c.res;
  if (body === null || c.req.method === "HEAD" || !streams.test(headers.get("Content-Type") ?? "")) {
    return recordRequest(c, { ms });
  }
  const told = countedStream(body, ({ bytes, brokeOff, cause }) => {
    if (cause !== undefined) c.set("failure", failureOf(cause));
    recordRequest(c, { ms, body_ms: since(), bytes, broke_off: brokeOff || undefined });
  });
  c.res = new Response(told, c.res);
};

/** Logs the slow batches of this request from now on. */
export function hearBatches(c: Context<AppEnv>): void {
  const of = () => ({ request_id: c.get("requestId"), route: routeOf(c) });
  c.get("timing").heard = loggedBatches(c.env, c.get("settings").slowQueryMilliseconds, of);
}

const longestText = 200;
const mostStatements = 20;

/**
 * Logs what the database took long for, `of` which request or cron: how its statements begin, which are ours, and never
 * their parameters. At LOG_LEVEL debug it logs every batch.
 */
export function loggedBatches(
  env: Env,
  slowMilliseconds: number,
  of: () => Record<string, unknown>,
): NonNullable<Timing["heard"]> {
  return (milliseconds, batch) => {
    const slow = milliseconds >= slowMilliseconds;
    if (!slow && env.LOG_LEVEL !== "debug") return;
    const statements = batch
      .slice(0, mostStatements)
      .map(({ text }) => text.replace(/\s+/g, " ").trim().slice(0, longestText));
    log(env, slow ? "warn" : "debug", slow ? "slow-query" : "query", { ...of(), ms: tenths(milliseconds), statements });
  };
}

interface Answered {
  /** Until the answer began. */
  ms: number;
  /** Until a stream's end. */
  body_ms?: number;
  bytes?: number;
  broke_off?: true | undefined;
}

function recordRequest(c: Context<AppEnv>, answered: Answered): void {
  const { method } = c.req;
  const { status } = c.res;
  // Hono makes `var` anew each time it is asked for.
  const { requestId, caller, timing, failure } = c.var as Partial<AppEnv["Variables"]> & typeof c.var;
  const { problem, cause } = failure ?? {};
  const route = routeOf(c);
  const cost = { db_ms: tenths(timing.milliseconds), round_trips: timing.roundTrips };
  // Undefined without Cloudflare in front.
  const { colo, country } = (c.req.raw.cf ?? {}) as { colo?: string; country?: string };
  log(c.env, cause === undefined ? "info" : "error", "request", {
    request_id: requestId,
    method,
    route,
    user_id: caller?.userId,
    status,
    ...answered,
    ...cost,
    problem,
    cause: cause === undefined ? undefined : describe(cause),
    colo,
    country,
  });
  // What breaks off has begun with a 200.
  const outcome = cause === undefined ? `${Math.floor(status / 100)}xx` : "5xx";
  recordPoint(c.env, {
    event: "request",
    route: route ?? "(none)",
    method,
    outcome,
    problem,
    colo,
    status,
    ms: answered.ms,
    ...cost,
  });
  alertOfRequest(
    c,
    `${method} ${route ?? "(no route)"}`,
    { request_id: requestId, route, problem, ms: answered.ms },
    cause,
  );
  if (cause !== undefined) {
    const tags = { request_id: requestId, method, route, problem };
    c.executionCtx.waitUntil(reportError(c.env, cause, { userId: caller?.userId, tags }));
  }
}

const longAnswerMilliseconds = 5000;

/** What an answer took of our time: a slow client sends its body as it likes, and passwords wait for each other. */
function ourMilliseconds(c: Context<AppEnv>, ms: number): number {
  const { milliseconds, bodyMilliseconds = 0 } = c.get("timing");
  const hasPassword = /^\/(auth|user)(\/|$)/.test(c.req.path);
  return hasPassword ? milliseconds : ms - bodyMilliseconds;
}

/** Tells the operator what no request should be. Nobody waits for it. */
function alertOfRequest(
  c: Context<AppEnv>,
  what: string,
  details: { request_id: string; route: string | undefined; problem: string | undefined; ms: number },
  cause: unknown,
): void {
  // Without settings there is no address to tell; the line in the log says which is wrong.
  if (c.get("settings") === undefined) return;
  const { problem, ms } = details;
  const send = (kind: AlertKind, text: string) => c.executionCtx.waitUntil(alert(c.env, kind, text, details));
  if (isDatabaseDown(cause)) send("database-down", `The database does not answer: ${what} failed.`);
  else if (cause !== undefined) send("server-error", `${what} failed: ${problem}.`);
  else if (ourMilliseconds(c, ms) > longAnswerMilliseconds)
    send("slow-answer", `${what} took ${(ms / 1000).toFixed(1)} s to answer.`);
}

/** As in the OpenAPI document, such as /po/{po_id}; undefined for a path that is none of ours. */
const routeOf = (c: Context<AppEnv>): string | undefined =>
  matchedRoutes(c)
    .find(({ method }) => method !== "ALL")
    ?.path.replace(/:(\w+)(\{[^/]+\})?/g, "{$1}");

/** The same bytes; `ended` hears once how many there were, and why there are no more. */
function countedStream(
  body: ReadableStream<Uint8Array>,
  ended: (end: { bytes: number; brokeOff: boolean; cause?: unknown }) => void,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let bytes = 0;
  let over = false;
  const end = (how: { brokeOff: boolean; cause?: unknown }) => {
    // Whoever has gone away hears no more: that a piece comes too late then is nobody's fault.
    if (!over) ended({ bytes, ...how });
    over = true;
  };
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (done) {
          controller.close();
          return end({ brokeOff: false });
        }
        bytes += value.byteLength;
        controller.enqueue(value);
      } catch (cause) {
        end({ brokeOff: true, cause });
        throw cause;
      }
    },
    async cancel(reason) {
      end({ brokeOff: true });
      await reader.cancel(reason);
    },
  });
}
