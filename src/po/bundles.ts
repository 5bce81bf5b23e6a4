import { type SQL, sql } from "drizzle-orm";
import { type Db, prepare } from "../db/client.ts";
import { instant, json, plain } from "../db/json.ts";
import { lineItemFields } from "../db/line-item.ts";
import { type Order, orderOf } from "../db/order.ts";
import type { Json } from "../wire.ts";
import type { Bundle, BundleSort, Summary } from "./contract.ts";

/**
 * POs of a client with bundle_by_store and the same non-empty store_id are one bundle, every other PO is a single. An entry
 * stands where its newest PO stands; `snapshot` is the newest PO when the walk began, and later ones do not exist for
 * it. Every branch is an index condition: a CASE over "bundle or single" would scan.
 */
const bundles = sql.raw("(c.bundle_by_store AND po.store_id <> '')");
const upToSnapshot = (alias: string) => sql`(${sql.placeholder("snapshotAt")}::timestamptz IS NULL
  OR (${sql.raw(alias)}.created_at, ${sql.raw(alias)}.id) <= (${sql.placeholder("snapshotAt")}::timestamptz, ${sql.placeholder("snapshotId")}::bigint))`;
const ofClient = sql`(${sql.placeholder("client")}::bigint IS NULL OR po.client_id = ${sql.placeholder("client")}::bigint)`;

/** How the POs that `alias` names are sorted; an entry stands where its newest PO stands. */
const orderBy = (alias: string, sort: BundleSort) =>
  orderOf(sort, { created_at: [sql.raw(`${alias}.created_at`), sql`timestamptz`] }, sql.raw(`${alias}.id`));

const heads = (order: Order) => sql`SELECT po.*, c.name AS client_name, coalesce(${bundles}, false) AS bundles
  FROM "Finances".client_po po JOIN "Finances".client c ON c.id = po.client_id
  WHERE ${ofClient} AND ${upToSnapshot("po")} AND ${order.restOrAll}
    AND NOT coalesce(${bundles} AND EXISTS (
      SELECT FROM "Finances".client_po newer
      WHERE newer.client_id = po.client_id AND newer.store_id = po.store_id
        AND (newer.created_at, newer.id) > (po.created_at, po.id) AND ${upToSnapshot("newer")}
    ), false)
  ORDER BY ${order.by} LIMIT ${sql.placeholder("limit")}`;

/** The POs of the bundle whose newest one is `head`; none for a single. */
const ofBundle = sql`"Finances".client_po po
    WHERE head.bundles AND po.client_id = head.client_id AND po.store_id = head.store_id AND ${upToSnapshot("po")}`;
const newestFirst = sql`ORDER BY po.created_at DESC, po.id DESC`;

/** What a bundle has in all or its newest PO has on its own: a single is its own sum, and needs no second look. */
const either = (all: string, own: string) => sql.raw(`CASE WHEN head.bundles THEN ${all} ELSE ${own} END`);

// A store may have thousands of POs: they are summed as they come, and only the newest ones, in the index's order, listed.
const entries = (sort: BundleSort) => sql`SELECT head.*, ${either("sums.pos", "1")} AS pos,
    coalesce(${either("sums.value", "head.po_value")}, 0.00) AS value,
    coalesce(${either("sums.receivable", "head.receivable_amount")}, 0.00) AS receivable,
    coalesce(${either("sums.net", "head.subtotal")}, 0.00) AS net, coalesce(${either("sums.tax", "head.total_tax")}, 0.00) AS tax,
    ${either("sums.lines", "head.line_item_count")} AS lines,
    ${either("newest.ids", "ARRAY[head.id]")} AS ids, ${either("newest.numbers", "ARRAY[head.po_number]")} AS numbers,
    CASE WHEN NOT head.bundles THEN head.project_id WHEN sums.projects > 0
      THEN (SELECT po.project_id FROM ${ofBundle} AND po.project_id IS NOT NULL ${newestFirst} LIMIT 1) END AS newest_project,
    sum(${either("sums.lines", "head.line_item_count")}) OVER (ORDER BY ${orderBy("head", sort).by}) AS lines_so_far
  FROM (${heads(orderBy("po", sort))}) head CROSS JOIN LATERAL (
    SELECT count(*) AS pos, sum(po.po_value) AS value, sum(po.receivable_amount) AS receivable, sum(po.subtotal) AS net,
      sum(po.total_tax) AS tax, sum(po.line_item_count) AS lines, count(po.project_id) AS projects FROM ${ofBundle}
  ) sums CROSS JOIN LATERAL (
    SELECT array_agg(po.id) AS ids, array_agg(po.po_number) AS numbers
    FROM (SELECT po.id, po.po_number FROM ${ofBundle} ${newestFirst} LIMIT 200) po
  ) newest`;

/** The POs of the entry whose newest one is `head`. */
const members = sql`(
    SELECT po.id, po.created_at FROM ${ofBundle}
    UNION ALL
    SELECT head.id, head.created_at WHERE NOT head.bundles
  ) member`;

const header = plain(
  ...[
    "po_number",
    "po_date",
    "status",
    "po_type",
    "parent_po_id",
    "agreement_date",
    "pi_number",
    "pi_date",
    "vendor_id",
    "site_id",
    "notes",
  ].map((column) => `head.${column}`),
);

