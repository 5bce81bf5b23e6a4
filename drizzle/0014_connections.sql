-- How many are connected to the server, and how old their transactions are, for GET /health/detailed. A role sees no more of
-- another one's connections than that they are there: this runs as the owner, who has pg_monitor at Neon, and tells numbers
-- alone, no statement. What the owner does not see either has the state 'unknown'.
CREATE FUNCTION "Finances".connections(OUT role text, OUT state text, OUT connections integer, OUT oldest_transaction_seconds double precision)
RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(a.usename, ''), coalesce(a.state, 'unknown'), count(*)::integer,
         max(greatest(extract(epoch FROM clock_timestamp() - a.xact_start), 0))::double precision
  FROM pg_stat_activity a
  -- Of a connection that it does not see into, it is not told either that it is a client's.
  WHERE a.backend_type = 'client backend' OR (a.backend_type IS NULL AND a.datid IS NOT NULL)
  GROUP BY 1, 2;
$$;
