import pg from "pg";
import { fromUnits, toUnits } from "./decimal.ts";
import { qualified } from "./load.ts";
import type { Orphan } from "./orphans.ts";
import type { LoadRow } from "./repair.ts";
import type { Target } from "./target.ts";

/** Rows and the sum of every numeric column (units of its scale), by table and column. */
export type Stock = Map<string, { rows: number; sums: Map<string, bigint> }>;

const numericColumns = (target: Target, table: string) =>
  (target.columns.get(table) ?? []).filter(({ type, generated }) => type === "numeric" && !generated);

/** What the 19 tables hold now. */
export async function takeStock(connection: pg.Client, target: Target): Promise<Stock> {
  const stock: Stock = new Map();
  for (const table of target.columns.keys()) {
    const columns = numericColumns(target, table);
    const sums = columns.map(
      ({ name }) => `, coalesce(sum(${pg.escapeIdentifier(name)}), 0) AS ${pg.escapeIdentifier(name)}`,
    );
    const { rows } = await connection.query<Record<string, string>>(
      `SELECT count(*) AS "rows"${sums.join("")} FROM ${qualified(table)}`,
    );
    const found = rows[0] ?? {};
    stock.set(table, {
      rows: Number(found.rows),
      sums: new Map(columns.map(({ name, scale }) => [name, toUnits(found[name] ?? "0", scale ?? 0)?.units ?? 0n])),
    });
  }
  return stock;
}

/** Every table grew by exactly the rows that were loaded, and each of its numeric columns by exactly their sum. */
export function compareStock(
  target: Target,
  before: Stock,
  after: Stock,
  loaded: ReadonlyMap<string, LoadRow[]>,
): string[] {
  const problems: string[] = [];
  for (const table of target.columns.keys()) {
    const rows = loaded.get(table) ?? [];
    const grown = (after.get(table)?.rows ?? 0) - (before.get(table)?.rows ?? 0);
    if (grown !== rows.length) problems.push(`${table}: ${rows.length} rows were loaded, ${grown} arrived`);
    for (const { name, scale } of numericColumns(target, table)) {
      let sum = 0n;
      for (const row of rows) {
        const value = row[name];
        if (value != null) sum += toUnits(value, scale ?? 0)?.units ?? 0n;
      }
      const found = (after.get(table)?.sums.get(name) ?? 0n) - (before.get(table)?.sums.get(name) ?? 0n);
      if (found !== sum) {
        problems.push(
          `${table}.${name}: adds up to ${fromUnits(found, scale ?? 0)} in the database and ${fromUnits(sum, scale ?? 0)} in the file`,
        );
      }
    }
  }
  return problems;
}

/** Every loaded PO has the amounts it was to have, value and receivable before all. */
export async function comparePos(connection: pg.Client, pos: readonly LoadRow[]): Promise<string[]> {
  const amounts = ["po_value", "receivable_amount", "subtotal", "total_tax", "cgst", "sgst", "igst"];
  const given = amounts.map((name) => `given.${name} AS given_${name}, po.${name}`).join(", ");
  const { rows } = await connection.query<Record<string, string | null>>(
    `SELECT given.id, ${given}
     FROM unnest($1::bigint[], ${amounts.map((_, at) => `$${at + 2}::numeric[]`).join(", ")}) AS given (id, ${amounts.join(", ")})
     LEFT JOIN "Finances".client_po po ON po.id = given.id
     WHERE (${amounts.map((name) => `given.${name}`).join(", ")}) IS DISTINCT FROM (${amounts.map((name) => `po.${name}`).join(", ")})
     ORDER BY given.id`,
    [pos.map(({ id }) => id), ...amounts.map((name) => pos.map((row) => row[name] ?? null))],
  );
  return rows.flatMap((row) =>
    amounts
      .filter((name) => row[`given_${name}`] !== row[name])
      .map(
        (name) =>
          `PO ${row.id}: ${name} is ${row[name] ?? "none"} in the database, ${row[`given_${name}`] ?? "none"} in the file`,
      ),
  );
}

/** The rules of the totals (a line's amounts, a PO's sums and tax split) hold for every row of the database. */
export async function brokenRules(connection: pg.Client): Promise<string[]> {
  const { rows } = await connection.query<{ what: string }>(
    `SELECT 'client_po_line_item ' || id || ': its amounts do not follow from one another' AS what
     FROM "Finances".client_po_line_item
     WHERE unit_price IS NOT NULL AND total_price IS DISTINCT FROM round(quantity * unit_price, 2)
        OR gst_rate IS NOT NULL AND gst_amount IS DISTINCT FROM round(total_price * gst_rate / 100, 2)
        OR gross_amount IS DISTINCT FROM total_price + gst_amount OR rate IS DISTINCT FROM unit_price
     UNION ALL
     SELECT 'client_po ' || po.id || ': its amounts do not follow from its lines'
     FROM "Finances".client_po po
     LEFT JOIN (
       SELECT client_po_id AS id, count(*) AS lines, sum(total_price) AS subtotal, sum(gst_amount) AS total_tax
       FROM "Finances".client_po_line_item GROUP BY client_po_id
     ) line ON line.id = po.id
     CROSS JOIN LATERAL (SELECT po.vendor_gstin ~ '^[0-9]{2}' AND po.bill_to_gstin ~ '^[0-9]{2}' AND po.total_tax IS NOT NULL AS known,
                                left(po.vendor_gstin, 2) = left(po.bill_to_gstin, 2) AS within) state
     WHERE po.line_item_count <> coalesce(line.lines, 0)
        OR line.lines > 0 AND (po.subtotal, po.total_tax, po.po_value)
           IS DISTINCT FROM (line.subtotal, line.total_tax, line.subtotal + line.total_tax)
        OR (po.cgst, po.sgst, po.igst) IS DISTINCT FROM (
          CASE WHEN state.known AND state.within THEN po.total_tax - trunc(po.total_tax / 2, 2) END,
          CASE WHEN state.known AND state.within THEN trunc(po.total_tax / 2, 2) END,
          CASE WHEN state.known AND NOT state.within THEN po.total_tax END)
     LIMIT 50`,
  );
  return rows.map(({ what }) => what);
}

/** Every quarantined row is in legacy_orphan. */
export async function countQuarantined(connection: pg.Client, orphans: readonly Orphan[]): Promise<string[]> {
  const leaving = orphans.filter(({ handling }) => handling === "quarantined");
  const { rows } = await connection.query<{ count: string }>(
    `SELECT count(*) AS count FROM "Finances".legacy_orphan
     WHERE (table_name, row_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))`,
    [leaving.map(({ table }) => table), leaving.map(({ id }) => id)],
  );
  const found = Number(rows[0]?.count);
  return found === leaving.length ? [] : [`legacy_orphan: ${leaving.length} rows were quarantined, ${found} arrived`];
}
