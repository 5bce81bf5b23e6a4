import type pg from "pg";
import { beforeAll, expect, it } from "vitest";
import { constraints } from "../src/constraints.ts";
import { describeServers, rows } from "./support/node/database.ts";

/** What no request can violate, by the reason. */
const impossible: Record<string, string[]> = {
  "ids come from sequences": ["client_pkey", "vendor_pkey", "client_po_pkey", "client_po_line_item_pkey", "user_pkey"],
  "the contracts let nothing through that breaks it": [
    "client_name_filled",
    "vendor_name_filled",
    "vendor_gstin_format",
    "vendor_status_known",
    "client_po_status_known",
    "client_po_po_type_known",
    "client_po_po_value_finite",
    "client_po_receivable_amount_finite",
    "client_po_line_item_item_name_filled",
    "client_po_line_item_quantity_positive",
    "client_po_line_item_unit_price_not_negative",
    "client_po_line_item_total_price_not_negative",
    "client_po_line_item_gst_rate_range",
  ],
  "triggers derive it from what is not negative, and the API's role may not write it": [
    "client_po_line_item_gst_amount_not_negative",
    "client_po_subtotal_not_negative",
    "client_po_total_tax_not_negative",
    "client_po_cgst_not_negative",
    "client_po_sgst_not_negative",
    "client_po_igst_not_negative",
    "client_po_derived_amounts",
  ],
  "lines are written only together with their PO, or while it is locked": ["client_po_line_item_po_fkey"],
  "an account's contract refuses it first, and its hash is made by the server": [
    "user_username_filled",
    "user_role_known",
    "user_password_hash_bcrypt",
  ],
  "a key is claimed by a function that knows its user and looks for the key": [
    "idempotency_key_pkey",
    "idempotency_key_user_fkey",
  ],
  "a session belongs to the user who was just read, whom no route deletes, and its id and token are random": [
    "refresh_session_pkey",
    "refresh_session_user_fkey",
    "refresh_session_token_hash_unique",
    "refresh_session_previous_token_hash_unique",
    "refresh_session_token_hash_sha256",
  ],
};

describeServers("the constraints of the schema", (server) => {
  let client: pg.Client;
  let named: { name: string; table: string | null; written: boolean }[];
  beforeAll(async () => {
    client = await server.connect(await server.database());
    // NOT NULL has no name before version 18. It is left to the contracts and the triggers.
    named = (await rows(
      client,
      `WITH named AS (
         SELECT conname::text AS name, conrelid AS relation FROM pg_constraint
         WHERE connamespace = '"Finances"'::regnamespace AND contype <> 'n'
         UNION
         SELECT index.relname, i.indrelid FROM pg_index i JOIN pg_class index ON index.oid = i.indexrelid
         WHERE i.indisunique AND index.relnamespace = '"Finances"'::regnamespace
         UNION
         SELECT raised[1], NULL FROM pg_proc p, regexp_matches(p.prosrc, 'CONSTRAINT = ''([^'']+)''', 'g') AS raised
         WHERE p.pronamespace = '"Finances"'::regnamespace
       )
       SELECT name, relation::regclass::text AS table,
              relation IS NULL OR has_any_column_privilege('nexgen_api', relation, 'INSERT, UPDATE') AS written
       FROM named ORDER BY name`,
    )) as typeof named;
  });

  const meant = Object.keys(constraints);
  const excluded = Object.values(impossible).flat();

  it("each mean something to a caller, or cannot be violated by one", () => {
    // On a table that the API's role cannot write, nothing can be violated but by a deletion, whatever the key's name.
    const open = named.filter(({ name, written }) => written && !meant.includes(name) && !excluded.includes(name));
    expect(open).toEqual([]);
  });

  it("are what the two lists name, and nothing is in both or twice", () => {
    const catalogue = named.filter(({ written }) => written).map(({ name }) => name);
    expect([...meant, ...excluded].filter((name) => !catalogue.includes(name))).toEqual([]);
    expect(new Set([...meant, ...excluded]).size).toBe(meant.length + excluded.length);
  });

  it("are found in the triggers too", () => {
    const raised = named.filter(({ table }) => table === null).map(({ name }) => name);
    expect(raised.length).toBeGreaterThanOrEqual(5);
    expect(raised).toContain("client_po_value_from_lines");
    expect(named.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["client_name_unique", "client_po_number_unique", "user_email_unique"]),
    );
  });

  it("point at a field of the tables' own", async () => {
    const columns = await rows(
      client,
      `SELECT DISTINCT column_name AS name FROM information_schema.columns WHERE table_schema = 'Finances'`,
    );
    const known = ["", ...columns.map(({ name }) => `/${name}`)];
    expect(Object.entries(constraints).filter(([, { pointer }]) => !known.includes(pointer))).toEqual([]);
  });
});
