import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InexactNumber, parseExactly } from "../src/exact-json.ts";

describe("a number of JSON", () => {
  it.each([
    ["0", 0],
    ["-0", -0],
    ["-1", -1],
    ["0.1", 0.1],
    ["1.10", 1.1],
    ["100", 100],
    ["1.0000000000000000000000000", 1],
    ["0.30000000000000000000", 0.3],
    ["0.30000000000000004", 0.30000000000000004],
    ["9007199254740991", 9007199254740991],
    ["9007199254740992", 9007199254740992],
    ["9999999999999.99", 9999999999999.99],
    ["99999999999.9999", 99999999999.9999],
    ["1e5", 100000],
    ["1E+2", 100],
    ["1.5e1", 15],
    ["0e-400", 0],
  ])("that a double holds is a number: %s", (source, value) => {
    expect(parseExactly(source)).toBe(value);
    expect(parseExactly(`{"a":[${source}]}`)).toEqual({ a: [value] });
  });

  it.each([
    "1.00000000000000000001",
    "9007199254740993",
    "-9007199254740993",
    "0.1000000000000000055511151231257827",
    "999999999999999.99",
    "1e400",
    "-1e400",
    "1e-7",
    "1e-400",
    "1.5e0",
    "1.000000000000000001e2",
    "4503599627370497.5e0",
    "1e22",
    `1${"0".repeat(60)}`,
    `0.${"0".repeat(60)}1`,
  ])("that a double rounds keeps its digits: %s", (source) => {
    expect(parseExactly(source)).toEqual(new InexactNumber(source));
    expect(parseExactly(`{"a":[${source}]}`)).toEqual({ a: [new InexactNumber(source)] });
  });

  const digits = (most: number) => fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: most });
  const decimal = fc
    .tuple(fc.constantFrom("", "-"), digits(18), fc.option(digits(18)))
    .map(([sign, whole, fraction]) => {
      const integer = whole.join("").replace(/^0+(?=\d)/, "");
      return `${sign}${integer}${fraction === null ? "" : `.${fraction.join("")}`}`;
    });

  it("is never another number than what was written", () => {
    const shortest = (text: string) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text).replace(/^-0$/, "0");
    fc.assert(
      fc.property(decimal, (source) => {
        const value = parseExactly(source);
        if (value instanceof InexactNumber) expect(value.source).toBe(source);
        else expect(shortest(String(value))).toBe(shortest(source));
      }),
      { numRuns: 2000 },
    );
  });
});

it("reads everything but such numbers as JSON.parse does", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      const plain = JSON.stringify(JSON.parse(text, (_key, value: unknown) => (typeof value === "number" ? 7 : value)));
      expect(parseExactly(plain)).toEqual(JSON.parse(plain));
      const provoked = `[${plain},1.00000000000000000001]`;
      expect(parseExactly(provoked)).toEqual([JSON.parse(plain), new InexactNumber("1.00000000000000000001")]);
    }),
  );
});

it("takes __proto__ as a key like any other", () => {
  const parsed = parseExactly('{"__proto__":{"x":1e400}}') as object;
  expect(Object.keys(parsed)).toEqual(["__proto__"]);
  expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype);
});

it.each([
  '{"a":1,"a":1}',
  '{"a":1.00000000000000000001,"a":2}',
  '{"a":1,"\\u0061":2}',
  '{"a":{}, "b":[], "a" \n:[]}',
  '[{"a":[{"b":{"c":0,"c":0}}]}]',
  '{"__proto__":1,"__proto__":2}',
  '{"":1,"":2}',
  '{"a\\"":1,"a\\"":2}',
  '{"a":{"x":1},"a":{"x":1,"y":2}}',
  '{"1":1,"1":2}',
])("refuses an object that has a key twice: %s", (text) => {
  expect(() => parseExactly(text)).toThrow(SyntaxError);
});

it.each([
  '{"a":{"a":{"a":1}}}',
  '[{"a":1},{"a":1}]',
  '{"a":"\\"a\\":1,\\"a\\":2"}',
  '{"a":"\\\\","b":":","c":"\\\\\\":"}',
  '{"a":1,"A":1,"a ":1}',
  '["a","a",":"]',
  '"a:"',
  '{"source":1.00000000000000000001}',
])("is not misled by what only looks like a key: %s", (text) => {
  expect(parseExactly(text)).toBeDefined();
});

it.each(["", " ", "NaN", "Infinity", "-", "01", ".5", "5.", "0x10", "1e", "+1", "1_000", "'1'", "{", "1 2", "[1e400"])(
  "refuses what is no JSON: %s",
  (text) => {
    expect(() => parseExactly(text)).toThrow(SyntaxError);
  },
);

it.each<[string, () => string]>([
  ["zeros before a last digit", () => `1.${"0".repeat(1_000_000)}1`],
  ["digits", () => "9".repeat(1_000_000)],
  ["zeros and an exponent", () => `1${"0".repeat(1_000_000)}e1`],
  ["keys", () => `{${Array.from({ length: 100_000 }, (_, index) => `"${index}":0`).join(",")}}`],
  ["backslashes", () => `{"a":"${"\\\\".repeat(500_000)}"}`],
  ["blanks", () => `["a"${" ".repeat(1_000_000)}]`],
  ["nesting", () => `${'{"a":'.repeat(150_000)}0${"}".repeat(150_000)}`],
  ["long numbers", () => `[${Array.from({ length: 20_000 }, () => `1.${"0".repeat(45)}1`).join(",")}]`],
])("reads a megabyte of %s in no time", (_case, text) => {
  // Were it quadratic, this would run for minutes. The clock of workerd stands still meanwhile, so nothing measures it.
  expect(parseExactly(text())).toBeDefined();
});
