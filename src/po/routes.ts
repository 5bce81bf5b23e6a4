import { createRoute, z } from "@hono/zod-openapi";
import type { Context, TypedResponse } from "hono";
import { accepts } from "hono/accepts";
import type { AppEnv } from "../env.ts";
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
import { instantInput, type Json, pathId, queryId, severalOf } from "../wire.ts";
import { type BundlePosition, listBundles, mostLinesPerPage } from "./bundles.ts";
import {
  AuditEntryPage,
  BundlePage,
  bundleSorts,
  DeletedPurchaseOrderPage,
  NewPurchaseOrder,
  PurchaseOrderChanges,
  PurchaseOrderCsv,
  PurchaseOrderPage,
  PurchaseOrderWithLines,
  StatusChange,
} from "./contract.ts";
import { csvStream } from "./csv.ts";
import { listDeletedPos, listPoHistory } from "./history.ts";
import { PurchaseOrderQuery } from "./list-query.ts";
import { deletePo, findPo, insertPo, updatePo, updatePoStatus } from "./queries.ts";
import { everyPage, listPos, type Search } from "./search.ts";
import { type Status, sourcesOf, transitions } from "./status.ts";

const byId = z.strictObject({ po_id: pathId("po_id") });

export const poRoutes = feature()
  .openapi(
    createRoute({
      ...guarded("viewer"),
      method: "get",
      path: "/po/list",
      operationId: "listPurchaseOrders",
      tags: ["po"],
      summary: "List the POs, newest first, or search them",
      description:
        "To keep a copy up to date, read the changes with `updated_since` and the deletions with `GET /po/deleted`. A change is " +
        "dated when its transaction begins and seen when that ends, a few seconds later at most: begin each time a minute " +
        "before the time before. A PO that changes during such a walk is met again.",
      request: { query: PurchaseOrderQuery },
      responses: {
        200: {
          description: "One page of POs, or all of them as CSV",
          content: { "application/json": { schema: PurchaseOrderPage }, "text/csv": { schema: PurchaseOrderCsv } },
          headers: {
            Vary: {
              description: "Accept",
              required: true,
              schema: { type: "string", enum: ["Accept"], example: "Accept" },
            },
          },
        },
        ...problems(400, 401, 403, 422),
      },
    }),
    async (c) => {
      const query = c.req.valid("query");
      const { limit, cursor, include: _, expand, format, bom, ...which } = query;
      c.header("Vary", "Accept", { append: true });
      if ((format ?? preferred(c)) === "csv") return sendCsv(c, which, bom === "true");
      const walk = await openWalk(c, JSON.stringify(["po", which]), cursor);
      const { rows, total } = await listPos(c.var.db, query, walk.position, limit + 1);
      const fits = (row: { linesSoFar: number }) =>
        !expand.includes("line_items") || row.linesSoFar <= mostLinesPerPage;
      const shown = rows.slice(0, limit).filter(fits);
      const last = rows.length > shown.length ? shown.at(-1) : undefined;
      const page = {
        next_cursor: last ? await walk.seal(last.position) : null,
        ...(total && { total: total.count, total_is_exact: total.exact }),
      };
      const data = shown.map((row) => row.json).join(",");
      return sendJson(c, `{"data":[${data}],${JSON.stringify(page).slice(1)}` as Json<PurchaseOrderPage>, 200);
    },
  )
  .openapi(
    createRoute({
      ...guarded("viewer"),
      method: "get",
      path: "/po/aggregated/by-store",
      operationId: "listBundles",
      tags: ["po"],
      summary: "List the POs bundled by store",
      description:
        "POs of a client with `bundle_by_store` and the same `store_id` are one entry, every other PO is one of its own. " +
        "An entry stands where its newest PO stands. POs that are added during a walk do not appear in it.",
      request: {
        query: z.strictObject({
          ...pageQuery,
          client_id: queryId("client_id", "Only this client's POs"),
          sort: sortQuery(bundleSorts),
          include: severalOf(
            ["line_items", "summary"],
            ["summary"],
            "`line_items`: the combined lines of each entry; `summary`: totals over all pages (it reads every PO)",
          ),
        }),
      },
      responses: { 200: json(BundlePage, "One page of entries"), ...problems(400, 401, 403, 422) },
    }),
    async (c) => {
      const { limit, cursor, client_id, sort, include } = c.req.valid("query");
      const walk = await openWalk(c, JSON.stringify(["by-store", client_id, sort]), cursor);
      const withLines = include.includes("line_items");
      const { entries, snapshot, summary } = await listBundles(c.var.db, {
        clientId: client_id,
        sort,
        after: walk.position as BundlePosition | undefined,
        limit: limit + 1,
        withLines,
        withSummary: include.includes("summary"),
      });
      const shown = entries.slice(0, limit).filter((entry) => !withLines || entry.linesSoFar <= mostLinesPerPage);
      if (shown.length === 0 && entries[0]) throw tooManyLines(entries[0].linesSoFar);
      const last = entries.length > shown.length ? shown.at(-1) : undefined;
      const next = last && (await walk.seal([...snapshot, last.at, last.id]));
      const page = `{"bundles":[${shown.map((entry) => entry.json).join(",")}],"next_cursor":${JSON.stringify(next ?? null)}`;
      return sendJson(c, `${page}${summary === undefined ? "" : `,"summary":${summary}`}}` as Json<BundlePage>, 200);
    },
  )
  .openapi(
    createRoute({
      ...guarded("viewer"),
      method: "get",
      path: "/po/deleted",
      operationId: "listDeletedPurchaseOrders",
      tags: ["po"],
      summary: "List the POs that were deleted, oldest deletion first",
      description:
        "Together with `GET /po/list?updated_since=` this keeps a copy up to date. A deletion that was under way while the list " +
        "was read may be a few seconds older than its newest entry: begin each time a minute before the time before.",
      request: {
        query: z.strictObject({ ...pageQuery, since: instantInput("since", "Only deletions from this moment on") }),
      },
      responses: { 200: json(DeletedPurchaseOrderPage, "One page of deletions"), ...problems(400, 401, 403, 422) },
    }),
    async (c) => {
      const { limit, cursor, since } = c.req.valid("query");
      const walk = await openWalk(c, JSON.stringify(["po/deleted", since]), cursor);
      const rows = await listDeletedPos(c.var.db, since, walk.position, limit + 1);
      return sendJson(c, await walk.page(rows, limit, (last) => [last.at, last.entry]), 200);
    },
  )
  .openapi(
    createRoute({
      ...guarded("viewer"),
      method: "get",
      path: "/po/{po_id}/history",
      operationId: "listPurchaseOrderHistory",
      tags: ["po"],
      summary: "List what was changed of a PO and its line items, by whom, newest first",
      description: "It stays when the PO is deleted.",
      request: { params: byId, query: z.strictObject(pageQuery) },
      responses: { 200: json(AuditEntryPage, "One page of changes"), ...problems(400, 401, 403, 404, 422) },
    }),
    async (c) => {
      const { po_id } = c.req.valid("param");
      const { limit, cursor } = c.req.valid("query");
      const walk = await openWalk(c, JSON.stringify(["history", po_id]), cursor);
      const rows = await listPoHistory(c.var.db, po_id, walk.position?.[0], limit + 1);
      if (rows === undefined) throw new Problem("not-found", missing(po_id));
      return sendJson(c, await walk.page(rows, limit, (last) => [last.id]), 200);
    },
  )
  .openapi(
    createRoute({
      ...guarded("viewer"),
      method: "get",
      path: "/po/{po_id}",
      operationId: "findPurchaseOrder",
      tags: ["po"],
      summary: "Read one PO with its line items",
      request: { params: byId, query: noQuery, headers: ifNoneMatch },
      responses: { 200: tagged(PurchaseOrderWithLines, "The PO"), 304: unmodified, ...problems(401, 403, 404, 422) },
    }),
    async (c) => {
      const { po_id } = c.req.valid("param");
      return sendFound(c, await findPo(c.var.db, po_id), missing(po_id));
    },
  )
  .openapi(
    createRoute({
      ...repeatable("editor"),
      method: "post",
      path: "/po",
      operationId: "createPurchaseOrder",
      tags: ["po"],
      summary: "Create a PO, with up to 500 line items, all or nothing",
      request: { query: noQuery, headers: idempotencyKey, body: jsonBody(NewPurchaseOrder) },
      responses: {
        201: repeated(created(PurchaseOrderWithLines, "The PO")),
        ...problems(400, 401, 403, 409, 413, 415, 422),
      },
    }),
    async (c) => {
      const po = await insertPo(c.var.db, c.req.valid("json"));
      return sendCreated(c, po, `/po/${po.id}`);
    },
  )
  .openapi(
    createRoute({
      ...guarded("editor"),
      method: "patch",
      path: "/po/{po_id}",
      operationId: "updatePurchaseOrder",
      tags: ["po"],
      summary: "Change a PO: fields that are left out stay, null clears what may be null",
      request: { params: byId, query: noQuery, headers: ifMatch, body: jsonBody(PurchaseOrderChanges) },
      responses: {
        200: tagged(PurchaseOrderWithLines, "The PO as it is now"),
        ...problems(400, 401, 403, 404, 409, 412, 413, 415, 422),
      },
    }),
    async (c) => {
      const { po_id } = c.req.valid("param");
      const po = await updatePo(c.var.db, po_id, c.req.valid("json"), c.req.valid("header")["If-Match"]);
      return sendChanged(c, po, missing(po_id));
    },
  )
  .openapi(
    createRoute({
      ...repeatable("editor"),
      method: "post",
      path: "/po/{po_id}/status",
      operationId: "setPurchaseOrderStatus",
      tags: ["po"],
      summary: "Set the status of a PO",
      description:
        "Pending, active, completed, cancelled, and back: see the 409 of a change that is not allowed. A completed or cancelled " +
        "PO keeps its line items and amounts until its status is set back. The status that it has already changes nothing.",
      request: { params: byId, query: noQuery, headers: idempotencyKey, body: jsonBody(StatusChange) },
      responses: {
        200: repeated(tagged(PurchaseOrderWithLines, "The PO as it is now")),
        ...problems(400, 401, 403, 404, 409, 413, 415, 422),
      },
    }),
    async (c) => {
      const { po_id } = c.req.valid("param");
      const { status, reason = null } = c.req.valid("json");
      const po = await updatePoStatus(c.var.db, po_id, { status, reason }, sourcesOf(status));
      if (po !== undefined && "refused" in po) throw notFrom(po.refused);
      return sendChanged(c, po, missing(po_id));
    },
  )
  .openapi(
    createRoute({
      ...guarded("admin"),
      method: "delete",
      path: "/po/{po_id}",
      operationId: "deletePurchaseOrder",
      tags: ["po"],
      summary: "Delete a PO and its line items, unless payments, billing POs, mappings or child POs refer to it",
      request: { params: byId, query: noQuery, headers: ifMatch },
      responses: { 204: gone, ...problems(401, 403, 404, 409, 412, 422) },
    }),
    async (c) => {
      const { po_id } = c.req.valid("param");
      const deletion = await deletePo(c.var.db, po_id, c.req.valid("header")["If-Match"]);
      return sendDeletion(c, `PO ${po_id}`, deletion);
    },
  );

