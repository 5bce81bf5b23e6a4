import pg from "pg";
import type { LegacyTable } from "./backup.ts";
import type { Orphan } from "./orphans.ts";
import type { LoadRow } from "./repair.ts";
import type { ForeignKey, Target, TargetColumn } from "./target.ts";

const chunkRows = 10_000;
const quoted = pg.escapeIdentifier;
const textTypes = ["character varying", "text"];

/** `"Finances"."client_po"`. */
export const qualified = (table: string) => `"Finances".${quoted(table)}`;

/**
 * Inserts rows of one table, all with the same fields, some thousands a statement. A PO's lines stay in one statement,
 * so that its totals are made once; a table that refers to itself goes in whole.
 */
export async function insertRows(
  connection: pg.Client,
  table: string,
  target: Target,
  rows: readonly LoadRow[],
  onRows: (count: number) => void,
) {
  const types = new Map((target.columns.get(table) ?? []).map((column) => [column.name, column]));
  const refersToItself = target.foreignKeys.some((key) => key.table === table && key.parent === table);
  const groupedBy = table === "client_po_line_item" ? "client_po_id" : undefined;
  for (const chunk of chunks(rows, refersToItself ? rows.length : chunkRows, groupedBy)) {
    const fields = Object.keys(chunk[0] ?? {});
    const names = fields.map(quoted).join(", ");
    const values = fields.map((field) => cast(field, types.get(field))).join(", ");
    const parameters = fields.map((_, index) => `$${index + 1}::text[]`).join(", ");
    await connection.query(
      `INSERT INTO ${qualified(table)} (${names}) SELECT ${values} FROM unnest(${parameters}) AS r (${names})`,
      fields.map((field) => chunk.map((row) => row[field] ?? null)),
    );
    onRows(chunk.length);
  }
}

/** A text is assigned as it is: a cast to varchar(n) would cut it without a word. */
function cast(field: string, column: TargetColumn | undefined): string {
  const name = `r.${quoted(field)}`;
  return column === undefined || textTypes.includes(column.type) ? name : `${name}::${column.type}`;
}

function* chunks(rows: readonly LoadRow[], size: number, groupedBy: string | undefined): Generator<LoadRow[]> {
  const groups = groupedBy === undefined ? [rows] : [...Map.groupBy(rows, (row) => row[groupedBy]).values()];
  let chunk: LoadRow[] = [];
  for (const group of groups) {
    if (groupedBy !== undefined && chunk.length > 0 && chunk.length + group.length > size) {
      yield chunk;
      chunk = [];
    }
    for (const row of group) {
      chunk.push(row);
      if (groupedBy === undefined && chunk.length === size) {
        yield chunk;
        chunk = [];
      }
    }
  }
  if (chunk.length > 0) yield chunk;
}

/** Keeps rows whole, as the file has them, in legacy_orphan. */
export async function quarantine(connection: pg.Client, tables: readonly LegacyTable[], orphans: readonly Orphan[]) {
  const leaving = orphans.filter(({ handling }) => handling === "quarantined");
  const byTable = Map.groupBy(leaving, ({ table }) => table);
  for (const table of tables) {
    const reasons = new Map((byTable.get(table.name) ?? []).map((orphan) => [orphan.id, orphan]));
    if (reasons.size === 0) continue;
    const idAt = table.columns.findIndex(({ name }) => name === "id");
    const rows = table.rows.filter((row) => reasons.has(String(row[idAt])));
    const whole = rows.map((row) => {
      // jsonb stays JSON, with the digits of its numbers; everything else is the file's text.
      const fields = table.columns.map(({ name, type }, at) => {
        const value = row[at] ?? null;
        return `${JSON.stringify(name)}:${type === "jsonb" ? (value ?? "null") : JSON.stringify(value)}`;
      });
      return `{${fields.join(",")}}`;
    });
    const reason = rows.map((row) => reasons.get(String(row[idAt])));
    await connection.query(
      `INSERT INTO "Finances".legacy_orphan (table_name, row_id, constraint_name, missing_key, "row")
       SELECT $1, r.* FROM unnest($2::text[], $3::text[], $4::text[], $5::jsonb[]) AS r`,
      [
        table.name,
        reason.map((orphan) => orphan?.id),
        reason.map((orphan) => orphan?.key.name),
        reason.map((orphan) => orphan?.missing ?? null),
        whole,
      ],
    );
  }
}

