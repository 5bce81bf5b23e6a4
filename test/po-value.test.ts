import { describe, expect, it } from "vitest";
import { PurchaseOrderWithLines as Po } from "../src/po/contract.ts";
import { call, read, signIn } from "./support/api.ts";
import { problem } from "./support/problem.ts";
import { insertClient } from "./support/rows.ts";
import { create, patch, remove } from "./support/write.ts";

const line = (total_price: string, gst_rate = "0") => ({ item_name: "Shelf", total_price, gst_rate });
const [maharashtra, karnataka] = ["27ABCDE1234F1Z5", "29ABCDE1234F1Z5"];

/** A PO through the API, and what to do with it. */
async function open(given: object = {}) {
  const { token } = await signIn("admin");
  const po = await create(Po, "/po", { client_id: await insertClient(), ...given }, token);
  const path = `/po/${po.id}`;
  return {
    po,
    change: (body: object) => patch(Po, path, body, token),
    add: async (total: string) => {
      const made = await call(`${path}/line-items`, { method: "POST", token, body: line(total) });
      expect(made.status).toBe(201);
      return read(Po, path, token);
    },
    drop: async () => {
      const [first] = (await read(Po, path, token)).line_items;
      await remove(`${path}/line-items/${first?.id}`, token);
      return read(Po, path, token);
    },
    refused: async (body: object, pointer: string) => {
      const before = await read(Po, path, token);
      const { errors } = await problem(await call(path, { method: "PATCH", token, body }), "validation-failed");
      expect(errors).toMatchObject([{ in: "body", pointer }]);
      expect(await read(Po, path, token)).toEqual(before);
    },
  };
}

describe("the value of a PO", () => {
  it("is as given as long as it never had lines, without a breakdown", async () => {
    const { po, change } = await open({ po_value: "100", vendor_gstin: maharashtra, bill_to_gstin: maharashtra });
    const breakdown = { subtotal: null, total_tax: null, cgst: null, sgst: null, igst: null };
    expect(po).toMatchObject({ po_value: "100.00", ...breakdown });
    expect(await change({ po_value: 0.01 })).toMatchObject({ po_value: "0.01", ...breakdown });
    expect(await change({ po_value: null, receivable_amount: null })).toMatchObject({ po_value: null, ...breakdown });
  });

  it("may be given with an empty list of lines", async () => {
    const { po } = await open({ po_value: "100", line_items: [] });
    expect(po).toMatchObject({ po_value: "100.00", subtotal: null });
  });

  it("is not given beside lines", async () => {
    const { token } = await signIn("editor");
    const body = { client_id: await insertClient(), po_value: "1.00", line_items: [line("1")] };
    const response = await call("/po", { method: "POST", token, body });
    expect((await problem(response, "validation-failed")).errors).toMatchObject([{ pointer: "/po_value" }]);
    const { po, refused } = await open({ line_items: [line("1")] });
    await refused({ po_value: "2", notes: "changed" }, "/po_value");
    await refused({ po_value: null }, "/po_value");
    // Also where it is the lines' sum already.
    await refused({ po_value: po.po_value }, "/po_value");
    await refused({ po_value: "2", receivable_amount: "2" }, "/po_value");
  });

  it("gives way to the lines, is 0.00 when the last one goes, and may be given again then", async () => {
    const { add, drop, change } = await open({ po_value: "100" });
    expect(await add("7")).toMatchObject({ po_value: "7.00", subtotal: "7.00", total_tax: "0.00" });
    expect(await drop()).toMatchObject({ po_value: "0.00", subtotal: "0.00", total_tax: "0.00", line_item_count: 0 });
    expect(await change({ po_value: "9" })).toMatchObject({ po_value: "9.00", subtotal: null, total_tax: null });
  });

  it.each(["1e13", "10000000000000", "-10000000000000"])("does not hold %s", async (value) => {
    const { refused } = await open();
    await refused({ po_value: value }, "/po_value");
    await refused({ receivable_amount: value }, "/receivable_amount");
  });
});

