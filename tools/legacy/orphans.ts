import type { LegacyBackup } from "./backup.ts";
import type { ForeignKey } from "./target.ts";
import type { Row } from "./tokenizer.ts";

export type OrphanMode = "keep" | "quarantine";

/** A row whose parent is not in the file; `missing` is null where the file names none though one is needed. */
export type Orphan = {
  table: string;
  id: string;
  key: ForeignKey;
  missing: string | null;
  handling: "kept" | "quarantined";
};

const text = (row: Row, position: number) => row[position] || null;

/**
 * Finds the rows whose parents the file does not have, for every foreign key of the target. In quarantine mode such rows
 * leave their tables whole, and with them their children; in keep mode only those that lack a required parent
 * altogether. A row that breaks two keys is listed under each in keep mode, once in quarantine.
 */
export function findOrphans(
  tables: LegacyBackup["tables"],
  foreignKeys: readonly ForeignKey[],
  mode: OrphanMode,
): Orphan[] {
  const byName = new Map(tables.map((table) => [table.name as string, table]));
  const position = (table: string, column: string) =>
    byName.get(table)?.columns.findIndex(({ name }) => name === column) ?? -1;
  const removed = new Map<string, Map<string, Orphan>>();
  const isRemoved = (table: string, row: Row) => removed.get(table)?.has(String(row[position(table, "id")])) === true;

  const broken = () => {
    const found: Orphan[] = [];
    for (const key of foreignKeys) {
      const at = position(key.table, key.column);
      const idAt = position(key.table, "id");
      if (at === -1) continue;
      const parentAt = position(key.parent, key.parentColumn);
      const parents = new Set<string | null>();
      for (const row of byName.get(key.parent)?.rows ?? []) {
        if (!isRemoved(key.parent, row)) parents.add(row[parentAt] ?? null);
      }
      for (const row of byName.get(key.table)?.rows ?? []) {
        const value = text(row, at);
        const lacksParent = value === null ? key.required : !parents.has(value);
        if (!lacksParent || isRemoved(key.table, row)) continue;
        const handling = mode === "quarantine" || value === null ? "quarantined" : "kept";
        found.push({ table: key.table, id: String(row[idAt]), key, missing: value, handling });
      }
    }
    return found;
  };

  // Every row that leaves may leave children behind: until a round finds none that must.
  for (;;) {
    const found = broken();
    const leaving = found.filter(({ handling }) => handling === "quarantined");
    if (leaving.length === 0) return [...[...removed.values()].flatMap((rows) => [...rows.values()]), ...found];
    for (const orphan of leaving) {
      const rows = removed.get(orphan.table) ?? new Map<string, Orphan>();
      removed.set(orphan.table, rows);
      if (!rows.has(orphan.id)) rows.set(orphan.id, orphan);
    }
  }
}

/** Ids of the quarantined rows of a table. */
export function quarantinedIds(orphans: readonly Orphan[], table: string): Set<string> {
  return new Set(orphans.filter((one) => one.table === table && one.handling === "quarantined").map(({ id }) => id));
}
