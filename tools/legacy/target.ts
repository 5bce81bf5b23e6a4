import type pg from "pg";
import { tables as legacyTables } from "../../src/ops/tables.ts";

export type TargetColumn = {
  name: string;
  /** The catalogue's name: `numeric`, `bigint`, `character varying`, `timestamp with time zone`, … */
  type: string;
  required: boolean;
  generated: boolean;
  maxLength: number | null;
  precision: number | null;
  scale: number | null;
};

/** A foreign key of one column between two of the 19 tables. */
export type ForeignKey = {
  name: string;
  table: string;
  column: string;
  parent: string;
  parentColumn: string;
  /** The column is NOT NULL: a row without a parent has no place in the table. */
  required: boolean;
  /** As `ALTER TABLE … ADD CONSTRAINT` takes it, without NOT VALID. */
  definition: string;
};

export type Target = { columns: Map<string, TargetColumn[]>; foreignKeys: ForeignKey[] };

/** Reads what the migrated database can take, from its catalogue and not from what this program remembers. */
export async function readTarget(connection: pg.Client): Promise<Target> {
  const columns = await connection.query<TargetColumn & { table: string }>(
    `SELECT table_name AS "table", column_name AS name, data_type AS type, is_nullable = 'NO' AS required,
            is_generated = 'ALWAYS' AS generated, character_maximum_length AS "maxLength",
            numeric_precision AS precision, numeric_scale AS scale
     FROM information_schema.columns WHERE table_schema = 'Finances' AND table_name = ANY ($1)
     ORDER BY table_name, ordinal_position`,
    [legacyTables],
  );
  const keys = await connection.query<ForeignKey>(
    `SELECT key.conname AS name, child.relname AS "table", child_column.attname AS "column", parent.relname AS parent,
            parent_column.attname AS "parentColumn", child_column.attnotnull AS required,
            regexp_replace(pg_get_constraintdef(key.oid), ' NOT VALID$', '') AS definition
     FROM pg_constraint key
     JOIN pg_class child ON child.oid = key.conrelid
     JOIN pg_class parent ON parent.oid = key.confrelid
     JOIN pg_attribute child_column ON child_column.attrelid = child.oid AND child_column.attnum = key.conkey[1]
     JOIN pg_attribute parent_column ON parent_column.attrelid = parent.oid AND parent_column.attnum = key.confkey[1]
     WHERE key.contype = 'f' AND key.connamespace = '"Finances"'::regnamespace AND cardinality(key.conkey) = 1
       AND child.relname = ANY ($1) AND parent.relname = ANY ($1)
     ORDER BY child.relname, key.conname`,
    [legacyTables],
  );
  const byTable = Map.groupBy(columns.rows, ({ table }) => table);
  return { columns: byTable, foreignKeys: keys.rows };
}

/** Parents before children; a table that refers to itself counts once. Throws when the keys go in a circle. */
export function parentsFirst(foreignKeys: readonly ForeignKey[]): string[] {
  const ordered: string[] = [];
  const waiting = new Set<string>(legacyTables);
  while (waiting.size > 0) {
    const ready = [...waiting].filter(
      (table) => !foreignKeys.some((key) => key.table === table && key.parent !== table && waiting.has(key.parent)),
    );
    if (ready.length === 0) throw new Error(`foreign keys in a circle: ${[...waiting].join(", ")}`);
    for (const table of ready) waiting.delete(table);
    ordered.push(...ready);
  }
  return ordered;
}