describe("the split of the tax", () => {
  const taxed = { line_items: [line("10", "0.1"), line("100", "18")] };

  it("is half and half within a state, the odd paisa to the first, and whole between states", async () => {
    const { po, change } = await open({ ...taxed, vendor_gstin: maharashtra, bill_to_gstin: maharashtra });
    const within = { total_tax: "18.01", cgst: "9.01", sgst: "9.00", igst: null };
    expect(po).toMatchObject(within);
    expect(await change({ bill_to_gstin: karnataka })).toMatchObject({ cgst: null, sgst: null, igst: "18.01" });
    expect(await change({ vendor_gstin: karnataka })).toMatchObject(within);
    const unknown = { cgst: null, sgst: null, igst: null, total_tax: "18.01" };
    expect(await change({ vendor_gstin: null })).toMatchObject(unknown);
    expect(await change({ vendor_gstin: karnataka, bill_to_gstin: null })).toMatchObject(unknown);
  });
});

describe("the receivable amount", () => {
  it("is the value unless given, and moves with it by the same difference", async () => {
    const { po, change, add, drop } = await open({ po_value: "100" });
    expect(po.receivable_amount).toBe("100.00");
    expect(await change({ po_value: "150" })).toMatchObject({ receivable_amount: "150.00" });
    expect(await change({ receivable_amount: "140" })).toMatchObject({
      po_value: "150.00",
      receivable_amount: "140.00",
    });
    expect(await change({ po_value: "100" })).toMatchObject({ receivable_amount: "90.00" });
    expect(await change({ po_value: "5" })).toMatchObject({ receivable_amount: "-5.00" });
    expect(await add("7")).toMatchObject({ po_value: "7.00", receivable_amount: "-3.00" });
    expect(await drop()).toMatchObject({ po_value: "0.00", receivable_amount: "-10.00" });
  });

  it.each(["5", "-5", "0", "100.00"])("is as given, %s, in a PO without lines and in one with them", async (given) => {
    const receivable_amount = Number(given).toFixed(2);
    const one = await open({ po_value: "100", receivable_amount: given });
    expect(one.po).toMatchObject({ po_value: "100.00", receivable_amount });
    const two = await open({ receivable_amount: given, line_items: [line("60"), line("40")] });
    expect(two.po).toMatchObject({ po_value: "100.00", receivable_amount });
    const three = await open({ receivable_amount: given });
    expect(three.po).toMatchObject({ po_value: null, receivable_amount });
  });

  it("is what a change gives, also where that is the old one and the value moves", async () => {
    const { change } = await open({ po_value: "100" });
    const changed = await change({ po_value: "150", receivable_amount: "100.00" });
    expect(changed).toMatchObject({ po_value: "150.00", receivable_amount: "100.00" });
    expect(await change({ receivable_amount: "1", po_value: "2" })).toMatchObject({ receivable_amount: "1.00" });
    expect(await change({ po_value: "3" })).toMatchObject({ receivable_amount: "2.00" });
  });

  it("cleared, is the value again", async () => {
    const { change } = await open({ receivable_amount: "5", line_items: [line("100")] });
    expect(await change({ receivable_amount: null })).toMatchObject({ receivable_amount: "100.00" });
    const other = await open({ po_value: "1", receivable_amount: "5" });
    expect(await other.change({ receivable_amount: null, po_value: "7" })).toMatchObject({ receivable_amount: "7.00" });
  });

  it("may not move beyond what it holds", async () => {
    const { refused } = await open({ po_value: "1", receivable_amount: "9999999999999.99" });
    await refused({ po_value: "1.01" }, "");
  });

  it("is the first line's value where there was neither value nor receivable", async () => {
    const { po, add } = await open();
    expect(po).toMatchObject({ po_value: null, receivable_amount: null });
    expect(await add("7")).toMatchObject({ po_value: "7.00", receivable_amount: "7.00" });
  });
});
