/**
 * What PostgreSQL's catalogue (15 to 18) says of schema "Finances", as the statements that make it again. Every query runs in
 * a snapshot with an empty search_path, so that all names but pg_catalog's are qualified.
 */

const schema = `'"Finances"'::regnamespace`;
/** Not what CREATE EXTENSION brings along. */
const ours = (catalogue: string, oid: string) =>
  `NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '${catalogue}'::regclass AND e.objid = ${oid} AND e.deptype = 'e')`;
const owner = `(SELECT nspowner FROM pg_namespace WHERE oid = ${schema})`;
const notOurSchema = `n.nspname NOT IN ('Finances', 'pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'`;

export const relations = `
SELECT c.oid::regclass AS name FROM pg_class c WHERE c.relnamespace = ${schema} AND c.relkind IN ('r', 'p', 'v')`;

/** What the database has and this file knows nothing of, by name. */
export const unknownObjects = `
SELECT what FROM (
  SELECT format('%s %s', CASE c.relkind WHEN 'p' THEN 'partitioned table' WHEN 'I' THEN 'partitioned index' WHEN 'm' THEN 'materialized view'
                           WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'composite type' ELSE 'relation' END, c.oid::regclass) AS what
  FROM pg_class c WHERE c.relnamespace = ${schema} AND c.relkind NOT IN ('r', 'S', 'i', 'v') AND ${ours("pg_class", "c.oid")}
  UNION ALL
  SELECT format('%s of %s', more, c.oid::regclass)
  FROM pg_class c LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
  CROSS JOIN LATERAL (VALUES
    ('row security', c.relrowsecurity OR c.relforcerowsecurity),
    ('inheritance', c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent))),
    ('the type', c.reloftype <> 0),
    ('the replica identity', c.relkind = 'r' AND c.relreplident <> 'd'),
    ('the access method', c.relkind = 'r' AND c.relam <> 2),
    ('the tablespace', c.reltablespace <> 0),
    ('the persistence', c.relpersistence <> 'p'),
    ('the TOAST options', toast.reloptions IS NOT NULL),
    ('the owner', c.relowner <> ${owner}),
    ('a want of columns with data', c.relkind = 'r' AND NOT EXISTS (
      SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''))
  ) AS more (more, so)
  WHERE more.so AND c.relnamespace = ${schema} AND c.relkind IN ('r', 'S', 'i', 'v') AND ${ours("pg_class", "c.oid")}
  UNION ALL
  SELECT format('%s of column %s.%I', more, c.oid::regclass, a.attname)
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
  CROSS JOIN LATERAL (VALUES
    ('the options', a.attoptions IS NOT NULL AND c.relkind = 'r'),
    ('the compression', a.attcompression <> ''),
    ('the storage', c.relkind = 'r' AND a.attstorage <> t.typstorage),
    ('the statistics target', coalesce(a.attstattarget, -1) <> -1),
    ('the default', c.relkind = 'v' AND a.atthasdef)
  ) AS more (more, so)
  WHERE more.so AND c.relnamespace = ${schema} AND a.attnum > 0 AND NOT a.attisdropped AND ${ours("pg_class", "c.oid")}
  UNION ALL
  SELECT format('rule %I of %s', r.rulename, r.ev_class::regclass)
  FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
  WHERE c.relnamespace = ${schema} AND r.rulename <> '_RETURN' AND ${ours("pg_class", "c.oid")}
  UNION ALL
  SELECT format('policy %I of %s', p.polname, p.polrelid::regclass)
  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = ${schema}
  UNION ALL
  SELECT format('the clustering or replica identity of index %s', x.indexrelid::regclass)
  FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid
  WHERE c.relnamespace = ${schema} AND (x.indisclustered OR x.indisreplident)
  UNION ALL
  SELECT DISTINCT format('the disabled foreign key %I of %s', k.conname, k.conrelid::regclass)
  FROM pg_trigger t JOIN pg_constraint k ON k.oid = t.tgconstraint JOIN pg_class c ON c.oid = t.tgrelid
  WHERE c.relnamespace = ${schema} AND t.tgisinternal AND t.tgenabled <> 'O'
  UNION ALL
  SELECT format('%s %s', more, p.oid::regprocedure)
  FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
  CROSS JOIN LATERAL (VALUES
    ('aggregate', p.prokind = 'a'),
    ('the language ' || l.lanname || ' of function', l.lanname NOT IN ('sql', 'plpgsql') AND p.prokind <> 'a'),
    ('the owner of function', p.proowner <> ${owner})
  ) AS more (more, so)
  WHERE more.so AND p.pronamespace = ${schema} AND ${ours("pg_proc", "p.oid")}
  UNION ALL
  SELECT format('type %s', t.oid::regtype)
  FROM pg_type t
  WHERE t.typnamespace = ${schema} AND ${ours("pg_type", "t.oid")} AND (
    t.typtype NOT IN ('e', 'd', 'c', 'b') OR (t.typtype = 'b' AND t.typcategory <> 'A')
    OR (t.typtype IN ('e', 'd') AND t.typowner <> ${owner})
    OR EXISTS (SELECT FROM pg_constraint k WHERE k.contypid = t.oid AND NOT k.convalidated))
  UNION ALL
  ${[
    ["pg_operator", "opr", "operator"],
    ["pg_opclass", "opc", "operator class"],
    ["pg_opfamily", "opf", "operator family"],
    ["pg_collation", "coll", "collation"],
    ["pg_conversion", "con", "conversion"],
    ["pg_ts_config", "cfg", "text search configuration"],
    ["pg_ts_dict", "dict", "text search dictionary"],
    ["pg_ts_parser", "prs", "text search parser"],
    ["pg_ts_template", "tmpl", "text search template"],
    ["pg_statistic_ext", "stx", "statistics object"],
  ]
    .map(
      ([catalogue = "", prefix = "", kind = ""]) =>
        `SELECT format('${kind} %s', o.${prefix}name) FROM ${catalogue} o WHERE o.${prefix}namespace = ${schema} AND ${ours(catalogue, "o.oid")}`,
    )
    .join(" UNION ALL ")}
  UNION ALL
  ${[
    ["pg_event_trigger", "evtname", "event trigger"],
    ["pg_publication", "pubname", "publication"],
    ["pg_foreign_data_wrapper", "fdwname", "foreign data wrapper"],
    ["pg_foreign_server", "srvname", "foreign server"],
    ["pg_language", "lanname", "language"],
  ]
    .map(
      ([catalogue = "", name = "", kind = ""]) =>
        // Below 16384 is what initdb made.
        `SELECT format('${kind} %I', o.${name}) FROM ${catalogue} o WHERE o.oid >= 16384 AND ${ours(catalogue, "o.oid")}`,
    )
    .join(" UNION ALL ")}
  UNION ALL
  SELECT format('cast from %s to %s', c.castsource::regtype, c.casttarget::regtype) FROM pg_cast c
  WHERE c.oid >= 16384 AND ${ours("pg_cast", "c.oid")}
  UNION ALL
  SELECT format('%s large objects', count(*)) FROM pg_largeobject_metadata HAVING count(*) > 0
  UNION ALL
  SELECT format('relation %s in another schema', c.oid::regclass) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE ${notOurSchema} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND ${ours("pg_class", "c.oid")}
  UNION ALL
  SELECT format('function %s in another schema', p.oid::regprocedure) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE ${notOurSchema} AND ${ours("pg_proc", "p.oid")}
) unknown`;

