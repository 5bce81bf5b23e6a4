import type { Row } from "../db/client.ts";
import type { Snapshot } from "../db/snapshot.ts";
import * as catalogue from "./catalogue.ts";

/** Statements that make schema "Finances" again, without their semicolons, and what its data is. */
export interface SchemaSql {
  /** Up to the bare tables. */
  beforeData: string[];
  tables: DataTable[];
  sequences: string[];
  /** Keys, checks, indexes, views, triggers, comments and grants: no trigger fires and nothing is checked twice. */
  afterData: string[];
}

export interface DataTable {
  name: string;
  columns: string[];
  /** The primary key; empty when the table has none. */
  key: KeyColumn[];
}

export interface KeyColumn {
  name: string;
  type: string;
  /** Text sorts the same everywhere only under "C". */
  collatable: boolean;
}

/**
 * Reads schema "Finances" from the catalogue. Throws an Error that names everything that this code could not make again:
 * a backup that loses something silently is worse than none.
 */
export async function readSchema(snapshot: Snapshot): Promise<SchemaSql> {
  // Their definitions stay as they are until the data is read, as with pg_dump: the catalogue's functions know no snapshot.
  const relations = await column(snapshot, catalogue.relations, "name");
  if (relations.length > 0) await snapshot.rows(`LOCK TABLE ${relations.join(", ")} IN ACCESS SHARE MODE`);
  const unknown = await column(snapshot, catalogue.unknownObjects, "what");
  if (unknown.length > 0) throw new Error(`the backup does not know how to keep: ${unknown.join("; ")}`);
  const byName = (a: Row, b: Row) => (`${a.kind} ${a.name}` < `${b.kind} ${b.name}` ? -1 : 1);
  const { early, late } = inOrder(
    (await snapshot.rows(catalogue.objects)).sort(byName),
    await snapshot.rows(catalogue.dependencies),
  );
  return {
    beforeData: [
      'CREATE SCHEMA "Finances"',
      ...(await column(snapshot, catalogue.extensions, "statement")),
      ...early.map((object) => object.statement ?? ""),
    ],
    tables: (await snapshot.rows(catalogue.dataTables)).map((row) => ({
      name: row.name ?? "",
      columns: JSON.parse(row.columns ?? "[]") as string[],
      key: JSON.parse(row.key ?? "[]") as KeyColumn[],
    })),
    sequences: await column(snapshot, catalogue.sequences, "name"),
    afterData: [
      ...(await column(snapshot, catalogue.ownedSequences, "statement")),
      ...(await column(snapshot, catalogue.constraints("'p', 'u', 'x'"), "statement")),
      ...(await column(snapshot, catalogue.indexes, "statement")),
      ...(await column(snapshot, catalogue.constraints("'c', 'n'"), "statement")),
      ...(await column(snapshot, catalogue.constraints("'f'"), "statement")),
      ...late.map((object) => object.statement ?? ""),
      ...(await column(snapshot, catalogue.triggers, "statement")),
      ...(await column(snapshot, catalogue.comments, "statement")),
      ...granted(await snapshot.rows(catalogue.grants)),
    ],
  };
}

/** Sorted, so that two dumps of one database differ in nothing but the time. */
const column = async (snapshot: Snapshot, query: string, name: string) =>
  (await snapshot.rows(query)).map((row) => row[name] ?? "").sort();

/**
 * Each object after those that it is made of. Views come late: one may need a primary key. So does what needs a view.
 * Throws when a table does, or when objects need each other.
 */
function inOrder(objects: Row[], dependencies: Row[]): { early: Row[]; late: Row[] } {
  const names = new Set(objects.map((object) => object.id));
  const needs = new Map<string, Set<string>>();
  for (const { id, needed } of dependencies) {
    if (!id || !needed || id === needed || !names.has(id) || !names.has(needed)) continue;
    needs.set(id, (needs.get(id) ?? new Set()).add(needed));
  }
  const placed = new Map<string, "early" | "late">();
  const early: Row[] = [];
  const late: Row[] = [];
  for (let waiting = objects; waiting.length > 0; ) {
    const ready = waiting.filter(({ id }) => [...(needs.get(id ?? "") ?? [])].every((needed) => placed.has(needed)));
    if (ready.length === 0) {
      const circle = waiting.map((object) => object.name).join(", ");
      throw new Error(`the backup does not know how to keep: objects that need each other (${circle})`);
    }
    for (const object of ready) {
      const id = object.id ?? "";
      const isLate =
        object.kind === "view" || [...(needs.get(id) ?? [])].some((needed) => placed.get(needed) === "late");
      if (isLate && object.kind === "table")
        throw new Error(`the backup does not know how to keep: ${object.name}, a table that needs a view`);
      placed.set(id, isLate ? "late" : "early");
      (isLate ? late : early).push(object);
    }
    waiting = waiting.filter(({ id }) => !placed.has(id ?? ""));
  }
  return { early, late };
}

/** Rights of a role apply where it exists: a restore must not fail for want of a role. */
function granted(rows: Row[]): string[] {
  const byRole = new Map<string | null, string[]>();
  for (const { role = null, statement } of rows) byRole.set(role, [...(byRole.get(role) ?? []), statement ?? ""]);
  return [...byRole].flatMap(([role, statements]) => {
    if (role === null) return statements;
    const literal = `'${role.replaceAll("'", "''")}'`;
    const body = statements.map((statement) => `    ${statement};\n`).join("");
    return [
      `DO $backup$ BEGIN\n  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ${literal}) THEN\n${body}  END IF;\nEND $backup$`,
    ];
  });
}
