import { type SQL, sql } from "drizzle-orm";
import { instant, plain } from "./json.ts";

/** A client as it is read, on its own and in a PO; the table's alias is `c`. */
export const clientFields: SQL = sql`${plain("c.id", "c.name", "c.bundle_by_store")}, ${instant("c.created_at")}, ${instant("c.updated_at")}, c.version`;

/** The same for a vendor, `v`. */
export const vendorFields: SQL = sql`${plain("v.id", "v.name", "v.contact_person", "v.email", "v.phone", "v.address", "v.gstin", "v.payment_terms", "v.status")},
  ${instant("v.created_at")}, ${instant("v.updated_at")}, v.version`;
