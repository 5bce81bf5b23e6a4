import { z } from "zod";

const count = z.int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const instant = z.iso.datetime();
/** A backup's id: the UTC date of its run. There is one a day. */
export const BackupId = z.iso.date();

/** One table of a backup. */
export const BackupTable = z.strictObject({
  name: z.string(),
  /** Left out: rows that a restore must not revive. The table itself is in the dump. */
  data: z.enum(["included", "excluded"]),
  rows: count,
  /** Of the table's COPY text in the order of `order_by`: see `copyStatement`. */
  sha256,
  /** In the order of the COPY text; generated ones are not among them. */
  columns: z.array(z.string()),
  /** SQL of the rows' order. */
  order_by: z.string(),
});
export type BackupTable = z.infer<typeof BackupTable>;

/**
 * What `manifest/<id>.json` says of a backup. It is written last, when the data object was read back from R2 and found to
 * be what was sent: a backup without a manifest does not exist.
 */
export const Manifest = z.strictObject({
  version: z.literal(1),
  id: BackupId,
  /** Of the data object: `data/<id>/<run_id>.sql.gz`. */
  key: z.string(),
  run_id: z.uuid(),
  started_at: instant,
  finished_at: instant,
  duration_ms: count,
  /** Of the data object, which is gzip, and of the SQL in it. */
  bytes: count,
  uncompressed_bytes: count,
  /** Of the data object. */
  sha256,
  postgres_version: z.string(),
  /** How many migrations the database has had, and the newest one's `when` in drizzle's journal. */
  schema_version: z.strictObject({ migrations: count, newest: count }),
  tables: z.array(BackupTable),
  /** The value that each sequence gave out last; null: none yet. */
  sequences: z.record(z.string(), z.string().nullable()),
  verification: z.strictObject({ read_back: z.literal(true), at: instant, bytes: count, sha256 }),
});
export type Manifest = z.infer<typeof Manifest>;

export const quoteIdent = (name: string) => `"${name.replaceAll('"', '""')}"`;

/**
 * Prints a table as its checksum was taken: the sha256 of what this COPY sends, under `snapshotSettings`, is the
 * manifest's. `where` and `limit` narrow it to a page.
 */
export function copyStatement(
  table: Pick<BackupTable, "name" | "columns" | "order_by">,
  page: { where?: string; limit?: number; offset?: number } = {},
): string {
  const { where, limit, offset } = page;
  return [
    `COPY (SELECT ${table.columns.map(quoteIdent).join(", ")} FROM ONLY "Finances".${quoteIdent(table.name)} t`,
    ...(where === undefined ? [] : [`WHERE ${where}`]),
    `ORDER BY ${table.order_by}`,
    ...(limit === undefined ? [] : [`LIMIT ${limit}`]),
    ...(offset === undefined ? [] : [`OFFSET ${offset}`]),
    ") TO STDOUT",
  ].join(" ");
}
