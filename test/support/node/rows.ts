import type pg from "pg";

const bcrypt = `$2b$12$${"a".repeat(53)}`;

/** One row in every table of the schema but the journal and the audit log, all with the id 1, parents first. */
const inserts: Record<string, string> = {
  client: `(id, name) VALUES (1, 'Acme')`,
  vendor: `(id, name) VALUES (1, 'Bolts')`,
  site: `(id, site_name) VALUES (1, 'Pune')`,
  project: `(id, client_id, name, latitude, longitude) VALUES (1, 1, 'Fit-out', 18.5204303, 73.8567437)`,
  client_po: `(id, client_id, po_number) VALUES (1, 1, 'PO-1')`,
  // As an imported line whose GST follows no rate, so that every amount of it can be written.
  client_po_line_item: `(id, client_po_id, item_name, total_price, gst_amount) VALUES (1, 1, 'Desk', 100, 17.99)`,
  client_payment: `(id, client_id, client_po_id, amount) VALUES (1, 1, 1, 5)`,
  billing_po: `(id, client_id, client_po_id, po_number, amount) VALUES (1, 1, 1, 'B-1', 5)`,
  billing_po_line_item: `(id, billing_po_id, amount) VALUES (1, 1, 5)`,
  po_project_mapping: `(id, client_po_id, project_id) VALUES (1, 1, 1)`,
  project_document: `(id, project_id) VALUES (1, 1)`,
  vendor_order: `(id, vendor_id, po_number, po_value) VALUES (1, 1, 'V-1', 5)`,
  vendor_order_line_item: `(id, vendor_order_id, amount) VALUES (1, 1, 5)`,
  vendor_payment: `(id, vendor_id, vendor_order_id, amount) VALUES (1, 1, 1, 5)`,
  payment_vendor_link: `(id, vendor_payment_id, vendor_order_id, amount_allocated) VALUES (1, 1, 1, 5)`,
  upload_session: `(id, session_id, expires_at) VALUES ('1', 's', now())`,
  upload_file: `(id, session_id, original_filename, storage_filename, storage_path, file_size) VALUES ('1', 's', 'a', 'b', 'c', 1)`,
  upload_stats: `(id, session_id) VALUES ('1', 's')`,
  user: `(id, username, email, password_hash) VALUES (1, 'asha', 'asha@example.com', '${bcrypt}')`,
  refresh_session: `(user_id, token_hash, expires_at) VALUES (1, decode(repeat('ab', 32), 'hex'), now() + interval '1 day')`,
  login_attempt: `(username, address) VALUES ('asha', '192.0.2.1')`,
  idempotency_key: `(user_id, key, method, path, body_hash) VALUES (1, 'k', 'POST', '/po', '')`,
  legacy_orphan: `(id, table_name, row_id, constraint_name, "row") VALUES (1, 'client_payment', '9', 'client_payment_po_fkey', '{}')`,
};

/** Puts one row into every table, as the owner. */
export async function insertOneOfEach(client: pg.Client): Promise<void> {
  for (const [table, values] of Object.entries(inserts)) {
    await client.query(`INSERT INTO "Finances"."${table}" ${values}`);
  }
}

export const tablesWithRows = Object.keys(inserts);
