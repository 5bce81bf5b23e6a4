import { createRoute, z } from "@hono/zod-openapi";
import { feature, guarded, json, noQuery, sendJson } from "../openapi.ts";
import { openWalk, pageQuery } from "../page.ts";
import { Problem, problems } from "../problem.ts";
import { pathId } from "../wire.ts";
import { Client, ClientPage } from "./contract.ts";
import { findClient, listClients } from "./queries.ts";

const byId = z.strictObject({ client_id: pathId("client_id") });

export const clientRoutes = feature()
  .openapi(
    createRoute({
      ...guarded("viewer"),
      method: "get",
      path: "/client",
      operationId: "listClients",
      tags: ["client"],
      summary: "List the clients, by id",
      request: { query: z.strictObject(pageQuery) },
      responses: { 200: json(ClientPage, "One page of clients"), ...problems(400, 401, 403, 422) },
    }),
    async (c) => {
      const { limit, cursor } = c.req.valid("query");
      const walk = await openWalk(c, "client", cursor);
      const rows = await listClients(c.var.db, walk.position?.[0] ?? "0", limit + 1);
      return sendJson(c, await walk.page(rows, limit, (last) => [last.id]), 200);
    },
  )
  .openapi(
    createRoute({
      ...guarded("viewer"),
      method: "get",
      path: "/client/{client_id}",
      operationId: "findClient",
      tags: ["client"],
      summary: "Read one client",
      request: { params: byId, query: noQuery },
      responses: { 200: json(Client, "The client"), ...problems(401, 403, 404, 422) },
    }),
    async (c) => {
      const { client_id } = c.req.valid("param");
      const client = await findClient(c.var.db, client_id);
      if (client === undefined) throw new Problem("not-found", `There is no client ${client_id}.`);
      return sendJson(c, client, 200);
    },
  );
