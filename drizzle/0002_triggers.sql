-- Invariants that hold for every writer: the API, the tools and anybody's SQL.
-- Every function has a fixed search_path, and those that write what the caller may not are SECURITY DEFINER.

-- Line items: one rule for amounts. Rounding is half away from zero, as round(numeric) does.
CREATE FUNCTION "Finances".line_item_amounts() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  total_given boolean;
  price_given boolean;
BEGIN
  IF TG_OP = 'INSERT' THEN
    total_given := NEW.total_price IS NOT NULL;
    price_given := NEW.unit_price IS NOT NULL;
  ELSE
    total_given := NEW.total_price IS DISTINCT FROM OLD.total_price;
    price_given := NEW.unit_price IS DISTINCT FROM OLD.unit_price AND NEW.unit_price IS NOT NULL;
    -- A line is priced either by the unit or as a whole: a new total takes the place of the unit price.
    IF total_given AND NOT price_given THEN
      NEW.unit_price := NULL;
    END IF;
    IF OLD.gst_rate IS NULL AND NEW.gst_rate IS NULL
       AND (NEW.quantity, NEW.unit_price, NEW.total_price) IS DISTINCT FROM (OLD.quantity, OLD.unit_price, OLD.total_price) THEN
      RAISE EXCEPTION 'the GST of line item % follows no rate: give a gst_rate to change its quantity or price', OLD.id
        USING ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME,
              CONSTRAINT = 'client_po_line_item_gst_rate_needed';
    END IF;
    IF OLD.gst_rate IS NOT NULL AND NEW.gst_rate IS NULL THEN
      NEW.gst_rate := 0;
    END IF;
  END IF;

  IF NEW.unit_price IS NOT NULL THEN
    IF NEW.quantity IS NULL THEN
      RAISE EXCEPTION 'a unit price needs a quantity'
        USING ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME,
              CONSTRAINT = 'client_po_line_item_quantity_needed';
    END IF;
    IF total_given AND price_given AND NEW.total_price <> round(NEW.quantity * NEW.unit_price, 2) THEN
      RAISE EXCEPTION 'total_price % is not quantity x unit_price', NEW.total_price
        USING ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME,
              CONSTRAINT = 'client_po_line_item_one_price';
    END IF;
    NEW.total_price := round(NEW.quantity * NEW.unit_price, 2);
  ELSIF NEW.total_price IS NULL THEN
    RAISE EXCEPTION 'a line item needs a unit_price or a total_price'
      USING ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME,
            CONSTRAINT = 'client_po_line_item_one_price';
  END IF;

  IF NEW.gst_rate IS NOT NULL THEN
    -- A product is exact; a quotient by 100 keeps only four places of a large total, and would be rounded twice.
    NEW.gst_amount := round(NEW.total_price * NEW.gst_rate * 0.01, 2);
  ELSIF coalesce(NEW.gst_amount, 0) = 0 THEN
    NEW.gst_rate := 0;
    NEW.gst_amount := 0;
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER client_po_line_item_amounts BEFORE INSERT OR UPDATE ON "Finances".client_po_line_item
  FOR EACH ROW EXECUTE FUNCTION "Finances".line_item_amounts();
--> statement-breakpoint

-- Row versions and change times. Neither is anybody's to write, and an update that changes nothing changes neither.
CREATE FUNCTION "Finances".touch() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  NEW.version := OLD.version;
  NEW.updated_at := OLD.updated_at;
  IF NEW IS DISTINCT FROM OLD THEN
    NEW.version := OLD.version + 1;
    NEW.updated_at := now();
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER client_touch BEFORE UPDATE ON "Finances".client FOR EACH ROW EXECUTE FUNCTION "Finances".touch();
--> statement-breakpoint
CREATE TRIGGER vendor_touch BEFORE UPDATE ON "Finances".vendor FOR EACH ROW EXECUTE FUNCTION "Finances".touch();
--> statement-breakpoint
CREATE TRIGGER user_touch BEFORE UPDATE ON "Finances"."user" FOR EACH ROW EXECUTE FUNCTION "Finances".touch();
--> statement-breakpoint
CREATE FUNCTION "Finances".line_item_touch() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- Generated columns are null in a BEFORE trigger's NEW: without this every update would look like a change.
  NEW.rate := OLD.rate;
  NEW.gross_amount := OLD.gross_amount;
  NEW.version := OLD.version;
  NEW.updated_at := OLD.updated_at;
  IF NEW IS DISTINCT FROM OLD THEN
    NEW.version := OLD.version + 1;
    NEW.updated_at := now();
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
-- Runs after client_po_line_item_amounts: triggers of one kind fire in the order of their names.
CREATE TRIGGER client_po_line_item_touch BEFORE UPDATE ON "Finances".client_po_line_item
  FOR EACH ROW EXECUTE FUNCTION "Finances".line_item_touch();
