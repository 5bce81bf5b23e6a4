import { fromUnits, toUnits } from "./decimal.ts";
import type { TargetColumn } from "./target.ts";

/** Why a value is not what the file says. `filled` had none: the schema's own rule gave it one, so nothing is kept. */
export const repairKinds = {
  gst: "gst_amount = gross_amount - total_price",
  price: "unit_price = rate = total_price / quantity, or none",
  total: "missing total_price from the other amounts",
  quantity: "quantity not above zero is none",
  derived: "amounts of a PO follow from its lines",
  value: "po_value and receivable_amount follow from the lines (--accept-line-totals)",
  receivable: "missing receivable_amount is po_value",
  empty: "'' is null",
  rounded: "rounded to the column's scale",
  status: "status or type as one of ours",
  gstin: "GSTIN in another format is null",
  name: "blank name",
  time: "missing instant is created_at or the export's",
  filled: "empty amounts filled by the totals' rule",
} as const;
export type RepairKind = keyof typeof repairKinds;

export type Repair = {
  table: string;
  id: string;
  column: string;
  kind: RepairKind;
  before: string | null;
  after: string | null;
};

/** A row on its way: `raw` as in the file, `values` as they will be loaded, `legacy` the originals of what changed. */
export type Draft = {
  table: string;
  id: string;
  raw: Record<string, string | null>;
  values: Record<string, string | null>;
  legacy: Record<string, string | null>;
};

/** What happened to the rows; a problem stops the import. */
export type Journal = { repairs: Repair[]; problems: string[] };

export function change(journal: Journal, draft: Draft, column: string, after: string | null, kind: RepairKind) {
  const before = draft.raw[column] ?? null;
  draft.values[column] = after;
  journal.repairs.push({ table: draft.table, id: draft.id, column, kind, before, after });
  if (kind !== "filled") draft.legacy[column] = before;
}

export function problem(journal: Journal, { table, id }: Pick<Draft, "table" | "id">, column: string, what: string) {
  journal.problems.push(`${table}, row ${id}, ${column}: ${what}`);
}

/** '' meant "absent" in these, as NULL did. */
const emptyIsNull = /(?:gstin|address|^po_number|^pi_number|^reference_number)$/;
/** Application code wrote these in UTC; everything else is the database server's local time. */
const utc = new Set(["user.created_at", "upload_session.expires_at"]);
const instant = /^(\d{4}-\d{2}-\d{2}) (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?([-+]\d{2}(?::?\d{2})?)?$/;
const integer = /^(?:0|-?[1-9][0-9]{0,18})$/;
/** Ids are JSON integers: beyond 2^53 - 1 a client would read another one. */
const highest = { bigint: BigInt(Number.MAX_SAFE_INTEGER), integer: 2_147_483_646n };

const isDay = (text: string) => {
  const day = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text);
};

/** Sets `draft.values[column.name]` to text that PostgreSQL reads as the column's type, or records why it cannot. */
export function convert(journal: Journal, draft: Draft, column: TargetColumn, timezone: string) {
  const { name } = column;
  const text = draft.raw[name] ?? null;
  const refuse = (what: string) => problem(journal, draft, name, what);
  draft.values[name] = text;
  if (text === null) return;
  const isNumber = column.type === "numeric" || column.type === "bigint" || column.type === "integer";
  if (text === "" && (isNumber || (emptyIsNull.test(name) && !column.required))) {
    change(journal, draft, name, null, "empty");
    return;
  }
  switch (column.type) {
    case "bigint":
    case "integer": {
      const limit = highest[column.type];
      if (!integer.test(text)) refuse(`${JSON.stringify(text)} is no integer`);
      else if (BigInt(text) > limit || BigInt(text) < -limit) refuse(`${text} is out of range`);
      break;
    }
    case "numeric": {
      const scale = column.scale ?? 0;
      const number = toUnits(text, scale);
      if (number === undefined) refuse(`${JSON.stringify(text)} is no finite number`);
      else if (number.units.toString().replace("-", "").length > (column.precision ?? 0)) {
        refuse(`${text} has more digits than numeric(${column.precision},${scale}) holds`);
      } else if (number.exact) draft.values[name] = fromUnits(number.units, scale);
      else change(journal, draft, name, fromUnits(number.units, scale), "rounded");
      break;
    }
    case "boolean":
      if (text !== "true" && text !== "false") refuse(`${JSON.stringify(text)} is no boolean`);
      break;
    case "date":
      if (!/^\d{4}-\d{2}-\d{2}$/.test(text) || !isDay(text)) refuse(`${JSON.stringify(text)} is no date`);
      break;
    case "timestamp with time zone": {
      const [, day, offset] = instant.exec(text) ?? [];
      if (day === undefined || !isDay(day)) refuse(`${JSON.stringify(text)} is no timestamp`);
      else if (offset === undefined) {
        draft.values[name] = `${text} ${utc.has(`${draft.table}.${name}`) ? "UTC" : timezone}`;
      }
      break;
    }
    case "character varying":
      if (column.maxLength !== null && text.length > column.maxLength && [...text].length > column.maxLength) {
        refuse(`${[...text].length} characters, at most ${column.maxLength} fit`);
      }
      break;
  }
}

/** The value of a numeric column in units of its scale. */
export function unitsOf(draft: Draft, column: string, scale: number): bigint | null {
  const text = draft.values[column] ?? null;
  return text === null ? null : (toUnits(text, scale)?.units ?? null);
}
