import { createHash } from "node:crypto";
import { is } from "drizzle-orm";
import { toSnakeCase } from "drizzle-orm/casing";
import { getTableConfig, type PgColumn, PgTable } from "drizzle-orm/pg-core";
import pg from "pg";
import * as definition from "../src/db/schema.ts";
import { roles } from "./roles.ts";

/** Imported rows may lack their parent: `--orphans keep` leaves these keys NOT VALID, enforced for new rows. */
const mayBeNotValid = ["client_po_line_item_po_fkey", "client_payment_po_fkey"];

/**
 * Sorted lines that say everything about schema "Finances" and the three roles that the catalogue knows, data and
 * sequence positions aside: two databases with the same lines behave the same. The text does not depend on the version
 * of PostgreSQL (15 to 18), on the owner's name or on the session's settings.
 */
export async function describeSchema(url: string): Promise<string[]> {
  const connection = new pg.Client({ connectionString: url });
  await connection.connect();
  try {
    // pg_get_* leave out the schema of whatever the search_path finds.
    await connection.query(
      "BEGIN READ ONLY; SET LOCAL search_path = pg_catalog; SET LOCAL quote_all_identifiers = off",
    );
    const lines: string[] = [];
    for (const query of catalogue) {
      const { rows } = await connection.query<{ line: string; body: string | null }>(
        query,
        query.includes("$1") ? [roles] : [],
      );
      for (const { line, body } of rows) lines.push(body == null ? asReadBack(line) : `${line} body ${hash(body)}`);
    }
    await connection.query("COMMIT");
    return lines.sort();
  } finally {
    await connection.end();
  }
}

/**
 * PostgreSQL prints `IN` over varchar in a form that it reads back as another one of the same meaning: a database restored
 * from any dump says it so, and is the same.
 */
