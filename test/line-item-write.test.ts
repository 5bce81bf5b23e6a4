import { describe, expect, it } from "vitest";
import { LineItem, LineItemList } from "../src/line-item/contract.ts";
import { PurchaseOrderWithLines as Po } from "../src/po/contract.ts";
import { call, read, roundTrips, signIn, sql } from "./support/api.ts";
import { freshDatabase } from "./support/database.ts";
import { problem } from "./support/problem.ts";
import { insertLine, insertPo } from "./support/rows.ts";
import { audited, create, patch, remove } from "./support/write.ts";

const linesOf = (po: number) => `/po/${po}/line-items`;
const numbered = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => ({ item_name: `Line ${from + index}`, quantity: 1, unit_price: "0.01" }));

describe("POST /po/{po_id}/line-items", () => {
  it("adds one line, and the PO's totals follow", async () => {
    const { token, id } = await signIn("editor");
    const po = await insertPo({ po_value: "7.00" });
    const given = {
      item_name: " Shelf ",
      hsn_code: "9403",
      unit: "Nos",
      quantity: 2.5,
      unit_price: "10.5",
      gst_rate: 18,
    };
    expect(await create(LineItem, linesOf(po), given, token)).toMatchObject({
      client_po_id: po,
      item_name: "Shelf",
      hsn_code: "9403",
      unit: "Nos",
      quantity: "2.500",
      unit_price: "10.5000",
      rate: "10.5000",
      total_price: "26.25",
      gst_rate: "18.00",
      gst_amount: "4.73",
      gross_amount: "30.98",
      version: 1,
    });
    expect(await read(Po, `/po/${po}`, token)).toMatchObject({ po_value: "30.98", line_item_count: 1, version: 2 });
    const response = await call(linesOf(po), { method: "POST", token, body: given });
    const line = LineItem.parse(await response.json());
    expect(await audited(response, id)).toEqual([`insert client_po_line_item ${line.id}`, `update client_po ${po}`]);
  });

  it("adds an array in its order, in one round trip and one version, and leads to the collection", async () => {
    const { token, id } = await signIn("editor");
    const po = await insertPo();
    const body = numbered(500).toReversed();
    let response = new Response();
    const trips = await roundTrips(async () => {
      response = await call(linesOf(po), { method: "POST", token, body });
    });
    expect(trips).toBe(1);
    expect(response.status).toBe(201);
    expect(response.headers.get("Location")).toBe(linesOf(po));
    const { data } = LineItemList.parse(await response.json());
    expect(data.map((line) => line.item_name)).toEqual(body.map((line) => line.item_name));
    const after = await read(Po, `/po/${po}`, token);
    expect(after).toMatchObject({ po_value: "5.00", line_item_count: 500, version: 2 });
    expect(after.line_items).toEqual(data);
    expect((await audited(response, id)).toSorted()).toEqual(
      [...data.map((line) => `insert client_po_line_item ${line.id}`), `update client_po ${po}`].toSorted(),
    );
  });

  it("answers an array of one as an array", async () => {
    const { token } = await signIn("editor");
    const po = await insertPo();
    const response = await call(linesOf(po), { method: "POST", token, body: numbered(1) });
    expect(response.headers.get("Location")).toBe(linesOf(po));
    expect(LineItemList.parse(await response.json()).data).toHaveLength(1);
  });

  it("fills a PO to 2,000 lines, and refuses one more, whoever adds it", async () => {
    const { token } = await signIn("editor");
    const po = await insertPo();
    for (let block = 0; block < 4; block++) {
      const body = numbered(500, block * 500);
      expect((await call(linesOf(po), { method: "POST", token, body })).status).toBe(201);
    }
    const before = await read(Po, `/po/${po}`, token);
    expect(before).toMatchObject({ line_item_count: 2000, po_value: "20.00", version: 5 });
    for (const body of [numbered(1), numbered(1)[0], numbered(500)]) {
      const { errors } = await problem(await call(linesOf(po), { method: "POST", token, body }), "validation-failed");
      expect(errors).toEqual([{ in: "body", pointer: "", detail: "a PO has at most 2000 line items" }]);
    }
    expect(await read(Po, `/po/${po}`, token)).toEqual(before);
    await remove(`${linesOf(po)}/${before.line_items[0]?.id}`, token);
    expect((await call(linesOf(po), { method: "POST", token, body: numbered(1) })).status).toBe(201);
  });

  it.each<[string, object, string]>([
    ["the form", { item_name: " ", total_price: "1" }, "/499/item_name"],
    ["the amounts", { item_name: "x", quantity: "999999999999.999", unit_price: "99999999999.9999" }, ""],
    ["their sum", { item_name: "x", total_price: "9999999999999.99" }, ""],
  ])("adds nothing when the last of 500 is bad by %s", async (_case, bad, pointer) => {
    const { token } = await signIn("editor");
    const po = await insertPo();
    await insertLine(po);
    const before = await read(Po, `/po/${po}`, token);
    const response = await call(linesOf(po), { method: "POST", token, body: [...numbered(499), bad] });
    expect((await problem(response, "validation-failed")).errors).toMatchObject([{ in: "body", pointer }]);
    expect(await read(Po, `/po/${po}`, token)).toEqual(before);
    expect(await sql(`SELECT FROM "Finances".client_po_line_item WHERE client_po_id = $1`, [po])).toHaveLength(1);
  });

  it.each([0, 501])("refuses an array of %i lines", async (count) => {
    const { token } = await signIn("editor");
    const po = await insertPo();
    const response = await call(linesOf(po), { method: "POST", token, body: numbered(count) });
    expect((await problem(response, "validation-failed")).errors).toMatchObject([{ in: "body", pointer: "" }]);
  });

  it("does not find a PO that is not there", async () => {
    const { token } = await signIn("editor");
    for (const po of [9_000_000, 2 ** 53 - 1]) {
      for (const body of [numbered(1), numbered(1)[0]]) {
        await problem(await call(linesOf(po), { method: "POST", token, body }), "not-found");
      }
    }
  });
});

