import fc from "fast-check";
import { expect } from "vitest";
import { sql } from "./api.ts";

/**
 * The rule for amounts once more, in integers, independent of the database: a quantity in thousandths, a unit price in
 * ten-thousandths, an amount in paise, a rate in hundredths of a percent.
 */
export interface Priced {
  quantity: bigint | null;
  unit_price: bigint | null;
  total_price: bigint | null;
  gst_rate: bigint | null;
}
export const scales = { quantity: 3, unit_price: 4, total_price: 2, gst_rate: 2 } as const;

/** Half away from zero, of what is not negative. */
const round = (value: bigint, by: bigint) => (value + by / 2n) / by;
const limit = 10n ** 15n;

/** `12.50`, as the wire has it. */
export function decimal(value: bigint, scale: number): string {
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, "0");
  return `${value < 0n ? "-" : ""}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
const orNull = (value: bigint | null, scale: number) => (value === null ? null : decimal(value, scale));

/** The amounts of a line in paise; undefined when they do not fit. */
export function amounts(line: Priced): { total: bigint; gst: bigint } | undefined {
  const total = line.unit_price === null ? line.total_price : round((line.quantity ?? 0n) * line.unit_price, 10n ** 5n);
  if (total === null) throw new Error("a line without a price");
  const gst = round(total * (line.gst_rate ?? 0n), 10n ** 4n);
  return total + gst < limit ? { total, gst } : undefined;
}

/** What the API answers of the line. */
export function lineAnswer(line: Priced) {
  const { total, gst } = amounts(line) ?? { total: -1n, gst: -1n };
  return {
    quantity: orNull(line.quantity, 3),
    unit_price: orNull(line.unit_price, 4),
    rate: orNull(line.unit_price, 4),
    total_price: decimal(total, 2),
    gst_rate: decimal(line.gst_rate ?? 0n, 2),
    gst_amount: decimal(gst, 2),
    gross_amount: decimal(total + gst, 2),
  };
}

/** The sums of the lines in paise; undefined when a line or a sum does not fit. */
export function sums(lines: Priced[]): { subtotal: bigint; tax: bigint; value: bigint } | undefined {
  let [subtotal, tax] = [0n, 0n];
  for (const line of lines) {
    const own = amounts(line);
    if (!own) return undefined;
    subtotal += own.total;
    tax += own.gst;
  }
  return subtotal + tax < limit ? { subtotal, tax, value: subtotal + tax } : undefined;
}

export const gstins = [null, "27ABCDE1234F1Z5", "27ZZZZZ9999Z9ZZ", "29ABCDE1234F1Z5"] as const;
export type Gstin = (typeof gstins)[number];

/** The amounts that the API answers of a PO that has, or had, lines. */
export function poAnswer(lines: Priced[], vendor: Gstin, billTo: Gstin) {
  const { subtotal, tax, value } = sums(lines) ?? { subtotal: -1n, tax: -1n, value: -1n };
  const split = { cgst: null as string | null, sgst: null as string | null, igst: null as string | null };
  if (vendor !== null && billTo !== null) {
    if (vendor.slice(0, 2) === billTo.slice(0, 2)) {
      Object.assign(split, { cgst: decimal(tax - tax / 2n, 2), sgst: decimal(tax / 2n, 2) });
    } else split.igst = decimal(tax, 2);
  }
  return {
    subtotal: decimal(subtotal, 2),
    total_tax: decimal(tax, 2),
    po_value: decimal(value, 2),
    line_item_count: lines.length,
    ...split,
  };
}

/** Values of up to 15 digits: everyday ones, ties, the smallest and the largest. */
const upTo = (least: bigint, scale: number, most: bigint) => {
  const unit = 10n ** BigInt(scale);
  const bounded = (max: bigint) => fc.bigInt({ min: least, max: max < most ? max : most });
  return fc.oneof(
    { weight: 4, arbitrary: bounded(1000n * unit) },
    { weight: 3, arbitrary: bounded(20n) },
    { weight: 2, arbitrary: bounded(10n ** 9n) },
    { weight: 1, arbitrary: fc.bigInt({ min: least, max: most }) },
    { weight: 1, arbitrary: fc.constantFrom(least, most) },
  );
};
const largest = limit - 1n;
export const quantities = upTo(1n, 3, largest);
export const unitPrices = upTo(0n, 4, largest);
export const totalPrices = upTo(0n, 2, largest);
export const rates = fc.oneof(fc.constantFrom(0n, 500n, 1000n, 1200n, 1800n, 2800n, 10000n), upTo(0n, 2, 10_000n));
/** Factors whose product ends in exactly half a paisa, and a price whose tax of ten percent does. */
const halves = fc
  .tuple(fc.bigInt({ min: 0n, max: 5000n }), fc.bigInt({ min: 0n, max: 5000n }))
  .chain(([one, two]) =>
    fc.constantFrom<Omit<Priced, "gst_rate">>(
      { quantity: (2n * one + 1n) * 1000n, unit_price: two * 100n + 50n, total_price: null },
      { quantity: (2n * one + 1n) * 500n, unit_price: (2n * two + 1n) * 100n, total_price: null },
      { quantity: null, unit_price: null, total_price: one * 10n + 5n },
    ),
  );

const anyLines: fc.Arbitrary<Priced> = fc
  .oneof(
    {
      weight: 3,
      arbitrary: fc.record({ quantity: quantities, unit_price: unitPrices, total_price: fc.constant(null) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        quantity: fc.option(quantities),
        unit_price: fc.constant(null),
        total_price: totalPrices,
      }),
    },
  )
  .chain((priced) => fc.option(rates).map((gst_rate) => ({ ...priced, gst_rate })));

export const newLines: fc.Arbitrary<Priced> = fc.oneof(
  { weight: 3, arbitrary: anyLines },
  {
    weight: 1,
    arbitrary: fc.tuple(halves, fc.constantFrom(1000n, 500n, null)).map(([line, gst_rate]) => ({ ...line, gst_rate })),
  },
);

/** How somebody may write a decimal in JSON: a string or a number, with the zeros at its ends or without. */
export const spellings = fc.record({ quoted: fc.boolean(), trimmed: fc.boolean(), zeros: fc.boolean() });
export type Spelling = typeof spellings extends fc.Arbitrary<infer Value> ? Value : never;

export function spell(value: bigint | null, scale: number, { quoted, trimmed, zeros }: Spelling): string {
  if (value === null) return "null";
  const full = decimal(value, scale);
  const text = trimmed ? full.replace(/\.?0+$/, "") : full;
  return quoted ? `"${zeros ? "00" : ""}${text}"` : text;
}

/** A line, or some fields of one, as JSON text. */
export function body(fields: Partial<Priced>, spelling: Spelling, more: Record<string, string> = {}): string {
  const members = Object.entries({ ...more }).map(
    ([field, value]) => `${JSON.stringify(field)}:${JSON.stringify(value)}`,
  );
  for (const field of ["quantity", "unit_price", "total_price", "gst_rate"] as const) {
    const value = fields[field];
    // No new line has a total_price of null: it says nothing there, and a PATCH cannot clear it.
    if (value === undefined || (field === "total_price" && value === null)) continue;
    members.push(`"${field}":${spell(value, scales[field], spelling)}`);
  }
  return `{${members.join(",")}}`;
}

const integer = (text: string | null | undefined) => (text == null ? null : BigInt(text.replace(".", "")));

/**
 * Asserts the rule for all there is in the database, from the lines up, as the API wrote it: every line's amounts, every
 * PO's sums and tax split, and that a receivable amount moved as its PO's value did whenever lines changed.
 */
export async function expectMoneyToAddUp(): Promise<void> {
  const lines = await sql(`SELECT * FROM "Finances".client_po_line_item`);
  const pos = await sql(`SELECT * FROM "Finances".client_po`);
  expect(Math.min(lines.length, pos.length)).toBeGreaterThan(0);
  const byPo = new Map<string, Priced[]>();
  for (const row of lines) {
    const { unit_price, total_price } = row;
    const line: Priced = {
      quantity: integer(row.quantity),
      unit_price: integer(unit_price),
      total_price: integer(total_price),
      gst_rate: integer(row.gst_rate),
    };
    expect({ line: row.id, ...row }).toMatchObject({ line: row.id, ...lineAnswer(line) });
    const of = String(row.client_po_id);
    byPo.set(of, [...(byPo.get(of) ?? []), line]);
  }
  for (const row of pos) {
    const own = byPo.get(String(row.id));
    expect({ po: row.id, lines: row.line_item_count }).toEqual({ po: row.id, lines: String(own?.length ?? 0) });
    if (own) {
      const { line_item_count: _, ...right } = poAnswer(own, row.vendor_gstin as Gstin, row.bill_to_gstin as Gstin);
      expect({ po: row.id, ...row }).toMatchObject({ po: row.id, ...right });
    } else if (row.subtotal === null) {
      expect({ po: row.id, ...row }).toMatchObject({ total_tax: null, cgst: null, sgst: null, igst: null });
    } else {
      expect({ po: row.id, ...row }).toMatchObject({ subtotal: "0.00", total_tax: "0.00", po_value: "0.00" });
    }
    // It defaults to the value, so it is missing only where that is.
    if (row.receivable_amount === null)
      expect({ po: row.id, value: row.po_value }).toEqual({ po: row.id, value: null });
  }
  const moved = await sql(
    `SELECT row_id, changes FROM "Finances".audit_log
     WHERE table_name = 'client_po' AND action = 'update' AND changes ? 'line_item_count'
       AND coalesce((changes #>> '{po_value,after}')::numeric, 0) - coalesce((changes #>> '{po_value,before}')::numeric, 0)
        <> coalesce((changes #>> '{receivable_amount,after}')::numeric, 0) - coalesce((changes #>> '{receivable_amount,before}')::numeric, 0)`,
  );
  expect(moved).toEqual([]);
}