export const asReadBack = (line: string) =>
  line.replace(
    /\(\(ARRAY\[((?:'[^']*'::character varying(?:, )?)+)\]\)::text\[\]\)/g,
    (_, items: string) => `(ARRAY[${items.replace(/'[^']*'::character varying/g, "($&)::text")}])`,
  );

const hash = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 16);

/** Not what came with an extension: its text is its version's business. */
const ours = (classOf: string, oid: string) =>
  `NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '${classOf}'::regclass AND d.objid = ${oid} AND d.deptype = 'e')`;

const named = (relation: string) => `quote_ident(${relation}.relname)`;
const who = (oid: string) => `CASE WHEN ${oid} = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(${oid})) END`;

/** Privileges as the lines `grant <kind> <name>: <privileges> to <grantee>`; the owner's own go without saying. */
const grants = (kind: string, name: string, acl: string, owner: string, from: string) => `
  SELECT format('grant %s %s: %s to %s', '${kind}', ${name},
                string_agg(lower(a.privilege_type) || CASE WHEN a.is_grantable THEN '*' ELSE '' END, ', '
                           ORDER BY a.privilege_type COLLATE "C"), ${who("a.grantee")}) AS line, NULL AS body
  FROM ${from} CROSS JOIN LATERAL aclexplode(${acl}) a
  WHERE a.grantee <> ${owner}`;

/** Each answers rows of `line` and, where the text is long, `body`. $1: the names of the three roles. */
const catalogue = [
  `SELECT format('extension %I', e.extname) AS line, NULL AS body
   FROM pg_extension e WHERE e.extnamespace = '"Finances"'::regnamespace`,

  `SELECT concat_ws(' ', CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                         WHEN 'p' THEN 'partitioned table' WHEN 'f' THEN 'foreign table' ELSE 'composite type' END, ${named("c")},
             CASE WHEN c.relpersistence <> 'p' THEN 'unlogged' END, CASE WHEN c.relrowsecurity THEN 'row security' END,
             CASE WHEN c.relforcerowsecurity THEN 'forced' END, CASE WHEN c.reloptions IS NOT NULL THEN c.reloptions::text END,
             (SELECT 'inherits ' || string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = c.oid),
             CASE WHEN c.relowner <> n.nspowner THEN 'owner ' || pg_get_userbyid(c.relowner) END) AS line,
          CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END AS body
   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = 'Finances' AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'c') AND ${ours("pg_class", "c.oid")}`,

  `SELECT format('column %s.%I: %s', ${named("c")}, a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
             CASE WHEN a.attnotnull THEN 'not null' END,
             CASE a.attidentity WHEN 'd' THEN 'identity by default' WHEN 'a' THEN 'identity always' END,
             CASE a.attgenerated WHEN 's' THEN 'generated stored' WHEN 'v' THEN 'generated virtual' END,
             CASE WHEN a.attcollation <> t.typcollation THEN 'collate ' || a.attcollation::regcollation END)) AS line, NULL AS body
   FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
   WHERE c.relnamespace = '"Finances"'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'c')
     AND a.attnum > 0 AND NOT a.attisdropped AND ${ours("pg_class", "c.oid")}`,

  `SELECT format('%s %s.%I: %s', CASE a.attgenerated WHEN '' THEN 'default' ELSE 'expression' END, ${named("c")}, a.attname,
             pg_get_expr(d.adbin, d.adrelid)) AS line, NULL AS body
   FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
   WHERE c.relnamespace = '"Finances"'::regnamespace`,

  // 18 lists NOT NULL as constraints too; 15 does not, and the column's line says it on both.
  `SELECT format('%s %s.%I: %s', CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'f' THEN 'foreign key' WHEN 'u' THEN 'unique'
             WHEN 'c' THEN 'check' WHEN 'n' THEN 'not null' ELSE 'constraint' END, ${named("c")}, k.conname, pg_get_constraintdef(k.oid)) AS line, NULL AS body
   FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
   WHERE c.relnamespace = '"Finances"'::regnamespace AND k.contype <> 't' AND (k.contype <> 'n' OR NOT k.convalidated)`,

  `SELECT format('index %s.%I: %s', ${named("c")}, i.relname, pg_get_indexdef(i.oid) || CASE WHEN x.indisvalid THEN '' ELSE ' INVALID' END) AS line,
          NULL AS body
   FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
   WHERE c.relnamespace = '"Finances"'::regnamespace
     AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u', 'x'))`,

  `SELECT format('trigger %s.%I: %s %s', ${named("c")}, t.tgname,
             CASE t.tgenabled WHEN 'O' THEN 'enabled' WHEN 'D' THEN 'disabled' WHEN 'A' THEN 'always' ELSE 'replica only' END,
             pg_get_triggerdef(t.oid)) AS line, NULL AS body
   FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
   WHERE c.relnamespace = '"Finances"'::regnamespace AND NOT t.tgisinternal`,

  // What enforces a foreign key can be switched off by a superuser, and the constraint still looks valid.
  `SELECT DISTINCT format('foreign key %I on %s: its trigger is not enabled', k.conname, ${named("c")}) AS line, NULL AS body
   FROM pg_trigger t JOIN pg_constraint k ON k.oid = t.tgconstraint JOIN pg_class c ON c.oid = t.tgrelid
   WHERE c.relnamespace = '"Finances"'::regnamespace AND t.tgisinternal AND t.tgenabled <> 'O'`,

  `SELECT concat_ws(' ', CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
             format('%I(%s):', p.proname, pg_get_function_arguments(p.oid)), pg_get_function_result(p.oid), l.lanname,
             CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
             CASE p.proparallel WHEN 's' THEN 'parallel safe' WHEN 'r' THEN 'parallel restricted' END,
             CASE WHEN p.proisstrict THEN 'strict' END, CASE WHEN p.proleakproof THEN 'leakproof' END,
             CASE WHEN p.prosecdef THEN 'security definer' END, p.proconfig::text,
             CASE WHEN p.proowner <> n.nspowner THEN 'owner ' || pg_get_userbyid(p.proowner) END) AS line,
          p.prosrc || coalesce(pg_get_function_sqlbody(p.oid), '') AS body
   FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
   WHERE n.nspname = 'Finances' AND ${ours("pg_proc", "p.oid")}`,

  `SELECT format('sequence %s: %s start %s increment %s from %s to %s cache %s%s%s', ${named("c")}, s.seqtypid::regtype, s.seqstart,
             s.seqincrement, s.seqmin, s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN ' cycle' ELSE '' END,
             (SELECT format(' owned by %s.%I', d.refobjid::regclass, a.attname) FROM pg_depend d
              JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
              WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i'))) AS line, NULL AS body
   FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
   WHERE c.relnamespace = '"Finances"'::regnamespace`,

  `SELECT format('type %I: %s', t.typname, coalesce((SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
             FROM pg_enum e WHERE e.enumtypid = t.oid), format_type(t.typbasetype, t.typtypmod))) AS line, NULL AS body
   FROM pg_type t WHERE t.typnamespace = '"Finances"'::regnamespace AND t.typtype IN ('e', 'd', 'r') AND ${ours("pg_type", "t.oid")}`,

  `SELECT format('rule %s.%I', ${named("c")}, r.rulename) AS line, pg_get_ruledef(r.oid) AS body
   FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
   WHERE c.relnamespace = '"Finances"'::regnamespace AND r.rulename <> '_RETURN'`,

  `SELECT format('policy %s.%I', ${named("c")}, p.polname) AS line,
          concat_ws(' ', p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) AS body
   FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
   WHERE c.relnamespace = '"Finances"'::regnamespace`,

  `${grants("schema", "quote_ident(n.nspname)", "n.nspacl", "n.nspowner", "pg_namespace n")} AND n.nspname = 'Finances'
   GROUP BY n.nspname, a.grantee`,
  `${grants("sequence", named("c"), "c.relacl", "c.relowner", "pg_class c")}
     AND c.relnamespace = '"Finances"'::regnamespace AND c.relkind = 'S' GROUP BY c.relname, a.grantee`,
  `${grants("table", named("c"), "c.relacl", "c.relowner", "pg_class c")}
     AND c.relnamespace = '"Finances"'::regnamespace AND c.relkind <> 'S' GROUP BY c.relname, a.grantee`,
  `${grants("column", `${named("c")} || '.' || quote_ident(t.attname)`, "t.attacl", "c.relowner", "pg_attribute t JOIN pg_class c ON c.oid = t.attrelid")}
     AND c.relnamespace = '"Finances"'::regnamespace AND NOT t.attisdropped GROUP BY c.relname, t.attname, a.grantee`,
  `${grants("function", "format('%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid))", "coalesce(p.proacl, acldefault('f', p.proowner))", "p.proowner", "pg_proc p")}
     AND p.pronamespace = '"Finances"'::regnamespace AND ${ours("pg_proc", "p.oid")} GROUP BY p.oid, p.proname, a.grantee`,
  // A database has other users and a name of its own; what concerns us is whom it lets in.
  `${grants("database", "'itself'", "coalesce(b.datacl, acldefault('d', b.datdba))", "b.datdba", "pg_database b")}
     AND b.datname = current_database() AND (a.grantee = 0 OR pg_get_userbyid(a.grantee) = ANY ($1)) GROUP BY a.grantee`,
  `SELECT format('future grant on %s in "Finances": %s to %s', CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences'
             WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types' ELSE 'others' END,
             string_agg(lower(a.privilege_type), ', ' ORDER BY a.privilege_type COLLATE "C"), ${who("a.grantee")}) AS line, NULL AS body
   FROM pg_default_acl d CROSS JOIN LATERAL aclexplode(d.defaclacl) a
   WHERE d.defaclnamespace = '"Finances"'::regnamespace AND a.grantee <> d.defaclrole
   GROUP BY d.defaclobjtype, a.grantee`,
  // Tables, sequences and functions that the owner makes anywhere: PostgreSQL's own default lets everybody call functions.
  `SELECT format('future grant on %s in any schema: %s to %s', kind.name,
             string_agg(lower(a.privilege_type), ', ' ORDER BY a.privilege_type COLLATE "C"), ${who("a.grantee")}) AS line, NULL AS body
   FROM pg_namespace n CROSS JOIN (VALUES ('r', 'tables'), ('S', 'sequences'), ('f', 'functions')) AS kind (code, name)
   LEFT JOIN pg_default_acl d ON d.defaclnamespace = 0 AND d.defaclrole = n.nspowner AND d.defaclobjtype::text = kind.code
   CROSS JOIN LATERAL aclexplode(coalesce(d.defaclacl, acldefault(CASE kind.code WHEN 'S' THEN 's' ELSE kind.code END::"char", n.nspowner))) a
   WHERE n.nspname = 'Finances' AND a.grantee <> n.nspowner
   GROUP BY kind.name, a.grantee`,

  `SELECT concat_ws(' ', format('role %I:', r.rolname), CASE WHEN r.rolcanlogin THEN 'login' END, CASE WHEN r.rolsuper THEN 'superuser' END,
             CASE WHEN r.rolcreaterole THEN 'createrole' END, CASE WHEN r.rolcreatedb THEN 'createdb' END,
             CASE WHEN r.rolbypassrls THEN 'bypassrls' END, CASE WHEN r.rolreplication THEN 'replication' END,
             (SELECT 'in ' || string_agg(m.roleid::regrole::text, ', ' ORDER BY m.roleid::regrole::text COLLATE "C")
              FROM (SELECT DISTINCT roleid FROM pg_auth_members WHERE member = r.oid) m)) AS line, NULL AS body
   FROM pg_roles r WHERE r.rolname = ANY ($1)`,
  `SELECT format('role %I: %s%s', r.rolname, setting, CASE WHEN s.setdatabase <> 0 THEN ' in this database' ELSE '' END) AS line, NULL AS body
   FROM pg_roles r JOIN pg_db_role_setting s ON s.setrole = r.oid CROSS JOIN LATERAL unnest(s.setconfig) AS setting
   WHERE r.rolname = ANY ($1)
     AND (s.setdatabase = 0 OR s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))`,
];

export interface Drift {
  missing: string[];
  unexpected: string[];
  /** Foreign keys that wait for their orphans: reported, no drift. */
  notValid: string[];
}

/** Compares two descriptions. */
export function schemaDrift(expected: string[], actual: string[]): Drift {
  const wanted = new Set(expected);
  const present = new Set(actual);
  const notValid = actual.flatMap((line) => {
    const key = /^foreign key [^:]+?\.(\w+): .* NOT VALID$/.exec(line)?.[1];
    const valid = line.replace(/ NOT VALID$/, "");
    if (!key || !mayBeNotValid.includes(key) || wanted.has(line) || !wanted.has(valid)) return [];
    wanted.delete(valid);
    present.delete(line);
    return [key];
  });
  return {
    missing: [...wanted].filter((line) => !present.has(line)).sort(),
    unexpected: [...present].filter((line) => !wanted.has(line)).sort(),
    notValid: notValid.sort(),
  };
}

/**
 * Differences between a database (its URL or its description) and src/db/schema.ts, which the queries' types come from, one
 * line each: tables, columns with SQL type and nullability, which of them have a default, keys, and the names of checks and
 * indexes. Their expressions are not compared: PostgreSQL prints them in words of its own.
 */
export async function compareWithDefinition(database: string | string[]): Promise<string[]> {
  const lines = typeof database === "string" ? await describeSchema(database) : database;
  const { missing, unexpected } = schemaDrift(definitionLines(), lines.flatMap(comparable));
  return [
    ...missing.map((line) => `the database lacks what src/db/schema.ts defines: ${line}`),
    ...unexpected.map((line) => `src/db/schema.ts does not define: ${line}`),
  ];
}

const comparableKinds = /^(table|column|default|expression|check|unique|primary key|foreign key|index) ("[^"]+"|\w+)/;

/** The part of a description's line that `definitionLines` can say too; none for other kinds and for drizzle's journal. */
function comparable(line: string): string[] {
  const [, kind, table] = comparableKinds.exec(line) ?? [];
  if (!kind || table === "schema_migration") return [];
  const name = line.slice(0, line.indexOf(":"));
  if (kind === "index") return [line.includes("CREATE UNIQUE") ? `unique ${name}` : name];
  if (["default", "expression", "check"].includes(kind)) return [name];
  return [line.replace(/ NOT VALID$/, "")];
}

/** As PostgreSQL quotes names: all of ours are plain but the reserved words among them. */
const quoted = (name: string) => (["user", "row"].includes(name) ? `"${name}"` : name);
const columnName = (column: { name: string }) => quoted(toSnakeCase(column.name));

function definitionLines(): string[] {
  return Object.values(definition).flatMap((entry) => {
    if (!is(entry, PgTable)) return [];
    const table = getTableConfig(entry);
    const name = quoted(table.name);
    const keys = (columns: { name: string }[]) => `(${columns.map(columnName).join(", ")})`;
    return [
      `table ${name}`,
      ...table.columns.flatMap((column) => columnLines(name, column)),
      ...table.checks.map((check) => `check ${name}.${check.name}`),
      ...table.uniqueConstraints.map((unique) => `unique ${name}.${unique.name}: UNIQUE ${keys(unique.columns)}`),
      ...table.primaryKeys.map((key) => `primary key ${name}.${key.getName()}: PRIMARY KEY ${keys(key.columns)}`),
      ...table.columns
        .filter((column) => column.primary)
        .map((column) => `primary key ${name}.${table.name}_pkey: PRIMARY KEY (${columnName(column)})`),
      ...table.foreignKeys.map((key) => {
        const { columns, foreignColumns, foreignTable } = key.reference();
        const parent = `"Finances".${quoted(getTableConfig(foreignTable).name)}`;
        const onDelete = key.onDelete && key.onDelete !== "no action" ? ` ON DELETE ${key.onDelete.toUpperCase()}` : "";
        return `foreign key ${name}.${key.getName()}: FOREIGN KEY ${keys(columns)} REFERENCES ${parent}${keys(foreignColumns)}${onDelete}`;
      }),
      ...table.indexes.map(({ config }) => `${config.unique ? "unique index" : "index"} ${name}.${config.name}`),
    ];
  });
}

function columnLines(table: string, column: PgColumn): string[] {
  const identity =
    column.generatedIdentity &&
    (column.generatedIdentity.type === "always" ? "identity always" : "identity by default");
  const type = column
    .getSQLType()
    .replace(/^varchar/, "character varying")
    .replace(", ", ",");
  const words = [type, column.notNull && "not null", identity, column.generated && "generated stored"].filter(Boolean);
  const name = `${table}.${columnName(column)}`;
  return [
    `column ${name}: ${words.join(" ")}`,
    ...(column.generated ? [`expression ${name}`] : []),
    ...(column.default !== undefined ? [`default ${name}`] : []),
  ];
}
