import { type SQL, sql } from "drizzle-orm";
import { type Db, prepare } from "./client.ts";

/** The columns that a body may write, with their SQL types: nothing else ever reaches an INSERT or UPDATE. */
export type Columns = Readonly<Record<string, string>>;

/** `a, b, c` */
export const names = (columns: Columns, alias?: string): SQL =>
  sql.raw(
    Object.keys(columns)
      .map((column) => (alias ? `${alias}.${column}` : column))
      .join(", "),
  );

/** `a text, b bigint`: how Postgres reads one JSON object. */
export const record = (columns: Columns): SQL =>
  sql.raw(
    Object.entries(columns)
      .map(([column, type]) => `${column} ${type}`)
      .join(", "),
  );

/** `a = given.a` for the columns that `changes` has; undefined when it has none. A null in it clears the column. */
export function assignments(columns: Columns, changes: object): SQL | undefined {
  const changed = Object.keys(columns).filter((column) => Object.hasOwn(changes, column));
  if (changed.length === 0) return undefined;
  return sql.raw(changed.map((column) => `${column} = given.${column}`).join(", "));
}

/** `deleted`; `missing`: there is no such row; else the rows that refer to it, by table. */
export type Deletion = "deleted" | "missing" | Record<string, number>;

/**
 * Deletes a row of `table` by id, unless rows of other tables refer to it: `referring` names those tables and their
 * columns. One statement, and so one snapshot, decides and explains.
 */
export function deletion(table: string, referring: Readonly<Record<string, string>>) {
  const references = Object.entries(referring);
  const statement = prepare<"id">(
    () => sql`WITH target AS (
        SELECT target.id, ${sql.raw(
          references
            .map(
              ([other, column]) =>
                `(SELECT count(*) FROM "Finances".${other} other WHERE other.${column} = target.id) AS ${other}`,
            )
            .join(", "),
        )} FROM "Finances".${sql.raw(table)} target WHERE target.id = ${sql.placeholder("id")}
      ),
      gone AS (
        DELETE FROM "Finances".${sql.raw(table)} gone USING target
        WHERE gone.id = target.id AND ${sql.raw(references.map(([other]) => `target.${other} = 0`).join(" AND "))}
        RETURNING gone.id
      )
      SELECT target.*, EXISTS (SELECT FROM gone) AS gone FROM target`,
  );
  return async (db: Db, id: number): Promise<Deletion> => {
    const [rows] = await db.write(statement({ id }));
    const row = rows?.[0];
    if (row?.gone === "t") return "deleted";
    const counts = references.map(([other]) => [other, Number(row?.[other] ?? 0)] as const);
    const inUse = counts.filter(([, count]) => count > 0);
    // Nothing in the way and yet nothing deleted: somebody else was faster.
    return inUse.length === 0 ? "missing" : Object.fromEntries(inUse);
  };
}
