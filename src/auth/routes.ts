import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { AppEnv, Caller } from "../env.ts";
import { done, feature, gone, guarded, json, jsonBody, noQuery, open, sendJson } from "../openapi.ts";
import { openWalk, pageQuery } from "../page.ts";
import { invalidBody, Problem, problems, unauthorized } from "../problem.ts";
import { clientAddress, rateLimit } from "../rate-limit.ts";
import { type Json, pathUuid } from "../wire.ts";
import { Credentials, PasswordChange, RefreshRequest, SessionPage, Tokens, User } from "./contract.ts";
import { hashPassword, inTurn, isOutdated, passwordFault, passwordMatches } from "./password.ts";
import {
  beginLogIn,
  beginPasswordCheck,
  endSession,
  findUser,
  forgetLogIns,
  insertSession,
  listSessions,
  rotateSession,
  updatePassword,
} from "./queries.ts";
import { newRefreshToken, readRefreshToken } from "./refresh-token.ts";
import { signAccessToken } from "./token.ts";

/** How long a session lives without a new log-in, however often it is refreshed. */
const sessionSeconds = 30 * 24 * 3600;
/** How long a refresh token answers again after its use, with the same successor: the answer may have been lost. */
const graceSeconds = 30;

const tokens = json(Tokens, "An access token, and the refresh token for the next one");

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
      responses: { 200: tokens, ...problems(400, 401, 413, 415, 422) },
    }),
    async (c) => {
      const { username, password } = c.req.valid("json");
      const { bcryptCost, signingKeys } = c.var.settings;
      const { address, userAgent } = origin(c);
      const found = await inTurn(c.executionCtx, async () => {
        const { blocked, account } = await beginLogIn(c.var.db, username, address);
        if (blocked > 0) throw tooManyAttempts(blocked);
        const hash = account?.disabled ? undefined : account?.passwordHash;
        if (!(await passwordMatches(password, hash, bcryptCost)) || !account) return undefined;
        const outdated = isOutdated(account.passwordHash, bcryptCost);
        return { account, renewedHash: outdated ? await hashPassword(password, bcryptCost) : undefined };
      });
      if (!found) throw wrongCredentials();
      const { account, renewedHash } = found;

      const sessionId = crypto.randomUUID();
      const refreshToken = await newRefreshToken(signingKeys, sessionId);
      const opened = await insertSession(c.var.db, {
        id: sessionId,
        userId: account.userId,
        tokenHash: refreshToken.hash,
        comparedHash: account.passwordHash,
        renewedHash,
        seconds: sessionSeconds,
        address,
        userAgent,
        requestId: c.var.requestId,
      });
      if (opened === undefined) throw wrongCredentials();
      const caller = { userId: account.userId, sessionId, tokenVersion: opened.tokenVersion };
      return sendJson(c, await tokensOf(c, caller, refreshToken.token, opened.user), 200);
    },
  )
  .openapi(
    createRoute({
      ...open,
      middleware: rateLimit("sign-in"),
      method: "post",
      path: "/auth/refresh",
      operationId: "refreshTokens",
      tags: ["auth"],
      summary: "Take the next access and refresh token: a refresh token serves once, its session 30 days",
      description:
        "Repeated within 30 seconds, for an answer that was lost, it gives the same refresh token again. A refresh token " +
        "that comes back later, or that is older than the one before, was copied: its session ends.",
      request: { query: noQuery, body: jsonBody(RefreshRequest) },
      responses: { 200: tokens, ...problems(400, 401, 413, 415, 422) },
    }),
    async (c) => {
      const token = await readRefreshToken(c.var.settings.signingKeys, c.req.valid("json").refresh_token);
      const successors = token?.successors ?? [];
      const rotated =
        token &&
        (await rotateSession(c.var.db, { ...token, successors: successors.map(({ hash }) => hash), graceSeconds }));
      const successor = rotated && successors[rotated.successor];
      if (!token || !rotated || !successor)
        throw unauthorized("The refresh token is not valid any more: log in again.");
      const caller = { ...rotated, sessionId: token.sessionId };
      return sendJson(c, await tokensOf(c, caller, successor.token, rotated.user), 200);
    },
  )
  .openapi(
    createRoute({
      ...guarded("viewer"),
      method: "post",
      path: "/auth/logout",
      operationId: "logOut",
      tags: ["auth"],
      summary: "End this session: its access and refresh tokens are worth nothing from now on",
      request: { query: noQuery },
      responses: { 204: done("The session is over"), ...problems(401, 403, 422) },
    }),
    async (c) => {
      const { userId, sessionId } = c.var.caller;
      await endSession(c.var.db, userId, sessionId);
      return c.body(null, 204);
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
  )
  .openapi(
    createRoute({
      // Two bcrypts, and a current password can be guessed here as well.
      ...guarded("viewer", rateLimit("sign-in")),
      method: "post",
      path: "/auth/password",
      operationId: "changePassword",
      tags: ["auth"],
      summary: "Change one's own password: every other session ends, this one goes on after a refresh",
      description:
        "A wrong `current_password` is 422 and counts like a failed log-in. The access token of this session ends too: " +
        "take the next one with its refresh token.",
      request: { query: noQuery, body: jsonBody(PasswordChange) },
      responses: { 204: done("The password is changed"), ...problems(400, 401, 403, 413, 415, 422) },
    }),
    async (c) => {
      const { current_password, new_password } = c.req.valid("json");
      const { bcryptCost } = c.var.settings;
      const { address } = origin(c);
      refuseFault(passwordFault(new_password, []));
      if (new_password === current_password) throw invalidBody("/new_password", "must be another one");
      const found = await inTurn(c.executionCtx, async () => {
        const { blocked, account } = await beginPasswordCheck(c.var.db, c.var.caller.userId, address);
        if (blocked > 0) throw tooManyAttempts(blocked);
        if (!(await passwordMatches(current_password, account?.passwordHash, bcryptCost)) || !account) return undefined;
        const fault = passwordFault(new_password, [account.username, account.email]);
        return { account, fault, newHash: fault ? "" : await hashPassword(new_password, bcryptCost) };
      });
      if (!found) throw wrongPassword();
      const { account, fault, newHash } = found;
      if (fault) {
        // The current one was right, and is no failure.
        await forgetLogIns(c.var.db, account.username, address);
        refuseFault(fault);
      }
      const changed = await updatePassword(c.var.db, c.var.caller, {
        comparedHash: account.passwordHash,
        newHash,
        address,
      });
      if (!changed) throw wrongPassword();
      return c.body(null, 204);
    },
  )
  .openapi(
    createRoute({
      ...guarded("viewer"),
      method: "get",
      path: "/auth/sessions",
      operationId: "listSessions",
      tags: ["auth"],
      summary: "List one's own sessions that are not over, newest first",
      request: { query: z.strictObject(pageQuery) },
      responses: { 200: json(SessionPage, "One page of sessions"), ...problems(400, 401, 403, 422) },
    }),
    async (c) => {
      const { limit, cursor } = c.req.valid("query");
      const walk = await openWalk(c, "sessions", cursor);
      const rows = await listSessions(c.var.db, c.var.caller, walk.position, limit + 1);
      return sendJson(c, await walk.page(rows, limit, (last) => [last.at, last.id]), 200);
    },
  )
  .openapi(
    createRoute({
      ...guarded("viewer"),
      method: "delete",
      path: "/auth/sessions/{id}",
      operationId: "endSession",
      tags: ["auth"],
      summary: "End one of one's own sessions at once",
      request: { params: z.strictObject({ id: pathUuid("id") }), query: noQuery },
      responses: { 204: gone, ...problems(401, 403, 404, 422) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      const ended = await endSession(c.var.db, c.var.caller.userId, id);
      if (!ended) throw new Problem("not-found", `You have no session ${id}.`);
      return c.body(null, 204);
    },
  );

/** Where a request comes from, as a session keeps it. */
const origin = (c: Context<AppEnv>) => ({
  address: clientAddress(c)?.slice(0, 45) ?? null,
  userAgent: c.req.header("User-Agent")?.slice(0, 200).toWellFormed() ?? null,
});

async function tokensOf(c: Context<AppEnv>, caller: Caller, refreshToken: string, user: Json<User>) {
  const tokens = {
    access_token: await signAccessToken(c.var.settings, caller),
    token_type: "bearer",
    expires_in: c.var.settings.accessTokenSeconds,
    refresh_token: refreshToken,
  };
  return `${JSON.stringify(tokens).slice(0, -1)},"user":${user}}` as Json<Tokens>;
}

/** One answer for an unknown user, a disabled one and a wrong password. */
const wrongCredentials = () =>
  // RFC 9110, section 15.5.2: a 401 without a challenge is not one.
  new Problem("wrong-credentials", undefined, { headers: { "WWW-Authenticate": 'Bearer realm="nexgen-finance"' } });

const tooManyAttempts = (seconds: number) =>
  new Problem("too-many-requests", `Too many attempts failed: wait ${seconds} seconds.`, {
    headers: { "Retry-After": String(seconds) },
  });

/** Not a 401: the access token is good, and a client must not throw it away. */
const wrongPassword = () => invalidBody("/current_password", "is not the current password");

function refuseFault(fault: string | undefined): void {
  if (fault) throw invalidBody("/new_password", fault);
}