describe("PATCH /po/{po_id}/line-items/{line_item_id}", () => {
  it.each(["application/json", "application/merge-patch+json"])("merges a body of %s", async (type) => {
    const { token } = await signIn("editor");
    const po = await insertPo();
    const given = {
      item_name: "Shelf",
      hsn_code: "9403",
      unit: "Nos",
      quantity: "2",
      unit_price: "10",
      gst_rate: "18",
    };
    let line = await create(LineItem, linesOf(po), given, token);
    for (const [changes, expected] of [
      [{ item_name: "Desk" }, {}],
      [{ hsn_code: null }, {}],
      [{ unit: null }, {}],
      [{ quantity: 3 }, { quantity: "3.000", total_price: "30.00", gst_amount: "5.40", gross_amount: "35.40" }],
      [{ gst_rate: "12.5" }, { gst_rate: "12.50", gst_amount: "3.75", gross_amount: "33.75" }],
    ] as const) {
      const changed = await patch(LineItem, `${linesOf(po)}/${line.id}`, changes, token, type);
      const version = line.version + 1;
      expect(changed).toEqual({ ...line, ...changes, ...expected, version, updated_at: changed.updated_at });
      line = changed;
    }
    expect(await read(Po, `/po/${po}`, token)).toMatchObject({ po_value: "33.75", total_tax: "3.75" });
  });

  it("changes nothing when it says nothing, or what is there: not the PO either", async () => {
    const { token, id } = await signIn("editor");
    const po = await insertPo();
    const given = {
      item_name: "Shelf",
      hsn_code: "9403",
      unit: "Nos",
      quantity: "2",
      unit_price: "10",
      gst_rate: "18",
    };
    const line = await create(LineItem, linesOf(po), given, token);
    const before = await read(Po, `/po/${po}`, token);
    for (const body of [{}, given]) {
      expect(await patch(LineItem, `${linesOf(po)}/${line.id}`, body, token)).toEqual(line);
      const response = await call(`${linesOf(po)}/${line.id}`, { method: "PATCH", token, body });
      expect(await audited(response, id)).toEqual([]);
    }
    expect(await read(Po, `/po/${po}`, token)).toEqual(before);
  });

  it("is in the audit log with its PO and its caller", async () => {
    const { token, id } = await signIn("editor");
    const po = await insertPo();
    const line = await insertLine(po);
    const response = await call(`${linesOf(po)}/${line}`, { method: "PATCH", token, body: { total_price: 11 } });
    expect(await audited(response, id)).toEqual([`update client_po_line_item ${line}`, `update client_po ${po}`]);
  });

  it.each(["client_po_id", "id", "rate", "gst_amount", "gross_amount", "version", "created_at"])(
    "refuses %s, which is not for it to change",
    async (field) => {
      const { token } = await signIn("editor");
      const [po, other] = [await insertPo(), await insertPo()];
      const path = `${linesOf(po)}/${await insertLine(po)}`;
      const before = await read(LineItem, path, token);
      const response = await call(path, { method: "PATCH", token, body: { item_name: "x", [field]: other } });
      expect((await problem(response, "validation-failed")).errors).toMatchObject([{ pointer: `/${field}` }]);
      expect(await read(LineItem, path, token)).toEqual(before);
    },
  );
});

