import { createHash } from "node:crypto";
import { createReadStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import copyStreams from "pg-copy-streams";
import { type BackupTable, copyStatement, type Manifest, quoteIdent } from "../../src/backup/manifest.ts";
import { snapshotSettings } from "../../src/db/snapshot.ts";
import { journal, migrate } from "../migrate.ts";
import { type Cluster, startCluster } from "../postgres.ts";
import { createRoles, roles } from "../roles.ts";
import { describeSchema, schemaDrift } from "../schema.ts";
import { download, expectedRows } from "./download.ts";
import { type RestoreOptions, restore } from "./restore.ts";

export interface Verified {
  id: string;
  tables: number;
  rows: number;
  bytes: number;
  /** What differs from the original, by name; none for a good backup. */
  differences: string[];
  /** What is worth knowing and no difference. */
  notices: string[];
  seconds: { download: number; restore: number; compare: number };
}

export interface VerifyOptions {
  /** The owner's URL of the database that the backup is of, to compare its schema with. */
  liveUrl?: string;
  onDownload?: (bytes: number) => void;
  onRestore?: RestoreOptions["onProgress"];
  onCompare?: (table: string) => void;
  signal?: AbortSignal;
}

/**
 * Proves a backup: downloads it, restores it into a throw-away PostgreSQL, and compares every table with the manifest and
 * the schema with the live database, or with the migrations when that is out of reach. Throws when the file is damaged or
 * does not restore.
 */
export async function verify(bucket: R2Bucket, manifest: Manifest, options: VerifyOptions = {}): Promise<Verified> {
  const { signal } = options;
  const directory = mkdtempSync(join(tmpdir(), "nexgen-verify-"));
  const seconds = { download: 0, restore: 0, compare: 0 };
  const timed = async <T>(phase: keyof typeof seconds, work: () => Promise<T>) => {
    signal?.throwIfAborted();
    const started = performance.now();
    const result = await work();
    seconds[phase] = (performance.now() - started) / 1000;
    return result;
  };
  let cluster: Cluster | undefined;
  try {
    const file = join(directory, "backup.sql.gz");
    const { onDownload: onBytes, onRestore: onProgress } = options;
    await timed("download", () =>
      download(bucket, manifest, file, { ...(onBytes && { onBytes }), ...(signal && { signal }) }),
    );
    cluster = await startCluster({ directory: join(directory, "postgres"), durable: false });
    endWithThisProcess(cluster);
    const { restoredUrl, freshUrl } = await databases(cluster.superuserUrl);
    const expected = { sha256: manifest.sha256, rows: expectedRows(manifest) };
    await timed("restore", () =>
      restore(restoredUrl, createReadStream(file), {
        expected,
        ...(onProgress && { onProgress }),
        ...(signal && { signal }),
      }),
    );
    const notices: string[] = [];
    const differences = await timed("compare", async () => [
      ...(await dataDifferences(restoredUrl, manifest, options)),
      ...(await schemaDifferences(restoredUrl, freshUrl, manifest, options.liveUrl, notices)),
    ]);
    return {
      id: manifest.id,
      tables: manifest.tables.length,
      rows: manifest.tables.reduce((sum, { rows }) => sum + rows, 0),
      bytes: manifest.bytes,
      differences,
      notices,
      seconds,
    };
  } finally {
    await cluster?.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Whoever ends this process without waiting must not leave a server running. */
function endWithThisProcess({ pid, exited }: Cluster) {
  const kill = () => void process.kill(pid, "SIGQUIT");
  process.once("exit", kill);
  void exited.then(() => process.off("exit", kill));
}

/** An empty database and a migrated one, with the roles that the grants of a backup are for. */
async function databases(superuserUrl: string): Promise<{ restoredUrl: string; freshUrl: string }> {
  const superuser = new pg.Client({ connectionString: superuserUrl });
  await superuser.connect();
  try {
    await superuser.query("CREATE ROLE nexgen_owner LOGIN CREATEROLE PASSWORD 'throw-away'");
    for (const name of ["restored", "fresh"]) await superuser.query(`CREATE DATABASE ${name} OWNER nexgen_owner`);
  } finally {
    await superuser.end();
  }
  const url = (name: string) =>
    Object.assign(new URL(superuserUrl), { username: "nexgen_owner", password: "throw-away", pathname: `/${name}` })
      .href;
  await migrate(url("fresh"));
  await createRoles(url("fresh"), Object.fromEntries(roles.map((role) => [role, "throw-away"])));
  return { restoredUrl: url("restored"), freshUrl: url("fresh") };
}

async function dataDifferences(
  url: string,
  manifest: Manifest,
  { onCompare, signal }: VerifyOptions,
): Promise<string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`BEGIN READ ONLY; ${snapshotSettings}`);
    const differences: string[] = [];
    const { rows: present } = await client.query<{ name: string }>(
      `SELECT relname AS name FROM pg_catalog.pg_class WHERE relkind = 'r' AND relnamespace = '"Finances"'::regnamespace ORDER BY relname`,
    );
    const expected = manifest.tables.map(({ name }) => name);
    for (const { name } of present)
      if (!expected.includes(name)) differences.push(`table ${name} is not in the manifest`);
    for (const table of manifest.tables) {
      signal?.throwIfAborted();
      onCompare?.(table.name);
      if (!present.some(({ name }) => name === table.name)) {
        differences.push(`table ${table.name} was not restored`);
        continue;
      }
      const found = await checksum(client, table);
      if (found.rows !== table.rows)
        differences.push(`table ${table.name} has ${found.rows} rows, the manifest says ${table.rows}`);
      else if (found.sha256 !== table.sha256)
        differences.push(`table ${table.name}: its rows differ from the manifest's checksum`);
    }
    for (const [name, position] of Object.entries(manifest.sequences)) {
      const { rows } = await client.query<{ position: string | null }>(
        `SELECT CASE WHEN is_called THEN last_value::text END AS position FROM "Finances".${quoteIdent(name)}`,
      );
      const found = rows[0]?.position ?? null;
      if (found !== position)
        differences.push(
          `sequence ${name} is at ${found ?? "its start"}, the manifest says ${position ?? "its start"}`,
        );
    }
    return differences;
  } finally {
    await client.end();
  }
}