export const extensions = `
SELECT format('CREATE EXTENSION IF NOT EXISTS %I WITH SCHEMA "Finances"', e.extname) AS statement
FROM pg_extension e WHERE e.extnamespace = ${schema}`;

const sequenceOptions = `concat_ws(' ', 'START WITH', s.seqstart, 'INCREMENT BY', s.seqincrement, 'MINVALUE', s.seqmin,
  'MAXVALUE', s.seqmax, 'CACHE', s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' END)`;
const options = (relation: string) =>
  `CASE WHEN ${relation}.reloptions IS NOT NULL THEN ' WITH (' || array_to_string(${relation}.reloptions, ', ') || ')' ELSE '' END`;

const collation = (own: string, usual: string) =>
  `CASE WHEN ${own} <> ${usual} AND ${own} <> 0 THEN 'COLLATE ' || ${own}::regcollation END`;

/** A column of CREATE TABLE. An identity's sequence keeps its name and its options. */
const columnSql = `concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), ${collation("a.attcollation", "t.typcollation")},
  CASE a.attgenerated WHEN '' THEN 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)
                      WHEN 's' THEN 'GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid) || ') STORED'
                      ELSE 'GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid) || ') VIRTUAL' END,
  CASE WHEN a.attidentity <> '' THEN (
    SELECT format('GENERATED %s AS IDENTITY (SEQUENCE NAME %s %s)', CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
                  s.seqrelid::regclass, ${sequenceOptions})
    FROM pg_depend i JOIN pg_sequence s ON s.seqrelid = i.objid
    WHERE i.classid = 'pg_class'::regclass AND i.refclassid = 'pg_class'::regclass AND i.refobjid = a.attrelid
      AND i.refobjsubid = a.attnum AND i.deptype = 'i') END,
  -- 18 names its NOT NULLs; one that is not valid yet comes after the data.
  CASE WHEN a.attnotnull AND NOT EXISTS (
         SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum] AND NOT k.convalidated)
       THEN concat((SELECT format('CONSTRAINT %I ', k.conname) FROM pg_constraint k
                    WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum]
                      AND k.conname <> format('%s_%s_not_null', c.relname, a.attname)), 'NOT NULL') END)`;