export async function dropForeignKeys(connection: pg.Client, keys: readonly ForeignKey[]) {
  for (const { table, name } of keys) {
    await connection.query(`ALTER TABLE ${qualified(table)} DROP CONSTRAINT ${quoted(name)}`);
  }
}

/** NOT VALID: what is there stays, every new row is checked. */
export async function addForeignKeysNotValid(connection: pg.Client, keys: readonly ForeignKey[]) {
  for (const { table, name, definition } of keys) {
    await connection.query(`ALTER TABLE ${qualified(table)} ADD CONSTRAINT ${quoted(name)} ${definition} NOT VALID`);
  }
}

/**
 * The lines' totals counted as changes of their POs: an imported PO is version 1, last changed when it was created.
 * Two triggers stand in the way, which are off for this one statement only.
 */
export async function resetPoVersions(connection: pg.Client, ids: readonly string[]) {
  const triggers = ["client_po_derive", "client_po_audit_update"];
  const table = qualified("client_po");
  for (const trigger of triggers) await connection.query(`ALTER TABLE ${table} DISABLE TRIGGER ${trigger}`);
  await connection.query(`UPDATE ${table} SET version = 1, updated_at = created_at WHERE id = ANY ($1::bigint[])`, [
    ids,
  ]);
  for (const trigger of triggers) await connection.query(`ALTER TABLE ${table} ENABLE TRIGGER ${trigger}`);
}

/**
 * Moves the sequences above `highest` (by table), never back; answers the next id of those that moved. RESTART and not
 * setval, which a roll-back would not undo.
 */
export async function raiseSequences(connection: pg.Client, highest: ReadonlyMap<string, bigint>) {
  const moved: { table: string; next: string }[] = [];
  for (const [table, used] of highest) {
    const { rows } = await connection.query<{ sequence: string | null }>(
      "SELECT pg_get_serial_sequence($1, 'id') AS sequence",
      [qualified(table)],
    );
    const sequence = rows[0]?.sequence;
    if (sequence == null) continue;
    const position = await connection.query<{ next: string }>(
      `SELECT last_value + CASE WHEN is_called THEN 1 ELSE 0 END AS next FROM ${sequence}`,
    );
    if (BigInt(position.rows[0]?.next ?? 0) > used) continue;
    await connection.query(`ALTER TABLE ${qualified(table)} ALTER COLUMN id RESTART WITH ${used + 1n}`);
    moved.push({ table, next: String(used + 1n) });
  }
  return moved;
}

/**
 * The highest id that the file knows of each table with numbered rows: its own and those that others refer to. Beyond
 * 2^53 - 1 nothing counts: no row can have such an id.
 */
export function highestIds(tables: readonly LegacyTable[], target: Target): Map<string, bigint> {
  const highest = new Map<string, bigint>();
  const see = (table: string, ids: Iterable<string | null | undefined>) => {
    for (const id of ids) {
      if (!id || !/^\d+$/.test(id)) continue;
      const number = BigInt(id);
      const isReachable = number < BigInt(Number.MAX_SAFE_INTEGER);
      if (isReachable && number > (highest.get(table) ?? 0n)) highest.set(table, number);
    }
  };
  for (const table of tables) {
    const values = (name: string) => {
      const at = table.columns.findIndex((one) => one.name === name);
      return table.rows.map((row) => row[at]);
    };
    const isNumbered = (name: string) =>
      target.columns.get(name)?.some((one) => one.name === "id" && ["bigint", "integer"].includes(one.type)) === true;
    if (isNumbered(table.name)) see(table.name, values("id"));
    for (const key of target.foreignKeys) {
      if (key.table === table.name && key.parentColumn === "id" && isNumbered(key.parent))
        see(key.parent, values(key.column));
    }
  }
  return highest;
}
