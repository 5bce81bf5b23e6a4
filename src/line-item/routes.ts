import { createRoute, z } from "@hono/zod-openapi";
import { feature, guarded, json, noQuery, sendJson } from "../openapi.ts";
import { openWalk, pageQuery } from "../page.ts";
import { Problem, problems } from "../problem.ts";
import { pathId } from "../wire.ts";
import { LineItem, LineItemPage } from "./contract.ts";
import { findLineItem, listLineItems } from "./queries.ts";

const ofPo = z.strictObject({ po_id: pathId("po_id") });
const byId = z.strictObject({ po_id: pathId("po_id"), line_item_id: pathId("line_item_id") });

export const lineItemRoutes = feature()
  .openapi(
    createRoute({
      ...guarded("viewer"),
      method: "get",
      path: "/po/{po_id}/line-items",
      operationId: "listLineItems",
      tags: ["line-items"],
      summary: "List the line items of a PO, by id",
      request: { params: ofPo, query: z.strictObject(pageQuery) },
      responses: { 200: json(LineItemPage, "One page of line items"), ...problems(400, 401, 403, 404, 422) },
    }),
    async (c) => {
      const { po_id } = c.req.valid("param");
      const { limit, cursor } = c.req.valid("query");
      const walk = await openWalk(c, JSON.stringify(["line-items", po_id]), cursor);
      const rows = await listLineItems(c.var.db, po_id, walk.position?.[0] ?? "0", limit + 1);
      if (rows === undefined) throw new Problem("not-found", `There is no PO ${po_id}.`);
      return sendJson(c, await walk.page(rows, limit, (last) => [last.id]), 200);
    },
  )
  .openapi(
    createRoute({
      ...guarded("viewer"),
      method: "get",
      path: "/po/{po_id}/line-items/{line_item_id}",
      operationId: "findLineItem",
      tags: ["line-items"],
      summary: "Read one line item of a PO",
      request: { params: byId, query: noQuery },
      responses: { 200: json(LineItem, "The line item"), ...problems(401, 403, 404, 422) },
    }),
    async (c) => {
      const { po_id, line_item_id } = c.req.valid("param");
      const lineItem = await findLineItem(c.var.db, po_id, line_item_id);
      if (lineItem === undefined) throw new Problem("not-found", `PO ${po_id} has no line item ${line_item_id}.`);
      return sendJson(c, lineItem, 200);
    },
  );
