import { describe, expect, it } from "vitest";
import { LineItem } from "../src/line-item/contract.ts";
import { PurchaseOrder, PurchaseOrderPage, PurchaseOrderWithLines } from "../src/po/contract.ts";
import { read, signIn, sql } from "./support/api.ts";
import { freshDatabase } from "./support/database.ts";
import { itFindsNothingAt, itIsAList } from "./support/lists.ts";
import { insert, insertClient, insertLine, insertLines, insertPo, insertVendor, walk } from "./support/rows.ts";

/** A PO of which every column is set, and what it looks like on the wire. */
async function fullPo() {
  const client_id = await insertClient();
  const vendor_id = await insertVendor();
  const site_id = await insert("site", { site_name: "Station Road", store_id: crypto.randomUUID() });
  const project_id = await insert("project", { name: "Fit-out", client_id });
  const parent_po_id = await insertPo({ client_id });
  const values = {
    client_id,
    project_id,
    store_id: " BR0042 ",
    po_number: `PO/${crypto.randomUUID()}`,
    po_date: "2026-01-29",
    status: "active",
    status_reason: "Agreed by phone",
    po_type: "verbal_agreement",
    parent_po_id,
    agreement_date: "2025-12-31",
    pi_number: "PI-2026-17",
    pi_date: "2024-02-29",
    vendor_id,
    site_id,
    notes: "Second phase\n'quoted' दूसरा",
    vendor_gstin: "27ABCDE1234F1Z5",
    bill_to_gstin: "27ZZZZZ9999Z9Z9",
    vendor_address: "3 Mill Road",
    bill_to_address: "12 Station Road",
    ship_to_address: "",
  };
  const id = await insertPo({ ...values, created_at: "2026-01-29T07:17:55.145925+05:30" });
  return { id, wire: { id, ...values, created_at: "2026-01-29T01:47:55.145925Z" } };
}

describe("GET /po/{po_id}", () => {
  it("answers all fields of the PO and its lines, decimals as strings with their scale", async () => {
    const { token } = await signIn();
    const { id, wire } = await fullPo();
    const first = await insertLine(id, {
      item_name: "Shelving: steel, 5 tier",
      quantity: "12.5",
      unit_price: "2550",
      total_price: null,
      gst_rate: "18",
      hsn_code: "94032010",
      unit: "Nos",
      created_at: "2026-01-29T00:00:00Z",
    });
    const second = await insertLine(id, { total_price: "0.05", gst_rate: "28" });
    await sql(`UPDATE "Finances".client_po SET receivable_amount = -1.5 WHERE id = $1`, [id]);
    const po = await read(PurchaseOrderWithLines, `/po/${id}`, token);
    expect(po).toEqual({
      ...wire,
      po_value: "37612.56",
      receivable_amount: "-1.50",
      subtotal: "31875.05",
      total_tax: "5737.51",
      cgst: "2868.76",
      sgst: "2868.75",
      igst: null,
      line_item_count: 2,
      updated_at: expect.any(String),
      version: 4,
      line_items: [
        {
          id: first,
          client_po_id: id,
          item_name: "Shelving: steel, 5 tier",
          hsn_code: "94032010",
          unit: "Nos",
          quantity: "12.500",
          unit_price: "2550.0000",
          rate: "2550.0000",
          total_price: "31875.00",
          gst_rate: "18.00",
          gst_amount: "5737.50",
          gross_amount: "37612.50",
          created_at: "2026-01-29T00:00:00.000000Z",
          updated_at: expect.any(String),
          version: 1,
        },
        expect.objectContaining({ id: second, quantity: null, unit_price: null, rate: null, total_price: "0.05" }),
      ],
    });
  });

  it("answers null for everything but the client of a bare PO", async () => {
    const { token } = await signIn();
    const client_id = await insertClient();
    const id = await insertPo({ client_id });
    const po = await read(PurchaseOrderWithLines, `/po/${id}`, token);
    const { created_at, updated_at, ...rest } = po;
    expect(created_at).toBe(updated_at);
    const set = {
      id,
      client_id,
      status: "pending",
      po_type: "standard",
      line_item_count: 0,
      version: 1,
      line_items: [],
    };
    const nulls = Object.keys(PurchaseOrder.shape).filter((key) => !(key in set) && !key.endsWith("ed_at"));
    expect(rest).toEqual({ ...set, ...Object.fromEntries(nulls.map((key) => [key, null])) });
  });

  it.each([
    ["0", "0.00"],
    ["-0.005", "-0.01"],
    ["9999999999999.99", "9999999999999.99"],
    ["-9999999999999.99", "-9999999999999.99"],
    ["1e3", "1000.00"],
  ])("answers the amount %s as %s", async (stored, wire) => {
    const { token } = await signIn();
    const id = await insertPo({ po_value: stored });
    expect(await read(PurchaseOrderWithLines, `/po/${id}`, token)).toMatchObject({
      po_value: wire,
      receivable_amount: wire,
    });
  });

  it("answers the same whatever time zone and date style the database has", async () => {
    await freshDatabase();
    const [row] = await sql("SELECT current_database() AS name");
    await sql(`ALTER DATABASE ${row?.name} SET timezone = 'Asia/Kolkata'`);
    await sql(`ALTER DATABASE ${row?.name} SET datestyle = 'German, DMY'`);
    await sql(`ALTER DATABASE ${row?.name} SET intervalstyle = 'sql_standard'`);
    const { token } = await signIn();
    const id = await insertPo({ po_date: "2026-01-29", created_at: "2026-01-29 01:47:55.145925+00" });
    await insertPo({ created_at: "2026-01-29 01:47:55.145924+00" });
    const wire = { po_date: "2026-01-29", created_at: "2026-01-29T01:47:55.145925Z" };
    expect(await read(PurchaseOrderWithLines, `/po/${id}`, token)).toMatchObject(wire);
    const pages = await walk(PurchaseOrderPage, "/po/list?limit=1", token);
    expect(pages.map((page) => page.data[0]?.created_at)).toEqual([wire.created_at, "2026-01-29T01:47:55.145924Z"]);
  });

  it("answers a PO of 2,000 lines whole, lines by id", async () => {
    const { token } = await signIn();
    const id = await insertPo();
    await insertLines(id, 2000);
    const po = await read(PurchaseOrderWithLines, `/po/${id}`, token);
    expect(po).toMatchObject({ line_item_count: 2000, subtotal: "3000.00", total_tax: "540.00", po_value: "3540.00" });
    const ids = po.line_items.map((line) => line.id);
    expect(ids).toHaveLength(2000);
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
    expect(LineItem.parse(po.line_items[1999])).toMatchObject({ item_name: "Line 2000", gross_amount: "1.77" });
  });

  it("shows no line of another PO", async () => {
    const { token } = await signIn();
    const [one, two] = [await insertPo(), await insertPo()];
    await insertLine(two);
    expect(await read(PurchaseOrderWithLines, `/po/${one}`, token)).toMatchObject({ line_items: [] });
  });

  itFindsNothingAt(async (id) => `/po/${id}`);
});

