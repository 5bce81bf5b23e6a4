import type { BackupReport } from "./backup.ts";
import type { EnduranceReport } from "./endurance.ts";
import type { Measured, OperationReport } from "./measure.ts";
import type { StartupReport } from "./startup.ts";

/** What a run found; `npm run bench -- --json FILE` writes it as it is. */
export interface Report {
  at: string;
  machine: { cpus: number; model: string; node: string; load_before: number };
  rounds: number;
  seconds: number;
  operations: OperationReport[];
  startup?: StartupReport;
  /** Null: this system has no pg_dump. */
  backup?: BackupReport | null;
  load?: EnduranceReport;
}

/** Requests/s on the small data set by those on the large one, and the bar. */
export interface Flatness {
  operation: string;
  title: string;
  small_of_large: number;
}
export const flatnessBar = 2;

export function flatness(operations: OperationReport[]): Flatness[] {
  return operations.flatMap((small) => {
    const large = operations.find((other) => other.set === "large" && other.operation === small.operation);
    if (small.set !== "small" || !large) return [];
    const { operation, title } = small;
    return [{ operation, title, small_of_large: speed(small.worker) / speed(large.worker) }];
  });
}

const speed = ({ requests_per_second }: Measured) => requests_per_second;

/** How many times as much the floor may do in one round as in another before nothing is to be concluded. */
const calm = 1.25;

/** Why the figures are to be taken with care. */
export function doubts({ machine, operations }: Report): string[] {
  const noisy = operations.filter(({ noise }) => noise > calm);
  return [
    ...(machine.load_before > machine.cpus / 2
      ? [`the machine was busy before it began: load ${machine.load_before.toFixed(1)} on ${machine.cpus} CPUs`]
      : []),
    ...noisy.map(
      ({ title, set, noise }) => `${title}, ${set}: the floor itself varied by ${noise.toFixed(2)} between the rounds`,
    ),
  ];
}

/** The bars that were missed, in words. */
export function missed({ operations, startup, backup, load }: Report): string[] {
  const faults: string[] = [];
  const unless = (met: boolean, text: string) => {
    if (!met) faults.push(text);
  };
  for (const { title, set, bar, of_floor, of_reading_all } of operations) {
    unless(of_floor >= bar, `${title}, ${set}: ${of_floor.toFixed(2)} of the floor, not ${bar}`);
    if (of_reading_all !== undefined)
      unless(of_reading_all >= 5, `${title}, ${set}: ${of_reading_all.toFixed(1)} of a peer that reads all, not 5`);
  }
  for (const { title, small_of_large } of flatness(operations))
    unless(small_of_large <= flatnessBar, `${title}: ${small_of_large.toFixed(2)} times as fast on the small set`);
  if (startup) {
    unless(startup.gzip_bytes <= startup.gzip_bar_bytes, `the bundle has ${kib(startup.gzip_bytes)} gzip`);
    unless(
      startup.of_dependencies <= startup.bar,
      `start-up takes ${startup.of_dependencies.toFixed(2)} of its imports`,
    );
  }
  if (backup) {
    unless(backup.of_pg_dump >= 1, `a dump has ${backup.of_pg_dump.toFixed(2)} of pg_dump's rows/s`);
    unless(backup.of_psql <= 1.2, `a restore takes ${backup.of_psql.toFixed(2)} of psql's time`);
  }
  if (load) {
    for (const fault of [...load.mixed.faults, ...load.mixed.violations, ...load.crowd.faults]) faults.push(fault);
  }
  return faults;
}

