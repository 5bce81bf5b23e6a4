import { SQL, sql } from "drizzle-orm";
import { auditEntries, auditEntryFields } from "../db/audit.ts";
import { compose, type Db, prepare } from "../db/client.ts";
import { json } from "../db/json.ts";
import type { AuditEntry } from "../po/contract.ts";
import type { Json } from "../wire.ts";
import type { AuditSort, Counts, Orphan } from "./contract.ts";
import { tables } from "./tables.ts";

const counted = sql.raw(
  tables.map((name) => `SELECT '${name}' AS name, count(*) AS rows FROM "Finances"."${name}"`).join(" UNION ALL "),
);

const counts = prepare(
  () => sql`WITH counted AS (${counted})
    SELECT ${json} FROM (
      SELECT (SELECT json_object_agg(name, rows) FROM counted) AS tables, (SELECT sum(rows)::bigint FROM counted) AS total
    ) item`,
);

/** Rows per table of the business. It counts them all, so it is for operators, not for every page. */
export async function countRows(db: Db): Promise<Json<Counts>> {
  const [rows] = await db.read(counts({}));
  return rows?.[0]?.json as Json<Counts>;
}

const page = prepare<"table" | "row" | "limit">(
  () => sql`SELECT ${json}, item."table", item.row_id FROM (
    SELECT * FROM (
      SELECT 'quarantined' AS state, o.table_name AS "table", o.row_id, o.constraint_name AS "constraint", o.missing_key, o.row
      FROM "Finances".legacy_orphan o
      UNION ALL
      SELECT 'kept', k.table_name, k.row_id, k.constraint_name, k.missing_key, k.kept FROM "Finances".kept_orphans() k
    ) orphan
    WHERE (orphan."table", orphan.row_id) > (${sql.placeholder("table")}, ${sql.placeholder("row")})
    ORDER BY orphan."table", orphan.row_id LIMIT ${sql.placeholder("limit")}
  ) item`,
);

/** The imported rows without a parent, after `position` (table, row id). */
export async function listOrphans(db: Db, position: string[] | undefined, limit: number) {
  const [rows = []] = await db.read(page({ table: position?.[0] ?? "", row: position?.[1] ?? "", limit }));
  return rows as { json: Json<Orphan>; table: string; row_id: string }[];
}

/** Which entries of the audit log; a row is known by its table and its id there. */
export interface AuditFilter {
  user: number | undefined;
  row: { table: string; id: string } | undefined;
}

/** The entries after the entry `after`, newest first or oldest first. */
export async function listAuditEntries(
  db: Db,
  filter: AuditFilter,
  sort: AuditSort,
  after: string | undefined,
  limit: number,
) {
  const [direction, beyond] = sort === "id" ? [sql`ASC`, sql`>`] : [sql`DESC`, sql`<`];
  const conditions = [
    filter.user !== undefined && sql`a.user_id = ${filter.user}::bigint`,
    filter.row && sql`a.table_name = ${filter.row.table} AND a.row_id = ${filter.row.id}`,
    after !== undefined && sql`a.id ${beyond} ${after}::bigint`,
  ].filter((condition) => condition instanceof SQL);
  const [rows = []] = await db.read(
    compose(sql`SELECT ${json}, item.id FROM (
      SELECT ${auditEntryFields()} FROM ${auditEntries}
      ${conditions.length > 0 ? sql`WHERE ${sql.join(conditions, sql` AND `)}` : sql``}
      ORDER BY a.id ${direction} LIMIT ${limit}
    ) item`),
  );
  return rows as { json: Json<AuditEntry>; id: string }[];
}