--> statement-breakpoint

-- POs: everything that follows from the lines, the tax split, the receivable amount and the version.
CREATE FUNCTION "Finances".client_po_receivable_given() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- Only an UPDATE OF trigger can tell a receivable that was written from one that was left alone. The version, which is
  -- nobody's to write, carries the mark to client_po_derive: a setting could be anybody's. In a MERGE one action that
  -- writes the receivable makes it count as given in all: PostgreSQL keeps one list of columns per statement.
  NEW.version := NULL;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION "Finances".client_po_derive() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  -- Only the lines' trigger writes POs from within a trigger.
  by_lines boolean := pg_trigger_depth() > 1;
  receivable_given boolean;
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW.line_item_count := 0;
    NEW.subtotal := NULL;
    NEW.total_tax := NULL;
    receivable_given := true;
  ELSE
    receivable_given := NEW.version IS NULL;
    IF NOT by_lines THEN
      IF (NEW.subtotal, NEW.total_tax, NEW.cgst, NEW.sgst, NEW.igst, NEW.line_item_count)
         IS DISTINCT FROM (OLD.subtotal, OLD.total_tax, OLD.cgst, OLD.sgst, OLD.igst, OLD.line_item_count) THEN
        RAISE EXCEPTION 'subtotal, taxes and line_item_count of a PO follow from its line items'
          USING ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME,
                CONSTRAINT = 'client_po_derived_amounts';
      END IF;
      IF NEW.po_value IS DISTINCT FROM OLD.po_value THEN
        IF OLD.line_item_count > 0 THEN
          RAISE EXCEPTION 'the value of PO % is the sum of its % line items', OLD.id, OLD.line_item_count
            USING ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME,
                  CONSTRAINT = 'client_po_value_from_lines';
        END IF;
        -- A PO whose last line went and that is given a value again has no breakdown of it.
        NEW.subtotal := NULL;
        NEW.total_tax := NULL;
      END IF;
    END IF;
  END IF;

  NEW.cgst := NULL;
  NEW.sgst := NULL;
  NEW.igst := NULL;
  IF NEW.total_tax IS NOT NULL AND left(NEW.vendor_gstin, 2) ~ '^[0-9]{2}$' AND left(NEW.bill_to_gstin, 2) ~ '^[0-9]{2}$' THEN
    IF left(NEW.vendor_gstin, 2) = left(NEW.bill_to_gstin, 2) THEN
      NEW.sgst := trunc(NEW.total_tax / 2, 2);
      NEW.cgst := NEW.total_tax - NEW.sgst;
    ELSE
      NEW.igst := NEW.total_tax;
    END IF;
  END IF;

  IF NEW.receivable_amount IS NULL THEN
    NEW.receivable_amount := NEW.po_value;
  ELSIF NOT receivable_given AND NEW.po_value IS DISTINCT FROM OLD.po_value THEN
    NEW.receivable_amount := OLD.receivable_amount + coalesce(NEW.po_value, 0) - coalesce(OLD.po_value, 0);
  END IF;

  IF TG_OP = 'UPDATE' THEN
    NEW.version := OLD.version;
    NEW.updated_at := OLD.updated_at;
    -- A changed line is a change of its PO, also where no total moves.
    IF by_lines OR NEW IS DISTINCT FROM OLD THEN
      NEW.version := OLD.version + 1;
      NEW.updated_at := now();
    END IF;
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER client_po_a_receivable_given BEFORE UPDATE OF receivable_amount ON "Finances".client_po
  FOR EACH ROW EXECUTE FUNCTION "Finances".client_po_receivable_given();
--> statement-breakpoint
CREATE TRIGGER client_po_derive BEFORE INSERT OR UPDATE ON "Finances".client_po
  FOR EACH ROW EXECUTE FUNCTION "Finances".client_po_derive();
--> statement-breakpoint

