import { describe, expect, it } from "vitest";
import { PurchaseOrderWithLines as Po } from "../src/po/contract.ts";
import { call, read, roundTrips, signIn, sql } from "./support/api.ts";
import { problem } from "./support/problem.ts";
import { insert, insertClient, insertLine, insertPo, insertVendor } from "./support/rows.ts";
import { audited, create, patch, remove, whileUncommitted } from "./support/write.ts";

/** Every field that a body may have, but for the amounts and the client. */
async function everything() {
  const [client, vendor, parent] = await Promise.all([insertClient(), insertVendor(), insertPo()]);
  return {
    client_id: client,
    project_id: await insert("project", { client_id: client, name: "Fit-out" }),
    store_id: " BR/0042 ",
    po_number: `PO-${crypto.randomUUID()}`,
    po_date: "2024-02-29",
    po_type: "verbal_agreement",
    parent_po_id: parent,
    agreement_date: "1900-01-01",
    pi_number: "PI-2026-17",
    pi_date: "9999-12-31",
    vendor_id: vendor,
    site_id: await insert("site", { site_name: "Pune" }),
    notes: "Second phase,\nगोदाम 😀",
    vendor_gstin: "27ABCDE1234F1Z5",
    bill_to_gstin: "29ABCDE1234F1Z5",
    vendor_address: "3 Mill Road",
    bill_to_address: "4 Mill Road",
    ship_to_address: "5 Mill Road",
  };
}
const required = ["client_id", "po_type"];

describe("POST /po", () => {
  it("needs a client alone: a standard, pending PO without a value", async () => {
    const { token } = await signIn("editor");
    const client_id = await insertClient();
    const { id, created_at, updated_at, ...po } = await create(Po, "/po", { client_id }, token);
    const given = { client_id, po_type: "standard", status: "pending", line_items: [], line_item_count: 0, version: 1 };
    expect(po).toEqual({ ...Object.fromEntries(Object.keys(po).map((field) => [field, null])), ...given });
  });

  it("creates a PO with all that is given", async () => {
    const { token } = await signIn("editor");
    const given = { ...(await everything()), status: "active", po_value: "100.5", receivable_amount: -3 };
    const stored = { ...given, po_value: "100.50", receivable_amount: "-3.00" };
    expect(await create(Po, "/po", given, token)).toMatchObject(stored);
  });

  it("takes null for all that may be null", async () => {
    const { token } = await signIn("editor");
    const given = { ...(await everything()), po_value: null, receivable_amount: null };
    const nulls = Object.fromEntries(
      Object.entries(given).map(([field, value]) => [field, required.includes(field) ? value : null]),
    );
    expect(await create(Po, "/po", nulls, token)).toMatchObject(nulls);
  });

  it("creates 500 lines in their order, in one round trip and two versions", async () => {
    const { token, id } = await signIn("editor");
    const client_id = await insertClient();
    const line_items = Array.from({ length: 500 }, (_, index) => ({
      // Neither the order of names nor that of amounts.
      item_name: `Line ${(index * 7) % 500}`,
      quantity: "1.5",
      unit_price: `${(index * 13) % 97}.35`,
      gst_rate: "18",
    }));
    let response = new Response();
    const trips = await roundTrips(async () => {
      response = await call("/po", { method: "POST", token, body: { client_id, line_items } });
    });
    expect(trips).toBe(1);
    const po = Po.parse(await response.json());
    expect(po.line_items.map((line) => line.item_name)).toEqual(line_items.map((line) => line.item_name));
    expect(po.line_items.map((line) => line.id)).toEqual(
      po.line_items.map((line) => line.id).toSorted((a, b) => a - b),
    );
    expect(po).toMatchObject({ line_item_count: 500, version: 2 });
    expect(await read(Po, `/po/${po.id}`, token)).toEqual(po);
    const entries = await audited(response, id);
    expect(entries.filter((entry) => entry.includes("client_po "))).toEqual([
      `insert client_po ${po.id}`,
      `update client_po ${po.id}`,
    ]);
    const lineEntries = entries.filter((entry) => entry.includes("client_po_line_item"));
    expect(lineEntries).toEqual(po.line_items.map((line) => `insert client_po_line_item ${line.id}`));
  });

  it("refuses a number that the client has, and allows it to another client and once more to none", async () => {
    const { token } = await signIn("editor");
    const [client_id, other] = [await insertClient(), await insertClient()];
    await create(Po, "/po", { client_id, po_number: "PO-1" }, token);
    for (const po_number of ["PO-1", " PO-1 "]) {
      const response = await call("/po", { method: "POST", token, body: { client_id, po_number } });
      const { errors } = await problem(response, "conflict");
      expect(errors).toMatchObject([{ in: "body", pointer: "/po_number" }]);
    }
    await create(Po, "/po", { client_id: other, po_number: "PO-1" }, token);
    await create(Po, "/po", { client_id, po_number: "po-1" }, token);
    await create(Po, "/po", { client_id }, token);
    await create(Po, "/po", { client_id }, token);
  });

  it("makes one of ten equal POs that are created at once, with its lines once", async () => {
    const { token } = await signIn("editor");
    const client_id = await insertClient();
    const body = { client_id, po_number: "PO-1", line_items: [{ item_name: "Shelf", total_price: "1" }] };
    const all = await Promise.all(Array.from({ length: 10 }, () => call("/po", { method: "POST", token, body })));
    expect(all.map((response) => response.status).toSorted()).toEqual([201, ...Array(9).fill(409)]);
    const [row] = await sql(
      `SELECT count(DISTINCT po.id) AS pos, count(line.id) AS lines FROM "Finances".client_po po
       LEFT JOIN "Finances".client_po_line_item line ON line.client_po_id = po.id WHERE po.client_id = $1`,
      [client_id],
    );
    expect(row).toEqual({ pos: "1", lines: "1" });
  });
});

