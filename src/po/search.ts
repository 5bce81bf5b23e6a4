import { type SQL, sql } from "drizzle-orm";
import { compose, type Db } from "../db/client.ts";
import { json } from "../db/json.ts";
import { lineItemFields } from "../db/line-item.ts";
import { clientFields, vendorFields } from "../db/parties.ts";
import { poFields } from "../db/po.ts";
import type { Json } from "../wire.ts";
import { mostLinesPerPage } from "./bundles.ts";
import type { ListedPurchaseOrder } from "./contract.ts";
import { type PurchaseOrderQuery, sortOf } from "./list-query.ts";

/** What the list can be sorted by, with its SQL type; each is the key of an index. Null comes before everything. */
const keys: Record<string, [expression: SQL, type: SQL]> = {
  created_at: [sql`po.created_at`, sql`timestamptz`],
  updated_at: [sql`po.updated_at`, sql`timestamptz`],
  po_date: [sql`coalesce(po.po_date, '-infinity'::date)`, sql`date`],
  po_value: [sql`coalesce(po.po_value, '-Infinity'::numeric)`, sql`numeric`],
};
const createdAt = sql`po.created_at`;
const text = sql`(coalesce(po.po_number, '') || E'\\n' || coalesce(po.store_id, '') || E'\\n' || coalesce(po.notes, ''))`;

const escaped = (part: string) => part.replace(/[\\%_]/g, "\\$&");
const all = (conditions: SQL[]) => (conditions.length === 0 ? sql`true` : sql.join(conditions, sql` AND `));

/** What is looked for; how long a page is, the caller says. */
export type Search = Omit<PurchaseOrderQuery, "limit" | "cursor" | "format" | "bom">;

/** What every PO of the list is, but for its statuses and the text that is searched. */
function conditionsOf(query: Search): SQL[] {
  const { po_date_from: from, po_date_to: to, po_value_min: min, po_value_max: max } = query;
  const [date, value] = [keys.po_date?.[0], keys.po_value?.[0]];
  const given: [value: unknown, condition: SQL][] = [
    [query.client_id, sql`po.client_id = ${query.client_id}::bigint`],
    [query.vendor_id, sql`po.vendor_id = ${query.vendor_id}::bigint`],
    [query.project_id, sql`po.project_id = ${query.project_id}::bigint`],
    [query.store_id, sql`po.store_id = ${query.store_id}`],
    [query.po_type, sql`po.po_type = ${query.po_type}`],
    [query.po_number_prefix, sql`po.po_number LIKE ${`${escaped(query.po_number_prefix ?? "")}%`}`],
    [from, sql`${date} >= ${from}::date`],
    // No date is not an early date.
    [to, sql`${date} <= ${to}::date AND ${date} > '-infinity'::date`],
    [min, sql`${value} >= ${min}::numeric`],
    [max, sql`${value} <= ${max}::numeric AND ${value} > '-Infinity'::numeric`],
    [query.updated_since, sql`po.updated_at >= ${query.updated_since}::timestamptz`],
  ];
  return given.filter(([value]) => value !== undefined).map(([, condition]) => condition);
}

/**
 * Ids and keys of the POs that may be on the page: each branch is read from an index in the list's order, as far as `tail`
 * says, so that no branch reads more than a page has.
 */
function candidates(query: Search, key: SQL, conditions: SQL[], tail: SQL): SQL {
  const rows = (...where: SQL[]) =>
    sql`(SELECT po.id, ${key} AS key FROM "Finances".client_po po WHERE ${all([...where, ...conditions])} ${tail})`;
  const ofStatus = [...new Set(query.status)].map((status) => sql`po.status = ${status}`);
  if (query.q === undefined) {
    return ofStatus.length === 0
      ? rows()
      : sql.join(
          ofStatus.map((status) => rows(status)),
          sql` UNION ALL `,
        );
  }
  const pattern = `%${escaped(query.q)}%`;
  const status = ofStatus.length === 0 ? [] : [sql`(${sql.join(ofStatus, sql` OR `)})`];
  return sql`${rows(sql`${text} ILIKE ${pattern}`, ...status)}
    UNION (SELECT found.* FROM "Finances".client c CROSS JOIN LATERAL ${rows(sql`po.client_id = c.id`, ...status)} found
      WHERE c.name ILIKE ${pattern})
    UNION (SELECT found.* FROM "Finances".vendor v CROSS JOIN LATERAL ${rows(sql`po.vendor_id = v.id`, ...status)} found
      WHERE v.name ILIKE ${pattern})`;
}

