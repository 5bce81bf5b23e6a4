CREATE INDEX "refresh_session_user_open" ON "Finances"."refresh_session" USING btree ("user_id","created_at","id") WHERE revoked_at IS NULL;--> statement-breakpoint
-- What a username is counted under: itself, or its digest where it is long. Anybody may send any name, and every one is kept
-- for a day.
CREATE FUNCTION "Finances".log_in_name(username text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN octet_length(username) <= 64 THEN username ELSE encode(sha256(convert_to(username, 'UTF8')), 'hex') END;
$$;
--> statement-breakpoint
UPDATE "Finances".login_attempt SET username = "Finances".log_in_name(username) WHERE octet_length(username) > 64;
--> statement-breakpoint
-- Counts an attempt to log in to an account, there or not, and answers 0; or counts nothing and answers the seconds to wait.
-- 5 failures from one source: 1 s, doubling to 15 minutes. 10 from wherever: 1 s, doubling to 30 s, but not for a source that
-- has logged in within 30 days, so that nobody can lock the account's owner out. 24 hours without a failure forgive all.
CREATE OR REPLACE FUNCTION "Finances".count_log_in(username text, address text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  source CONSTANT text := "Finances".log_in_source(address);
  name CONSTANT text := "Finances".log_in_name(username);
  forgiven CONSTANT interval := '24 hours';
  -- After the lock: now() would be when the transaction began to wait for it.
  moment timestamptz;
  of_source "Finances".login_attempt;
  of_account "Finances".login_attempt;
  free_at timestamptz;
BEGIN
  -- One attempt of an account at a time. A row lock would have to write a row for every attempt that is refused.
  PERFORM pg_advisory_xact_lock(hashtext('login_attempt'), hashtext(username));
  moment := clock_timestamp();
  SELECT * INTO of_source FROM "Finances".login_attempt a WHERE a.username = name AND a.address = source;
  SELECT * INTO of_account FROM "Finances".login_attempt a WHERE a.username = name AND a.address = '';
  free_at := of_source.blocked_until;
  IF of_account.blocked_until > moment AND NOT EXISTS (
    SELECT FROM "Finances"."user" u JOIN "Finances".refresh_session s ON s.user_id = u.id
    WHERE u.username = count_log_in.username AND s.created_at > moment - interval '30 days'
      AND "Finances".log_in_source(s.address) = source
  ) THEN
    free_at := greatest(free_at, of_account.blocked_until);
  END IF;
  IF free_at > moment THEN
    RETURN ceil(extract(epoch FROM free_at - moment));
  END IF;

  of_source.failures := 1 + CASE WHEN of_source.last_failed_at > moment - forgiven THEN of_source.failures ELSE 0 END;
  of_account.failures := 1 + CASE WHEN of_account.last_failed_at > moment - forgiven THEN of_account.failures ELSE 0 END;
  INSERT INTO "Finances".login_attempt AS a (username, address, failures, last_failed_at, blocked_until)
  VALUES
    (name, source, of_source.failures, moment,
     CASE WHEN of_source.failures >= 5 THEN moment + make_interval(secs => least(900, power(2, least(of_source.failures - 5, 10)))) END),
    (name, '', of_account.failures, moment,
     -- Never shorter: a known source does not wait for the end of it.
     greatest(of_account.blocked_until,
       CASE WHEN of_account.failures >= 10 THEN moment + make_interval(secs => least(30, power(2, least(of_account.failures - 10, 10)))) END))
  ON CONFLICT ON CONSTRAINT login_attempt_pkey DO UPDATE
    SET failures = excluded.failures, last_failed_at = excluded.last_failed_at, blocked_until = excluded.blocked_until;
  -- More than are added, so that made-up usernames do not pile up; never waits for another attempt.
  DELETE FROM "Finances".login_attempt a
  WHERE a.ctid = ANY (ARRAY(
    SELECT old.ctid FROM "Finances".login_attempt old WHERE old.last_failed_at < moment - forgiven
    ORDER BY old.last_failed_at LIMIT 10 FOR UPDATE SKIP LOCKED
  ));
  RETURN 0;
END $$;
--> statement-breakpoint
-- After a success: forgets the failures of its source, on the account too, and no others.
CREATE OR REPLACE FUNCTION "Finances".forget_log_ins(username text, address text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  source CONSTANT text := "Finances".log_in_source(address);
  name CONSTANT text := "Finances".log_in_name(username);
  forgotten integer;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('login_attempt'), hashtext(username));
  DELETE FROM "Finances".login_attempt a
  WHERE a.username = name AND a.address = source
  RETURNING a.failures INTO forgotten;
  UPDATE "Finances".login_attempt a
  SET failures = greatest(a.failures - forgotten, 0), blocked_until = CASE WHEN a.failures - forgotten >= 10 THEN a.blocked_until END
  WHERE a.username = name AND a.address = '' AND forgotten IS NOT NULL;
END $$;
