ALTER TABLE "Finances"."client_po" ADD COLUMN "status_reason" text;
--> statement-breakpoint

-- A PO that is completed or cancelled is closed: its lines and amounts stay as they are, for every writer, until its status
-- is set back. Only the transaction that made the PO may go on with it: the API and the import write a closed PO with its
-- lines. One that has just set the status counts as such a one too; the API's transactions set a status and nothing else.
CREATE FUNCTION "Finances".refuse_closed(po_ids bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  closed record;
BEGIN
  SELECT po.id, po.status INTO closed FROM "Finances".client_po po
  WHERE po.id = ANY (po_ids) AND po.status IN ('completed', 'cancelled') AND po.xmin <> pg_current_xact_id()::xid
  ORDER BY po.id LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'PO % is %: its line items and amounts are locked', closed.id, closed.status
      USING ERRCODE = 'check_violation', SCHEMA = 'Finances', TABLE = 'client_po', CONSTRAINT = 'client_po_closed';
  END IF;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION "Finances".client_po_derive() RETURNS trigger
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

  IF TG_OP = 'UPDATE' AND NOT by_lines AND OLD.status IN ('completed', 'cancelled') AND NEW.status IN ('completed', 'cancelled')
     AND (NEW.po_value, NEW.receivable_amount, NEW.subtotal, NEW.total_tax, NEW.cgst, NEW.sgst, NEW.igst)
         IS DISTINCT FROM (OLD.po_value, OLD.receivable_amount, OLD.subtotal, OLD.total_tax, OLD.cgst, OLD.sgst, OLD.igst) THEN
    PERFORM "Finances".refuse_closed(ARRAY[OLD.id]);
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
-- As it was, but for the lock: it is taken on the POs before their status is looked at, so that no line slips in while one closes.
CREATE OR REPLACE FUNCTION "Finances".line_item_totals() RETURNS trigger
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
  PERFORM "Finances".refuse_closed(po_ids);
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
