import { exports } from "cloudflare:workers";
import createClient from "openapi-fetch";
import { describe, expect, it } from "vitest";
import type { components, paths } from "../docs/openapi.d.ts";
import { insertAccount } from "./support/accounts.ts";

type Problem = components["schemas"]["Problem"];

/** A client that was generated from the document: what does not fit it does not compile. */
const connect = (token?: string) =>
  createClient<paths>({
    baseUrl: "https://api.test",
    fetch: (input, init) => exports.default.fetch(input as string, init),
    ...(token !== undefined && { headers: { Authorization: `Bearer ${token}` } }),
  });

/** The data of an answer; its error fails the test. */
function good<Data>({ data, error }: { data?: Data; error?: unknown }): Data {
  if (data === undefined) throw new Error(JSON.stringify(error));
  return data;
}

/** The problem of an answer; its success fails the test. */
function bad({ data, error }: { data?: unknown; error?: Problem }): Problem {
  if (error === undefined) throw new Error(`expected a problem, got ${JSON.stringify(data)}`);
  return error;
}

describe("a client generated from the OpenAPI document", () => {
  it("makes, repeats, finds, changes, closes and deletes a PO from log-in to log-out", async () => {
    const { username } = await insertAccount({ role: "admin" });
    const signedIn = good(await connect().POST("/auth/login", { body: { username, password: "secret" } }));
    const api = connect(signedIn.access_token);

    const client = good(
      await api.POST("/client", {
        params: {},
        body: { name: `Borealis ${crypto.randomUUID()}`, bundle_by_store: true },
      }),
    );
    const vendor = good(await api.POST("/vendor", { params: {}, body: { name: "D'Souza & Sons", status: "active" } }));

    // A PO, sent twice with one key.
    const create = () =>
      api.POST("/po", {
        params: { header: { "Idempotency-Key": `key-${client.id}` } },
        body: {
          client_id: client.id,
          vendor_id: vendor.id,
          po_type: "standard",
          status: "pending",
          store_id: "BR0042",
          line_items: [{ item_name: "Door", quantity: "2", unit_price: "10.50", gst_rate: "18" }],
        },
      });
    const [first, again] = [await create(), await create()];
    const po = good(first);
    expect(good(again)).toEqual(po);
    expect(again.response.headers.get("Idempotent-Replayed")).toBe("true");
    expect(po.po_value).toBe("24.78");

    // Found by its client, with more in it, counted, and in a bundle.
    const path = { params: { path: { po_id: po.id } } };
    const list = good(
      await api.GET("/po/list", {
        params: { query: { client_id: client.id, status: ["pending"], expand: ["vendor"], include: ["total"] } },
        querySerializer: (query) =>
          new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)])).toString(),
      }),
    );
    expect(list).toMatchObject({ total: 1, data: [{ id: po.id, vendor: { name: vendor.name } }] });
    const bundles = good(await api.GET("/po/aggregated/by-store", { params: { query: { client_id: client.id } } }));
    expect(bundles.bundles.map((bundle) => bundle.bundle_id)).toEqual([`store:${client.id}:BR0042`]);

    // Changed by two, of whom one has seen an old version.
    const etag = first.response.headers.get("ETag") ?? "";
    const change = (notes: string) =>
      api.PATCH("/po/{po_id}", {
        params: { path: { po_id: po.id }, header: { "If-Match": etag } },
        body: { notes },
      });
    expect(good(await change("First")).notes).toBe("First");
    const refused = await change("Second");
    expect(bad(refused)).toMatchObject({ type: "/problems/precondition-failed", status: 412 });
    expect(refused.response.headers.get("ETag")).not.toBe(etag);

    const [line] = good(await api.GET("/po/{po_id}/line-items", path)).data;
    const line_item_id = line?.id ?? 0;
    const linePath = { params: { path: { po_id: po.id, line_item_id } } };
    const changed = await api.PATCH("/po/{po_id}/line-items/{line_item_id}", { ...linePath, body: { quantity: "3" } });
    expect(good(changed).total_price).toBe("31.50");

    // Closed, and so locked.
    const setStatus = (status: components["schemas"]["StatusChange"]["status"]) =>
      api.POST("/po/{po_id}/status", { ...path, body: { status, reason: "End to end" } });
    const illegal = bad(await setStatus("completed"));
    expect(illegal.errors).toMatchObject([{ pointer: "/status", detail: "a pending PO becomes active or cancelled" }]);
    expect(good(await setStatus("cancelled"))).toMatchObject({ status: "cancelled", status_reason: "End to end" });
    expect(bad(await api.DELETE("/po/{po_id}/line-items/{line_item_id}", linePath))).toMatchObject({ status: 409 });

    const history = good(await api.GET("/po/{po_id}/history", path));
    expect(history.data[0]).toMatchObject({ username, action: "update", table: "client_po" });

    // In use, then not; gone, and said so.
    const inUse = bad(await api.DELETE("/client/{client_id}", { params: { path: { client_id: client.id } } }));
    expect(inUse.detail).toContain("client_po (1)");
    expect((await api.DELETE("/po/{po_id}", path)).response.status).toBe(204);
    expect(bad(await api.GET("/po/{po_id}", path))).toMatchObject({ type: "/problems/not-found" });
    const deleted = good(await api.GET("/po/deleted", {}));
    expect(deleted.data.map(({ id }) => id)).toContain(po.id);

    expect((await api.POST("/auth/logout", {})).response.status).toBe(204);
    expect(bad(await api.GET("/client", {}))).toMatchObject({ status: 401 });
  });
});
