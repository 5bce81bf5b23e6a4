import type { z } from "zod";
import { read, sql } from "./api.ts";

type Values = Record<string, string | number | boolean | null>;

/** Inserts one row as the database's owner and answers its id. */
export async function insert(table: string, values: Values): Promise<number> {
  const columns = Object.keys(values);
  const [row] = await sql(
    `INSERT INTO "Finances"."${table}" (${columns.map((column) => `"${column}"`).join(", ")})
     VALUES (${columns.map((_, index) => `$${index + 1}`).join(", ")}) RETURNING id`,
    Object.values(values),
  );
  return Number(row?.id);
}

export const insertClient = (values: Values = {}) =>
  insert("client", { name: `Client ${crypto.randomUUID()}`, ...values });

export const insertVendor = (values: Values = {}) =>
  insert("vendor", { name: `Vendor ${crypto.randomUUID()}`, ...values });

/** A PO of a client of its own, unless `values` names one. */
export const insertPo = async (values: Values = {}) =>
  insert("client_po", { client_id: values.client_id ?? (await insertClient()), ...values });

export const insertLine = (poId: number, values: Values = {}) =>
  insert("client_po_line_item", { client_po_id: poId, item_name: "Shelf", total_price: "10.00", ...values });

/** A row for every field of a body, or of a path, that refers to one. */
export const references: Readonly<Record<string, () => Promise<number>>> = {
  client_id: () => insertClient(),
  vendor_id: () => insertVendor(),
  po_id: () => insertPo(),
  parent_po_id: () => insertPo(),
  site_id: () => insert("site", { site_name: "Pune" }),
  project_id: async () => insert("project", { client_id: await insertClient(), name: "Fit-out" }),
};

/** `count` lines of one PO in one statement. */
export const insertLines = (poId: number, count: number) =>
  sql(
    `INSERT INTO "Finances".client_po_line_item (client_po_id, item_name, quantity, unit_price, gst_rate)
     SELECT $1, 'Line ' || n, 1, 1.5, 18 FROM generate_series(1, $2::int) n`,
    [poId, count],
  );

/** Reads a list to its end and answers its pages; `between` runs after each page but the last. */
export async function walk<Page extends { next_cursor: string | null }>(
  schema: z.ZodType<Page>,
  path: string,
  token: string,
  between: () => Promise<unknown> = async () => {},
): Promise<Page[]> {
  const pages: Page[] = [];
  const withCursor = (cursor: string) => `${path}${path.includes("?") ? "&" : "?"}cursor=${encodeURIComponent(cursor)}`;
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page: Page = await read(schema, cursor === "" ? path : withCursor(cursor), token);
    pages.push(page);
    cursor = page.next_cursor;
    if (cursor !== null) await between();
    if (pages.length > 500) throw new Error(`${path} has no end`);
  }
  return pages;
}
