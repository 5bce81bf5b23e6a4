import fc from "fast-check";
import { isObject, resolve } from "./documented.ts";
import type { JsonSchema } from "./operations.ts";

/** JSON text that JSON.stringify would not write. */
export class Raw {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Something that exists, looked up when the request is sent: the one that the operation needs for this field. */
export class Known {
  readonly field: string;
  readonly index: number;
  constructor(field: string, index = 0) {
    this.field = field;
    this.index = index;
  }
}

export const known = (field: string) => fc.nat(1000).map((index) => new Known(field, index));

/** The JSON text of a value, with `look` for what exists. */
export async function write(value: unknown, look: (known: Known) => Promise<unknown>): Promise<string> {
  if (value instanceof Raw) return value.text;
  if (value instanceof Known) return JSON.stringify(await look(value));
  const members: string[] = [];
  if (Array.isArray(value)) {
    for (const item of value) members.push(await write(item, look));
    return `[${members.join(",")}]`;
  }
  if (!isObject(value)) return JSON.stringify(value);
  for (const [key, member] of Object.entries(value)) {
    members.push(`${JSON.stringify(key)}:${await write(member, look)}`);
  }
  return `{${members.join(",")}}`;
}

/** Text of any script that has broken something somewhere; all of it may stand in a text field. */
export const injections = [
  "'; DROP TABLE client; --",
  "' OR '1'='1",
  "\\'; COMMIT; --",
  "$$; SELECT 1; $$",
  "$1",
  ":name",
  "%s%n%x",
  "{{7*7}}",
  "<script>alert(1)</script>",
  "\u202eabc",
  "../../etc/passwd",
  "\r\nSet-Cookie: a=b",
  "=cmd|' /C calc'!A0",
  "__proto__",
  "constructor",
  "null",
  "NaN",
  "-0",
  "😀".repeat(20),
  "e\u0301\u0302\u0303",
  "\ufeffx",
  "a\u0007b",
  "\\u0000",
  "%00",
  "\u2028",
];
const unstorable = ['"a\\u0000b"', '"\\ud800"', '"\\udc00x"', '"\\ud83d"'].map((text) => new Raw(text));
const oddNumbers = [
  "1e400",
  "-1e400",
  "1e-400",
  "-0",
  "0.1e1",
  "1.00000000000000000001",
  "9007199254740993",
  "1E2",
].map((text) => new Raw(text));
export const oddKeys = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "",
  "id",
  "a/b~c",
  "$ref",
];

/** Any JSON at all. */
export const anything: fc.Arbitrary<unknown> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.constantFrom(...oddNumbers, ...unstorable, ...injections),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom<unknown>([], {}, [[]], [null], { source: "1" }),
  fc.json({ maxDepth: 3 }).map((text) => new Raw(text)),
);