describe("DELETE /po/{po_id}/line-items/{line_item_id}", () => {
  it("is for an editor, and the PO's totals follow", async () => {
    const { token, id } = await signIn("editor");
    const po = await insertPo();
    const [one] = [await insertLine(po), await insertLine(po, { total_price: "1.50" })];
    const response = await remove(`${linesOf(po)}/${one}`, token);
    expect(await audited(response, id)).toEqual([`delete client_po_line_item ${one}`, `update client_po ${po}`]);
    expect(await read(Po, `/po/${po}`, token)).toMatchObject({ po_value: "1.50", line_item_count: 1 });
  });

  it("happens once when ten ask for it at once", async () => {
    const { token } = await signIn("editor");
    const po = await insertPo();
    const path = `${linesOf(po)}/${await insertLine(po)}`;
    const all = await Promise.all(Array.from({ length: 10 }, () => call(path, { method: "DELETE", token })));
    expect(all.map((response) => response.status).toSorted()).toEqual([204, ...Array(9).fill(404)]);
    expect(await read(Po, `/po/${po}`, token)).toMatchObject({ po_value: "0.00", line_item_count: 0 });
  });
});

describe("a line of another PO", () => {
  it.each(["PATCH", "DELETE"])("is not found by %s, and stays as it is", async (method) => {
    const { token } = await signIn("editor");
    const [po, other] = [await insertPo(), await insertPo()];
    await insertLine(po);
    const line = await insertLine(other);
    const before = await Promise.all([read(Po, `/po/${po}`, token), read(Po, `/po/${other}`, token)]);
    for (const body of method === "PATCH" ? [{ item_name: "x" }, {}] : [undefined]) {
      await problem(await call(`${linesOf(po)}/${line}`, { method, token, body }), "not-found");
      await problem(await call(`${linesOf(9_000_000)}/${line}`, { method, token, body }), "not-found");
    }
    expect(await Promise.all([read(Po, `/po/${po}`, token), read(Po, `/po/${other}`, token)])).toEqual(before);
  });
});

describe("an imported line whose PO is missing", () => {
  it.each(["PATCH", "DELETE"])("is not found by %s, and stays as it is", async (method) => {
    await freshDatabase();
    const { token } = await signIn("editor");
    const missing = (await insertPo()) + 1000;
    const key = "client_po_line_item_po_fkey";
    await sql(`ALTER TABLE "Finances".client_po_line_item DROP CONSTRAINT ${key}`);
    const orphan = await insertLine(missing);
    await sql(
      `ALTER TABLE "Finances".client_po_line_item ADD CONSTRAINT ${key}
       FOREIGN KEY (client_po_id) REFERENCES "Finances".client_po (id) ON DELETE CASCADE NOT VALID`,
    );
    const lines = `SELECT * FROM "Finances".client_po_line_item`;
    const before = await sql(lines);
    const body = method === "PATCH" ? { item_name: "x", total_price: "99" } : undefined;
    await problem(await call(`${linesOf(missing)}/${orphan}`, { method, token, body }), "not-found");
    expect(await sql(lines)).toEqual(before);
    await problem(await call(linesOf(missing), { method: "POST", token, body: numbered(1) }), "not-found");
    expect(await sql(lines)).toEqual(before);
  });
});
