import type pg from "pg";
import type { LegacyTable } from "./backup.ts";
import { fromUnits, toUnits } from "./decimal.ts";

export const measures = ["PO value", "receivable", "line items, gross", "payments", "billed"] as const;
export type Measure = (typeof measures)[number];

/** Paise by client id (`null`: rows whose PO, and so whose client, is unknown) and measure. */
export type Money = Map<string | null, Map<Measure, bigint>>;

function add(money: Money, client: string | null, measure: Measure, paise: bigint) {
  const own = money.get(client) ?? new Map<Measure, bigint>();
  money.set(client, own);
  own.set(measure, (own.get(measure) ?? 0n) + paise);
}

/** The file's money per client, before any repair (but rounded to paise). */
export function moneyInFile(tables: readonly LegacyTable[]): Money {
  const money: Money = new Map();
  const read = (name: string) => {
    const table = tables.find((one) => one.name === name);
    const at = new Map((table?.columns ?? []).map((column, index) => [column.name, index]));
    const text = (row: (string | null)[], column: string) => row[at.get(column) ?? -1] || null;
    const paise = (row: (string | null)[], column: string) => {
      const value = text(row, column);
      return value === null ? null : (toUnits(value, 2)?.units ?? null);
    };
    return { rows: table?.rows ?? [], text, paise };
  };
  const clientOf = new Map<string | null, string | null>();
  const pos = read("client_po");
  for (const row of pos.rows) {
    const client = pos.text(row, "client_id");
    clientOf.set(pos.text(row, "id"), client);
    add(money, client, "PO value", pos.paise(row, "po_value") ?? 0n);
    add(money, client, "receivable", pos.paise(row, "receivable_amount") ?? 0n);
  }
  const lines = read("client_po_line_item");
  for (const row of lines.rows) {
    const net = (lines.paise(row, "total_price") ?? 0n) + (lines.paise(row, "gst_amount") ?? 0n);
    const client = clientOf.get(lines.text(row, "client_po_id")) ?? null;
    add(money, client, "line items, gross", lines.paise(row, "gross_amount") ?? net);
  }
  for (const [table, measure, column] of [
    ["client_payment", "payments", "amount"],
    ["billing_po", "billed", "billed_total"],
  ] as const) {
    const own = read(table);
    for (const row of own.rows) add(money, own.text(row, "client_id"), measure, own.paise(row, column) ?? 0n);
  }
  return money;
}

/** The same of the database: tables and quarantined rows together. */
export async function moneyInDatabase(connection: pg.Client): Promise<Money> {
  const { rows } = await connection.query<{ client: string | null; measure: Measure; total: string }>(
    `WITH kept AS (SELECT table_name, "row" FROM "Finances".legacy_orphan),
     po AS (
       SELECT id, client_id, po_value, receivable_amount FROM "Finances".client_po
       UNION ALL
       SELECT ("row" ->> 'id')::bigint, nullif("row" ->> 'client_id', '')::bigint,
              nullif("row" ->> 'po_value', '')::numeric, nullif("row" ->> 'receivable_amount', '')::numeric
       FROM kept WHERE table_name = 'client_po'
     ),
     line AS (
       SELECT client_po_id, gross_amount FROM "Finances".client_po_line_item
       UNION ALL
       SELECT nullif("row" ->> 'client_po_id', '')::bigint,
              coalesce(nullif("row" ->> 'gross_amount', '')::numeric,
                       coalesce(nullif("row" ->> 'total_price', '')::numeric, 0) + coalesce(nullif("row" ->> 'gst_amount', '')::numeric, 0))
       FROM kept WHERE table_name = 'client_po_line_item'
     )
     SELECT client::text, measure, round(sum(amount), 2)::text AS total FROM (
       SELECT client_id AS client, 'PO value' AS measure, coalesce(po_value, 0) AS amount FROM po
       UNION ALL SELECT client_id, 'receivable', coalesce(receivable_amount, 0) FROM po
       UNION ALL SELECT po.client_id, 'line items, gross', line.gross_amount FROM line LEFT JOIN po ON po.id = line.client_po_id
       UNION ALL SELECT client_id, 'payments', coalesce(amount, 0) FROM "Finances".client_payment
       UNION ALL SELECT nullif("row" ->> 'client_id', '')::bigint, 'payments', coalesce(nullif("row" ->> 'amount', '')::numeric, 0)
         FROM kept WHERE table_name = 'client_payment'
       UNION ALL SELECT client_id, 'billed', coalesce(billed_total, 0) FROM "Finances".billing_po
       UNION ALL SELECT nullif("row" ->> 'client_id', '')::bigint, 'billed', coalesce(nullif("row" ->> 'billed_total', '')::numeric, 0)
         FROM kept WHERE table_name = 'billing_po'
     ) AS amounts GROUP BY client, measure`,
  );
  const money: Money = new Map();
  for (const { client, measure, total } of rows) add(money, client, measure, toUnits(total, 2)?.units ?? 0n);
  return money;
}

export type MoneyLine = { client: string | null; measure: Measure; before: string; after: string };

/** Per client and measure what the file had and what the database gained. */
export function compareMoney(file: Money, earlier: Money, now: Money): MoneyLine[] {
  const clients = [...new Set([...file.keys(), ...now.keys()])].toSorted(
    (a, b) => Number(a ?? Infinity) - Number(b ?? Infinity),
  );
  return clients.flatMap((client) =>
    measures.flatMap((measure) => {
      const before = file.get(client)?.get(measure) ?? 0n;
      const gained = (now.get(client)?.get(measure) ?? 0n) - (earlier.get(client)?.get(measure) ?? 0n);
      const isKnown = file.get(client)?.has(measure) === true || gained !== 0n;
      return isKnown ? [{ client, measure, before: fromUnits(before, 2), after: fromUnits(gained, 2) }] : [];
    }),
  );
}