const kib = (bytes: number) => `${(bytes / 1024).toFixed(0)} KiB`;
const mib = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(0)} MiB`;

const table = (head: string[], rows: string[][]) =>
  [head, head.map((_, place) => (place === 0 ? "---" : "--:")), ...rows]
    .map((row) => `| ${row.join(" | ")} |`)
    .join("\n");

/** The report in Markdown: tables, then what was missed and what to doubt. */
export function markdown(report: Report): string {
  const { machine, operations, startup, backup, load } = report;
  const parts: string[] = [];
  if (operations.length > 0) {
    parts.push(
      table(
        ["Operation", "Set", "Requests/s", "p50 ms", "p99 ms", "Of the floor", "By CPU", "Bar", "Of the Node peer"],
        operations.map(({ title, set, worker, of_floor, of_floor_by_cpu, bar, of_peer }) => [
          title,
          set,
          worker.requests_per_second.toFixed(0),
          worker.p50_ms.toFixed(1),
          worker.p99_ms.toFixed(1),
          of_floor.toFixed(2),
          of_floor_by_cpu.toFixed(2),
          bar.toFixed(2),
          of_peer.toFixed(2),
        ]),
      ),
      "CPU per request, in ms: of the Worker's process, of the floor's, and for the Worker's request of PostgreSQL and of the Neon endpoint.",
      table(
        ["Operation", "Set", "Worker", "Floor", "PostgreSQL", "Endpoint", "Round trips", "Bytes"],
        operations.map(({ title, set, worker, floor }) => [
          title,
          set,
          worker.server_cpu_ms.toFixed(2),
          floor.server_cpu_ms.toFixed(2),
          worker.database_cpu_ms.toFixed(2),
          worker.endpoint_cpu_ms.toFixed(2),
          worker.round_trips.toFixed(0),
          worker.bytes.toFixed(0),
        ]),
      ),
    );
    const flat = flatness(operations);
    if (flat.length > 0)
      parts.push(
        table(
          ["On the small set by on the large one", "Requests/s", "Bar"],
          flat.map(({ title, small_of_large }) => [title, small_of_large.toFixed(2), `at most ${flatnessBar}`]),
        ),
      );
    const all = operations.find(({ of_reading_all }) => of_reading_all !== undefined)?.of_reading_all;
    if (all !== undefined)
      parts.push(
        `A by-store page of the large set: ${all.toFixed(0)} times the requests/s of a Node peer that reads every PO and bundles in memory, as the legacy did.`,
      );
  }
  const single: string[][] = [];
  if (startup)
    single.push(
      ["Bundle, gzip", kib(startup.gzip_bytes), `at most ${kib(startup.gzip_bar_bytes)}`],
      [
        `CPU at start-up: ${startup.cpu_ms.toFixed(0)} ms, of its dependencies merely imported (${startup.dependencies_cpu_ms.toFixed(0)} ms)`,
        startup.of_dependencies.toFixed(2),
        `at most ${startup.bar}`,
      ],
    );
  if (backup)
    single.push(
      [
        `Dump of ${backup.rows} rows, ${mib(backup.bytes)} of SQL: ${backup.dump_seconds.toFixed(1)} s; \`pg_dump\` and \`gzip\` ${backup.pg_dump_seconds.toFixed(1)} s: rows/s of theirs (by CPU ${backup.of_pg_dump_by_cpu.toFixed(2)})`,
        backup.of_pg_dump.toFixed(2),
        "at least 1",
      ],
      [
        `Memory of workerd while it dumps, beyond its idle ${mib(backup.idle_bytes)}`,
        mib(backup.peak_bytes - backup.idle_bytes),
        "128 MiB",
      ],
      [
        `Restore of it: ${backup.restore_seconds.toFixed(1)} s; \`psql\` ${backup.psql_seconds.toFixed(1)} s: time of theirs`,
        backup.of_psql.toFixed(2),
        "at most 1.2",
      ],
    );
  if (load) {
    const { mixed, crowd } = load;
    const answers = (statuses: Record<string, number>) =>
      Object.entries(statuses)
        .map(([status, count]) => `${count} × ${status}`)
        .join(", ");
    const memory = (bytes: EnduranceReport["mixed"]["memory_bytes"]) =>
      `${mib(bytes.before)}, at most ${mib(bytes.peak)}, afterwards ${mib(bytes.after)}`;
    single.push(
      [
        `Everything at once for ${mixed.seconds.toFixed(0)} s: ${answers(mixed.statuses)}`,
        `${mixed.requests_per_second.toFixed(0)}/s`,
        "no failure",
      ],
      [`Totals that are not those of their lines afterwards`, String(mixed.violations.length), "none"],
      [`Memory of workerd in it: ${memory(mixed.memory_bytes)}`, "", "flat"],
      [
        `${crowd.clients} clients at once before ${crowd.pool} connections for ${crowd.seconds.toFixed(0)} s: ${answers(crowd.statuses)}`,
        `${crowd.requests_per_second.toFixed(0)}/s`,
        "no 5xx but 503 with Retry-After",
      ],
      [`Memory of workerd in it: ${memory(crowd.memory_bytes)}`, "", "flat"],
      [
        `Median of a read before it and right after, ms`,
        `${crowd.p50_before_ms.toFixed(1)}, ${crowd.p50_after_ms.toFixed(1)}`,
        "recovered",
      ],
    );
  }
  if (single.length > 0) parts.push(table(["", "Measured", "Bar"], single));
  const list = (title: string, lines: string[]) =>
    lines.length > 0 ? [`${title}\n\n${lines.map((line) => `- ${line}`).join("\n")}`] : [];
  parts.push(
    ...list("Missed:", missed(report)),
    ...list("To be taken with care:", doubts(report)),
    `${report.at.slice(0, 10)}, ${machine.cpus} CPUs (${machine.model}), Node ${machine.node}; ${report.rounds} rounds of ${report.seconds} s per server.`,
  );
  return parts.join("\n\n");
}