/** Everything that is made before or between tables and views. */
export const objects = `
SELECT 'pg_type:' || t.oid AS id, 'type' AS kind, t.oid::regtype::text AS name,
       CASE t.typtype WHEN 'e' THEN
         format('CREATE TYPE %s AS ENUM (%s)', t.oid::regtype,
                (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid))
       ELSE concat_ws(' ', 'CREATE DOMAIN', t.oid::regtype, 'AS', format_type(t.typbasetype, t.typtypmod),
                      ${collation("t.typcollation", "base.typcollation")},
                      'DEFAULT ' || pg_get_expr(t.typdefaultbin, 0), CASE WHEN t.typnotnull THEN 'NOT NULL' END,
                      (SELECT string_agg(format('CONSTRAINT %I %s', k.conname, pg_get_constraintdef(k.oid)), ' ' ORDER BY k.conname COLLATE "C")
                       FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c')) END AS statement
FROM pg_type t LEFT JOIN pg_type base ON base.oid = t.typbasetype
WHERE t.typnamespace = ${schema} AND t.typtype IN ('e', 'd') AND ${ours("pg_type", "t.oid")}
UNION ALL
SELECT 'pg_class:' || c.oid, 'sequence', c.oid::regclass::text,
       format('CREATE SEQUENCE %s AS %s %s', c.oid::regclass, s.seqtypid::regtype, ${sequenceOptions})
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
WHERE c.relnamespace = ${schema} AND ${ours("pg_class", "c.oid")}
  AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_class'::regclass AND i.objid = c.oid AND i.deptype = 'i')
UNION ALL
SELECT 'pg_proc:' || p.oid, 'function', p.oid::regprocedure::text, rtrim(pg_get_functiondef(p.oid), E'\\n')
FROM pg_proc p WHERE p.pronamespace = ${schema} AND p.prokind <> 'a' AND ${ours("pg_proc", "p.oid")}
UNION ALL
SELECT 'pg_class:' || c.oid, 'table', c.oid::regclass::text,
       format(E'CREATE TABLE %s (%s\\n)%s', c.oid::regclass,
         (SELECT string_agg(E'\\n  ' || ${columnSql}, ',' ORDER BY a.attnum)
          FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
          LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), ${options("c")})
FROM pg_class c WHERE c.relnamespace = ${schema} AND c.relkind = 'r' AND ${ours("pg_class", "c.oid")}
UNION ALL
SELECT 'pg_class:' || c.oid, 'view', c.oid::regclass::text,
       format(E'CREATE VIEW %s%s AS\\n%s', c.oid::regclass, ${options("c")}, rtrim(pg_get_viewdef(c.oid), ';'))
FROM pg_class c WHERE c.relnamespace = ${schema} AND c.relkind = 'v' AND ${ours("pg_class", "c.oid")}`;

/** A type as the object that makes it: its relation, or its element's. */
const typeId = (oid: string) =>
  `(SELECT CASE WHEN t.typrelid <> 0 THEN 'pg_class:' || t.typrelid
                WHEN element.typrelid <> 0 THEN 'pg_class:' || element.typrelid
                WHEN element.oid IS NOT NULL THEN 'pg_type:' || element.oid ELSE 'pg_type:' || t.oid END
    FROM pg_type t LEFT JOIN pg_type element ON element.oid = t.typelem AND t.typcategory = 'A' WHERE t.oid = ${oid})`;

