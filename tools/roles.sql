-- What each role may do in schema "Finances". Run as the owner by `npm run db:roles`, after every migration: it takes all
-- rights away and grants the list below, in one transaction, so that the list is the truth.

DO $$
DECLARE
  limited regrole;
  excess text;
BEGIN
  -- A role may lift its own limits for this database, where they come before those of `npm run db:roles`.
  FOR limited IN
    SELECT s.setrole FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
    WHERE r.rolname IN ('nexgen_api', 'nexgen_backup', 'nexgen_readonly')
      AND s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
  LOOP
    EXECUTE format('ALTER ROLE %s IN DATABASE %I RESET ALL', limited, current_database());
  END LOOP;
  -- What would void the list below. Neon's console, for one, makes every role a member of neon_superuser.
  SELECT string_agg(format('%I %s', rolname, more), ', ') INTO excess
  FROM (
    SELECT r.rolname, 'is a member of ' || m.roleid::regrole AS more FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
    UNION ALL
    SELECT rolname, 'is a superuser or has CREATEROLE, CREATEDB, REPLICATION or BYPASSRLS' FROM pg_roles
    WHERE rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
  ) beyond
  WHERE rolname IN ('nexgen_api', 'nexgen_backup', 'nexgen_readonly');
  IF excess IS NOT NULL THEN
    RAISE EXCEPTION '%: take that away, or drop the role, then run `npm run db:roles` again', excess;
  END IF;
END $$;

REVOKE ALL ON SCHEMA "Finances" FROM PUBLIC, nexgen_api, nexgen_backup, nexgen_readonly;
REVOKE ALL ON ALL TABLES IN SCHEMA "Finances" FROM PUBLIC, nexgen_api, nexgen_backup, nexgen_readonly;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA "Finances" FROM PUBLIC, nexgen_api, nexgen_backup, nexgen_readonly;
-- Functions are everybody's by default. An extension's belong to whoever made it, on Neon not always the owner.
DO $$
DECLARE
  callable regprocedure;
BEGIN
  FOR callable IN
    SELECT p.oid FROM pg_proc p WHERE p.pronamespace = '"Finances"'::regnamespace AND p.proowner = current_user::regrole
  LOOP
    EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC, nexgen_api, nexgen_backup, nexgen_readonly', callable);
  END LOOP;
END $$;
-- For all schemas: per schema, default rights can only be added to.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

GRANT USAGE ON SCHEMA "Finances" TO nexgen_api, nexgen_backup, nexgen_readonly;

-- nexgen_api: the Worker. Reads what routes serve and what refers to it; the audit log and the migrations it only reads.
GRANT SELECT ON
  "Finances".billing_po, "Finances".billing_po_line_item, "Finances".client, "Finances".client_payment, "Finances".client_po,
  "Finances".client_po_line_item, "Finances".payment_vendor_link, "Finances".po_project_mapping, "Finances".project,
  "Finances".project_document, "Finances".site, "Finances".upload_file, "Finances".upload_session, "Finances".upload_stats,
  "Finances"."user", "Finances".vendor, "Finances".vendor_order, "Finances".vendor_order_line_item,
  "Finances".vendor_payment, "Finances".audit_log, "Finances".legacy_orphan, "Finances".schema_migration,
  "Finances".refresh_session, "Finances".login_attempt
  TO nexgen_api;
-- Writes are by column: what triggers derive, versions and the imported originals are nobody's to write. DELETE of a PO
-- takes its lines along by the foreign key.
GRANT INSERT (name, bundle_by_store), UPDATE (name, bundle_by_store), DELETE ON "Finances".client TO nexgen_api;
GRANT INSERT (name, contact_person, email, phone, address, gstin, payment_terms, status),
  UPDATE (name, contact_person, email, phone, address, gstin, payment_terms, status), DELETE
  ON "Finances".vendor TO nexgen_api;
