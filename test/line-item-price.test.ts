import { describe, expect, it } from "vitest";
import { LineItem } from "../src/line-item/contract.ts";
import { PurchaseOrderWithLines as Po } from "../src/po/contract.ts";
import { call, read, signIn } from "./support/api.ts";
import { problem } from "./support/problem.ts";
import { insertClient, insertLine, insertPo } from "./support/rows.ts";
import { create, patch } from "./support/write.ts";

const shelf = { item_name: "Shelf" };
const byUnit = { ...shelf, quantity: "2", unit_price: "10", gst_rate: "18" };
const asWhole = { ...shelf, quantity: "2", total_price: "20", gst_rate: "18" };

/** A PO of one line, through the API. */
async function poWith(line: object, more: object = {}) {
  const { token } = await signIn("admin");
  const po = await create(Po, "/po", { client_id: await insertClient(), line_items: [line], ...more }, token);
  const path = `/po/${po.id}`;
  const linePath = `${path}/line-items/${po.line_items[0]?.id}`;
  const refused = async (where: string, body: object, pointer: string) => {
    const before = await read(Po, path, token);
    const { errors } = await problem(await call(where, { method: "PATCH", token, body }), "validation-failed");
    expect(errors).toMatchObject([{ in: "body", pointer }]);
    expect(await read(Po, path, token)).toEqual(before);
  };
  return { token, po, path, linePath, refused };
}

