import type { MiddlewareHandler } from "hono";
import { createDb } from "../db/client.ts";
import type { AppEnv } from "../env.ts";
import { Problem, sessionOver, unauthorized } from "../problem.ts";
import { guard, isSessionOver } from "./queries.ts";
import { verifyAccessToken } from "./token.ts";

/**
 * Sessions that the guard found to be over, until when that is remembered. They are refused before they count as their
 * user's requests: whoever has a token of an ended session must not use up what the user may send.
 */
const over = new Map<string, number>();
const rememberedMilliseconds = 60_000;
const mostRemembered = 10_000;

/**
 * Lets nobody through without a valid access token, and puts the guard in front of every batch of the request: it ends the
 * request for a session that is over (401) or a user with less than `role` (403), in the same round trip.
 */
export const requireUser = (role: "viewer" | "editor" | "admin"): MiddlewareHandler<AppEnv> =>
  async function requireUser(c, next) {
    const authorization = c.req.header("Authorization");
    if (authorization === undefined) {
      throw new Problem("unauthorized", "Send an access token: Authorization: Bearer …", {
        headers: { "WWW-Authenticate": 'Bearer realm="nexgen-finance"' },
      });
    }
    const token = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i.exec(authorization)?.[1];
    const { settings, timing, requestId } = c.var;
    const caller = token === undefined ? undefined : await verifyAccessToken(settings, token);
    if (!caller) throw unauthorized("The access token is not valid or has expired: log in again.");
    const session = `${caller.sessionId} ${caller.tokenVersion}`;
    if (Date.now() < (over.get(session) ?? 0)) throw sessionOver();
    c.set("caller", caller);
    c.set("db", createDb(settings.databaseUrl, timing, { guard: [guard(caller, role, requestId)] }));
    await next();
    if (isSessionOver(c.error)) {
      if (over.size >= mostRemembered) over.clear();
      over.set(session, Date.now() + rememberedMilliseconds);
    }
  };
