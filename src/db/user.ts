import { type SQL, sql } from "drizzle-orm";
import { instant, plain } from "./json.ts";

/** An account as its owner reads it; the table's alias is `u`. Its password hash is no part of any answer. */
export const userFields: SQL = sql`${plain("u.id", "u.username", "u.email", "u.role", "u.disabled")}, ${instant("u.created_at")},
  ${instant("u.updated_at")}, ${instant("u.password_changed_at")}, u.version`;
