import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { divideRounded, fromUnits, sameNumber, toUnits } from "../tools/legacy/decimal.ts";
import { cleanRate, type LineAmounts, repairLine } from "../tools/legacy/line-item.ts";
import { taxSplit } from "../tools/legacy/purchase-order.ts";

const units = (text: string | null, scale: number) => (text === null ? null : (toUnits(text, scale)?.units ?? null));

describe("decimals", () => {
  it.each([
    ["0.30000000000000004", 2, "0.30", false],
    ["0.005", 2, "0.01", false],
    ["-0.005", 2, "-0.01", false],
    ["0.0049999", 2, "0.00", false],
    ["299918.70", 2, "299918.70", true],
    ["7", 4, "7.0000", true],
    ["0E-10", 2, "0.00", true],
    ["1.5e3", 2, "1500.00", true],
    ["-12.5", 0, "-13", false],
    [".5", 2, undefined, undefined],
    ["NaN", 2, undefined, undefined],
    ["Infinity", 2, undefined, undefined],
    ["1e99999", 2, undefined, undefined],
    ["", 2, undefined, undefined],
  ])("reads %s at scale %i as %s", (text, scale, expected, exact) => {
    const number = toUnits(text, scale);
    expect(number && fromUnits(number.units, scale)).toBe(expected);
    expect(number?.exact).toBe(exact);
  });

  it("compares by value", () => {
    expect(sameNumber("100.000", "1e2")).toBe(true);
    expect(sameNumber("0.00", null)).toBe(false);
    expect(sameNumber(null, null)).toBe(true);
  });
});

describe("a clean GST rate", () => {
  it.each([
    ["100.00", "18.00", "18.00"],
    ["2758656.80", "496558.22", "18.00"],
    ["100.00", "0.00", "0.00"],
    ["0.00", "0.00", "0.00"],
    ["0.00", "1.00", null],
    ["100.00", "0.25", "0.25"],
    ["10.00", "1.80", "18.00"],
    ["0.05", "0.01", "18.00"],
    ["100.00", "13.00", "13.00"],
    ["10000.00", "1234.00", "12.34"],
    ["1000000.00", "123456.78", null],
    ["100.00", "100.00", "100.00"],
    ["100.00", "100.01", null],
    ["100.00", "-18.00", null],
  ])("of %s with GST %s is %s", (total, gst, rate) => {
    const found = cleanRate(units(total, 2) ?? 0n, units(gst, 2) ?? 0n);
    expect(found === null ? null : fromUnits(found, 2)).toBe(rate);
  });

  it("always reproduces the GST, and is found whenever one does", () => {
    const paise = fc.bigInt({ min: 0n, max: 10n ** 12n });
    const rate = fc.bigInt({ min: 0n, max: 10_000n });
    fc.assert(
      fc.property(paise, rate, (total, given) => {
        const gst = divideRounded(total * given, 10_000n);
        const found = cleanRate(total, gst);
        expect(found).not.toBeNull();
        expect(divideRounded(total * (found ?? 0n), 10_000n)).toBe(gst);
      }),
      { numRuns: 500 },
    );
  });
});

