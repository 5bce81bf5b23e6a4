import { describe, expect, it } from "vitest";
import { LineItem, LineItemPage } from "../src/line-item/contract.ts";
import { call, read, signIn, sql } from "./support/api.ts";
import { freshDatabase } from "./support/database.ts";
import { itFindsNothingAt, itIsAList, itIsSorted } from "./support/lists.ts";
import { problem } from "./support/problem.ts";
import { insertLine, insertLines, insertPo, walk } from "./support/rows.ts";

describe("GET /po/{po_id}/line-items/{line_item_id}", () => {
  it("answers all fields of the line, decimals as strings with their scale", async () => {
    const { token } = await signIn();
    const po = await insertPo();
    const id = await insertLine(po, {
      item_name: "शेल्फ़ 5\" \\ 'tier'",
      quantity: "0.333",
      unit_price: "0.0505",
      total_price: null,
      gst_rate: "5.5",
      hsn_code: "9403",
      unit: "Sq.ft",
      created_at: "2026-01-29T07:17:55.145925+05:30",
      updated_at: "2026-01-29T07:17:55+05:30",
    });
    expect(await read(LineItem, `/po/${po}/line-items/${id}`, token)).toEqual({
      id,
      client_po_id: po,
      item_name: "शेल्फ़ 5\" \\ 'tier'",
      hsn_code: "9403",
      unit: "Sq.ft",
      quantity: "0.333",
      unit_price: "0.0505",
      rate: "0.0505",
      total_price: "0.02",
      gst_rate: "5.50",
      gst_amount: "0.00",
      gross_amount: "0.02",
      created_at: "2026-01-29T01:47:55.145925Z",
      updated_at: "2026-01-29T01:47:55.000000Z",
      version: 1,
    });
  });

  it("answers a line that is priced as a whole with the nulls it has", async () => {
    const { token } = await signIn();
    const po = await insertPo();
    const id = await insertLine(po, { total_price: "0" });
    expect(await read(LineItem, `/po/${po}/line-items/${id}`, token)).toMatchObject({
      hsn_code: null,
      unit: null,
      quantity: null,
      unit_price: null,
      rate: null,
      total_price: "0.00",
      gst_rate: "0.00",
      gst_amount: "0.00",
      gross_amount: "0.00",
    });
  });

  it("answers a line whose GST follows no rate with a null rate", async () => {
    const { token } = await signIn();
    const po = await insertPo();
    const id = await insertLine(po, { total_price: "100", gst_amount: "17.77" });
    expect(await read(LineItem, `/po/${po}/line-items/${id}`, token)).toMatchObject({
      gst_rate: null,
      gst_amount: "17.77",
      gross_amount: "117.77",
    });
  });

  it("does not find a line of another PO", async () => {
    const { token } = await signIn();
    const [one, two] = [await insertPo(), await insertPo()];
    const id = await insertLine(two);
    await problem(await call(`/po/${one}/line-items/${id}`, { token }), "not-found");
    expect((await call(`/po/${two}/line-items/${id}`, { token })).status).toBe(200);
  });

  itFindsNothingAt(async (id) => `/po/${await insertPo()}/line-items/${id}`);

  describe("of a PO that is not there", () => {
    itFindsNothingAt(async (id) => `/po/${id}/line-items/${await insertLine(await insertPo())}`);
  });
});

describe("GET /po/{po_id}/line-items", () => {
  itIsAList(LineItemPage, "by id", async () => {
    const po = await insertPo();
    return { path: `/po/${po}/line-items`, add: () => insertLine(po) };
  });

  describe("sorted", () => {
    itIsSorted(LineItemPage, { id: (row) => row.id }, async () => {
      const po = await insertPo();
      return { path: `/po/${po}/line-items`, add: () => insertLine(po) };
    });
  });

  it("carries the fields of a single read, and no line of another PO", async () => {
    const { token } = await signIn();
    const [po, other] = [await insertPo(), await insertPo()];
    const id = await insertLine(po, { quantity: "2", unit_price: "1.25", total_price: null, gst_rate: "18" });
    await insertLine(other);
    expect(await read(LineItemPage, `/po/${po}/line-items`, token)).toEqual({
      data: [await read(LineItem, `/po/${po}/line-items/${id}`, token)],
      next_cursor: null,
    });
  });

  it("is empty for a PO without lines", async () => {
    const { token } = await signIn();
    expect(await read(LineItemPage, `/po/${await insertPo()}/line-items`, token)).toEqual({
      data: [],
      next_cursor: null,
    });
  });

  it("refuses a cursor of another PO's lines", async () => {
    const { token } = await signIn();
    const [po, other] = [await insertPo(), await insertPo()];
    await insertLines(po, 2);
    await insertLines(other, 2);
    const { next_cursor } = await read(LineItemPage, `/po/${po}/line-items?limit=1`, token);
    await problem(await call(`/po/${other}/line-items?cursor=${next_cursor}`, { token }), "invalid-cursor");
  });

  it("walks 2,000 lines", async () => {
    const { token } = await signIn();
    const po = await insertPo();
    await insertLines(po, 2000);
    const pages = await walk(LineItemPage, `/po/${po}/line-items?limit=200`, token);
    expect(pages).toHaveLength(10);
    const names = pages.flatMap((page) => page.data.map((line) => line.item_name));
    expect(names).toEqual(Array.from({ length: 2000 }, (_, index) => `Line ${index + 1}`));
  });

  itFindsNothingAt(async (id) => `/po/${id}/line-items`);
});

describe("a line whose PO is missing", () => {
  it("is found neither on its own nor in a list", async () => {
    await freshDatabase();
    const { token } = await signIn();
    const there = await insertPo();
    const missing = there + 1000;
    const key = "client_po_line_item_po_fkey";
    await sql(`ALTER TABLE "Finances".client_po_line_item DROP CONSTRAINT ${key}`);
    const orphan = await insertLine(missing);
    await sql(
      `ALTER TABLE "Finances".client_po_line_item ADD CONSTRAINT ${key}
       FOREIGN KEY (client_po_id) REFERENCES "Finances".client_po (id) ON DELETE CASCADE NOT VALID`,
    );
    await problem(await call(`/po/${missing}`, { token }), "not-found");
    await problem(await call(`/po/${missing}/line-items`, { token }), "not-found");
    await problem(await call(`/po/${missing}/line-items/${orphan}`, { token }), "not-found");
    await problem(await call(`/po/${there}/line-items/${orphan}`, { token }), "not-found");
  });
});
