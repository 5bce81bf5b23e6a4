import type { LegacyBackup } from "./backup.ts";
import { type RepairKind, repairKinds } from "./row.ts";
import type { Outcome, TakeOverOptions } from "./take-over.ts";

/** What `--json` prints. Amounts are decimal strings, ids the file's texts. */
export type Report = {
  file: string;
  exportedAt: string | null;
  dryRun: boolean;
  options: { orphans: string; timezone: string; userRole: string; acceptLineTotals: boolean; force: boolean };
  summary: {
    tables: number;
    records: number;
    loaded: number;
    quarantined: number;
    skipped: number;
    repairedLines: number;
    orphans: number;
    seconds: number;
  };
  clients: { id: string; name: string }[];
  orphanKeys: {
    table: string;
    column: string;
    constraint: string;
    handling: "kept" | "quarantined";
    rows: number;
    /** Missing parents and how many rows name them; `null`: the file names none. */
    missing: { key: string | null; rows: number; ids: string[] }[];
  }[];
} & Omit<Outcome, "orphans">;

const lineRepairs: RepairKind[] = ["gst", "price", "total", "quantity"];

export function makeReport(
  backup: LegacyBackup,
  { orphans, ...outcome }: Outcome,
  options: TakeOverOptions,
  seconds: number,
): Report {
  const sum = (field: "expected" | "loaded" | "quarantined" | "skipped") =>
    outcome.tables.reduce((total, table) => total + table[field], 0);
  const repairedLines = outcome.repairs.filter(
    ({ table, kind }) => table === "client_po_line_item" && lineRepairs.includes(kind),
  );
  const clients = backup.tables.find(({ name }) => name === "client");
  const at = (name: string) => clients?.columns.findIndex((column) => column.name === name) ?? -1;
  const keys = [...Map.groupBy(orphans, ({ key, handling }) => `${key.name} ${handling}`).values()];
  return {
    file: options.file,
    exportedAt: backup.exportedAt,
    dryRun: options.dryRun,
    options: {
      orphans: options.orphans,
      timezone: options.timezone,
      userRole: options.userRole,
      acceptLineTotals: options.acceptLineTotals,
      force: options.force,
    },
    summary: {
      tables: outcome.tables.length,
      records: sum("expected"),
      loaded: sum("loaded"),
      quarantined: sum("quarantined"),
      skipped: sum("skipped"),
      repairedLines: new Set(repairedLines.map(({ id }) => id)).size,
      orphans: new Set(orphans.map(({ table, id }) => `${table} ${id}`)).size,
      seconds,
    },
    clients: (clients?.rows ?? []).map((row) => ({ id: row[at("id")] ?? "", name: row[at("name")] ?? "" })),
    orphanKeys: keys.flatMap((group) => {
      const [first] = group;
      if (first === undefined) return [];
      const missing = [...Map.groupBy(group, (orphan) => orphan.missing)].map(([key, rows]) => ({
        key,
        rows: rows.length,
        ids: rows.map(({ id }) => id),
      }));
      const { table, column, name: constraint } = first.key;
      return [{ table, column, constraint, handling: first.handling, rows: group.length, missing }];
    }),
    ...outcome,
  };
}

/** Columns padded to their widest cell; those after the first `left` ones are numbers and go to the right. */
function aligned(rows: string[][], left: number): string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, [...cell].length);
  return rows.map((row) => {
    const cells = row.map((cell, at) => {
      const padding = " ".repeat((widths[at] ?? 0) - [...cell].length);
      return at < left ? cell + padding : padding + cell;
    });
    return `  ${cells.join("  ")}`.trimEnd();
  });
}

const plural = (count: number, one: string) => `${count} ${one}${count === 1 ? "" : "s"}`;

/** The report for a person; `verbose` lists every repaired value. */
export function reportText(report: Report, verbose: boolean): string {
  const { summary } = report;
  const head = `${report.dryRun ? "Dry run, nothing was written" : "Imported"}: ${report.file}`;
  return [
    `${head} (exported ${report.exportedAt ?? "at an unknown time"}, ${report.options.timezone})`,
    "",
    ...tableLines(report),
    "",
    "Money per client, in the file and in the database",
    ...moneyLines(report),
    "",
    `${plural(summary.repairedLines, "repaired line")}, every repair (originals are in the rows' "legacy")`,
    ...repairLines(report, verbose),
    ...differenceLines(report),
    "",
    `${plural(summary.orphans, "orphan")}${summary.orphans > 0 ? ": rows whose parents the file does not have" : ""}`,
    ...orphanLines(report),
    "",
    ...userLines(report),
    `Next ids: ${report.sequences.map(({ table, next }) => `${table} ${next}`).join(", ") || "as they were"}`,
    `${plural(summary.tables, "table")}, ${plural(summary.records, "record")}, ${summary.seconds.toFixed(1)} s${report.dryRun ? ": rolled back" : ""}`,
  ].join("\n");
}