describe("a garbled line", () => {
  const amounts = (values: (string | null)[]): LineAmounts => {
    const [quantity = null, unitPrice = null, totalPrice = null, gstAmount = null, grossAmount = null] = values;
    return {
      quantity: units(quantity, 3),
      unitPrice: units(unitPrice, 4),
      totalPrice: units(totalPrice, 2),
      gstAmount: units(gstAmount, 2),
      grossAmount: units(grossAmount, 2),
    };
  };
  const text = (value: bigint | null, scale: number) => (value === null ? null : fromUnits(value, scale));

  // quantity, unit price, total, GST, gross -> unit price, total, GST, rate, what was repaired
  it.each([
    [
      "takes GST from gross and the price from the total",
      ["313", "496558.22", "2758656.80", "0.00", "3255215.02"],
      ["8813.6000", "2758656.80", "496558.22", "18.00"],
      ["gst", "unitPrice"],
    ],
    [
      "has no price where none is exact at 4 places",
      ["3", "18", "100.00", "0", "118.00"],
      [null, "100.00", "18.00", "18.00"],
      ["gst", "unitPrice"],
    ],
    [
      "has no rate where none is clean",
      ["1", "1000000", "1000000.00", "0", "1123456.78"],
      ["1000000.0000", "1000000.00", "123456.78", null],
      ["gst"],
    ],
    [
      "stays where nothing is garbled",
      ["2", "50.25", "100.50", "18.09", "118.59"],
      ["50.2500", "100.50", "18.09", "18.00"],
      [],
    ],
    ["stays without a unit price", ["12", null, "25833.96", null, null], [null, "25833.96", "0.00", "0.00"], []],
    [
      "counts a missing GST as none given",
      ["1", "10", "10.00", null, "11.80"],
      ["10.0000", "10.00", "1.80", "18.00"],
      ["gst"],
    ],
    [
      "keeps a price whose product rounds to the total",
      ["3", "33.3333", "100.00", null, null],
      ["33.3333", "100.00", "0.00", "0.00"],
      [],
    ],
    [
      "loses a quantity that is not above zero, and its price",
      ["0", "5", "100.00", null, null],
      [null, "100.00", "0.00", "0.00"],
      ["unitPrice", "quantity"],
    ],
    [
      "gets a missing total from quantity and price",
      ["4", "2.5", null, null, null],
      ["2.5000", "10.00", "0.00", "0.00"],
      ["totalPrice"],
    ],
    [
      "gets a missing total from gross",
      [null, null, null, "18.00", "118.00"],
      [null, "100.00", "18.00", "18.00"],
      ["totalPrice"],
    ],
  ])("%s", (_, given, [unitPrice, totalPrice, gstAmount, gstRate], repaired) => {
    const line = repairLine(amounts(given));
    expect(text(line.unitPrice, 4)).toBe(unitPrice);
    expect(text(line.totalPrice, 2)).toBe(totalPrice);
    expect(text(line.gstAmount, 2)).toBe(gstAmount);
    expect(text(line.gstRate, 2)).toBe(gstRate);
    const kinds = Object.entries(line.repaired).flatMap(([kind, isRepaired]) => (isRepaired ? [kind] : []));
    expect(kinds).toEqual(repaired);
  });

  it("keeps the total and the gross amount, whatever else it mends", () => {
    const optional = (max: bigint) => fc.option(fc.bigInt({ min: 0n, max }));
    const paise = fc.bigInt({ min: 0n, max: 10n ** 11n });
    fc.assert(
      fc.property(
        optional(10n ** 7n),
        optional(10n ** 9n),
        paise,
        optional(10n ** 11n),
        optional(10n ** 11n),
        (quantity, unitPrice, totalPrice, gstAmount, extra) => {
          const grossAmount = extra === null ? null : totalPrice + extra;
          const line = repairLine({ quantity, unitPrice, totalPrice, gstAmount, grossAmount });
          expect(line.totalPrice).toBe(totalPrice);
          if (grossAmount !== null) expect(line.totalPrice + line.gstAmount).toBe(grossAmount);
          if (line.unitPrice !== null && line.quantity !== null) {
            expect(divideRounded(line.quantity * line.unitPrice, 100_000n)).toBe(totalPrice);
          }
          if (line.gstRate !== null) expect(divideRounded(totalPrice * line.gstRate, 10_000n)).toBe(line.gstAmount);
        },
      ),
    );
  });
});

it.each([
  ["27AAAAA0000A1Z5", "27BBBBB1111B1Z5", 101n, { cgst: 51n, sgst: 50n, igst: null }],
  ["27AAAAA0000A1Z5", "29BBBBB1111B1Z5", 101n, { cgst: null, sgst: null, igst: 101n }],
  ["27AAAAA0000A1Z5", null, 101n, { cgst: null, sgst: null, igst: null }],
  ["x7", "27", 101n, { cgst: null, sgst: null, igst: null }],
])("splits the tax between %s and %s", (vendor, billTo, tax, expected) => {
  expect(taxSplit(vendor, billTo, tax)).toEqual(expected);
});
