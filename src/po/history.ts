import { sql } from "drizzle-orm";
import { auditEntries, auditEntryFields } from "../db/audit.ts";
import { type Db, prepare } from "../db/client.ts";
import { instant, json } from "../db/json.ts";
import type { Json } from "../wire.ts";
import type { AuditEntry, DeletedPurchaseOrder } from "./contract.ts";

const known = prepare<"po">(
  () => sql`SELECT FROM "Finances".client_po WHERE id = ${sql.placeholder("po")}
    UNION ALL (SELECT FROM "Finances".audit_log WHERE client_po_id = ${sql.placeholder("po")} LIMIT 1)`,
);

const entries = prepare<"po" | "before" | "limit">(
  () => sql`SELECT ${json}, item.id FROM (
    SELECT ${auditEntryFields("a.changes - 'legacy'")} FROM ${auditEntries}
    WHERE a.client_po_id = ${sql.placeholder("po")} AND a.table_name IN ('client_po', 'client_po_line_item')
      AND (${sql.placeholder("before")}::bigint IS NULL OR a.id < ${sql.placeholder("before")}::bigint)
    ORDER BY a.id DESC LIMIT ${sql.placeholder("limit")}
  ) item`,
);

/** What was written of the PO and its lines, as a reader of POs may see it, before the entry `before`, newest first; undefined when there never was such a PO. */
export async function listPoHistory(db: Db, po: number, before: string | undefined, limit: number) {
  const [ever = [], rows = []] = await db.read(known({ po }), entries({ po, before: before ?? null, limit }));
  return ever.length === 0 ? undefined : (rows as { json: Json<AuditEntry>; id: string }[]);
}

const deletions = prepare<"since" | "at" | "entry" | "limit">(
  () => sql`SELECT ${json}, a.occurred_at AS at, a.id AS entry FROM (
    SELECT * FROM "Finances".audit_log gone
    WHERE gone.table_name = 'client_po' AND gone.action = 'delete'
      AND gone.occurred_at >= coalesce(${sql.placeholder("since")}::timestamptz, '-infinity')
      AND (${sql.placeholder("at")}::timestamptz IS NULL
        OR (gone.occurred_at, gone.id) > (${sql.placeholder("at")}::timestamptz, ${sql.placeholder("entry")}::bigint))
      AND NOT EXISTS (SELECT FROM "Finances".client_po po WHERE po.id = gone.row_id::bigint)
    ORDER BY gone.occurred_at, gone.id LIMIT ${sql.placeholder("limit")}
  ) a CROSS JOIN LATERAL (SELECT a.row_id::bigint AS id, ${instant("a.occurred_at", "deleted_at")}) item
  ORDER BY a.occurred_at, a.id`,
);

/** The POs that were deleted from `since` on and after `position` (occurred_at, entry), oldest deletion first. */
export async function listDeletedPos(db: Db, since: string | undefined, position: string[] | undefined, limit: number) {
  const [at = null, entry = null] = position ?? [];
  const [rows = []] = await db.read(deletions({ since: since ?? null, at, entry, limit }));
  return rows as { json: Json<DeletedPurchaseOrder>; at: string; entry: string }[];
}