const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

/** The Worker's part of the floor's requests/s for each operation, with the bar: readable on light and on dark. */
export function chart(operations: OperationReport[]): string {
  const names = [...new Set(operations.map(({ operation }) => operation))];
  const [left, width, rowHeight, top] = [190, 430, 46, 44];
  const most = Math.max(1.2, ...operations.map(({ of_floor }) => of_floor)) * 1.02;
  const x = (part: number) => (left + (part / most) * width).toFixed(1);
  const height = top + names.length * rowHeight + 30;
  const bottom = height - 26;
  const rows = names.flatMap((name, place) => {
    const y = top + place * rowHeight;
    const own = operations.filter(({ operation }) => operation === name);
    const [first] = own;
    if (!first) return [];
    return [
      `<text x="${left - 10}" y="${y + 22}" text-anchor="end">${escaped(first.title)}</text>`,
      ...own.flatMap(({ set, of_floor }, line) => {
        const at = y + 4 + line * 16;
        return [
          `<rect class="${set}" x="${left}" y="${at}" width="${(Number(x(of_floor)) - left).toFixed(1)}" height="13" rx="2"/>`,
          `<text class="value" x="${Number(x(of_floor)) + 5}" y="${at + 11}">${of_floor.toFixed(2)}</text>`,
        ];
      }),
      `<line class="bar" x1="${x(first.bar)}" x2="${x(first.bar)}" y1="${y}" y2="${y + 40}"/>`,
    ];
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${left + width + 60} ${height}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="Requests per second of the Worker by those of a bare Worker">
<style>
text { fill: #1f2328 } .value, .axis { fill: #59636e; font-size: 11px } .small { fill: #54aeff } .large { fill: #0969da }
.bar { stroke: #cf222e; stroke-width: 2 } .floor { stroke: #59636e; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .value, .axis { fill: #9198a1 } .small { fill: #79c0ff } .large { fill: #1f6feb } .bar { stroke: #f85149 } .floor { stroke: #9198a1 }
}
</style>
<rect class="small" x="${left}" y="8" width="11" height="11" rx="2"/><text x="${left + 16}" y="18">small set</text>
<rect class="large" x="${left + 92}" y="8" width="11" height="11" rx="2"/><text x="${left + 108}" y="18">large set</text>
<line class="bar" x1="${left + 190}" x2="${left + 190}" y1="7" y2="20"/><text x="${left + 198}" y="18">bar</text>
<line class="floor" x1="${x(1)}" x2="${x(1)}" y1="${top - 8}" y2="${bottom}"/>
${rows.join("\n")}
<text class="axis" x="${x(1)}" y="${height - 8}" text-anchor="middle">1 = the floor's requests/s</text>
</svg>
`;
}
