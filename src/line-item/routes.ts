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
import { Problem, problems } from "../problem.ts";
import { type Json, pathId } from "../wire.ts";
import { LineItem, LineItemChanges, LineItemList, LineItemPage, lineItemSorts, NewLineItems } from "./contract.ts";
import { deleteLineItem, findLineItem, insertLineItems, listLineItems, updateLineItem } from "./queries.ts";

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
      summary: "List the line items of a PO",
      request: { params: ofPo, query: z.strictObject({ ...pageQuery, sort: sortQuery(lineItemSorts) }) },
      responses: { 200: json(LineItemPage, "One page of line items"), ...problems(400, 401, 403, 404, 422) },
    }),
    async (c) => {
      const { po_id } = c.req.valid("param");
      const { limit, cursor, sort } = c.req.valid("query");
      const walk = await openWalk(c, JSON.stringify(["line-items", po_id, sort]), cursor);
      const rows = await listLineItems(c.var.db, po_id, sort, walk.position, limit + 1);
      if (rows === undefined) throw new Problem("not-found", `There is no PO ${po_id}.`);
      return sendJson(c, await walk.page(rows, limit, (last) => [last.key, last.id]), 200);
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
      request: { params: byId, query: noQuery, headers: ifNoneMatch },
      responses: { 200: tagged(LineItem, "The line item"), 304: unmodified, ...problems(401, 403, 404, 422) },
    }),
    async (c) => {
      const { po_id, line_item_id } = c.req.valid("param");
      return sendFound(c, await findLineItem(c.var.db, po_id, line_item_id), missing(po_id, line_item_id));
    },
  )
  .openapi(
    createRoute({
      ...repeatable("editor"),
      method: "post",
      path: "/po/{po_id}/line-items",
      operationId: "createLineItems",
      tags: ["line-items"],
      summary: "Add one line item to a PO, or up to 500 at once, all or none",
      request: { params: ofPo, query: noQuery, headers: idempotencyKey, body: jsonBody(NewLineItems) },
      responses: {
        201: repeated(
          created(z.union([LineItem, LineItemList]), "The line item; for an array all of them, in its order"),
        ),
        ...problems(400, 401, 403, 404, 409, 413, 415, 422),
      },
    }),
    async (c) => {
      const { po_id } = c.req.valid("param");
      const given = c.req.valid("json");
      const lines = await insertLineItems(c.var.db, po_id, Array.isArray(given) ? given : [given]);
      if (lines === undefined) throw new Problem("not-found", `There is no PO ${po_id}.`);
      const collection = `/po/${po_id}/line-items`;
      const [first] = lines;
      return Array.isArray(given) || !first
        ? sendJson(c, dataOf(lines), 201, { Location: collection })
        : sendCreated(c, first, `${collection}/${first.id}`);
    },
  )
  .openapi(
    createRoute({
      ...guarded("editor"),
      method: "patch",
      path: "/po/{po_id}/line-items/{line_item_id}",
      operationId: "updateLineItem",
      tags: ["line-items"],
      summary: "Change a line item: fields that are left out stay, null clears what may be null",
      request: { params: byId, query: noQuery, headers: ifMatch, body: jsonBody(LineItemChanges) },
      responses: {
        200: tagged(LineItem, "The line item as it is now"),
        ...problems(400, 401, 403, 404, 409, 412, 413, 415, 422),
      },
    }),
    async (c) => {
      const { po_id, line_item_id } = c.req.valid("param");
      const { "If-Match": versions } = c.req.valid("header");
      const lineItem = await updateLineItem(c.var.db, po_id, line_item_id, c.req.valid("json"), versions);
      return sendChanged(c, lineItem, missing(po_id, line_item_id));
    },
  )
  .openapi(
    createRoute({
      ...guarded("editor"),
      method: "delete",
      path: "/po/{po_id}/line-items/{line_item_id}",
      operationId: "deleteLineItem",
      tags: ["line-items"],
      summary: "Delete a line item; the PO's totals follow",
      request: { params: byId, query: noQuery, headers: ifMatch },
      responses: { 204: gone, ...problems(401, 403, 404, 409, 412, 422) },
    }),
    async (c) => {
      const { po_id, line_item_id } = c.req.valid("param");
      const deletion = await deleteLineItem(c.var.db, po_id, line_item_id, c.req.valid("header")["If-Match"]);
      return sendDeletion(c, `line item ${line_item_id}`, deletion, missing(po_id, line_item_id));
    },
  );

const missing = (po: number, id: number) => `PO ${po} has no line item ${id}.`;

const dataOf = (lines: { json: Json<LineItem> }[]) =>
  `{"data":[${lines.map((line) => line.json).join(",")}]}` as Json<{ data: LineItem[] }>;