/** Which of `objects` needs which. */
export const dependencies = `
SELECT DISTINCT id, needed FROM (
  SELECT CASE d.classid
           WHEN 'pg_class'::regclass THEN 'pg_class:' || d.objid
           WHEN 'pg_proc'::regclass THEN 'pg_proc:' || d.objid
           WHEN 'pg_attrdef'::regclass THEN (SELECT 'pg_class:' || f.adrelid FROM pg_attrdef f WHERE f.oid = d.objid)
           WHEN 'pg_rewrite'::regclass THEN (SELECT 'pg_class:' || r.ev_class FROM pg_rewrite r WHERE r.oid = d.objid)
           WHEN 'pg_constraint'::regclass THEN (SELECT 'pg_type:' || k.contypid FROM pg_constraint k WHERE k.oid = d.objid AND k.contypid <> 0)
           WHEN 'pg_type'::regclass THEN ${typeId("d.objid")} END AS id,
         CASE d.refclassid
           WHEN 'pg_class'::regclass THEN 'pg_class:' || d.refobjid
           WHEN 'pg_proc'::regclass THEN 'pg_proc:' || d.refobjid
           WHEN 'pg_type'::regclass THEN ${typeId("d.refobjid")} END AS needed
  FROM pg_depend d
  -- A sequence that belongs to a column is made before it and tied to it later.
  WHERE d.objid >= 16384 AND d.refobjid >= 16384
    AND NOT (d.deptype IN ('a', 'i') AND d.classid = 'pg_class'::regclass AND d.refobjsubid <> 0)
) edge WHERE id IS NOT NULL AND needed IS NOT NULL`;

export const dataTables = `
SELECT c.relname AS name,
       (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns,
       (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'collatable', a.attcollation <> 0)
                        ORDER BY part.position)
        FROM pg_constraint k CROSS JOIN LATERAL unnest(k.conkey) WITH ORDINALITY AS part (attnum, position)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = part.attnum
        WHERE k.conrelid = c.oid AND k.contype = 'p'
          -- A key that is generated is not in the COPY text: such a table is read as one without a key.
          AND NOT EXISTS (SELECT FROM pg_attribute g WHERE g.attrelid = c.oid AND g.attnum = ANY (k.conkey) AND g.attgenerated <> '')) AS key
FROM pg_class c WHERE c.relnamespace = ${schema} AND c.relkind = 'r' AND ${ours("pg_class", "c.oid")}
ORDER BY c.relname COLLATE "C"`;

export const sequences = `
SELECT c.relname AS name FROM pg_class c
WHERE c.relnamespace = ${schema} AND c.relkind = 'S' AND ${ours("pg_class", "c.oid")}`;

export const ownedSequences = `
SELECT format('ALTER SEQUENCE %s OWNED BY %s.%I', d.objid::regclass, d.refobjid::regclass, a.attname) AS statement
FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a' AND c.relnamespace = ${schema}`;

/** A NOT NULL stands with its column, but for one that old rows need not meet. */
export const constraints = (kinds: string) => `
SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid)) AS statement
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE c.relnamespace = ${schema} AND k.contype IN (${kinds}) AND (k.contype <> 'n' OR NOT k.convalidated) AND ${ours("pg_class", "c.oid")}`;

/** An index that CREATE INDEX CONCURRENTLY left invalid holds nothing: pg_dump leaves it out too. */
export const indexes = `
SELECT pg_get_indexdef(x.indexrelid) AS statement FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid
WHERE c.relnamespace = ${schema} AND c.relkind = 'r' AND x.indisvalid AND ${ours("pg_class", "c.oid")}
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x'))`;

export const triggers = `
SELECT pg_get_triggerdef(t.oid) || CASE WHEN t.tgenabled <> 'O' THEN
         format(E';\\nALTER TABLE %s %s TRIGGER %I', t.tgrelid::regclass,
                CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, t.tgname)
       ELSE '' END AS statement
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = ${schema} AND NOT t.tgisinternal`;

export const comments = `
SELECT format('COMMENT ON %s %s IS %s',
         CASE o.type WHEN 'table column' THEN 'COLUMN' WHEN 'view column' THEN 'COLUMN' WHEN 'table constraint' THEN 'CONSTRAINT'
                     WHEN 'domain constraint' THEN 'CONSTRAINT' ELSE upper(o.type) END,
         CASE o.type WHEN 'domain constraint' THEN replace(o.identity, ' on ', ' on domain ') ELSE o.identity END,
         quote_literal(d.description)) AS statement
FROM pg_description d CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) o
WHERE d.objoid >= 16384 AND o.type <> 'extension'
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e')
  AND (o.schema = '"Finances"' OR (o.type = 'schema' AND o.name = '"Finances"') OR o.identity LIKE '% on "Finances".%')`;

const grantee = `CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END`;
const roleName = "CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee)::text END";

