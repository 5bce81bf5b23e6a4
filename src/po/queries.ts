import { SQL, sql } from "drizzle-orm";
import { compose, type Db, prepare } from "../db/client.ts";
import { json } from "../db/json.ts";
import { insertLines, lineItemFields } from "../db/line-item.ts";
import { poFields as fields } from "../db/po.ts";
import {
  assignments,
  atVersion,
  type Columns,
  deletion,
  names,
  outcome,
  record,
  type Stale,
  unchanged,
} from "../db/write.ts";
import type { Versioned } from "../wire.ts";
import type { NewPurchaseOrder, PurchaseOrderChanges, PurchaseOrderWithLines } from "./contract.ts";
import type { Status } from "./status.ts";

const whole = (where: SQL) => sql`SELECT ${json}, item.id, item.version FROM (
    SELECT ${fields}, (
      SELECT coalesce(json_agg(line_item ORDER BY line_item.id), '[]')
      FROM (SELECT ${lineItemFields} FROM "Finances".client_po_line_item line WHERE line.client_po_id = po.id) line_item
    ) AS line_items
    FROM "Finances".client_po po WHERE ${where}
  ) item`;

const one = prepare<"id">(() => whole(sql`po.id = ${sql.placeholder("id")}`));

export async function findPo(db: Db, id: number): Promise<Versioned<PurchaseOrderWithLines> | undefined> {
  const [rows] = await db.read(one({ id }));
  return rows?.[0] as Versioned<PurchaseOrderWithLines> | undefined;
}

const columns = {
  client_id: "bigint",
  project_id: "bigint",
  store_id: "text",
  po_number: "text",
  po_date: "date",
  po_type: "text",
  parent_po_id: "bigint",
  agreement_date: "date",
  pi_number: "text",
  pi_date: "date",
  vendor_id: "bigint",
  site_id: "bigint",
  notes: "text",
  vendor_gstin: "text",
  bill_to_gstin: "text",
  vendor_address: "text",
  bill_to_address: "text",
  ship_to_address: "text",
  po_value: "numeric",
  receivable_amount: "numeric",
} satisfies Columns;

/** A status is given once, here; afterwards it has rules of its own. */
const newColumns = { ...columns, status: "text" } satisfies Columns;

const add = prepare<"given">(
  () => sql`WITH po AS (
      INSERT INTO "Finances".client_po (${names(newColumns)})
      SELECT ${names(newColumns)} FROM jsonb_to_record(${sql.placeholder("given")}::jsonb) AS given (${record(newColumns)})
      RETURNING id
    ),
    added AS (${insertLines(sql`coalesce(${sql.placeholder("given")}::jsonb -> 'line_items', '[]')`)})
    SELECT set_config('nexgen.inserted', id::text, true) FROM po`,
);

// RETURNING would be too early: the lines' triggers have not summed yet.
const added = prepare(() => whole(sql`po.id = current_setting('nexgen.inserted')::bigint`));

// The lines move a receivable amount by their sum: one that is given wins over that too.
const receive = prepare<"amount">(
  () => sql`UPDATE "Finances".client_po SET receivable_amount = ${sql.placeholder("amount")}::numeric
    WHERE id = current_setting('nexgen.inserted')::bigint`,
);

/** Creates the PO with its lines, all or nothing. */
export async function insertPo(db: Db, given: NewPurchaseOrder) {
  const amount = given.line_items?.length ? (given.receivable_amount ?? null) : null;
  const results = await db.write(
    add({ given: JSON.stringify(given) }),
    ...(amount === null ? [] : [receive({ amount })]),
    added({}),
  );
  return results.at(-1)?.[0] as unknown as Versioned<PurchaseOrderWithLines> & { id: string };
}

/** Changes the PO, if it is still one of `versions`. */
export async function updatePo(
  db: Db,
  id: number,
  changes: PurchaseOrderChanges,
  versions: number[] | undefined,
): Promise<Versioned<PurchaseOrderWithLines> | Stale | undefined> {
  const { po_value, ...others } = changes;
  // The trigger refuses a value for a PO with lines, but cannot tell their own sum, written again, from none.
  const value =
    po_value !== undefined &&
    sql`po_value = CASE WHEN po.line_item_count > 0 AND po.po_value IS NOT DISTINCT FROM given.po_value
      THEN po.po_value + 1 ELSE given.po_value END`;
  const assigned = [assignments(columns, others), value].filter((each) => each instanceof SQL);
  if (assigned.length === 0) return unchanged(await findPo(db, id), versions);
  const [written, rows] = await db.write(
    compose(sql`UPDATE "Finances".client_po po SET ${sql.join(assigned, sql`, `)}
      FROM jsonb_to_record(${JSON.stringify(changes)}::jsonb) AS given (${record(columns)})
      WHERE po.id = ${id} AND ${atVersion("po.version", versions)} RETURNING po.id`),
    one({ id }),
  );
  return outcome(written, rows?.[0] as Versioned<PurchaseOrderWithLines> | undefined);
}

const move = prepare<"id" | "status" | "reason" | "sources">(
  () => sql`UPDATE "Finances".client_po po SET status = ${sql.placeholder("status")}, status_reason = ${sql.placeholder("reason")}
    WHERE po.id = ${sql.placeholder("id")} AND po.status = ANY (string_to_array(${sql.placeholder("sources")}, ','))`,
);
const statusOf = prepare<"id">(
  () => sql`SELECT po.status FROM "Finances".client_po po WHERE po.id = ${sql.placeholder("id")}`,
);
const inStatus = prepare<"id" | "status">(() =>
  whole(sql`po.id = ${sql.placeholder("id")} AND po.status = ${sql.placeholder("status")}`),
);

/** Gives the PO a status if it has one of `sources`; one that has it already stays as it is. Else answers what it has. */
export async function updatePoStatus(
  db: Db,
  id: number,
  change: { status: Status; reason: string | null },
  sources: Status[],
): Promise<Versioned<PurchaseOrderWithLines> | { refused: Status } | undefined> {
  const [, had, rows] = await db.write(
    move({ id, ...change, sources: sources.join(",") }),
    statusOf({ id }),
    inStatus({ id, status: change.status }),
  );
  // A replayed answer comes without what was before it.
  if (rows?.[0]) return rows[0] as unknown as Versioned<PurchaseOrderWithLines>;
  return had?.[0] && { refused: had[0].status as Status };
}

/** Deletes a PO with its lines, unless payments, billing POs, mappings or child POs refer to it. */
export const deletePo = deletion("client_po", {
  client_payment: "client_po_id",
  billing_po: "client_po_id",
  po_project_mapping: "client_po_id",
  client_po: "parent_po_id",
});
