import type { Made } from "./create.ts";
import type { Restored } from "./restore.ts";
import type { Verified } from "./verify.ts";

/** `12.3 MB`: powers of 1000, as the disk and R2 count. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = bytes;
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `3 h`: in the largest unit of which there are two at least. */
export function age(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 48 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}

export const seconds = (value: number) => `${value.toFixed(value < 10 ? 2 : 1)} s`;
export const count = (rows: number) => rows.toLocaleString("en-US");

/** Columns of text, those of numbers flush right. */
function table(head: string[], lines: string[][], right: number[] = []): string {
  const width = head.map((title, column) =>
    Math.max(...[head, ...lines].map((line) => (line[column] ?? title).length)),
  );
  const row = (line: string[]) =>
    line
      .map((cell, column) =>
        right.includes(column) ? cell.padStart(width[column] ?? 0) : cell.padEnd(width[column] ?? 0),
      )
      .join("  ")
      .trimEnd();
  return [head, ...lines].map(row).join("\n");
}

/** A backup as GET /ops/backups has it. */
export interface Backup extends Made {
  age_seconds: number;
  /** What it is kept as; none: the next pruning takes it. */
  tiers: string[];
  state: "good" | "damaged";
}

export function listText(backups: Backup[]): string {
  const lines = backups.map(({ id, age_seconds, bytes, rows, tiers, state }) => [
    id,
    age(age_seconds),
    size(bytes),
    count(rows),
    tiers.join(", ") || "-",
    state,
  ]);
  return table(["backup", "age", "size", "rows", "kept as", "state"], lines, [1, 2, 3]);
}

export const madeText = ({ id, bytes, rows, duration_ms }: Made) =>
  `Backup ${id}: ${count(rows)} rows, ${size(bytes)}, in ${seconds(duration_ms / 1000)}, read back and found whole.`;

export function restoredText(name: string, url: string, { rows, seconds: took }: Restored): string {
  const { hostname, pathname } = new URL(url);
  const total = Object.values(rows).reduce((sum, each) => sum + each, 0);
  const phases = Object.entries(took).map(([phase, each]) => `${phase} ${seconds(each)}`);
  const all = Object.values(took).reduce((sum, each) => sum + each, 0);
  return `Restored ${name} into ${pathname.slice(1)} on ${hostname}: ${Object.keys(rows).length} tables with data, ${count(total)} rows, in ${seconds(all)}
(${phases.join(", ")}).

Next, with this database's URL as URL:
  1. npm run db:roles -- --database-url "$URL"     the three roles, their rights and, where they are new, passwords
  2. npm run db:migrate -- --database-url "$URL"   nothing to apply, unless the backup is older than this checkout
  3. npm run check -- --database-url "$URL"        the schema; compare counts and money with what you know
  4. npx wrangler secret put DATABASE_URL --env …  and BACKUP_DATABASE_URL: only now does the Worker move over
Keep the old database until the new one is proven.`;
}

export function verifiedText({ id, tables, rows, bytes, differences, notices, seconds: took }: Verified): string {
  const times = Object.entries(took).map(([phase, each]) => `${phase} ${seconds(each)}`);
  const all = took.download + took.restore + took.compare;
  return [
    differences.length === 0
      ? `Backup ${id} is good: ${tables} tables, ${count(rows)} rows, ${size(bytes)}; restored and compared, nothing differs.`
      : `Backup ${id} DIFFERS from its original:`,
    ...differences.map((line) => `  ${line}`),
    ...notices.map((line) => `  (${line})`),
    `Recovery time: ${seconds(all)} (${times.join(", ")}).`,
  ].join("\n");
}