function tableLines({ tables, summary }: Report): string[] {
  const row = (name: string, { expected, loaded, quarantined, skipped }: Omit<Outcome["tables"][number], "table">) => [
    name,
    ...[expected, loaded, quarantined, skipped].map(String),
  ];
  return aligned(
    [
      ["table", "in the file", "loaded", "quarantined", "skipped"],
      ...tables.map((table) => row(table.table, table)),
      row("all", { ...summary, expected: summary.records }),
    ],
    1,
  );
}

function moneyLines({ money, clients }: Report): string[] {
  const names = new Map(clients.map(({ id, name }) => [id, `${id} ${name}`]));
  const rows = money.map(({ client, measure, before, after }) => [
    client === null ? "of no client" : (names.get(client) ?? client),
    measure,
    before,
    after,
    before === after ? "" : "differs",
  ]);
  return aligned([["client", "amount", "file", "database"], ...rows], 2);
}

function repairLines({ repairs, gstRates }: Report, verbose: boolean): string[] {
  const groups = [...Map.groupBy(repairs, ({ table, column, kind }) => `${table}.${column} ${kind}`).values()];
  const counted = groups.flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const { table, column, kind } = first;
    return [[`${table}.${column}`, repairKinds[kind], String(group.length)]];
  });
  const shown = (value: string | null) => (value === null ? "null" : JSON.stringify(value));
  const each = repairs.map(({ table, id, column, kind, before, after }) => [
    `${table} ${id}`,
    column,
    `${shown(before)} -> ${shown(after)}`,
    kind,
  ]);
  const rates = gstRates.map(
    ({ rate, lines }) => `${rate === null ? "none fits" : `${rate} %`}: ${plural(lines, "line")}`,
  );
  return [
    ...aligned(counted, 2),
    `  GST rates found: ${rates.join(", ") || "none"}`,
    ...(verbose && each.length > 0 ? ["", ...aligned(each, 4)] : []),
  ];
}

function differenceLines({ differences }: Report): string[] {
  if (differences.length === 0) return [];
  const rows = differences.map(({ id, number, lines, fileValue, lineTotal }) => [
    `PO ${id}`,
    number ?? "",
    String(lines),
    fileValue ?? "none",
    lineTotal,
  ]);
  return [
    "",
    "POs that took the sum of their lines",
    ...aligned([["PO", "number", "lines", "file", "lines' sum"], ...rows], 2),
  ];
}

function orphanLines({ orphanKeys, notValid }: Report): string[] {
  const rows = orphanKeys.map(({ table, column, handling, rows: count, missing }) => {
    const most = missing.slice(0, 10).map(({ key, rows: own }) => `${key ?? "none named"}: ${own}`);
    return [
      `${table}.${column}`,
      handling,
      String(count),
      `missing ${most.join(", ")}${missing.length > 10 ? ", …" : ""}`,
    ];
  });
  const keys = notValid.map(({ name }) => name).join(", ");
  return [
    ...aligned(rows, 4),
    ...(keys === "" ? [] : [`  NOT VALID, enforced for every new row: ${keys}`]),
    ...(orphanKeys.some(({ handling }) => handling === "quarantined")
      ? ["  Quarantined rows are in legacy_orphan, whole."]
      : []),
  ];
}

function userLines({ accounts, options }: Report): string[] {
  return [
    `Users: ${accounts.loaded} as ${options.userRole}, with their passwords; ${accounts.skipped.length} skipped, ${accounts.renumbered.length} renumbered`,
    ...accounts.skipped.map(({ id, username, reason }) => `  skipped ${username} (${id}): ${reason}`),
    ...accounts.renumbered.map(({ username, from, to }) => `  ${username}: ${from} is ${to} now`),
  ];
}