const references = ["client_id", "vendor_id", "project_id", "site_id", "parent_po_id"];

describe("a reference of a PO", () => {
  it.each(references.flatMap((field) => [1, 2 ** 53 - 1].map((step) => [field, step] as const)))(
    "to a row that is not there is refused where it stands: %s, %d",
    async (field, step) => {
      const { token } = await signIn("editor");
      const po = await create(Po, "/po", await everything(), token);
      const unknown = { [field]: step === 1 ? 1_000_000 : step };
      const body = { client_id: po.client_id, ...unknown, line_items: [{ item_name: "Shelf", total_price: "1" }] };
      const before = await sql(`SELECT count(*) FROM "Finances".client_po`);
      for (const response of [
        await call("/po", { method: "POST", token, body }),
        await call(`/po/${po.id}`, { method: "PATCH", token, body: { notes: "changed", ...unknown } }),
      ]) {
        const { errors } = await problem(response, "validation-failed");
        expect(errors).toEqual([{ in: "body", pointer: `/${field}`, detail: "there is no such row" }]);
      }
      expect(await sql(`SELECT count(*) FROM "Finances".client_po`)).toEqual(before);
      expect(await read(Po, `/po/${po.id}`, token)).toEqual(po);
    },
  );

  it("is not the PO itself", async () => {
    const { token } = await signIn("editor");
    const po = await insertPo();
    const response = await call(`/po/${po}`, { method: "PATCH", token, body: { parent_po_id: po } });
    expect((await problem(response, "validation-failed")).errors).toMatchObject([{ pointer: "/parent_po_id" }]);
  });
});

describe("PATCH /po/{po_id}", () => {
  it.each(["application/json", "application/merge-patch+json"])("merges every field alone: %s", async (type) => {
    const { token } = await signIn("editor");
    const [one, two] = [await everything(), { ...(await everything()), po_type: "standard" }];
    two.store_id = "BR0043";
    let po = await create(Po, "/po", one, token);
    for (const [field, value] of Object.entries(two)) {
      const changed = await patch(Po, `/po/${po.id}`, { [field]: value }, token, type);
      const same = value === po[field as keyof Po];
      expect(changed).toEqual({
        ...po,
        [field]: value,
        version: po.version + (same ? 0 : 1),
        updated_at: changed.updated_at,
      });
      po = changed;
    }
    for (const field of Object.keys(two).filter((each) => !required.includes(each))) {
      const changed = await patch(Po, `/po/${po.id}`, { [field]: null }, token, type);
      const same = po[field as keyof Po] === null;
      expect(changed).toEqual({
        ...po,
        [field]: null,
        version: po.version + (same ? 0 : 1),
        updated_at: changed.updated_at,
      });
      po = changed;
    }
  });

  it("changes twenty fields at once, in one version and one round trip", async () => {
    const { token, id } = await signIn("editor");
    const [po, body] = [await insertPo(), { ...(await everything()), po_value: 5, receivable_amount: "6" }];
    let response = new Response();
    const trips = await roundTrips(async () => {
      response = await call(`/po/${po}`, { method: "PATCH", token, body });
    });
    expect(trips).toBe(1);
    const stored = { ...body, po_value: "5.00", receivable_amount: "6.00", version: 2 };
    expect(Po.parse(await response.json())).toMatchObject(stored);
    expect(await audited(response, id)).toEqual([`update client_po ${po}`]);
    expect(Object.keys(body)).toHaveLength(20);
  });

  it("changes nothing when it says nothing, or what is there", async () => {
    const { token, id } = await signIn("editor");
    const given = { ...(await everything()), po_value: "5.00", receivable_amount: "6.00" };
    const before = await create(Po, "/po", given, token);
    expect(await patch(Po, `/po/${before.id}`, {}, token)).toEqual(before);
    expect(await patch(Po, `/po/${before.id}`, given, token)).toEqual(before);
    const response = await call(`/po/${before.id}`, { method: "PATCH", token, body: given });
    expect(await audited(response, id)).toEqual([]);
  });

  it.each(["status", "line_items", "subtotal", "version", "id", "created_at", "legacy"])(
    "refuses %s, which is not for it to change",
    async (field) => {
      const { token } = await signIn("editor");
      const po = await create(Po, "/po", { client_id: await insertClient() }, token);
      const value = field === "line_items" ? [] : field === "status" ? "active" : 1;
      const response = await call(`/po/${po.id}`, { method: "PATCH", token, body: { notes: "x", [field]: value } });
      expect((await problem(response, "validation-failed")).errors).toMatchObject([{ pointer: `/${field}` }]);
      expect(await read(Po, `/po/${po.id}`, token)).toEqual(po);
    },
  );

  it.each(required)("does not clear %s", async (field) => {
    const { token } = await signIn("editor");
    const response = await call(`/po/${await insertPo()}`, { method: "PATCH", token, body: { [field]: null } });
    expect((await problem(response, "validation-failed")).errors).toMatchObject([{ pointer: `/${field}` }]);
  });

  it("refuses to move a PO to a client that has its number, and a number that its client has", async () => {
    const { token } = await signIn("editor");
    const [one, two] = [await insertClient(), await insertClient()];
    const po = await create(Po, "/po", { client_id: one, po_number: "PO-1" }, token);
    await insertPo({ client_id: two, po_number: "PO-1" });
    await insertPo({ client_id: one, po_number: "PO-2" });
    for (const body of [{ client_id: two }, { po_number: "PO-2" }]) {
      const response = await call(`/po/${po.id}`, { method: "PATCH", token, body });
      expect((await problem(response, "conflict")).errors).toMatchObject([{ pointer: "/po_number" }]);
    }
    expect(await read(Po, `/po/${po.id}`, token)).toEqual(po);
    await patch(Po, `/po/${po.id}`, { client_id: two, po_number: "PO-2" }, token);
  });
});

