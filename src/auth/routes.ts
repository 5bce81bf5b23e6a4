import { createRoute } from "@hono/zod-openapi";
import { base64url } from "jose";
import { feature, guarded, json, jsonBody, noQuery, open, sendJson } from "../openapi.ts";
import { Problem, problems, unauthorized } from "../problem.ts";
import { rateLimit } from "../rate-limit.ts";
import type { Json } from "../wire.ts";
import { Credentials, Tokens, User } from "./contract.ts";
import { passwordMatches } from "./password.ts";
import { findCredentials, findUser, insertSession } from "./queries.ts";
import { signAccessToken } from "./token.ts";

/** How long a session lives without a new log-in. */
const sessionSeconds = 30 * 24 * 3600;

export const authRoutes = feature()
  .openapi(
    createRoute({
      ...open,
      middleware: rateLimit("sign-in"),
      method: "post",
      path: "/auth/login",
      operationId: "logIn",
      tags: ["auth"],
      summary: "Log in with username and password",
      request: { query: noQuery, body: jsonBody(Credentials) },
      responses: {
        200: json(Tokens, "An access token, and the refresh token of the new session"),
        ...problems(400, 401, 413, 415, 422),
      },
    }),
    async (c) => {
      const { username, password } = c.req.valid("json");
      const account = await findCredentials(c.var.db, username);
      const matches = await passwordMatches(password, account?.disabled ? undefined : account?.passwordHash);
      if (!account || !matches) throw wrongCredentials();

      const session = { userId: account.userId, sessionId: crypto.randomUUID(), tokenVersion: account.tokenVersion };
      const secret = crypto.getRandomValues(new Uint8Array(32));
      const refreshToken = base64url.encode(secret);
      const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(refreshToken));
      const user = await insertSession(c.var.db, {
        id: session.sessionId,
        userId: session.userId,
        tokenHash: new Uint8Array(digest).toHex(),
        comparedHash: account.passwordHash,
        seconds: sessionSeconds,
        address: c.req.header("CF-Connecting-IP")?.slice(0, 45) ?? null,
        userAgent: c.req.header("User-Agent")?.slice(0, 200) ?? null,
      });
      if (user === undefined) throw wrongCredentials();
      const tokens = {
        access_token: await signAccessToken(c.var.settings, session),
        token_type: "bearer",
        expires_in: c.var.settings.accessTokenSeconds,
        refresh_token: refreshToken,
      };
      return sendJson(c, `${JSON.stringify(tokens).slice(0, -1)},"user":${user}}` as Json<Tokens>, 200);
    },
  )
  .openapi(
    createRoute({
      ...guarded("viewer"),
      method: "get",
      path: "/auth/me",
      operationId: "findMe",
      tags: ["auth"],
      summary: "Read the account that the access token belongs to",
      request: { query: noQuery },
      responses: { 200: json(User, "The caller's account"), ...problems(401, 403, 422) },
    }),
    async (c) => {
      const user = await findUser(c.var.db, c.var.caller.userId);
      if (user === undefined) throw unauthorized("The account does not exist any more.");
      return sendJson(c, user, 200);
    },
  );

/** One answer for an unknown user, a disabled one and a wrong password. */
const wrongCredentials = () =>
  // RFC 9110, section 15.5.2: a 401 without a challenge is not one.
  new Problem("wrong-credentials", undefined, { headers: { "WWW-Authenticate": 'Bearer realm="nexgen-finance"' } });