-- Totals: once per statement, whatever it changed. The lock and the sums are two statements on purpose: under READ
-- COMMITTED the second one has a snapshot that is newer than the lock, so it sees what a concurrent writer committed.
CREATE FUNCTION "Finances".line_item_totals() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  po_ids bigint[];
BEGIN
  IF TG_OP = 'INSERT' THEN
    SELECT array_agg(DISTINCT n.client_po_id) INTO po_ids FROM new_rows n;
  ELSIF TG_OP = 'DELETE' THEN
    SELECT array_agg(DISTINCT o.client_po_id) INTO po_ids FROM old_rows o;
  ELSE
    SELECT array_agg(DISTINCT changed.client_po_id) INTO po_ids
    FROM old_rows o JOIN new_rows n ON n.id = o.id
    CROSS JOIN LATERAL (VALUES (o.client_po_id), (n.client_po_id)) AS changed (client_po_id)
    WHERE n.version <> o.version;
  END IF;
  IF po_ids IS NULL THEN
    RETURN NULL;
  END IF;
  PERFORM 1 FROM "Finances".client_po WHERE id = ANY (po_ids) ORDER BY id FOR NO KEY UPDATE;
  UPDATE "Finances".client_po po
  SET line_item_count = sums.lines, subtotal = sums.subtotal, total_tax = sums.total_tax, po_value = sums.subtotal + sums.total_tax
  FROM (
    SELECT ids.id, count(line.id)::integer AS lines,
           coalesce(sum(line.total_price), 0) AS subtotal, coalesce(sum(line.gst_amount), 0) AS total_tax
    FROM unnest(po_ids) AS ids (id) LEFT JOIN "Finances".client_po_line_item line ON line.client_po_id = ids.id
    GROUP BY ids.id
  ) sums
  WHERE po.id = sums.id;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER client_po_line_item_totals_insert AFTER INSERT ON "Finances".client_po_line_item
  REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION "Finances".line_item_totals();
--> statement-breakpoint
CREATE TRIGGER client_po_line_item_totals_update AFTER UPDATE ON "Finances".client_po_line_item
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION "Finances".line_item_totals();
--> statement-breakpoint
CREATE TRIGGER client_po_line_item_totals_delete AFTER DELETE ON "Finances".client_po_line_item
  REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION "Finances".line_item_totals();
--> statement-breakpoint

CREATE FUNCTION "Finances".refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION '% of "Finances".% is refused: %', lower(TG_OP), TG_TABLE_NAME, TG_ARGV[0] USING ERRCODE = 'NX405';
END $$;
--> statement-breakpoint
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "Finances".audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION "Finances".refuse('the audit log is append-only');
--> statement-breakpoint

