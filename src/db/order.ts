import { type SQL, sql } from "drizzle-orm";
import { type Parameter, prepare, type Statement } from "./client.ts";

/** What a list can be sorted by: expressions that are never null, with their SQL types. */
export type Keys = Readonly<Record<string, readonly [expression: SQL, type: SQL]>>;

/** An order of a list, in SQL. */
export interface Order {
  key: SQL;
  /** `ORDER BY` this. */
  by: SQL;
  /** The same where another expression has the key. */
  inOrderOf: (key: SQL) => SQL;
  /** What comes after the place (`at`, `after`). */
  rest: SQL;
  /** The same, or everything when there is no such place yet. */
  restOrAll: SQL;
}

/** By one of `keys` and then by `id`, which is unique; `sort` is the key's name, with `-` before it when descending. */
export function orderOf(sort: string, keys: Keys, id: SQL): Order {
  const found = keys[sort.replace("-", "")];
  if (!found) throw new Error(`there is no order ${sort}`);
  const [key, type] = found;
  const [direction, beyond] = sort.startsWith("-") ? [sql`DESC`, sql`<`] : [sql`ASC`, sql`>`];
  const at = sql`${sql.placeholder("at")}::${type}`;
  const rest = sql`(${key}, ${id}) ${beyond} (${at}, ${sql.placeholder("after")}::bigint)`;
  const inOrderOf = (expression: SQL) => sql`${expression} ${direction}, ${id} ${direction}`;
  return {
    key,
    by: inOrderOf(key),
    inOrderOf,
    rest,
    restOrAll: sql`(${at} IS NULL OR ${rest})`,
  };
}

/** `query` in every order of `sorts`, each built once per isolate; `place` is key and id of the last row before the page. */
export function prepareOrders<Sort extends string, Name extends string>(
  sorts: readonly Sort[],
  keys: Keys,
  id: SQL,
  query: (order: Order) => SQL,
): (sort: Sort, place: string[] | undefined, values: Record<Name, Parameter>) => Statement {
  const statements = new Map(sorts.map((sort) => [sort, prepare<string>(() => query(orderOf(sort, keys, id)))]));
  return (sort, place, values) => {
    const statement = statements.get(sort);
    if (!statement) throw new Error(`there is no order ${sort}`);
    return statement({ ...values, at: place?.[0] ?? null, after: place?.[1] ?? null });
  };
}
