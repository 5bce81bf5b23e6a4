import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { hashPassword, inTurn, passwordFault } from "../auth/password.ts";
import type { AppEnv } from "../env.ts";
import { created, feature, guarded, json, jsonBody, noQuery, sendJson } from "../openapi.ts";
import { openWalk, pageQuery, sortQuery } from "../page.ts";
import { invalidBody, Problem, problems } from "../problem.ts";
import { pathId } from "../wire.ts";
import { Account, AccountChanges, AccountPage, accountSorts, NewAccount } from "./contract.ts";
import { checkGuard, findAccount, insertAccount, listAccounts, updateAccount } from "./queries.ts";

const byId = z.strictObject({ user_id: pathId("user_id") });

export const userRoutes = feature()
  .openapi(
    createRoute({
      ...guarded("admin"),
      method: "get",
      path: "/user",
      operationId: "listAccounts",
      tags: ["user"],
      summary: "List the accounts",
      request: { query: z.strictObject({ ...pageQuery, sort: sortQuery(accountSorts) }) },
      responses: { 200: json(AccountPage, "One page of accounts"), ...problems(400, 401, 403, 422) },
    }),
    async (c) => {
      const { limit, cursor, sort } = c.req.valid("query");
      const walk = await openWalk(c, JSON.stringify(["user", sort]), cursor);
      const rows = await listAccounts(c.var.db, sort, walk.position, limit + 1);
      return sendJson(c, await walk.page(rows, limit, (last) => [last.key, last.id]), 200);
    },
  )
  .openapi(
    createRoute({
      ...guarded("admin"),
      method: "get",
      path: "/user/{user_id}",
      operationId: "findAccount",
      tags: ["user"],
      summary: "Read one account",
      request: { params: byId, query: noQuery },
      responses: { 200: json(Account, "The account"), ...problems(401, 403, 404, 422) },
    }),
    async (c) => {
      const { user_id } = c.req.valid("param");
      const account = await findAccount(c.var.db, user_id);
      if (account === undefined) throw noAccount(user_id);
      return sendJson(c, account.json, 200);
    },
  )
  .openapi(
    createRoute({
      ...guarded("admin"),
      method: "post",
      path: "/user",
      operationId: "createAccount",
      tags: ["user"],
      summary: "Create an account",
      request: { query: noQuery, body: jsonBody(NewAccount) },
      responses: { 201: created(Account, "The account"), ...problems(400, 401, 403, 409, 413, 415, 422) },
    }),
    async (c) => {
      const { username, email, password, role } = c.req.valid("json");
      refuseFault(passwordFault(password, [username, email]));
      // The guard rides in a batch: bcrypt is no work for whoever may not create accounts.
      await checkGuard(c.var.db);
      const hash = await hashOf(c, password);
      const account = await insertAccount(c.var.db, { username, email, hash, role });
      return sendJson(c, account.json, 201, { Location: `/user/${account.id}` });
    },
  )
  .openapi(
    createRoute({
      ...guarded("admin"),
      method: "patch",
      path: "/user/{user_id}",
      operationId: "updateAccount",
      tags: ["user"],
      summary: "Change an account's role, disable or enable it, or reset its password: its sessions end",
      description: "The last enabled admin stays one: 409.",
      request: { params: byId, query: noQuery, body: jsonBody(AccountChanges) },
      responses: {
        200: json(Account, "The account as it is now"),
        ...problems(400, 401, 403, 404, 409, 413, 415, 422),
      },
    }),
    async (c) => {
      const { user_id } = c.req.valid("param");
      const { role, disabled, password } = c.req.valid("json");
      let hash: string | undefined;
      if (password !== undefined) {
        refuseFault(passwordFault(password, []));
        // The rule about names needs them, before the hash that is all the database may see of a password.
        const account = await findAccount(c.var.db, user_id);
        if (account === undefined) throw noAccount(user_id);
        refuseFault(passwordFault(password, [account.username, account.email]));
        hash = await hashOf(c, password);
      }
      const account = await updateAccount(c.var.db, user_id, { role, disabled, hash });
      if (account === undefined) throw noAccount(user_id);
      if (account === "last-admin") {
        throw new Problem("conflict", "This is the last enabled admin: make another one first.");
      }
      return sendJson(c, account, 200);
    },
  );

const hashOf = (c: Context<AppEnv>, password: string) =>
  inTurn(c.executionCtx, () => hashPassword(password, c.var.settings.bcryptCost));

const noAccount = (id: number) => new Problem("not-found", `There is no account ${id}.`);

function refuseFault(fault: string | undefined): void {
  if (fault) throw invalidBody("/password", fault);
}