describe("DELETE /po/{po_id}", () => {
  it("takes its lines along", async () => {
    const { token, id } = await signIn("admin");
    const po = await insertPo();
    const lines = [await insertLine(po), await insertLine(po)];
    const response = await remove(`/po/${po}`, token);
    expect(await sql(`SELECT id FROM "Finances".client_po_line_item WHERE client_po_id = $1`, [po])).toEqual([]);
    const expected = [`delete client_po ${po}`, ...lines.map((line) => `delete client_po_line_item ${line}`)];
    expect((await audited(response, id)).toSorted()).toEqual(expected);
  });

  it("names every table that refers to it, and how often, and deletes nothing", async () => {
    const { token, id } = await signIn("admin");
    const client_id = await insertClient();
    const po = await insertPo({ client_id });
    await insertLine(po);
    await insert("client_payment", { client_id, client_po_id: po });
    await insert("client_payment", { client_id, client_po_id: po });
    await insert("billing_po", { client_id, client_po_id: po, po_number: crypto.randomUUID() });
    const project_id = await insert("project", { client_id, name: "Fit-out" });
    await insert("po_project_mapping", { client_po_id: po, project_id });
    for (let child = 0; child < 3; child++) await insertPo({ client_id, parent_po_id: po });
    const before = await read(Po, `/po/${po}`, token);
    const response = await call(`/po/${po}`, { method: "DELETE", token });
    expect((await problem(response, "conflict")).detail).toBe(
      `The PO ${po} cannot be deleted: it is in use by client_payment (2), billing_po (1), po_project_mapping (1), client_po (3).`,
    );
    expect(await audited(response, id)).toEqual([]);
    expect(await read(Po, `/po/${po}`, token)).toEqual(before);
  });

  it.concurrent.each<[table: string, columns: string]>([
    ["client_payment", `(client_id, client_po_id) SELECT client_id, id FROM "Finances".client_po WHERE id = $1`],
    [
      "billing_po",
      `(client_id, client_po_id, po_number) SELECT client_id, id, 'B-1' FROM "Finances".client_po WHERE id = $1`,
    ],
    ["po_project_mapping", `(client_po_id, project_id) SELECT $1, max(id) FROM "Finances".project`],
    ["client_po", `(client_id, parent_po_id) SELECT client_id, id FROM "Finances".client_po WHERE id = $1`],
  ])("is in conflict with a row of %s that appears in that moment", async (table, columns) => {
    const { token } = await signIn("admin");
    const po = await insertPo();
    await insertLine(po);
    await insert("project", { client_id: await insertClient(), name: "Fit-out" });
    const before = await read(Po, `/po/${po}`, token);
    const response = await whileUncommitted(`INSERT INTO "Finances".${table} ${columns}`, [po], () =>
      call(`/po/${po}`, { method: "DELETE", token }),
    );
    expect((await problem(response, "conflict")).detail).toBe(`It is in use by ${table}.`);
    expect(await read(Po, `/po/${po}`, token)).toEqual(before);
  });
});
