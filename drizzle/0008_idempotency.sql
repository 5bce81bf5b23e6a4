ALTER TABLE "Finances"."idempotency_key" DROP COLUMN "status";--> statement-breakpoint
ALTER TABLE "Finances"."idempotency_key" DROP COLUMN "location";--> statement-breakpoint

-- Claims an idempotency key for the caller that the guard named; the first statement after it. NX409: another transaction
-- has it at this moment; NX422: it stood for another request; NX208: that request was answered, and the answer is kept.
-- A key is free again after 24 hours, and when its request wrote nothing.
CREATE FUNCTION "Finances".claim(key text, method text, path text, body_hash bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  caller CONSTANT integer := current_setting('nexgen.actor')::integer;
  same boolean;
BEGIN
  -- Two at once must not wait for one another: whoever comes second hears of it at once.
  IF NOT pg_try_advisory_xact_lock(hashtextextended(format('idempotency_key %s %s', caller, claim.key), 0)) THEN
    RAISE EXCEPTION 'the idempotency key is in use at this moment' USING ERRCODE = 'NX409';
  END IF;
  INSERT INTO "Finances".idempotency_key AS k (user_id, key, method, path, body_hash)
  VALUES (caller, claim.key, claim.method, claim.path, claim.body_hash)
  ON CONFLICT ON CONSTRAINT idempotency_key_pkey DO UPDATE
    SET method = excluded.method, path = excluded.path, body_hash = excluded.body_hash, answer = NULL, created_at = now()
    WHERE k.answer IS NULL OR k.created_at < now() - interval '24 hours';
  IF FOUND THEN
    RETURN;
  END IF;
  SELECT (k.method, k.path, k.body_hash) = (claim.method, claim.path, claim.body_hash) INTO same
  FROM "Finances".idempotency_key k WHERE k.user_id = caller AND k.key = claim.key;
  IF same THEN
    RAISE EXCEPTION 'the request was answered' USING ERRCODE = 'NX208';
  END IF;
  RAISE EXCEPTION 'the idempotency key stands for another request' USING ERRCODE = 'NX422';
END $$;
--> statement-breakpoint
-- Forgets the keys that are free again, at most 10,000 at a time, and answers how many those were.
CREATE FUNCTION "Finances".purge_idempotency_keys() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  purged integer;
BEGIN
  DELETE FROM "Finances".idempotency_key k
  WHERE k.ctid = ANY (ARRAY(
    SELECT old.ctid FROM "Finances".idempotency_key old WHERE old.created_at < now() - interval '24 hours'
    ORDER BY old.created_at LIMIT 10000 FOR UPDATE SKIP LOCKED
  ));
  GET DIAGNOSTICS purged = ROW_COUNT;
  RETURN purged;
END $$;