const fields = sql`CASE WHEN head.bundles THEN 'store:' || head.client_id || ':' || head.store_id ELSE 'po:' || head.id END AS bundle_id,
  CASE WHEN head.pos > 1 THEN 'BUNDLED-' || head.store_id ELSE coalesce(nullif(head.po_number, ''), 'PO-' || head.id) END AS display_identifier,
  head.pos > 1 AS is_bundled,
  (CASE WHEN head.pos > 1
    THEN '{"type":"bundled","label":"Bundle (' || head.pos || ' POs)","color":"blue","icon":"package"}'
    ELSE '{"type":"single","label":"Single PO","color":"gray","icon":"file"}' END)::json AS badge,
  CASE WHEN head.pos > 1 THEN head.pos || ' POs for store ' || head.store_id || ': '
    || (SELECT string_agg(coalesce(nullif(number, ''), 'PO-' || id), ', ' ORDER BY place)
        FROM unnest(head.ids[1:10], head.numbers[1:10]) WITH ORDINALITY AS named (id, number, place))
    || CASE WHEN head.pos > 10 THEN ', …' ELSE '' END END AS bundling_note,
  head.client_id, head.client_name, head.store_id, head.ids AS po_ids, head.numbers AS po_numbers, head.pos AS po_count,
  head.newest_project AS project_id, ${header}, ${instant("head.created_at")},
  head.value::text AS po_value, head.receivable::text AS receivable_amount, head.net::text AS subtotal, head.tax::text AS total_tax,
  head.lines AS line_item_count`;

/** A page carries at most this many lines, as a PO does. */
export const mostLinesPerPage = 2000;

/** The lines of the entry, as long as the page has room for them. */
const lines = sql`(
    SELECT coalesce(json_agg(line_item), '[]') FROM (
      SELECT ${lineItemFields} FROM ${members} JOIN "Finances".client_po_line_item line ON line.client_po_id = member.id
      WHERE head.lines_so_far <= ${sql.raw(String(mostLinesPerPage))}
      ORDER BY member.created_at DESC, member.id DESC, line.id
    ) line_item
  ) AS line_items`;

const pageOf = (sort: BundleSort, parts: SQL) =>
  prepare<"client" | "snapshotAt" | "snapshotId" | "at" | "after" | "limit">(
    () => sql`SELECT ${json}, item.created_at AS at, head.id, head.lines_so_far
      FROM (${entries(sort)}) head CROSS JOIN LATERAL (SELECT ${parts}) item
      ORDER BY ${orderBy("head", sort).by}`,
  );
const pages = {
  "-created_at": { plain: pageOf("-created_at", fields), withLines: pageOf("-created_at", sql`${fields}, ${lines}`) },
  created_at: { plain: pageOf("created_at", fields), withLines: pageOf("created_at", sql`${fields}, ${lines}`) },
};

/** The newest PO of the walk: the next page's snapshot. */
const newest = prepare<"client" | "snapshotAt" | "snapshotId">(
  () => sql`SELECT ${instant("po.created_at", "at")}, po.id FROM "Finances".client_po po
    WHERE ${ofClient} AND ${upToSnapshot("po")} ORDER BY po.created_at DESC, po.id DESC LIMIT 1`,
);

const summary = prepare<"client" | "snapshotAt" | "snapshotId">(
  () => sql`SELECT ${json} FROM (
    SELECT count(*) AS bundle_count, count(*) FILTER (WHERE pos > 1) AS bundled_count, count(*) FILTER (WHERE pos = 1) AS single_count,
      coalesce(sum(value), 0.00)::text AS total_po_value, coalesce(sum(lines), 0) AS total_line_items
    FROM (
      SELECT count(*) AS pos, sum(coalesce(po.po_value, 0.00)) AS value, sum(po.line_item_count) AS lines
      FROM "Finances".client_po po JOIN "Finances".client c ON c.id = po.client_id
      WHERE ${ofClient} AND ${upToSnapshot("po")}
      GROUP BY po.client_id, CASE WHEN ${bundles} THEN po.store_id END, CASE WHEN ${bundles} THEN NULL ELSE po.id END
    ) entry
  ) item`,
);

/** Where a walk stands: the newest PO of all when it began, and the newest PO of the last entry it has shown. */
export type BundlePosition = [snapshotAt: string, snapshotId: string, at: string, id: string];

/** The entries after `after`; `linesSoFar` counts the lines of the page up to and with the entry. */
export async function listBundles(
  db: Db,
  query: {
    clientId: number | undefined;
    sort: BundleSort;
    after: BundlePosition | undefined;
    limit: number;
    withLines: boolean;
    withSummary: boolean;
  },
) {
  const [snapshotAt = null, snapshotId = null, at = null, after = null] = query.after ?? [];
  const walk = { client: query.clientId ?? null, snapshotAt, snapshotId };
  const page = pages[query.sort][query.withLines ? "withLines" : "plain"];
  const [[newestPo] = [], rows = [], summaries] = await db.read(
    newest(walk),
    page({ ...walk, at, after, limit: query.limit }),
    ...(query.withSummary ? [summary(walk)] : []),
  );
  return {
    snapshot: [newestPo?.at ?? "", newestPo?.id ?? ""],
    entries: rows.map((row) => ({
      json: row.json as Json<Bundle>,
      at: String(row.at),
      id: String(row.id),
      linesSoFar: Number(row.lines_so_far),
    })),
    summary: summaries?.[0]?.json as Json<Summary> | undefined,
  };
}
