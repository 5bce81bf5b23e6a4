import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll } from "vitest";
import { type NeonLocal, startNeonLocal } from "../../../tools/neon-local.ts";
import { asReadBack } from "../../../tools/schema.ts";
import type { TestServer } from "./database.ts";

// By computed names: the Worker's types are not those of Node's programs.
const load = (path: string) => import(new URL(`../../../src/${path}`, import.meta.url).href);
const { dump } = await load("backup/dump.ts");
const { copyStatement } = await load("backup/manifest.ts");
const { openSnapshot, snapshotSettings } = await load("db/snapshot.ts");

/** workerd's DigestStream, which Node lacks. */
class DigestStream extends WritableStream<Uint8Array> {
  readonly digest: Promise<ArrayBuffer>;
  constructor() {
    const hash = createHash("sha256");
    const { promise, resolve } = Promise.withResolvers<ArrayBuffer>();
    super({
      write: (chunk) => void hash.update(chunk),
      close: () => resolve(new Uint8Array(hash.digest()).buffer),
    });
    this.digest = promise;
  }
}
Object.assign(crypto, { DigestStream });

export interface Dumped {
  text: string;
  tables: { name: string; data: string; rows: number; sha256: string; columns: string[]; order_by: string }[];
  sequences: Record<string, string | null>;
  schema_version: { migrations: number; newest: number };
  uncompressed_bytes: number;
  /** The most that was handed on at once. */
  largestWrite: number;
}

/** Dumps databases of `server` with the Worker's own code, as nexgen_backup through the driver's WebSocket. */
export function dumping(server: TestServer): (database: string) => Promise<Dumped> {
  let endpoint: NeonLocal;
  beforeAll(async () => {
    const { port } = new URL(server.superuserUrl);
    endpoint = await startNeonLocal({ upstream: { host: "127.0.0.1", port: Number(port) } });
  });
  afterAll(() => endpoint?.close());
  return async (database) => {
    const url = `postgres://nexgen_backup:${server.password}@127.0.0.1:${endpoint.port}/${database}`;
    const snapshot = await openSnapshot(url);
    const chunks: Buffer[] = [];
    try {
      const summary = await dump(snapshot, async (bytes: Uint8Array) => chunks.push(Buffer.from(bytes)));
      const largestWrite = Math.max(...chunks.map((chunk) => chunk.length));
      return { ...summary, largestWrite, text: Buffer.concat(chunks).toString("utf8") };
    } finally {
      await snapshot.end();
    }
  };
}

/** The checksum of a table as a manifest has it. */
export async function checksum(url: string, table: Dumped["tables"][number]): Promise<string> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    await client.query(`BEGIN; ${snapshotSettings}`);
    const hash = createHash("sha256");
    if (table.data === "excluded") return hash.digest("hex");
    await new Promise<void>((done, failed) => {
      client.query({
        submit: (connection: { query(text: string): void }) => connection.query(copyStatement(table)),
        handleCopyData: ({ chunk }: { chunk: Uint8Array }) => void hash.update(chunk),
        handleCommandComplete() {},
        handleReadyForQuery: () => done(),
        handleError: failed,
      } as unknown as pg.Submittable); // Its declaration lacks the handlers that pg calls.
    });
    return hash.digest("hex");
  } finally {
    await client.end();
  }
}

const postgres15 = "/usr/lib/postgresql/15/bin";
export const hasPsql = existsSync(join(postgres15, "psql"));
const program = (name: string, args: string[]) =>
  spawnSync(join(postgres15, name), args, {
    encoding: "utf8",
    maxBuffer: 1 << 30,
    // The Worker types make its variables required in every ProcessEnv, hence the cast.
    env: { PATH: process.env.PATH ?? "", LC_ALL: "C" } as unknown as NodeJS.ProcessEnv,
  });

/** Restores SQL with stock psql as the documentation says; answers what psql complained of, "" when all is well. */
export async function psqlRestore(url: string, file: string, text: string): Promise<string> {
  await writeFile(file, text);
  const { status, stderr } = program("psql", [
    "-X",
    "-q",
    "-v",
    "ON_ERROR_STOP=1",
    "-1",
    "-o",
    "/dev/null",
    "-f",
    file,
    "-d",
    url,
  ]);
  return status === 0 && stderr === "" ? "" : stderr || `psql ended with ${status}`;
}

/** The lines of `pg_dump --schema-only`, sorted: what a schema is, to PostgreSQL's own eyes. PostgreSQL 15 only. */
export function pgDumpLines(url: string): string[] {
  const { status, stdout, stderr } = program("pg_dump", ["--schema-only", "-d", url]);
  if (status !== 0) throw new Error(stderr);
  return stdout
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("--") && !/^\\(un)?restrict /.test(line))
    .map(asReadBack)
    .sort();
}
