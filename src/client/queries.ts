import { sql } from "drizzle-orm";
import { compose, type Db, prepare } from "../db/client.ts";
import { json } from "../db/json.ts";
import { prepareOrders } from "../db/order.ts";
import { clientFields as fields } from "../db/parties.ts";
import {
  assignments,
  atVersion,
  type Columns,
  deletion,
  names,
  outcome,
  record,
  type Stale,
  unchanged,
} from "../db/write.ts";
import type { Json, Versioned } from "../wire.ts";
import { type Client, type ClientChanges, type ClientSort, clientSorts, type NewClient } from "./contract.ts";

const one = prepare<"id">(
  () =>
    sql`SELECT ${json}, item.version FROM (SELECT ${fields} FROM "Finances".client c WHERE c.id = ${sql.placeholder("id")}) item`,
);

const keys = { id: [sql`c.id`, sql`bigint`], name: [sql`lower(c.name)`, sql`text`] } as const;
const page = prepareOrders<ClientSort, "limit">(
  clientSorts,
  keys,
  sql`c.id`,
  ({ key, by, restOrAll }) => sql`SELECT ${json}, c.key, c.id FROM (
    SELECT c.*, ${key} AS key FROM "Finances".client c WHERE ${restOrAll} ORDER BY ${by} LIMIT ${sql.placeholder("limit")}
  ) c CROSS JOIN LATERAL (SELECT ${fields}) item ORDER BY ${by}`,
);

export async function findClient(db: Db, id: number): Promise<Versioned<Client> | undefined> {
  const [rows] = await db.read(one({ id }));
  return rows?.[0] as Versioned<Client> | undefined;
}

/** The clients after `place`. */
export async function listClients(db: Db, sort: ClientSort, place: string[] | undefined, limit: number) {
  const [rows = []] = await db.read(page(sort, place, { limit }));
  return rows as { json: Json<Client>; key: string; id: string }[];
}

const columns = { name: "text", bundle_by_store: "boolean" } satisfies Columns;

const add = prepare<"given">(
  () => sql`WITH added AS (
    INSERT INTO "Finances".client (${names(columns)})
    SELECT ${names(columns)} FROM jsonb_to_record(${sql.placeholder("given")}::jsonb) AS given (${record(columns)})
    RETURNING id
  ) SELECT set_config('nexgen.inserted', id::text, true) FROM added`,
);

const added = prepare(
  () => sql`SELECT ${json}, item.id, item.version FROM (
    SELECT ${fields} FROM "Finances".client c WHERE c.id = current_setting('nexgen.inserted')::bigint
  ) item`,
);

export async function insertClient(db: Db, given: NewClient): Promise<Versioned<Client> & { id: string }> {
  const [, rows] = await db.write(add({ given: JSON.stringify(given) }), added({}));
  return rows?.[0] as unknown as Versioned<Client> & { id: string };
}

/** Changes the client, if it is still one of `versions`. */
export async function updateClient(
  db: Db,
  id: number,
  changes: ClientChanges,
  versions: number[] | undefined,
): Promise<Versioned<Client> | Stale | undefined> {
  const assigned = assignments(columns, changes);
  if (!assigned) return unchanged(await findClient(db, id), versions);
  const [written, rows] = await db.write(
    compose(sql`UPDATE "Finances".client c SET ${assigned}
      FROM jsonb_to_record(${JSON.stringify(changes)}::jsonb) AS given (${record(columns)})
      WHERE c.id = ${id} AND ${atVersion("c.version", versions)} RETURNING c.id`),
    one({ id }),
  );
  return outcome(written, rows?.[0] as Versioned<Client> | undefined);
}

/** Deletes a client that nothing refers to. */
export const deleteClient = deletion("client", {
  client_po: "client_id",
  client_payment: "client_id",
  billing_po: "client_id",
  project: "client_id",
});