describe("a line", () => {
  it.each<[string, object, string]>([
    ["no price", shelf, "/unit_price"],
    ["both prices", { ...byUnit, total_price: "20" }, "/unit_price"],
    ["prices of null", { ...shelf, quantity: "1", unit_price: null }, "/unit_price"],
    ["a unit price without a quantity", { ...shelf, unit_price: "1" }, "/quantity"],
    ["a unit price and a quantity of null", { ...shelf, unit_price: "1", quantity: null }, "/quantity"],
  ])("is refused with %s, in a PO, in an array and alone", async (_case, line, pointer) => {
    const { token, path } = await poWith(byUnit);
    const client_id = await insertClient();
    for (const [where, given, prefix] of [
      ["/po", { client_id, line_items: [byUnit, line] }, "/line_items/1"],
      [`${path}/line-items`, [byUnit, line], "/1"],
      [`${path}/line-items`, line, ""],
    ] as const) {
      const response = await call(where, { method: "POST", token, body: given });
      expect((await problem(response, "validation-failed")).errors).toMatchObject([{ pointer: `${prefix}${pointer}` }]);
    }
  });

  it.each<[string, object, object, object]>([
    ["a quantity moves a unit-priced total", byUnit, { quantity: "3" }, { total_price: "30.00", gst_amount: "5.40" }],
    [
      "a quantity leaves a total that was given",
      asWhole,
      { quantity: "3" },
      { total_price: "20.00", unit_price: null },
    ],
    [
      "a quantity may go from a total that was given",
      asWhole,
      { quantity: null },
      { total_price: "20.00", quantity: null },
    ],
    [
      "a unit price takes a given total's place",
      asWhole,
      { unit_price: "7" },
      { total_price: "14.00", rate: "7.0000" },
    ],
    [
      "a total takes the unit price's place",
      byUnit,
      { total_price: "7" },
      { total_price: "7.00", unit_price: null, rate: null },
    ],
    ["also the total that is there", byUnit, { total_price: "20" }, { total_price: "20.00", unit_price: null }],
    [
      "also with another quantity",
      byUnit,
      { quantity: "3", total_price: "20" },
      { total_price: "20.00", unit_price: null },
    ],
    [
      "a unit price that goes leaves its total",
      byUnit,
      { unit_price: null },
      { total_price: "20.00", unit_price: null },
    ],
    [
      "also with another quantity",
      byUnit,
      { unit_price: null, quantity: "3" },
      { total_price: "20.00", quantity: "3.000" },
    ],
    ["a rate moves the tax alone", byUnit, { gst_rate: "5" }, { total_price: "20.00", gst_amount: "1.00" }],
    [
      "a rate of null is none",
      byUnit,
      { gst_rate: null },
      { gst_rate: "0.00", gst_amount: "0.00", gross_amount: "20.00" },
    ],
    ["a price may be zero", byUnit, { unit_price: "0" }, { total_price: "0.00", gross_amount: "0.00" }],
  ])("follows its rule: %s", async (_case, line, changes, expected) => {
    const { token, path, linePath } = await poWith(line);
    const changed = await patch(LineItem, linePath, changes, token);
    expect(changed).toMatchObject(expected);
    expect(await read(Po, path, token)).toMatchObject({
      subtotal: changed.total_price,
      po_value: changed.gross_amount,
    });
  });

  it("is not left without what its price needs", async () => {
    const unit = await poWith(byUnit);
    await unit.refused(unit.linePath, { quantity: null }, "/quantity");
    await unit.refused(unit.linePath, { total_price: null }, "/total_price");
    await unit.refused(unit.linePath, { unit_price: "1", total_price: "2" }, "/unit_price");
    const whole = await poWith({ ...shelf, total_price: "20" });
    await whole.refused(whole.linePath, { unit_price: "1" }, "/quantity");
  });

  it.each([
    ["0.5", "0.01", "0.01"],
    ["0.5", "0.0099", "0.00"],
    ["1", "0.0049", "0.00"],
    ["1", "0.005", "0.01"],
    ["1", "2.675", "2.68"],
    ["1.005", "1", "1.01"],
    ["0.001", "5", "0.01"],
    ["999999999999.999", "9.9999", "9999899999999.99"],
  ])("rounds %s x %s half away from zero to %s", async (quantity, unit_price, total_price) => {
    const { po } = await poWith({ ...shelf, quantity, unit_price });
    expect(po.line_items).toMatchObject([{ total_price }]);
  });

  it.each([
    ["0.01", "50", "0.01"],
    ["0.01", "49.99", "0.00"],
    ["0.03", "16.67", "0.01"],
    ["26.25", "18", "4.73"],
    // At the fourth place this would be a half.
    ["3000000000050.01", "99.99", "2999700000050.00"],
    ["4999999999999.99", "100", "4999999999999.99"],
  ])("of %s has at %s percent the GST %s, rounded once", async (total_price, gst_rate, gst_amount) => {
    const { po } = await poWith({ ...shelf, total_price, gst_rate });
    expect(po).toMatchObject({ total_tax: gst_amount, line_items: [{ gst_amount }] });
  });

  it("that was imported with GST but no rate stays as it is until it has one", async () => {
    const { token } = await signIn("editor");
    for (const price of [
      { quantity: "2", unit_price: "10", total_price: "20" },
      { quantity: "2", total_price: "20" },
    ]) {
      const po = await insertPo();
      const line = await insertLine(po, { ...price, gst_amount: "3.33" });
      const path = `/po/${po}/line-items/${line}`;
      const before = await patch(LineItem, path, { item_name: "Desk", unit: "Nos", gst_rate: null }, token);
      expect(before).toMatchObject({ gst_rate: null, gst_amount: "3.33", gross_amount: "23.33", item_name: "Desk" });
      expect(await patch(LineItem, path, { quantity: "2.000" }, token)).toEqual(before);
      for (const body of [
        { quantity: "3" },
        { unit_price: "11", quantity: "2" },
        { total_price: "21" },
        { total_price: "21", gst_rate: null },
      ]) {
        const { errors } = await problem(await call(path, { method: "PATCH", token, body }), "validation-failed");
        expect(errors).toMatchObject([{ in: "body", pointer: "/gst_rate" }]);
        expect(await read(LineItem, path, token)).toEqual(before);
      }
      const after = await patch(LineItem, path, { total_price: "21", gst_rate: "10" }, token);
      expect(after).toMatchObject({ total_price: "21.00", gst_rate: "10.00", gst_amount: "2.10" });
      expect(await patch(LineItem, path, { total_price: "22" }, token)).toMatchObject({ gst_amount: "2.20" });
    }
  });
});