/** GRANT for every right that is not the owner's own. `privilege` prints one, of `a`. */
const granting = (
  what: string,
  acl: string,
  own: string,
  from: string,
  { lead = "", privilege = "a.privilege_type" } = {},
) => `
SELECT ${roleName} AS role, 2 AS step,
       format('${lead}GRANT %s ON %s TO %s%s', string_agg(${privilege}, ', ' ORDER BY a.privilege_type COLLATE "C"), ${what}, ${grantee},
              CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS statement
FROM ${from} CROSS JOIN LATERAL aclexplode(${acl}) a
WHERE a.grantee <> ${own}`;
/** What PostgreSQL gives to everybody, and somebody took away. */
const withholding = (what: string, acl: string, from: string, lead = "") => `
SELECT NULL AS role, 1 AS step, format('${lead}REVOKE ALL ON %s FROM PUBLIC', ${what}) AS statement
FROM ${from}
WHERE ${acl} IS NOT NULL AND NOT EXISTS (SELECT FROM aclexplode(${acl}) a WHERE a.grantee = 0)`;

const defaultKind = `CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' END`;
const routine = `'ROUTINE ' || p.oid::regprocedure`;
const type = `'TYPE ' || t.oid::regtype`;
const relation = `CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.oid::regclass`;

export const grants = `
SELECT role, statement FROM (
  SELECT 1 AS part, * FROM (
    ${granting(`'SCHEMA ' || quote_ident(n.nspname)`, "n.nspacl", "n.nspowner", "pg_namespace n")}
      AND n.oid = ${schema} GROUP BY n.nspname, a.grantee, a.is_grantable
    UNION ALL
    ${granting(relation, "c.relacl", "c.relowner", "pg_class c")}
      AND c.relnamespace = ${schema} AND ${ours("pg_class", "c.oid")} GROUP BY c.oid, c.relkind, a.grantee, a.is_grantable
    UNION ALL
    ${granting(
      "'TABLE ' || c.oid::regclass",
      "f.attacl",
      "c.relowner",
      "pg_attribute f JOIN pg_class c ON c.oid = f.attrelid",
      {
        privilege: "format('%s (%I)', a.privilege_type, f.attname)",
      },
    )}
      AND c.relnamespace = ${schema} AND NOT f.attisdropped AND ${ours("pg_class", "c.oid")}
    GROUP BY c.oid, f.attname, a.grantee, a.is_grantable
    UNION ALL
    ${granting(routine, "p.proacl", "p.proowner", "pg_proc p")}
      AND p.pronamespace = ${schema} AND ${ours("pg_proc", "p.oid")} GROUP BY p.oid, a.grantee, a.is_grantable
    UNION ALL
    ${withholding(routine, "p.proacl", "pg_proc p")} AND p.pronamespace = ${schema} AND ${ours("pg_proc", "p.oid")}
    UNION ALL
    ${granting(type, "t.typacl", "t.typowner", "pg_type t")}
      AND t.typnamespace = ${schema} AND t.typtype IN ('e', 'd') AND ${ours("pg_type", "t.oid")} GROUP BY t.oid, a.grantee, a.is_grantable
    UNION ALL
    ${withholding(type, "t.typacl", "pg_type t")} AND t.typnamespace = ${schema} AND t.typtype IN ('e', 'd') AND ${ours("pg_type", "t.oid")}
  ) present
  UNION ALL
  SELECT 2, * FROM (
    ${granting(defaultKind, "d.defaclacl", "d.defaclrole", "pg_default_acl d", { lead: 'ALTER DEFAULT PRIVILEGES IN SCHEMA "Finances" ' })}
      AND d.defaclnamespace = ${schema} AND d.defaclrole = ${owner} GROUP BY d.defaclobjtype, a.grantee, a.is_grantable
    UNION ALL
    ${granting(defaultKind, "d.defaclacl", "d.defaclrole", "pg_default_acl d", { lead: "ALTER DEFAULT PRIVILEGES " })}
      AND d.defaclnamespace = 0 AND d.defaclobjtype IN ('r', 'S', 'f', 'T') AND d.defaclrole = ${owner}
    GROUP BY d.defaclobjtype, a.grantee, a.is_grantable
    UNION ALL
    ${withholding(defaultKind, "d.defaclacl", "pg_default_acl d", "ALTER DEFAULT PRIVILEGES ")}
      AND d.defaclnamespace = 0 AND d.defaclobjtype IN ('f', 'T') AND d.defaclrole = ${owner}
  ) future
) granted ORDER BY part, role COLLATE "C" NULLS FIRST, step, statement COLLATE "C"`;
