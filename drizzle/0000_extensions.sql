-- Trigram indexes for searching by name. A trusted extension: the owner, who is no superuser, may create it.
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA "Finances";