const preferred = (c: Context): string =>
  accepts(c, { header: "Accept", supports: ["application/json", "text/csv"], default: "application/json" }) ===
  "text/csv"
    ? "csv"
    : "json";

async function sendCsv(c: Context<AppEnv>, which: Omit<Search, "include" | "expand">, withBom: boolean) {
  // An export is whole, and has columns of its own.
  const others = ["limit", "cursor", "include", "expand"].filter((name) => c.req.query(name) !== undefined);
  if (others.length > 0) {
    throw new Problem("validation-failed", undefined, {
      errors: others.map((name) => ({ in: "query", pointer: `/${name}`, detail: "does not go with CSV" })),
    });
  }
  const pages = everyPage(c.var.db, { ...which, include: [], expand: ["client", "vendor"] });
  const stream = await csvStream(pages, withBom);
  const answer: unknown = c.body(stream, 200, {
    "Content-Type": "text/csv; charset=utf-8",
    "Content-Disposition": 'attachment; filename="purchase-orders.csv"',
  });
  // Hono types what it serialises itself.
  return answer as Response & TypedResponse<string, 200, "text">;
}

const missing = (id: number) => `There is no PO ${id}.`;

const notFrom = (status: Status) =>
  new Problem("conflict", undefined, {
    errors: [{ in: "body", pointer: "/status", detail: `a ${status} PO becomes ${transitions[status].join(" or ")}` }],
  });

const tooManyLines = (count: number) =>
  new Problem("validation-failed", undefined, {
    errors: [
      {
        in: "query",
        pointer: "/include",
        detail: `a bundle here has ${count} line items, more than the ${mostLinesPerPage} of a page: read them with GET /po/{po_id}/line-items`,
      },
    ],
  });