describe("GET /po/list", () => {
  itIsAList(PurchaseOrderPage, "newest first", async () => ({ path: "/po/list", add: () => insertPo() }));

  it("carries the fields of a single read, without the lines", async () => {
    const { token } = await signIn();
    const { id } = await fullPo();
    await insertLine(id);
    const { line_items, ...single } = await read(PurchaseOrderWithLines, `/po/${id}`, token);
    const pages = await walk(PurchaseOrderPage, "/po/list", token);
    expect(line_items).toHaveLength(1);
    expect(pages.flatMap((page) => page.data).find((row) => row.id === id)).toEqual(single);
  });

  it("is sorted by created_at to the microsecond, and by id where that is equal, newest first", async () => {
    await freshDatabase();
    const { token } = await signIn();
    const client_id = await insertClient();
    const at = (created_at: string) => insertPo({ client_id, created_at });
    const tied = [];
    for (let i = 0; i < 5; i++) tied.push(await at("2026-01-01T00:00:00.000005Z"));
    const older = await at("2026-01-01T00:00:00.000004Z");
    const newer = await at("2026-01-01T00:00:00.000006Z");
    const ancient = await at("1970-01-01T00:00:00Z");
    for (const limit of [1, 2, 3, 50]) {
      const pages = await walk(PurchaseOrderPage, `/po/list?limit=${limit}`, token);
      const ids = pages.flatMap((page) => page.data.map((row) => row.id));
      expect(ids).toEqual([newer, ...tied.toReversed(), older, ancient]);
    }
  });

  it("shows no PO that is added in front of the walk, and misses none behind it", async () => {
    await freshDatabase();
    const { token } = await signIn();
    const client_id = await insertClient();
    const there = [];
    for (let i = 0; i < 9; i++) there.push(await insertPo({ client_id }));
    const pages = await walk(PurchaseOrderPage, "/po/list?limit=2", token, () => insertPo({ client_id }));
    expect(pages.flatMap((page) => page.data.map((row) => row.id))).toEqual(there.toReversed());
  });

  it("is empty when there is no PO", async () => {
    await freshDatabase();
    const { token } = await signIn();
    expect(await read(PurchaseOrderPage, "/po/list", token)).toEqual({ data: [], next_cursor: null });
  });
});
