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

/** The row has another version than the caller knows, this one: nothing was written. */
export interface Stale {
  stale: string;
}

/** Whether a row is one of the versions that its caller knows; any is for undefined. */
export const atVersion = (column: string, versions: number[] | undefined): SQL =>
  versions === undefined ? sql`true` : sql`${sql.raw(column)} = ANY (${list(versions)}::integer[])`;
const list = (versions: number[]) => `{${versions.join(",")}}`;

/** What an update `at` one of these versions came to: `written` are the rows it returned, `current` is the row now. */
export function outcome<Current extends { version: string }>(
  written: unknown[] = [],
  current: Current | undefined,
): Current | Stale | undefined {
  return current === undefined || written.length > 0 ? current : { stale: current.version };
}

/** The same for an update that has nothing to write. */
export const unchanged = <Current extends { version: string }>(
  current: Current | undefined,
  versions: number[] | undefined,
) => outcome(versions === undefined || versions.includes(Number(current?.version)) ? [current] : [], current);

/** `missing`: there is no such row; `inUse`: the rows that refer to it, by table. */
export type Deletion = "deleted" | "missing" | Stale | { inUse: Record<string, number> };

/**
 * Deletes a row of `table` by id, unless rows of other tables refer to it: `referring` names those tables and their
 * columns. One statement, and so one snapshot, decides and explains.
 */
export function deletion(table: string, referring: Readonly<Record<string, string>>) {
  const references = Object.entries(referring);
  const statement = prepare<"id" | "versions">(
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
          AND (${sql.placeholder("versions")}::integer[] IS NULL OR gone.version = ANY (${sql.placeholder("versions")}::integer[]))
        RETURNING gone.id
      )
      SELECT target.*, EXISTS (SELECT FROM gone) AS gone FROM target`,
  );
  const current = prepare<"id">(
    () => sql`SELECT version FROM "Finances".${sql.raw(table)} WHERE id = ${sql.placeholder("id")}`,
  );
  return async (db: Db, id: number, versions: number[] | undefined): Promise<Deletion> => {
    const [rows, [left] = []] = await db.write(
      statement({ id, versions: versions === undefined ? null : list(versions) }),
      current({ id }),
    );
    const row = rows?.[0];
    if (row?.gone === "t") return "deleted";
    if (!left) return "missing";
    const counts = references.map(([other]) => [other, Number(row?.[other] ?? 0)] as const);
    const inUse = counts.filter(([, count]) => count > 0);
    const version = String(left.version);
    // Nothing in the way and yet nothing deleted: it became another version in that moment.
    if (inUse.length === 0 || versions?.includes(Number(version)) === false) return { stale: version };
    return { inUse: Object.fromEntries(inUse) };
  };
}
