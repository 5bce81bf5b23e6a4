import { createRoute, z } from "@hono/zod-openapi";
import { feature, guarded, json, noQuery, sendJson } from "../openapi.ts";
import { openWalk, pageQuery, sortQuery } from "../page.ts";
import { AuditEntryPage } from "../po/contract.ts";
import { problems } from "../problem.ts";
import { queryId, text } from "../wire.ts";
import { auditSorts, Counts, OrphanPage } from "./contract.ts";
import { countRows, listAuditEntries, listOrphans } from "./queries.ts";
import { tables } from "./tables.ts";

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
  )
  .openapi(
    createRoute({
      ...guarded("admin"),
      method: "get",
      path: "/ops/audit",
      operationId: "listAuditEntries",
      tags: ["ops"],
      summary: "List what was written, by whom",
      description:
        "Every insert, update and delete in the tables of the business, by the API, the tools and anybody's SQL.",
      request: {
        query: z
          .strictObject({
            ...pageQuery,
            sort: sortQuery(auditSorts),
            user_id: queryId("user_id", "Only what this user wrote"),
            table: z
              .enum(tables, "is no table of GET /ops/counts")
              .optional()
              .openapi({ example: "vendor", description: "The table of the row `row_id`" }),
            row_id: text(40, "34", 1)
              .optional()
              .openapi({ description: "Only what was written of this row of `table`" }),
          })
          .refine(({ table, row_id }) => (table === undefined) === (row_id === undefined), {
            path: ["row_id"],
            error: "goes with table: give both or none",
          }),
      },
      responses: { 200: json(AuditEntryPage, "One page of changes"), ...problems(400, 401, 403, 422) },
    }),
    async (c) => {
      const { limit, cursor, sort, user_id: user, table, row_id } = c.req.valid("query");
      const walk = await openWalk(c, JSON.stringify(["audit", sort, user, table, row_id]), cursor);
      const row = table === undefined || row_id === undefined ? undefined : { table, id: row_id };
      const rows = await listAuditEntries(c.var.db, { user, row }, sort, walk.position?.[0], limit + 1);
      return sendJson(c, await walk.page(rows, limit, (last) => [last.id]), 200);
    },
  );