GRANT INSERT (client_id, project_id, store_id, po_number, po_date, status, po_type, parent_po_id, agreement_date, pi_number,
    pi_date, vendor_id, site_id, notes, vendor_gstin, bill_to_gstin, vendor_address, bill_to_address, ship_to_address,
    po_value, receivable_amount),
  UPDATE (client_id, project_id, store_id, po_number, po_date, status, status_reason, po_type, parent_po_id, agreement_date, pi_number,
    pi_date, vendor_id, site_id, notes, vendor_gstin, bill_to_gstin, vendor_address, bill_to_address, ship_to_address,
    po_value, receivable_amount), DELETE
  ON "Finances".client_po TO nexgen_api;
GRANT INSERT (client_po_id, item_name, hsn_code, unit, quantity, unit_price, total_price, gst_rate),
  UPDATE (item_name, hsn_code, unit, quantity, unit_price, total_price, gst_rate), DELETE
  ON "Finances".client_po_line_item TO nexgen_api;
GRANT INSERT (username, email, password_hash, role, password_changed_at),
  UPDATE (role, disabled, password_hash, password_changed_at, token_version)
  ON "Finances"."user" TO nexgen_api;
-- A session keeps whose it is, where it began and when it ends.
GRANT INSERT (id, user_id, token_hash, expires_at, address, user_agent),
  UPDATE (token_hash, previous_token_hash, rotated_at, revoked_at)
  ON "Finances".refresh_session TO nexgen_api;
-- A key is claimed by a function alone, which knows whose and for how long; its answer comes from the same batch.
GRANT SELECT, UPDATE (answer) ON "Finances".idempotency_key TO nexgen_api;
GRANT EXECUTE ON FUNCTION "Finances".claim(text, text, text, bytea), "Finances".purge_idempotency_keys() TO nexgen_api;
GRANT EXECUTE ON FUNCTION "Finances".guard(uuid, integer, integer, text, text) TO nexgen_api;
-- Numbers of the server's connections, which a role sees of its own alone.
GRANT EXECUTE ON FUNCTION "Finances".connections() TO nexgen_api;
-- Failed log-ins are counted by these alone: whoever could write the counts could guess on.
GRANT EXECUTE ON FUNCTION "Finances".log_in_name(text), "Finances".count_log_in(text, text), "Finances".forget_log_ins(text, text),
  "Finances".clear_expired_sessions() TO nexgen_api;
-- Called by a trigger of POs, with the rights of whoever writes.
GRANT EXECUTE ON FUNCTION "Finances".refuse_closed(bigint[]) TO nexgen_api;
GRANT EXECUTE ON FUNCTION "Finances".kept_orphans(), "Finances".audit_value(jsonb) TO nexgen_api;

-- nexgen_backup: reads everything, also what later migrations bring, and writes nothing.
GRANT SELECT ON ALL TABLES IN SCHEMA "Finances" TO nexgen_backup;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA "Finances" TO nexgen_backup;
ALTER DEFAULT PRIVILEGES IN SCHEMA "Finances" GRANT SELECT ON TABLES TO nexgen_backup;
ALTER DEFAULT PRIVILEGES IN SCHEMA "Finances" GRANT SELECT ON SEQUENCES TO nexgen_backup;

-- nexgen_readonly: analytics and reports. No password hashes, no tokens, no stored answers, nobody's addresses.
GRANT SELECT ON
  "Finances".billing_po, "Finances".billing_po_line_item, "Finances".client, "Finances".client_payment, "Finances".client_po,
  "Finances".client_po_line_item, "Finances".payment_vendor_link, "Finances".po_project_mapping, "Finances".project,
  "Finances".project_document, "Finances".site, "Finances".upload_file, "Finances".upload_session, "Finances".upload_stats,
  "Finances".vendor, "Finances".vendor_order, "Finances".vendor_order_line_item, "Finances".vendor_payment,
  "Finances".audit_log, "Finances".schema_migration
  TO nexgen_readonly;
GRANT SELECT (id, username, email, created_at, updated_at, role, disabled, password_changed_at, version)
  ON "Finances"."user" TO nexgen_readonly;
