import type { MiddlewareHandler } from "hono";
import { createDb } from "../db/client.ts";
import type { AppEnv } from "../env.ts";
import { Problem, unauthorized } from "../problem.ts";
import { guard } from "./queries.ts";
import { verifyAccessToken } from "./token.ts";

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
    c.set("caller", caller);
    c.set("db", createDb(settings.databaseUrl, timing, { guard: [guard(caller, role, requestId)] }));
    await next();
  };
