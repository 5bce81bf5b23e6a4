import { sql } from "drizzle-orm";
import { compose, type Db, prepare } from "../db/client.ts";
import { json } from "../db/json.ts";
import { prepareOrders } from "../db/order.ts";
import { vendorFields as fields } from "../db/parties.ts";
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
import { type NewVendor, type Vendor, type VendorChanges, type VendorSort, vendorSorts } from "./contract.ts";

const one = prepare<"id">(
  () =>
    sql`SELECT ${json}, item.version FROM (SELECT ${fields} FROM "Finances".vendor v WHERE v.id = ${sql.placeholder("id")}) item`,
);

const keys = { id: [sql`v.id`, sql`bigint`], name: [sql`lower(v.name)`, sql`text`] } as const;
const page = prepareOrders<VendorSort, "pattern" | "limit">(
  vendorSorts,
  keys,
  sql`v.id`,
  ({ key, by, restOrAll }) => sql`SELECT ${json}, v.key, v.id FROM (
    SELECT v.*, ${key} AS key FROM "Finances".vendor v
    WHERE ${restOrAll}
      AND (${sql.placeholder("pattern")}::text IS NULL OR v.name ILIKE ${sql.placeholder("pattern")}::text)
    ORDER BY ${by} LIMIT ${sql.placeholder("limit")}
  ) v CROSS JOIN LATERAL (SELECT ${fields}) item ORDER BY ${by}`,
);

export async function findVendor(db: Db, id: number): Promise<Versioned<Vendor> | undefined> {
  const [rows] = await db.read(one({ id }));
  return rows?.[0] as Versioned<Vendor> | undefined;
}

/** The vendors after `place` whose name contains `search`, whatever the case. */
export async function listVendors(
  db: Db,
  sort: VendorSort,
  search: string | undefined,
  place: string[] | undefined,
  limit: number,
) {
  const pattern = search === undefined ? null : `%${search.replace(/[\\%_]/g, "\\$&")}%`;
  const [rows = []] = await db.read(page(sort, place, { pattern, limit }));
  return rows as { json: Json<Vendor>; key: string; id: string }[];
}

const columns = {
  name: "text",
  contact_person: "text",
  email: "text",
  phone: "text",
  address: "text",
  gstin: "text",
  payment_terms: "text",
  status: "text",
} satisfies Columns;

const add = prepare<"given">(
  () => sql`WITH added AS (
    INSERT INTO "Finances".vendor (${names(columns)})
    SELECT ${names(columns)} FROM jsonb_to_record(${sql.placeholder("given")}::jsonb) AS given (${record(columns)})
    RETURNING id
  ) SELECT set_config('nexgen.inserted', id::text, true) FROM added`,
);

const added = prepare(
  () => sql`SELECT ${json}, item.id, item.version FROM (
    SELECT ${fields} FROM "Finances".vendor v WHERE v.id = current_setting('nexgen.inserted')::bigint
  ) item`,
);

export async function insertVendor(db: Db, given: NewVendor): Promise<Versioned<Vendor> & { id: string }> {
  const [, rows] = await db.write(add({ given: JSON.stringify(given) }), added({}));
  return rows?.[0] as unknown as Versioned<Vendor> & { id: string };
}

/** Changes the vendor, if it is still one of `versions`. */
export async function updateVendor(
  db: Db,
  id: number,
  changes: VendorChanges,
  versions: number[] | undefined,
): Promise<Versioned<Vendor> | Stale | undefined> {
  const assigned = assignments(columns, changes);
  if (!assigned) return unchanged(await findVendor(db, id), versions);
  const [written, rows] = await db.write(
    compose(sql`UPDATE "Finances".vendor v SET ${assigned}
      FROM jsonb_to_record(${JSON.stringify(changes)}::jsonb) AS given (${record(columns)})
      WHERE v.id = ${id} AND ${atVersion("v.version", versions)} RETURNING v.id`),
    one({ id }),
  );
  return outcome(written, rows?.[0] as Versioned<Vendor> | undefined);
}

/** Deletes a vendor that nothing refers to. */
export const deleteVendor = deletion("vendor", {
  client_po: "vendor_id",
  vendor_order: "vendor_id",
  vendor_payment: "vendor_id",
});
