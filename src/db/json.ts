import { type SQL, sql } from "drizzle-orm";

/**
 * The wire's types in SQL, so that a row leaves Postgres as the very JSON text that is answered: decimals as strings,
 * instants in RFC 3339 UTC with microseconds.
 */
export const decimal = (column: string): SQL => sql.raw(`${column}::text AS ${lastName(column)}`);
export const instant = (column: string, name: string = lastName(column)): SQL =>
  sql.raw(`to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS ${name}`);
/** Columns that are on the wire what they are in the table: text, integers, booleans, dates. */
export const plain = (...columns: string[]): SQL => sql.raw(columns.join(", "));

/** `(SELECT … ) item` as JSON text; select it as column `json`. */
export const json: SQL = sql.raw("row_to_json(item)::text AS json");

const lastName = (column: string) => column.slice(column.indexOf(".") + 1);
