import type { LegacyBackup, LegacyTable } from "./backup.ts";
import { type Orphan, quarantinedIds } from "./orphans.ts";
import { type LineSums, type PoDifference, reconcile } from "./purchase-order.ts";
import { convert, type Draft, type Journal, problem, type Repair } from "./row.ts";
import { fillInstants, mendClient, mendLine, mendPo, mendUser, mendVendor } from "./rules.ts";
import type { Target } from "./target.ts";

export type RepairOptions = {
  /** IANA zone of the columns that are not UTC. */
  timezone: string;
  /** Role of the imported accounts. */
  userRole: string;
  acceptLineTotals: boolean;
};

export type LoadRow = Record<string, string | null>;

/** Rows ready to load, by table; values are texts that PostgreSQL reads as the columns' types. */
export type Repaired = {
  rows: Map<string, LoadRow[]>;
  repairs: Repair[];
  /** Non-empty: the import must stop. */
  problems: string[];
  differences: PoDifference[];
};

const mostLines = 2000;

/** Applies every rule of the take-over to the rows that will be loaded. Pure: the database is asked for nothing. */
export function repair(
  backup: LegacyBackup,
  target: Target,
  orphans: readonly Orphan[],
  options: RepairOptions,
): Repaired {
  const journal: Journal = { repairs: [], problems: [] };
  const exportedAt = backup.exportedAt === null ? null : `${backup.exportedAt} ${options.timezone}`;
  const byTable = new Map<string, Draft[]>();
  for (const table of backup.tables) {
    const columns = target.columns.get(table.name) ?? [];
    const leaving = quarantinedIds(orphans, table.name);
    const drafts: Draft[] = [];
    for (const draft of draftRows(journal, table, target)) {
      const present = columns.filter(({ name }) => name in draft.raw);
      if (leaving.has(draft.id)) {
        // Kept as it stands and so not repaired, but NaN stops the import wherever it is.
        const own: Journal = { repairs: [], problems: journal.problems };
        for (const column of present) if (column.type === "numeric") convert(own, draft, column, options.timezone);
        continue;
      }
      for (const column of present) convert(journal, draft, column, options.timezone);
      fillInstants(journal, draft, columns, exportedAt);
      drafts.push(draft);
    }
    byTable.set(table.name, drafts);
  }
  const drafts = (table: string) => byTable.get(table) ?? [];
  for (const draft of drafts("client")) mendClient(journal, draft);
  for (const draft of drafts("vendor")) mendVendor(journal, draft);
  for (const draft of drafts("user")) mendUser(journal, draft, options.userRole);
  const differences = mendPos(journal, drafts("client_po"), drafts("client_po_line_item"), exportedAt, options);

  const rows = new Map<string, LoadRow[]>();
  for (const [table, ready] of byTable) {
    const columns = target.columns.get(table) ?? [];
    for (const draft of ready) finish(journal, draft, columns);
    rows.set(
      table,
      ready.map(({ values }) => values),
    );
  }
  return { rows, ...journal, differences };
}

/** Rows with their columns by name. Columns that the database does not have and ids that occur twice are problems. */
function draftRows(journal: Journal, table: LegacyTable, target: Target): Draft[] {
  const known = new Set((target.columns.get(table.name) ?? []).map(({ name }) => name));
  for (const { name } of table.columns) {
    if (!known.has(name)) journal.problems.push(`${table.name}: the database has no column ${name}`);
  }
  const idAt = table.columns.findIndex(({ name }) => name === "id");
  const seen = new Set<string>();
  return table.rows.map((row) => {
    const id = row[idAt] ?? "";
    if (id === "") journal.problems.push(`${table.name}: a row without an id`);
    else if (seen.has(id)) journal.problems.push(`${table.name}, row ${id}: the id occurs twice`);
    seen.add(id);
    const raw = Object.fromEntries(table.columns.map(({ name }, at) => [name, row[at] ?? null]));
    return { table: table.name, id, raw, values: {}, legacy: {} };
  });
}

function mendPos(
  journal: Journal,
  pos: readonly Draft[],
  lines: readonly Draft[],
  exportedAt: string | null,
  options: RepairOptions,
): PoDifference[] {
  const byId = new Map(pos.map((po) => [po.id, po]));
  const sums = new Map<string, LineSums>();
  for (const line of lines) {
    const poId = line.values.client_po_id ?? "";
    const amounts = mendLine(journal, line, byId.get(poId)?.values.created_at ?? exportedAt);
    const sum = sums.get(poId) ?? { lines: 0, subtotal: 0n, totalTax: 0n };
    sum.lines += 1;
    sum.subtotal += amounts.totalPrice;
    sum.totalTax += amounts.gstAmount;
    sums.set(poId, sum);
  }
  const differences: PoDifference[] = [];
  for (const po of pos) {
    mendPo(journal, po);
    const sum = sums.get(po.id);
    if (sum !== undefined && sum.lines > mostLines) {
      problem(journal, po, "lines", `${sum.lines} of them, a PO has at most ${mostLines}`);
    }
    const difference = reconcile(journal, po, sum, options.acceptLineTotals);
    if (difference !== undefined) differences.push(difference);
  }
  return differences;
}

function finish(
  journal: Journal,
  draft: Draft,
  columns: readonly { name: string; required: boolean; generated: boolean }[],
) {
  for (const { name, required, generated } of columns) {
    if (generated) delete draft.values[name];
    else if (required && draft.values[name] === null) problem(journal, draft, name, "is empty and must not be");
  }
  draft.values.legacy = Object.keys(draft.legacy).length > 0 ? JSON.stringify(draft.legacy) : null;
}