const expansions: Record<"client" | "vendor" | "line_items", SQL> = {
  client: sql`(SELECT row_to_json(one) FROM (SELECT ${clientFields} FROM "Finances".client c WHERE c.id = po.client_id) one) AS client`,
  vendor: sql`(SELECT row_to_json(one) FROM (SELECT ${vendorFields} FROM "Finances".vendor v WHERE v.id = po.vendor_id) one) AS vendor`,
  line_items: sql`(
      SELECT coalesce(json_agg(line_item ORDER BY line_item.id), '[]') FROM (
        SELECT ${lineItemFields} FROM "Finances".client_po_line_item line
        WHERE line.client_po_id = po.id AND po.lines_so_far <= ${sql.raw(String(mostLinesPerPage))}
      ) line_item
    ) AS line_items`,
};

/** Counting stops here: more is told as "more than". */
const mostCounted = 10_000;

/**
 * The POs that `query` asks for after `position` (key, id), in its order, `limit` of them at most; `linesSoFar` counts the
 * lines of the page up to and with the PO. `total` counts all pages.
 */
export async function listPos(db: Db, query: Search, position: string[] | undefined, limit: number) {
  const sort = sortOf(query);
  const [key, type] = keys[sort.replace("-", "")] ?? [createdAt, sql`timestamptz`];
  const [direction, after] = sort.startsWith("-") ? [sql`DESC`, sql`<`] : [sql`ASC`, sql`>`];
  const conditions = conditionsOf(query);
  const rest = position && sql`(${key}, po.id) ${after} (${position[0]}::${type}, ${position[1]}::bigint)`;
  const inOrder = (alias: SQL) => sql`ORDER BY ${alias} ${direction}, po.id ${direction}`;
  const picked = candidates(query, key, rest ? [...conditions, rest] : conditions, sql`${inOrder(key)} LIMIT ${limit}`);
  const expanded = query.expand.map((part) => sql`, ${expansions[part]}`);
  const page = compose(sql`SELECT ${json}, to_jsonb(po.key) #>> '{}' AS key, po.id, po.lines_so_far FROM (
      SELECT po.*, picked.key, sum(po.line_item_count) OVER (${inOrder(sql`picked.key`)}) AS lines_so_far
      FROM (SELECT * FROM (${picked}) po ${inOrder(sql`po.key`)} LIMIT ${limit}) picked
      JOIN "Finances".client_po po ON po.id = picked.id
    ) po CROSS JOIN LATERAL (SELECT ${poFields}${sql.join(expanded)}) item
    ${inOrder(sql`po.key`)}`);
  const total = compose(
    sql`SELECT count(*) AS total FROM (SELECT FROM (${candidates(query, key, conditions, sql``)}) po LIMIT ${mostCounted + 1}) counted`,
  );
  const [rows = [], counts] = await db.read(page, ...(query.include.includes("total") ? [total] : []));
  const counted = Number(counts?.[0]?.total);
  return {
    rows: rows.map((row) => ({
      json: row.json as Json<ListedPurchaseOrder>,
      position: [String(row.key), String(row.id)],
      linesSoFar: Number(row.lines_so_far),
    })),
    total: counts && { count: Math.min(counted, mostCounted), exact: counted <= mostCounted },
  };
}

/** As many as fit into one answer of the driver, whatever their notes and addresses. */
const rowsPerPage = 200;

/** The whole list, page by page, one round trip each. */
export async function* everyPage(db: Db, query: Search): AsyncGenerator<Json<ListedPurchaseOrder>[]> {
  for (let position: string[] | undefined; ; ) {
    const { rows } = await listPos(db, query, position, rowsPerPage);
    yield rows.map((row) => row.json);
    if (rows.length < rowsPerPage) return;
    position = rows.at(-1)?.position;
  }
}