-- Audit: once per statement, changed fields only. Decimals become strings, as everywhere on the wire; integers and
-- booleans stay what they are.
CREATE FUNCTION "Finances".audit_value(value jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN pg_catalog.jsonb_typeof(value) = 'number' AND value::text ~ '[.]' THEN pg_catalog.to_jsonb(value::text) ELSE value END
$$;
--> statement-breakpoint
CREATE FUNCTION "Finances".audit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  -- An empty setting is left on a pooled connection that once had one.
  actor_setting text := nullif(current_setting('nexgen.actor', true), '');
  by_user integer := CASE WHEN actor_setting ~ '^[0-9]{1,10}$' THEN
                       CASE WHEN actor_setting::bigint <= 2147483647 THEN actor_setting::integer END END;
  by_other text := CASE WHEN by_user IS NULL THEN actor_setting END;
  request text := nullif(current_setting('nexgen.request_id', true), '');
  -- Kept by triggers on every change, and secrets.
  silent text[] := ARRAY['version', 'updated_at', 'password_hash'];
BEGIN
  IF TG_OP = 'UPDATE' THEN
    INSERT INTO "Finances".audit_log
      (occurred_at, user_id, actor, database_role, request_id, action, table_name, row_id, client_po_id, changes)
    SELECT clock_timestamp(), by_user, by_other, session_user, request, 'update', TG_TABLE_NAME, after ->> 'id',
           CASE WHEN TG_TABLE_NAME = 'client_po' THEN after ->> 'id' ELSE after ->> 'client_po_id' END::bigint,
           difference.changes
    FROM (SELECT to_jsonb(o) AS before, to_jsonb(n) AS after FROM old_rows o JOIN new_rows n ON n.id = o.id) AS pair
    CROSS JOIN LATERAL (
      SELECT jsonb_object_agg(field, CASE WHEN field = 'password' THEN '"changed"'::jsonb ELSE
               jsonb_build_object('before', "Finances".audit_value(before -> field), 'after', "Finances".audit_value(after -> field)) END) AS changes
      FROM (
        SELECT key AS field FROM jsonb_object_keys(after) AS key
        WHERE key <> ALL (silent) AND after -> key IS DISTINCT FROM before -> key
        UNION ALL
        SELECT 'password' WHERE after -> 'password_hash' IS DISTINCT FROM before -> 'password_hash'
      ) AS changed
    ) AS difference
    WHERE difference.changes IS NOT NULL
    ORDER BY after ->> 'id';
  ELSIF TG_OP = 'INSERT' THEN
    INSERT INTO "Finances".audit_log
      (occurred_at, user_id, actor, database_role, request_id, action, table_name, row_id, client_po_id, changes)
    SELECT clock_timestamp(), by_user, by_other, session_user, request, 'insert', TG_TABLE_NAME, after ->> 'id',
           CASE WHEN TG_TABLE_NAME = 'client_po' THEN after ->> 'id' ELSE after ->> 'client_po_id' END::bigint,
           (SELECT coalesce(jsonb_object_agg(key, jsonb_build_object('after', "Finances".audit_value(value))), '{}')
            FROM jsonb_each(after) WHERE key <> ALL (silent) AND value <> 'null')
    FROM (SELECT to_jsonb(n) AS after FROM new_rows n) AS added;
  ELSE
    INSERT INTO "Finances".audit_log
      (occurred_at, user_id, actor, database_role, request_id, action, table_name, row_id, client_po_id, changes)
    SELECT clock_timestamp(), by_user, by_other, session_user, request, 'delete', TG_TABLE_NAME, before ->> 'id',
           CASE WHEN TG_TABLE_NAME = 'client_po' THEN before ->> 'id' ELSE before ->> 'client_po_id' END::bigint,
           (SELECT coalesce(jsonb_object_agg(key, jsonb_build_object('before', "Finances".audit_value(value))), '{}')
            FROM jsonb_each(before) WHERE key <> ALL (silent) AND value <> 'null')
    FROM (SELECT to_jsonb(o) AS before FROM old_rows o) AS removed;
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
DO $$
DECLARE
  audited text;
BEGIN
  FOREACH audited IN ARRAY ARRAY[
    'billing_po', 'billing_po_line_item', 'client', 'client_payment', 'client_po', 'client_po_line_item',
    'payment_vendor_link', 'po_project_mapping', 'project', 'project_document', 'site', 'upload_file', 'upload_session',
    'upload_stats', 'user', 'vendor', 'vendor_order', 'vendor_order_line_item', 'vendor_payment'
  ] LOOP
    EXECUTE format('CREATE TRIGGER %1$I AFTER INSERT ON "Finances".%2$I REFERENCING NEW TABLE AS new_rows '
      'FOR EACH STATEMENT EXECUTE FUNCTION "Finances".audit()', audited || '_audit_insert', audited);
    EXECUTE format('CREATE TRIGGER %1$I AFTER UPDATE ON "Finances".%2$I REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
      'FOR EACH STATEMENT EXECUTE FUNCTION "Finances".audit()', audited || '_audit_update', audited);
    EXECUTE format('CREATE TRIGGER %1$I AFTER DELETE ON "Finances".%2$I REFERENCING OLD TABLE AS old_rows '
      'FOR EACH STATEMENT EXECUTE FUNCTION "Finances".audit()', audited || '_audit_delete', audited);
    -- What the audit log and the totals could not follow: they see rows, and know them by their ids.
    EXECUTE format('CREATE TRIGGER %1$I BEFORE UPDATE ON "Finances".%2$I FOR EACH ROW WHEN (NEW.id IS DISTINCT FROM OLD.id) '
      'EXECUTE FUNCTION "Finances".refuse(''an id never changes'')', audited || '_id_stays', audited);
    EXECUTE format('CREATE TRIGGER %1$I BEFORE TRUNCATE ON "Finances".%2$I '
      'FOR EACH STATEMENT EXECUTE FUNCTION "Finances".refuse(''no trigger would see the rows go: delete them'')',
      audited || '_no_truncate', audited);
  END LOOP;
END $$;
--> statement-breakpoint

-- First statement of every guarded batch: ends it for a session that is over, a disabled user, an old token version or
-- too little role, and names the actor for the audit log. Without another round trip.
CREATE FUNCTION "Finances".guard(session_id uuid, user_id integer, token_version integer, least_role text, request_id text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  ranks CONSTANT text[] := ARRAY['viewer', 'editor', 'admin'];
  actual_role text;
BEGIN
  SELECT account.role INTO actual_role
  FROM "Finances".refresh_session session JOIN "Finances"."user" account ON account.id = session.user_id
  WHERE session.id = guard.session_id AND session.user_id = guard.user_id
    AND session.revoked_at IS NULL AND session.expires_at > now()
    AND NOT account.disabled AND account.token_version = guard.token_version;
  IF actual_role IS NULL THEN
    RAISE EXCEPTION 'the session is over' USING ERRCODE = 'NX401';
  END IF;
  -- An unknown role name has no rank: refused, not let through.
  IF coalesce(array_position(ranks, actual_role) < array_position(ranks, least_role), true) THEN
    RAISE EXCEPTION 'needs the role %', least_role USING ERRCODE = 'NX403';
  END IF;
  PERFORM set_config('nexgen.actor', guard.user_id::text, true), set_config('nexgen.request_id', guard.request_id, true);
END $$;
