import { sql } from "drizzle-orm";
import { compose, type Db, prepare } from "../db/client.ts";
import { json } from "../db/json.ts";
import { lineItemColumns as columns, lineItemFields as fields, insertLines, lockPo } from "../db/line-item.ts";
import { prepareOrders } from "../db/order.ts";
import { assignments, atVersion, type Deletion, outcome, record, type Stale, unchanged } from "../db/write.ts";
import type { Json, Versioned } from "../wire.ts";
import { type LineItem, type LineItemChanges, type LineItemSort, lineItemSorts, type NewLineItem } from "./contract.ts";

const one = prepare<"po" | "id">(
  () => sql`SELECT ${json}, item.version FROM (
    SELECT ${fields} FROM "Finances".client_po_line_item line JOIN "Finances".client_po po ON po.id = line.client_po_id
    WHERE line.id = ${sql.placeholder("id")} AND po.id = ${sql.placeholder("po")}
  ) item`,
);

const poExists = prepare<"po">(() => sql`SELECT FROM "Finances".client_po WHERE id = ${sql.placeholder("po")}`);

const page = prepareOrders<LineItemSort, "po" | "limit">(
  lineItemSorts,
  { id: [sql`line.id`, sql`bigint`] },
  sql`line.id`,
  ({ key, by, restOrAll }) => sql`SELECT ${json}, line.key, line.id FROM (
    SELECT line.*, ${key} AS key FROM "Finances".client_po_line_item line
    WHERE line.client_po_id = ${sql.placeholder("po")} AND ${restOrAll} ORDER BY ${by} LIMIT ${sql.placeholder("limit")}
  ) line CROSS JOIN LATERAL (SELECT ${fields}) item ORDER BY ${by}`,
);

/** The line of that PO; a line of another PO is not found. */
export async function findLineItem(db: Db, poId: number, id: number): Promise<Versioned<LineItem> | undefined> {
  const [rows] = await db.read(one({ po: poId, id }));
  return rows?.[0] as Versioned<LineItem> | undefined;
}

/** The PO's lines after `place`; undefined when there is no such PO. */
export async function listLineItems(
  db: Db,
  poId: number,
  sort: LineItemSort,
  place: string[] | undefined,
  limit: number,
) {
  const [pos = [], rows = []] = await db.read(poExists({ po: poId }), page(sort, place, { po: poId, limit }));
  return pos.length === 0 ? undefined : (rows as { json: Json<LineItem>; key: string; id: string }[]);
}

const add = prepare<"po" | "given">(
  () => sql`WITH po AS (SELECT id FROM "Finances".client_po WHERE id = ${sql.placeholder("po")}),
    added AS (${insertLines(sql`${sql.placeholder("given")}::jsonb`)})
    SELECT set_config('nexgen.inserted', coalesce(array_agg(id), '{}')::text, true) FROM added`,
);

const added = prepare(
  () => sql`SELECT ${json}, item.id, item.version FROM (
    SELECT ${fields} FROM "Finances".client_po_line_item line
    WHERE line.id = ANY (current_setting('nexgen.inserted')::bigint[]) ORDER BY line.id
  ) item`,
);

/** Adds the lines, of which there is one at least, all or none, and answers them in their order; undefined without such a PO. */
export async function insertLineItems(db: Db, poId: number, given: NewLineItem[]) {
  const [, , rows = []] = await db.write(
    lockPo({ po: poId }),
    add({ po: poId, given: JSON.stringify(given) }),
    added({}),
  );
  return rows.length === 0 ? undefined : (rows as unknown as (Versioned<LineItem> & { id: string })[]);
}

/** Like a read, a write joins the PO: an imported line whose PO is missing is not to be found, and so not to be written. */
export async function updateLineItem(
  db: Db,
  poId: number,
  id: number,
  changes: LineItemChanges,
  versions: number[] | undefined,
): Promise<Versioned<LineItem> | Stale | undefined> {
  // A total takes the unit price's place also where it is the old one, which the trigger could not tell from none.
  const priced = changes.total_price === undefined ? changes : { ...changes, unit_price: null };
  const assigned = assignments(columns, priced);
  if (!assigned) return unchanged(await findLineItem(db, poId, id), versions);
  const [, written, rows] = await db.write(
    lockPo({ po: poId }),
    compose(sql`UPDATE "Finances".client_po_line_item line SET ${assigned}
      FROM jsonb_to_record(${JSON.stringify(priced)}::jsonb) AS given (${record(columns)}), "Finances".client_po po
      WHERE line.id = ${id} AND line.client_po_id = po.id AND po.id = ${poId}
        AND ${atVersion("line.version", versions)}
      RETURNING line.id`),
    one({ po: poId, id }),
  );
  return outcome(written, rows?.[0] as Versioned<LineItem> | undefined);
}

/** Deletes the line of that PO, if it is still one of `versions`. */
export async function deleteLineItem(
  db: Db,
  poId: number,
  id: number,
  versions: number[] | undefined,
): Promise<Deletion> {
  const [, deleted, rows] = await db.write(
    lockPo({ po: poId }),
    compose(sql`DELETE FROM "Finances".client_po_line_item line USING "Finances".client_po po
      WHERE line.id = ${id} AND line.client_po_id = po.id AND po.id = ${poId} AND ${atVersion("line.version", versions)}
      RETURNING line.id`),
    one({ po: poId, id }),
  );
  if (deleted?.length) return "deleted";
  const left = rows?.[0] as Versioned<LineItem> | undefined;
  return left ? { stale: left.version } : "missing";
}
