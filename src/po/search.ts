import { type SQL, sql } from "drizzle-orm";
import { type Db, type Parameter, prepare } from "../db/client.ts";
import { json } from "../db/json.ts";
import { lineItemFields } from "../db/line-item.ts";
import { type Keys, orderOf } from "../db/order.ts";
import { clientFields, vendorFields } from "../db/parties.ts";
import { poFields } from "../db/po.ts";
import type { Json } from "../wire.ts";
import { mostLinesPerPage } from "./bundles.ts";
import type { ListedPurchaseOrder } from "./contract.ts";
import { type PurchaseOrderQuery, sortOf } from "./list-query.ts";

/** What the list can be sorted by, with its SQL type; each is the key of an index. Null comes before everything. */
const keys = {
  created_at: [sql`po.created_at`, sql`timestamptz`],
  updated_at: [sql`po.updated_at`, sql`timestamptz`],
  po_date: [sql`coalesce(po.po_date, '-infinity'::date)`, sql`date`],
  po_value: [sql`coalesce(po.po_value, '-Infinity'::numeric)`, sql`numeric`],
} satisfies Keys;
const createdAt = sql`po.created_at`;
const text = sql`(coalesce(po.po_number, '') || E'\\n' || coalesce(po.store_id, '') || E'\\n' || coalesce(po.notes, ''))`;

const escaped = (part: string) => part.replace(/[\\%_]/g, "\\$&");
const all = (conditions: SQL[]) => (conditions.length === 0 ? sql`true` : sql.join(conditions, sql` AND `));

/** What is looked for; how long a page is, the caller says. */
export type Search = Omit<PurchaseOrderQuery, "limit" | "cursor" | "format" | "bom">;

const value = (name: string) => sql.placeholder(name);

/** What every PO of the list is, but for its statuses and the text that is searched. */
function conditionsOf(query: Search): SQL[] {
  const [date, amount] = [keys.po_date[0], keys.po_value[0]];
  const conditions = {
    client_id: sql`po.client_id = ${value("client_id")}::bigint`,
    vendor_id: sql`po.vendor_id = ${value("vendor_id")}::bigint`,
    project_id: sql`po.project_id = ${value("project_id")}::bigint`,
    store_id: sql`po.store_id = ${value("store_id")}`,
    po_type: sql`po.po_type = ${value("po_type")}`,
    po_number_prefix: sql`po.po_number LIKE ${value("prefix")}`,
    po_date_from: sql`${date} >= ${value("po_date_from")}::date`,
    // No date is not an early date.
    po_date_to: sql`${date} <= ${value("po_date_to")}::date AND ${date} > '-infinity'::date`,
    po_value_min: sql`${amount} >= ${value("po_value_min")}::numeric`,
    po_value_max: sql`${amount} <= ${value("po_value_max")}::numeric AND ${amount} > '-Infinity'::numeric`,
    updated_since: sql`po.updated_at >= ${value("updated_since")}::timestamptz`,
  };
  return Object.entries(conditions)
    .filter(([name]) => query[name as keyof typeof conditions] !== undefined)
    .map(([, condition]) => condition);
}

/** What the placeholders stand for. */
function valuesOf(query: Search, position: string[] | undefined, limit: number): Record<string, Parameter> {
  const { status, include: _, expand: __, sort: ___, ...filters } = query;
  const given = Object.entries(filters).filter(([, each]) => each !== undefined) as [string, Parameter][];
  return {
    ...Object.fromEntries(given),
    ...Object.fromEntries(status.map((each, index) => [`status${index}`, each])),
    prefix: `${escaped(query.po_number_prefix ?? "")}%`,
    pattern: `%${escaped(query.q ?? "")}%`,
    at: position?.[0] ?? null,
    after: position?.[1] ?? null,
    limit,
  };
}

/**
 * Ids and keys of the POs that may be on the page: each branch is read from an index in the list's order, as far as `tail`
 * says, so that no branch reads more than a page has.
 */
function candidates(query: Search, key: SQL, conditions: SQL[], tail: SQL): SQL {
  const rows = (...where: SQL[]) =>
    sql`(SELECT po.id, ${key} AS key FROM "Finances".client_po po WHERE ${all([...where, ...conditions])} ${tail})`;
  const ofStatus = query.status.map((_, index) => sql`po.status = ${value(`status${index}`)}`);
  if (query.q === undefined) {
    return ofStatus.length === 0
      ? rows()
      : sql.join(
          ofStatus.map((status) => rows(status)),
          sql` UNION ALL `,
        );
  }
  const pattern = value("pattern");
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

function pageOf(query: Search, isFirst: boolean): SQL {
  const { key, rest, inOrderOf } = orderOf(sortOf(query), keys, sql`po.id`);
  const inOrder = (by: SQL) => sql`ORDER BY ${inOrderOf(by)}`;
  const conditions = [...conditionsOf(query), ...(isFirst ? [] : [rest])];
  const picked = candidates(query, key, conditions, sql`${inOrder(key)} LIMIT ${value("limit")}`);
  const expanded = query.expand.map((part) => sql`, ${expansions[part]}`);
  return sql`SELECT ${json}, to_jsonb(po.key) #>> '{}' AS key, po.id, po.lines_so_far FROM (
      SELECT po.*, picked.key, sum(po.line_item_count) OVER (${inOrder(sql`picked.key`)}) AS lines_so_far
      FROM (SELECT * FROM (${picked}) po ${inOrder(sql`po.key`)} LIMIT ${value("limit")}) picked
      JOIN "Finances".client_po po ON po.id = picked.id
    ) po CROSS JOIN LATERAL (SELECT ${poFields}${sql.join(expanded)}) item
    ${inOrder(sql`po.key`)}`;
}

const totalOf = (query: Search) =>
  sql`SELECT count(*) AS total FROM (
    SELECT FROM (${candidates(query, createdAt, conditionsOf(query), sql``)}) po LIMIT ${sql.raw(String(mostCounted + 1))}
  ) counted`;

/** The statements of lists that were asked for before, by what their text depends on; the odd ones are built each time. */
const prepared = new Map<string, ReturnType<typeof prepare<string>>>();
const mostPrepared = 500;

function statement(shape: string, build: () => SQL) {
  const known = prepared.get(shape);
  if (known) return known;
  const made = prepare<string>(build);
  if (prepared.size < mostPrepared) prepared.set(shape, made);
  return made;
}

/**
 * The POs that `asked` asks for after `position` (key, id), in its order, `limit` of them at most; `linesSoFar` counts the
 * lines of the page up to and with the PO. `total` counts all pages.
 */
export async function listPos(db: Db, asked: Search, position: string[] | undefined, limit: number) {
  const query = { ...asked, status: [...new Set(asked.status)], expand: [...new Set(asked.expand)] };
  const values = valuesOf(query, position, limit);
  const filters = Object.keys(query).filter((name) => query[name as keyof Search] !== undefined);
  const shape = JSON.stringify([filters.toSorted(), query.status.length, sortOf(query), query.expand, !position]);
  const [rows = [], counts] = await db.read(
    statement(`page ${shape}`, () => pageOf(query, !position))(values),
    ...(query.include.includes("total") ? [statement(`total ${shape}`, () => totalOf(query))(values)] : []),
  );
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
