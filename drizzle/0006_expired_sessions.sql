-- Sessions that are over by their age, revoked or not: no token of theirs is worth anything, and nobody counts as known to
-- an account by a session of more than 30 days. A log-in clears more than it adds, so that they do not pile up.
CREATE FUNCTION "Finances".clear_expired_sessions() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DELETE FROM "Finances".refresh_session s
  WHERE s.ctid = ANY (ARRAY(
    SELECT old.ctid FROM "Finances".refresh_session old WHERE old.expires_at < now()
    ORDER BY old.expires_at LIMIT 10 FOR UPDATE SKIP LOCKED
  ));
$$;
