-- Imported rows that were kept although their parent is missing: what the foreign keys that are NOT VALID let stand.
CREATE FUNCTION "Finances".kept_orphans()
RETURNS TABLE (table_name text, row_id text, constraint_name text, missing_key text, kept jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  key record;
BEGIN
  FOR key IN
    SELECT c.conname, c.conrelid::regclass AS child, child.relname AS child_name, c.confrelid::regclass AS parent,
           child_column.attname AS child_column, parent_column.attname AS parent_column
    FROM pg_constraint c
    JOIN pg_class child ON child.oid = c.conrelid
    JOIN pg_attribute child_column ON child_column.attrelid = c.conrelid AND child_column.attnum = c.conkey[1]
    JOIN pg_attribute parent_column ON parent_column.attrelid = c.confrelid AND parent_column.attnum = c.confkey[1]
    WHERE c.contype = 'f' AND NOT c.convalidated AND c.connamespace = '"Finances"'::regnamespace AND cardinality(c.conkey) = 1
  LOOP
    RETURN QUERY EXECUTE format(
      'SELECT %1$L::text, child.id::text, %2$L::text, child.%3$I::text, (
         SELECT jsonb_object_agg(field.key, "Finances".audit_value(field.value)) FROM jsonb_each(to_jsonb(child)) AS field
       )
       FROM %4$s child
       WHERE child.%3$I IS NOT NULL AND NOT EXISTS (SELECT FROM %5$s parent WHERE parent.%6$I = child.%3$I)',
      key.child_name, key.conname, key.child_column, key.child, key.parent, key.parent_column);
  END LOOP;
END $$;
