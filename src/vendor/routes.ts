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
import { pathId, text } from "../wire.ts";
import { NewVendor, Vendor, VendorChanges, VendorPage, vendorSorts } from "./contract.ts";
import { deleteVendor, findVendor, insertVendor, listVendors, updateVendor } from "./queries.ts";

const byId = z.strictObject({ vendor_id: pathId("vendor_id") });

export const vendorRoutes = feature()
  .openapi(
    createRoute({
      ...guarded("viewer"),
      method: "get",
      path: "/vendor",
      operationId: "listVendors",
      tags: ["vendor"],
      summary: "List the vendors, or search them by name",
      request: {
        query: z.strictObject({
          ...pageQuery,
          q: text(100, "souza", 1).optional().openapi({ description: "Part of the name, whatever the case" }),
          sort: sortQuery(vendorSorts),
        }),
      },
      responses: { 200: json(VendorPage, "One page of vendors"), ...problems(400, 401, 403, 422) },
    }),
    async (c) => {
      const { limit, cursor, q, sort } = c.req.valid("query");
      const walk = await openWalk(c, JSON.stringify(["vendor", q, sort]), cursor);
      const rows = await listVendors(c.var.db, sort, q, walk.position, limit + 1);
      return sendJson(c, await walk.page(rows, limit, (last) => [last.key, last.id]), 200);
    },
  )
  .openapi(
    createRoute({
      ...guarded("viewer"),
      method: "get",
      path: "/vendor/{vendor_id}",
      operationId: "findVendor",
      tags: ["vendor"],
      summary: "Read one vendor",
      request: { params: byId, query: noQuery, headers: ifNoneMatch },
      responses: { 200: tagged(Vendor, "The vendor"), 304: unmodified, ...problems(401, 403, 404, 422) },
    }),
    async (c) => {
      const { vendor_id } = c.req.valid("param");
      return sendFound(c, await findVendor(c.var.db, vendor_id), missing(vendor_id));
    },
  )
  .openapi(
    createRoute({
      ...repeatable("editor"),
      method: "post",
      path: "/vendor",
      operationId: "createVendor",
      tags: ["vendor"],
      summary: "Create a vendor",
      request: { query: noQuery, headers: idempotencyKey, body: jsonBody(NewVendor) },
      responses: {
        201: repeated(created(Vendor, "The vendor")),
        ...problems(400, 401, 403, 409, 413, 415, 422),
      },
    }),
    async (c) => {
      const vendor = await insertVendor(c.var.db, c.req.valid("json"));
      return sendCreated(c, vendor, `/vendor/${vendor.id}`);
    },
  )
  .openapi(
    createRoute({
      ...guarded("editor"),
      method: "patch",
      path: "/vendor/{vendor_id}",
      operationId: "updateVendor",
      tags: ["vendor"],
      summary: "Change a vendor: fields that are left out stay, null clears what may be null",
      request: { params: byId, query: noQuery, headers: ifMatch, body: jsonBody(VendorChanges) },
      responses: {
        200: tagged(Vendor, "The vendor as it is now"),
        ...problems(400, 401, 403, 404, 409, 412, 413, 415, 422),
      },
    }),
    async (c) => {
      const { vendor_id } = c.req.valid("param");
      const vendor = await updateVendor(c.var.db, vendor_id, c.req.valid("json"), c.req.valid("header")["If-Match"]);
      return sendChanged(c, vendor, missing(vendor_id));
    },
  )
  .openapi(
    createRoute({
      ...guarded("admin"),
      method: "delete",
      path: "/vendor/{vendor_id}",
      operationId: "deleteVendor",
      tags: ["vendor"],
      summary: "Delete a vendor that nothing refers to",
      request: { params: byId, query: noQuery, headers: ifMatch },
      responses: { 204: gone, ...problems(401, 403, 404, 409, 412, 422) },
    }),
    async (c) => {
      const { vendor_id } = c.req.valid("param");
      const deletion = await deleteVendor(c.var.db, vendor_id, c.req.valid("header")["If-Match"]);
      return sendDeletion(c, `vendor ${vendor_id}`, deletion);
    },
  );

const missing = (id: number) => `There is no vendor ${id}.`;
