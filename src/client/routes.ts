import { createRoute, z } from "@hono/zod-openapi";
import {
  ifMatch,
  ifNoneMatch,
  sendChanged,
  sendCreated,
  sendDeletion,
  sendFound,
  tagged,
  unmodified,
} from "../etag.ts";
import { idempotencyKey, repeatable, repeated } from "../idempotency.ts";
import { created, feature, gone, guarded, json, jsonBody, noQuery, sendJson } from "../openapi.ts";
import { openWalk, pageQuery, sortQuery } from "../page.ts";
import { problems } from "../problem.ts";
import { pathId } from "../wire.ts";
import { Client, ClientChanges, ClientPage, clientSorts, NewClient } from "./contract.ts";
import { deleteClient, findClient, insertClient, listClients, updateClient } from "./queries.ts";

const byId = z.strictObject({ client_id: pathId("client_id") });

export const clientRoutes = feature()
  .openapi(
    createRoute({
      ...guarded("viewer"),
      method: "get",
      path: "/client",
      operationId: "listClients",
      tags: ["client"],
      summary: "List the clients",
      request: { query: z.strictObject({ ...pageQuery, sort: sortQuery(clientSorts) }) },
      responses: { 200: json(ClientPage, "One page of clients"), ...problems(400, 401, 403, 422) },
    }),
    async (c) => {
      const { limit, cursor, sort } = c.req.valid("query");
      const walk = await openWalk(c, JSON.stringify(["client", sort]), cursor);
      const rows = await listClients(c.var.db, sort, walk.position, limit + 1);
      return sendJson(c, await walk.page(rows, limit, (last) => [last.key, last.id]), 200);
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
      request: { params: byId, query: noQuery, headers: ifNoneMatch },
      responses: { 200: tagged(Client, "The client"), 304: unmodified, ...problems(401, 403, 404, 422) },
    }),
    async (c) => {
      const { client_id } = c.req.valid("param");
      return sendFound(c, await findClient(c.var.db, client_id), missing(client_id));
    },
  )
  .openapi(
    createRoute({
      ...repeatable("editor"),
      method: "post",
      path: "/client",
      operationId: "createClient",
      tags: ["client"],
      summary: "Create a client",
      request: { query: noQuery, headers: idempotencyKey, body: jsonBody(NewClient) },
      responses: {
        201: repeated(created(Client, "The client")),
        ...problems(400, 401, 403, 409, 413, 415, 422),
      },
    }),
    async (c) => {
      const client = await insertClient(c.var.db, c.req.valid("json"));
      return sendCreated(c, client, `/client/${client.id}`);
    },
  )
  .openapi(
    createRoute({
      ...guarded("editor"),
      method: "patch",
      path: "/client/{client_id}",
      operationId: "updateClient",
      tags: ["client"],
      summary: "Change a client: fields that are left out stay, null clears what may be null",
      request: { params: byId, query: noQuery, headers: ifMatch, body: jsonBody(ClientChanges) },
      responses: {
        200: tagged(Client, "The client as it is now"),
        ...problems(400, 401, 403, 404, 409, 412, 413, 415, 422),
      },
    }),
    async (c) => {
      const { client_id } = c.req.valid("param");
      const client = await updateClient(c.var.db, client_id, c.req.valid("json"), c.req.valid("header")["If-Match"]);
      return sendChanged(c, client, missing(client_id));
    },
  )
  .openapi(
    createRoute({
      ...guarded("admin"),
      method: "delete",
      path: "/client/{client_id}",
      operationId: "deleteClient",
      tags: ["client"],
      summary: "Delete a client that nothing refers to",
      request: { params: byId, query: noQuery, headers: ifMatch },
      responses: { 204: gone, ...problems(401, 403, 404, 409, 412, 422) },
    }),
    async (c) => {
      const { client_id } = c.req.valid("param");
      const deletion = await deleteClient(c.var.db, client_id, c.req.valid("header")["If-Match"]);
      return sendDeletion(c, `client ${client_id}`, deletion);
    },
  );

const missing = (id: number) => `There is no client ${id}.`;
