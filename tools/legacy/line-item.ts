import { divideRounded } from "./decimal.ts";

/** In units of their columns: quantity 3 places, prices 4, amounts 2. */
export type LineAmounts = {
  quantity: bigint | null;
  unitPrice: bigint | null;
  totalPrice: bigint | null;
  gstAmount: bigint | null;
  grossAmount: bigint | null;
};

/** `gstRate` has 2 places and is null where the GST follows no clean rate. */
export type RepairedLine = {
  quantity: bigint | null;
  unitPrice: bigint | null;
  totalPrice: bigint;
  gstAmount: bigint;
  gstRate: bigint | null;
  /** What was garbled, as opposed to merely absent. */
  repaired: { gst: boolean; unitPrice: boolean; totalPrice: boolean; quantity: boolean };
};

/** Usual GST rates in hundredths of a percent. */
const slabs = [0n, 10n, 25n, 100n, 150n, 300n, 500n, 600n, 750n, 900n, 1200n, 1400n, 1800n, 2800n, 4000n];
const highestUnitPrice = 10n ** 15n;

const distance = (one: bigint, other: bigint) => (one > other ? one - other : other - one);

/**
 * The rate (percent, 2 places, 0 to 100) whose GST on `total`, rounded half away from zero, is exactly `gst`; both in
 * paise and not below zero. Of several a usual slab, else the one nearest to the true quotient. Null when there is none.
 */
export function cleanRate(total: bigint, gst: bigint): bigint | null {
  const gives = (rate: bigint) => rate >= 0n && rate <= 10_000n && divideRounded(total * rate, 10_000n) === gst;
  const nearestFirst = (rates: bigint[]) =>
    rates
      .filter(gives)
      .toSorted((a, b) => Number(distance(a * total, gst * 10_000n) - distance(b * total, gst * 10_000n)));
  if (total === 0n) return gst === 0n ? 0n : null;
  const below = (gst * 10_000n) / total;
  return nearestFirst(slabs)[0] ?? nearestFirst([below, below + 1n])[0] ?? null;
}

/** quantity x unit price, in paise. */
const product = (quantity: bigint, unitPrice: bigint) => divideRounded(quantity * unitPrice, 100_000n);

/**
 * Mends what the legacy's parsers garbled: where gross differs from total + GST, the GST is their difference; where
 * quantity x unit price differs from the total, the unit price is total / quantity if exact at 4 places, else null.
 * A missing total comes from the other amounts. Lines without a unit price stay without.
 */
export function repairLine(line: LineAmounts): RepairedLine {
  const quantity = line.quantity !== null && line.quantity > 0n ? line.quantity : null;
  const totalPrice = line.totalPrice ?? missingTotal({ ...line, quantity });
  const gstGarbled = line.grossAmount !== null && line.grossAmount !== totalPrice + (line.gstAmount ?? 0n);
  const gstAmount = gstGarbled ? (line.grossAmount ?? 0n) - totalPrice : (line.gstAmount ?? 0n);
  const unitPrice = repairedUnitPrice(quantity, line.unitPrice, totalPrice);
  return {
    quantity,
    unitPrice,
    totalPrice,
    gstAmount,
    gstRate: cleanRate(totalPrice, gstAmount),
    repaired: {
      gst: gstGarbled,
      unitPrice: unitPrice !== line.unitPrice,
      totalPrice: line.totalPrice === null,
      quantity: quantity !== line.quantity,
    },
  };
}

function missingTotal({ quantity, unitPrice, gstAmount, grossAmount }: LineAmounts): bigint {
  if (quantity !== null && unitPrice !== null) return product(quantity, unitPrice);
  return grossAmount === null ? 0n : grossAmount - (gstAmount ?? 0n);
}

function repairedUnitPrice(quantity: bigint | null, unitPrice: bigint | null, totalPrice: bigint): bigint | null {
  if (unitPrice === null || quantity === null) return null;
  if (product(quantity, unitPrice) === totalPrice) return unitPrice;
  const exact = (totalPrice * 100_000n) % quantity === 0n;
  const price = (totalPrice * 100_000n) / quantity;
  return exact && price < highestUnitPrice ? price : null;
}
