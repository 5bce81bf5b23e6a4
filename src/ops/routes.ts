import { createRoute, z } from "@hono/zod-openapi";
import { feature, guarded, json, noQuery, sendJson } from "../openapi.ts";
import { openWalk, pageQuery } from "../page.ts";
import { problems } from "../problem.ts";
import { Counts, OrphanPage } from "./contract.ts";
import { countRows, listOrphans } from "./queries.ts";

export const opsRoutes = feature()
  .openapi(
    createRoute({
      ...guarded("admin"),
      method: "get",
      path: "/ops/counts",
      operationId: "countRows",
      tags: ["ops"],
      summary: "Count the rows of every table that was taken over",
      request: { query: noQuery },
      responses: { 200: json(Counts, "Rows per table"), ...problems(401, 403, 422) },
    }),
    async (c) => sendJson(c, await countRows(c.var.db), 200),
  )
  .openapi(
    createRoute({
      ...guarded("admin"),
      method: "get",
      path: "/ops/orphans",
      operationId: "listOrphans",
      tags: ["ops"],
      summary: "List the imported rows whose parent is missing, by table",
      request: { query: z.strictObject(pageQuery) },
      responses: { 200: json(OrphanPage, "One page of orphans"), ...problems(400, 401, 403, 422) },
    }),
    async (c) => {
      const { limit, cursor } = c.req.valid("query");
      const walk = await openWalk(c, "orphans", cursor);
      const rows = await listOrphans(c.var.db, walk.position, limit + 1);
      return sendJson(c, await walk.page(rows, limit, (last) => [last.table, last.row_id]), 200);
    },
  );
