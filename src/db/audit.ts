import { type SQL, sql } from "drizzle-orm";
import { instant, plain } from "./json.ts";

/** An entry of the audit log as it is read, and where from; the user's name is the one that the account has now. */
export const auditEntryFields = (changes = "a.changes"): SQL => sql`${plain("a.id")}, ${instant("a.occurred_at")},
  ${plain("a.user_id", "u.username", "a.actor", "a.database_role", "a.request_id", "a.action", 'a.table_name AS "table"', "a.row_id", "a.client_po_id", `${changes} AS changes`)}`;
export const auditEntries: SQL = sql`"Finances".audit_log a LEFT JOIN "Finances"."user" u ON u.id = a.user_id`;
