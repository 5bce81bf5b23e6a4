import { fromUnits, sameNumber } from "./decimal.ts";
import { type RepairedLine, repairLine } from "./line-item.ts";
import { change, type Draft, type Journal, problem, unitsOf } from "./row.ts";
import type { TargetColumn } from "./target.ts";

const poStatuses = ["pending", "active", "completed", "cancelled"];
const poTypes = ["standard", "verbal_agreement"];
const vendorStatuses = ["active", "inactive"];
const gstin = /^[0-9]{2}[A-Z]{5}[0-9]{4}[A-Z][0-9A-Z]{3}$/;
const bcryptHash = /^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$/;
const madeAt = ["created_at", "upload_timestamp"];
/** The legacy hard-coded bundling by store to this client. */
const bundlingClient = "2";

/** Instants that must be there: a creation takes the export's time, any other one the row's creation. */
export function fillInstants(
  journal: Journal,
  draft: Draft,
  columns: readonly TargetColumn[],
  exportedAt: string | null,
) {
  const instants = columns.filter(({ type, required }) => type === "timestamp with time zone" && required);
  for (const { name } of instants) {
    if (draft.raw[name] != null || !madeAt.includes(name)) continue;
    if (name in draft.raw) change(journal, draft, name, exportedAt, "time");
    else draft.values[name] = exportedAt;
  }
  const created = madeAt.map((name) => draft.values[name]).find((value) => value != null) ?? exportedAt;
  for (const { name } of instants) {
    if (madeAt.includes(name) || name === "expires_at") continue;
    if (draft.raw[name] === null) change(journal, draft, name, created, "time");
    else draft.values[name] ??= created;
  }
}

/** Trimmed and lower-cased; what is not one of `known` becomes the first of them. */
function mendWord(journal: Journal, draft: Draft, column: string, known: readonly string[]) {
  const text = draft.raw[column] ?? null;
  const word =
    text
      ?.trim()
      .toLowerCase()
      .replaceAll(/[\s-]+/g, "_") ?? "";
  const after = known.includes(word) ? word : (known[0] ?? null);
  if (after !== text) change(journal, draft, column, after, "status");
}

function mendName(journal: Journal, draft: Draft, column: string) {
  if (/^ *$/.test(draft.raw[column] ?? "x")) change(journal, draft, column, "(no name)", "name");
}

export function mendClient(journal: Journal, draft: Draft) {
  mendName(journal, draft, "name");
  draft.values.bundle_by_store = String(draft.id === bundlingClient);
}

export function mendVendor(journal: Journal, draft: Draft) {
  mendName(journal, draft, "name");
  mendWord(journal, draft, "status", vendorStatuses);
  const text = draft.values.gstin ?? null;
  const clean = text?.trim().toUpperCase() ?? "";
  const after = gstin.test(clean) ? clean : null;
  if (after !== text) change(journal, draft, "gstin", after, "gstin");
}

export function mendUser(journal: Journal, draft: Draft, role: string) {
  draft.values.role = role;
  if (!bcryptHash.test(draft.raw.password_hash ?? "")) problem(journal, draft, "password_hash", "is no bcrypt hash");
}

export function mendPo(journal: Journal, draft: Draft) {
  mendWord(journal, draft, "status", poStatuses);
  mendWord(journal, draft, "po_type", poTypes);
}

/** Sets a line's amounts by the totals' rule and its creation to `createdAt`, its PO's or, for an orphan, the export's. */
export function mendLine(journal: Journal, draft: Draft, createdAt: string | null): RepairedLine {
  mendName(journal, draft, "item_name");
  const line = repairLine({
    quantity: unitsOf(draft, "quantity", 3),
    unitPrice: unitsOf(draft, "unit_price", 4),
    totalPrice: unitsOf(draft, "total_price", 2),
    gstAmount: unitsOf(draft, "gst_amount", 2),
    grossAmount: unitsOf(draft, "gross_amount", 2),
  });
  const unitPrice = line.unitPrice === null ? null : fromUnits(line.unitPrice, 4);
  const gross = fromUnits(line.totalPrice + line.gstAmount, 2);
  if (line.repaired.quantity) change(journal, draft, "quantity", null, "quantity");
  if (line.repaired.totalPrice) change(journal, draft, "total_price", fromUnits(line.totalPrice, 2), "total");
  if (line.repaired.unitPrice) change(journal, draft, "unit_price", unitPrice, "price");
  if (!sameNumber(draft.values.rate ?? null, unitPrice)) change(journal, draft, "rate", unitPrice, "price");
  const gstKind = line.repaired.gst ? "gst" : draft.values.gst_amount == null ? "filled" : undefined;
  if (gstKind !== undefined) change(journal, draft, "gst_amount", fromUnits(line.gstAmount, 2), gstKind);
  if (draft.values.gross_amount == null) change(journal, draft, "gross_amount", gross, "filled");
  draft.values.gst_rate = line.gstRate === null ? null : fromUnits(line.gstRate, 2);
  draft.values.created_at = createdAt;
  draft.values.updated_at = createdAt;
  if (line.totalPrice < 0n) problem(journal, draft, "total_price", "is below zero, which no line may be");
  if (line.gstAmount < 0n) problem(journal, draft, "gst_amount", `is below zero (gross_amount - total_price)`);
  if (line.unitPrice !== null && line.unitPrice < 0n) problem(journal, draft, "unit_price", "is below zero");
  return line;
}