async function checksum(client: pg.Client, table: BackupTable): Promise<{ rows: number; sha256: string }> {
  const hash = createHash("sha256");
  const stream = client.query(copyStreams.to(copyStatement(table)));
  for await (const chunk of stream) hash.update(chunk);
  return { rows: stream.rowCount, sha256: hash.digest("hex") };
}

/** Roles and the database's own rights are the cluster's: `npm run db:roles` makes them. */
const inBackup = (line: string) => !/^(?:role |grant database )/.test(line);

async function schemaDifferences(
  restoredUrl: string,
  freshUrl: string,
  manifest: Manifest,
  liveUrl: string | undefined,
  notices: string[],
): Promise<string[]> {
  const describe = async (url: string) => (await describeSchema(url)).filter(inBackup);
  const live = liveUrl === undefined ? undefined : await describe(liveUrl);
  if (live && (await newestMigration(liveUrl ?? "")) === manifest.schema_version.newest) {
    const { missing, unexpected } = schemaDrift(live, await describe(restoredUrl));
    return [
      ...(await migrationDifferences(restoredUrl, manifest)),
      ...missing.map((line) => `lacks what the live database has: ${line}`),
      ...unexpected.map((line) => `has what the live database lacks: ${line}`),
    ];
  }
  if (live) notices.push("the live database has been migrated since: its schema is not compared");
  const newest = journal().at(-1)?.when ?? 0;
  if (manifest.schema_version.newest > newest) {
    notices.push("the backup has migrations that this checkout does not know: its schema is not compared");
    return [];
  }
  const differences = await migrationDifferences(restoredUrl, manifest);
  const { missing, unexpected, notValid } = schemaDrift(await describe(freshUrl), await describe(restoredUrl));
  notices.push(...notValid.map((key) => `${key} is NOT VALID, as in the original: it has orphans from the import`));
  notices.push(...unexpected.map((line) => `besides what the migrations make, it has: ${line}`));
  return [...differences, ...missing.map((line) => `lacks what the migrations make: ${line}`)];
}

/** `db:migrate` after a restore applies what is newer than the backup, mostly nothing. */
async function migrationDifferences(restoredUrl: string, manifest: Manifest): Promise<string[]> {
  const due = journal()
    .filter(({ when }) => when > manifest.schema_version.newest)
    .map(({ tag }) => tag);
  const applied = await migrate(restoredUrl);
  return applied.join() === due.join()
    ? []
    : [`db:migrate afterwards applied ${applied.join(", ") || "nothing"} instead of ${due.join(", ") || "nothing"}`];
}

async function newestMigration(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query(
      `SELECT coalesce(max(created_at), 0) AS newest FROM "Finances".schema_migration`,
    );
    return Number(rows[0]?.newest);
  } finally {
    await client.end();
  }
}
