import { fromUnits, sameNumber } from "./decimal.ts";
import { change, type Draft, type Journal, unitsOf } from "./row.ts";

/** What a PO's lines add up to, in paise. */
export type LineSums = { lines: number; subtotal: bigint; totalTax: bigint };

/** A PO whose value in the file is not what its lines add up to; amounts as text, `fileValue` null where it has none. */
export type PoDifference = {
  id: string;
  number: string | null;
  lines: number;
  fileValue: string | null;
  lineTotal: string;
};

const stateCode = /^[0-9]{2}/;
const rupees = (paise: bigint | null) => (paise === null ? null : fromUnits(paise, 2));

/** Half each to CGST and SGST within a state, the odd paisa to CGST; IGST across; none without two state codes. */
export function taxSplit(vendorGstin: string | null, billToGstin: string | null, totalTax: bigint) {
  const from = stateCode.exec(vendorGstin ?? "")?.[0];
  const to = stateCode.exec(billToGstin ?? "")?.[0];
  if (from === undefined || to === undefined) return { cgst: null, sgst: null, igst: null };
  if (from !== to) return { cgst: null, sgst: null, igst: totalTax };
  return { cgst: totalTax - totalTax / 2n, sgst: totalTax / 2n, igst: null };
}

/**
 * Brings a PO's amounts in line with its lines, as the database's triggers will: subtotal, taxes and their split.
 * Answers the difference where po_value is not their sum; with `acceptLineTotals` it takes the sum and moves
 * receivable_amount by the same difference (a PO without a value has none to move by).
 */
export function reconcile(
  journal: Journal,
  draft: Draft,
  sums: LineSums | undefined,
  acceptLineTotals: boolean,
): PoDifference | undefined {
  const derive = (column: string, paise: bigint | null) => {
    const before = draft.raw[column] ?? null;
    const after = rupees(paise);
    draft.values[column] = after;
    if (!sameNumber(before || null, after))
      change(journal, draft, column, after, before === null ? "filled" : "derived");
  };
  const fileValue = unitsOf(draft, "po_value", 2);
  const total = sums === undefined ? fileValue : sums.subtotal + sums.totalTax;
  derive("subtotal", sums?.subtotal ?? null);
  derive("total_tax", sums?.totalTax ?? null);
  const { vendor_gstin: vendorGstin = null, bill_to_gstin: billToGstin = null } = draft.values;
  const split = sums === undefined ? undefined : taxSplit(vendorGstin, billToGstin, sums.totalTax);
  for (const part of ["cgst", "sgst", "igst"] as const) derive(part, split?.[part] ?? null);

  const differs = sums !== undefined && total !== fileValue;
  const receivable = unitsOf(draft, "receivable_amount", 2);
  if (differs && acceptLineTotals) {
    change(journal, draft, "po_value", rupees(total), "value");
    if (receivable !== null && fileValue !== null) {
      const moved = receivable + (total ?? 0n) - fileValue;
      change(journal, draft, "receivable_amount", rupees(moved), "value");
    }
  }
  if (receivable === null && total !== null) change(journal, draft, "receivable_amount", rupees(total), "receivable");
  if (!differs) return undefined;
  const number = draft.values.po_number ?? null;
  return {
    id: draft.id,
    number,
    lines: sums.lines,
    fileValue: rupees(fileValue),
    lineTotal: fromUnits(total ?? 0n, 2),
  };
}