const asRegExp = (schema: JsonSchema) => (typeof schema.pattern === "string" ? new RegExp(schema.pattern) : undefined);
const number = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
const typesOf = (schema: JsonSchema) => [schema.type].flat() as string[];
const formsOf = (schema: JsonSchema) => (schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined;
const propertiesOf = (schema: JsonSchema) => Object.entries(schema.properties ?? {}) as [string, JsonSchema][];

const formats: Record<string, fc.Arbitrary<string>> = {
  date: fc
    .date({ min: new Date("1900-01-01"), max: new Date("9999-12-31"), noInvalidDate: true })
    .map((date) => date.toISOString().slice(0, 10)),
  email: fc.emailAddress({ size: "small" }),
  uuid: fc.uuid(),
};

function text(schema: JsonSchema): fc.Arbitrary<unknown> {
  const format = formats[String(schema.format)];
  if (format) return format;
  const pattern = asRegExp(schema);
  if (pattern) {
    return fc.oneof(
      { weight: 3, arbitrary: fc.stringMatching(pattern, { size: "xsmall" }) },
      fc.stringMatching(pattern).filter((value) => value.length <= 50),
    );
  }
  const [minLength, maxLength] = [number(schema.minLength) ?? 0, number(schema.maxLength) ?? 1000];
  const fits = (value: string) => value.length >= minLength && value.length <= maxLength;
  return fc.oneof(
    {
      weight: 4,
      arbitrary: fc.string({ minLength, maxLength: Math.min(maxLength, 30), unit: "grapheme" }).filter(fits),
    },
    fc.constantFrom(...injections.filter(fits)),
    fc.constantFrom("x".repeat(Math.max(minLength, 1)), "é".repeat(maxLength)),
    fc.string({ minLength, maxLength: Math.min(maxLength, 30), unit: "binary" }).filter(fits),
  );
}

function numeral(schema: JsonSchema): fc.Arbitrary<unknown> {
  const pattern = asRegExp(schema);
  // Written as it is: a double would lose digits.
  if (pattern) {
    return fc
      .stringMatching(pattern, { size: "xsmall" })
      .map((digits) => new Raw(digits.replace(/^(-?)0*(?=\d)/, "$1")));
  }
  const min = number(schema.minimum) ?? (number(schema.exclusiveMinimum) ?? -1) + 1;
  const max = number(schema.maximum) ?? Number.MAX_SAFE_INTEGER;
  return fc.oneof(fc.integer({ min, max: Math.min(max, min + 300) }), fc.constantFrom(min, max));
}

/** What stands in for a field's own values: see `Fields`. */
export type Fields = Readonly<Record<string, fc.Arbitrary<unknown>>>;

/** Values that the schema allows; `fields` are those that must exist or be new to get through. */
export function valid(given: JsonSchema, fields: Fields = {}): fc.Arbitrary<unknown> {
  const schema = resolve(given);
  const forms = formsOf(schema);
  if (forms) return fc.oneof(...forms.map((form) => valid(form, fields)));
  if (Array.isArray(schema.enum)) return fc.constantFrom(...(schema.enum as unknown[]));
  const arbitraries: Record<string, () => fc.Arbitrary<unknown>> = {
    null: () => fc.constant(null),
    boolean: () => fc.boolean(),
    string: () => text(schema),
    integer: () => numeral(schema),
    number: () => numeral(schema),
    array: () =>
      fc.array(valid(schema.items as JsonSchema, fields), {
        minLength: number(schema.minItems) ?? 0,
        maxLength: Math.min(number(schema.maxItems) ?? 3, 3),
      }),
    object: () => object(schema, fields),
  };
  return fc.oneof(
    ...typesOf(schema).map((type) => {
      const make = arbitraries[type];
      if (!make) throw new Error(`no values of the type ${type}`);
      return { weight: type === "null" ? 1 : 4, arbitrary: make() };
    }),
  );
}

function object(schema: JsonSchema, fields: Fields): fc.Arbitrary<unknown> {
  const properties = Object.fromEntries(
    propertiesOf(schema).map(([name, property]) => {
      const own = fields[name];
      const arbitrary = valid(property, fields);
      const mostly = own ? fc.oneof({ weight: 12, arbitrary: own }, arbitrary) : arbitrary;
      return [
        name,
        "example" in property
          ? fc.oneof(
              { weight: own ? 0 : 1, arbitrary: fc.constant(property.example) },
              { weight: 3, arbitrary: mostly },
            )
          : mostly,
      ];
    }),
  );
  const record = fc.record(properties, { requiredKeys: (schema.required ?? []) as string[] });
  return fc.tuple(record, fc.integer({ min: 0, max: 9 })).map(([value, at]) => (at < 9 ? onePrice(value) : value));
}

/** What no schema says: a line has one kind of price, and the value of a PO with lines is their sum. */
function onePrice(value: Record<string, unknown>): Record<string, unknown> {
  const { unit_price, total_price, quantity, ...others } = value;
  if ("item_name" in value) {
    const priced =
      unit_price != null && quantity != null ? { unit_price, quantity } : { total_price: total_price ?? "12.50" };
    return { ...others, ...priced };
  }
  if (unit_price != null && total_price != null) return { ...others, unit_price, quantity: quantity ?? "1" };
  if (Array.isArray(value.line_items) && value.line_items.length > 0) return { ...value, po_value: null };
  return value;
}

/** Values just beyond what the schema allows. */
export function beyond(schema: JsonSchema): unknown[] {
  const [types, values] = [typesOf(schema), schema.enum as unknown[] | undefined];
  const found: unknown[] = types.includes("null") ? [] : [null];
  if (values) found.push("", "toString", ` ${String(values[0])}`, String(values[0]).toUpperCase());
  else if (types.includes("string")) {
    const [min, max] = [number(schema.minLength) ?? 0, number(schema.maxLength)];
    if (max !== undefined) found.push("x".repeat(max + 1), "😀".repeat(max + 1));
    if (min > 0) found.push("x".repeat(min - 1));
    if ("pattern" in schema || "format" in schema) found.push("", " ", "-0", "NaN", "x".repeat(60));
  }
  const [min, max] = [number(schema.minimum) ?? number(schema.exclusiveMinimum), number(schema.maximum)];
  if (min !== undefined) found.push(min - 1, ...("exclusiveMinimum" in schema ? [min] : []));
  if (max !== undefined) found.push(max + 1, String(max + 1), `${max}.01`);
  if (types.includes("integer")) found.push(1.5, "1", 2 ** 53, new Raw("1e400"));
  return found;
}

type Members = Record<string, unknown>;
const withoutMember = (value: Members, name: string): Members =>
  Object.fromEntries(Object.entries(value).filter(([key]) => key !== name));

/** Objects that are as the schema says but for one member, one arbitrary for each way to be wrong. */
export function singleFaults(given: JsonSchema, fields: Fields = {}): fc.Arbitrary<unknown>[] {
  const schema = resolve(given);
  const forms = formsOf(schema);
  if (forms) return forms.flatMap((form) => singleFaults(form, fields));
  if (!typesOf(schema).includes("object")) return [invalid(schema, fields)];
  const good = valid(schema, fields) as fc.Arbitrary<Members>;
  const spoil = (name: string, bad: fc.Arbitrary<unknown>) =>
    fc
      .tuple(good, bad)
      .map(([value, member]) => Object.fromEntries([...Object.entries(withoutMember(value, name)), [name, member]]));
  return [
    ...propertiesOf(schema).flatMap(([name, property]) => [
      ...beyond(property).map((value) => spoil(name, fc.constant(value))),
      spoil(name, invalid(property, fields)),
    ]),
    ...((schema.required ?? []) as string[]).map((name) => good.map((value) => withoutMember(value, name))),
    fc.constantFrom(...oddKeys, "nope").chain((name) => spoil(name, anything)),
    fc.string().chain((name) => spoil(name, anything)),
  ];
}

/** Values that the schema most likely refuses: one thing is wrong somewhere. */
export function invalid(given: JsonSchema, fields: Fields = {}): fc.Arbitrary<unknown> {
  const schema = resolve(given);
  const forms = formsOf(schema);
  if (forms) return fc.oneof(...forms.map((form) => invalid(form, fields)));
  const types = typesOf(schema);
  if (types.includes("object")) {
    return fc.oneof({ weight: 9, arbitrary: fc.oneof(...singleFaults(schema, fields)) }, anything);
  }
  const wrong: fc.Arbitrary<unknown>[] = [anything, fc.constantFrom(...oddNumbers, ...unstorable, ...injections)];
  if (types.includes("array")) {
    const items = schema.items as JsonSchema;
    const some = fc.array(valid(items, fields), { maxLength: 2 });
    wrong.push(fc.tuple(some, invalid(items, fields)).map(([good, bad]) => [...good, bad]));
  }
  const near = beyond(schema);
  if (near.length > 0) wrong.push(fc.constantFrom(...near), fc.constantFrom(...near));
  return fc.oneof(...wrong);
}
