import { createHash } from "node:crypto";
import { addAbortSignal, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { createGunzip } from "node:zlib";
import pg from "pg";
import copyStreams from "pg-copy-streams";
import { type Piece, pieces, ScriptError } from "./script.ts";

/** Why nothing was restored, for the person at the keyboard. */
export class RestoreRefused extends Error {}

export type Phase = "schema" | "data" | "keys and indexes";

export interface RestoreProgress {
  phase: Phase;
  /** The table, or the beginning of the statement. */
  doing: string;
  /** Stored so far. */
  rows: number;
  /** Of the file, read so far. */
  bytes: number;
}

export interface RestoreOptions {
  /** What the file must be (from its manifest): checked before anything is committed. */
  expected?: { sha256: string; rows: Record<string, number> };
  onProgress?: (now: RestoreProgress) => void;
  /** Aborting it leaves the database as it was. */
  signal?: AbortSignal;
}

export interface Restored {
  /** Rows per table, as the database counted them. */
  rows: Record<string, number>;
  sha256: string;
  seconds: Record<Phase | "commit", number>;
}

const gzipMagic = Buffer.from([0x1f, 0x8b]);

/**
 * Restores a backup (SQL text, gzipped or not) into a database that has no schema "Finances" yet, as its owner, in one
 * transaction: all of it or nothing. Throws RestoreRefused for a file or a database that will not do.
 */
export async function restore(url: string, file: Readable, options: RestoreOptions = {}): Promise<Restored> {
  const { signal } = options;
  // Its reader hears of errors; before it is read nobody would.
  file.on("error", () => {});
  if (signal) addAbortSignal(signal, file);
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 30_000, keepAlive: true });
  // What ends the connection also fails the statement that waits for it.
  client.on("error", () => {});
  await client.connect();
  const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  let interruption: Promise<void> | undefined;
  const interrupt = () => {
    interruption = endSession(url, rows[0]?.pid);
  };
  signal?.addEventListener("abort", interrupt, { once: true });
  try {
    signal?.throwIfAborted();
    await client.query(
      "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0",
    );
    const otherwise = readOtherwise(client);
    // db:migrate's lock: neither of the two meets the other's half.
    await client.query("SELECT pg_advisory_xact_lock(hashtext('nexgen-migrate'))");
    await refuseUnlessEmpty(client);
    const restored = await run(client, file, options, otherwise);
    signal?.throwIfAborted();
    // From here on an interruption comes too late.
    signal?.removeEventListener("abort", interrupt);
    const started = performance.now();
    await client.query("COMMIT");
    restored.seconds.commit = (performance.now() - started) / 1000;
    return restored;
  } catch (error) {
    throw signal?.aborted ? new RestoreRefused("interrupted", { cause: error }) : explained(error);
  } finally {
    signal?.removeEventListener("abort", interrupt);
    file.destroy();
    await interruption;
    // Its transaction, if it has not been committed, ends with it.
    await Promise.race([client.end().catch(() => {}), sleep(5000, undefined, { ref: false })]);
  }
}

/**
 * Answers why the server reads the text of the file otherwise than script.ts does from now on: then a statement could hide in
 * what is a string here. Undefined as long as it does not.
 */
function readOtherwise(client: pg.Client): () => string | undefined {
  const meant: Record<string, string> = { standard_conforming_strings: "on", client_encoding: "UTF8" };
  let reason: string | undefined;
  // The server tells of these settings whenever they change, however that is done.
  const { connection } = client as pg.Client & { connection: NodeJS.EventEmitter };
  connection.on("parameterStatus", ({ parameterName, parameterValue }: Record<string, string>) => {
    const wanted = meant[parameterName ?? ""];
    if (wanted !== undefined && parameterValue !== wanted) reason = `it sets ${parameterName} to ${parameterValue}`;
  });
  return () => reason;
}

async function run(
  client: pg.Client,
  file: Readable,
  options: RestoreOptions,
  otherwise: () => string | undefined,
): Promise<Restored> {
  const { expected, onProgress, signal } = options;
  const hash = createHash("sha256");
  let bytes = 0;
  const stored = (chunk: Buffer) => {
    hash.update(chunk);
    bytes += chunk.length;
  };
  const restored: Restored = {
    rows: {},
    sha256: "",
    seconds: { schema: 0, data: 0, "keys and indexes": 0, commit: 0 },
  };
  let total = 0;
  let phase: Phase = "schema";
  let began = performance.now();
  for await (const piece of pieces(plainText(file, stored))) {
    signal?.throwIfAborted();
    if (piece.kind === "copy") phase = "data";
    else if (phase === "data") phase = "keys and indexes";
    const doing = piece.kind === "copy" ? piece.table : summary(piece.text);
    onProgress?.({ phase, doing, rows: total, bytes });
    try {
      if (piece.kind === "copy") {
        const before = total;
        const rows = await copy(client, piece, () => onProgress?.({ phase, doing, rows: before + piece.rows, bytes }));
        total += rows;
        restored.rows[piece.table] = rows;
      } else await client.query(piece.text);
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      const where = error.where ? ` (${error.where.split("\n")[0]?.slice(0, 200)})` : "";
      throw new RestoreRefused(
        `line ${piece.line}, ${summary(piece.text)}: ${error.message}${where}${error.hint ? `. ${error.hint}` : ""}`,
        { cause: error },
      );
    }
    const reason = otherwise();
    if (reason !== undefined) throw new RestoreRefused(`line ${piece.line}: ${reason}, which no backup does`);
    restored.seconds[phase] += (performance.now() - began) / 1000;
    began = performance.now();
  }
  restored.sha256 = hash.digest("hex");
  // Damage that still is a backup in form is found here, before the commit.
  if (expected && expected.sha256 !== restored.sha256)
    throw new RestoreRefused(
      `the file has changed since the backup was made: its sha256 is ${restored.sha256}, the manifest says ${expected.sha256}`,
    );
  for (const [table, rows] of Object.entries(expected?.rows ?? {}))
    if (restored.rows[table] !== rows)
      throw new RestoreRefused(`${table} got ${restored.rows[table] ?? 0} rows, the manifest says ${rows}`);
  return restored;
}

/** One COPY block; answers how many rows the database stored. */
async function copy(client: pg.Client, piece: Piece & { kind: "copy" }, onChunk: () => void): Promise<number> {
  const target = client.query(copyStreams.from(piece.text));
  await pipeline(async function* () {
    for await (const chunk of piece.data) {
      yield chunk;
      onChunk();
    }
  }, target);
  return target.rowCount;
}

const summary = (statement: string) => {
  const line = statement.split("\n")[0] ?? "";
  return line.length > 80 ? `${line.slice(0, 77)}…` : line;
};

/** Gunzips what is gzipped, by its first bytes and not by its name; `stored` gets the bytes as they are in the file. */
async function* plainText(file: Readable, stored: (chunk: Buffer) => void): AsyncGenerator<Uint8Array> {
  const chunks = (async function* () {
    for await (const chunk of file as AsyncIterable<Buffer>) {
      stored(chunk);
      yield chunk;
    }
  })();
  let head = Buffer.alloc(0);
  while (head.length < gzipMagic.length) {
    const next = await chunks.next();
    if (next.done) break;
    head = Buffer.concat([head, next.value]);
  }
  if (head.length === 0) throw new RestoreRefused("the file is empty");
  const all = (async function* () {
    yield head;
    yield* chunks;
  })();
  if (!head.subarray(0, gzipMagic.length).equals(gzipMagic)) {
    yield* all;
    return;
  }
  const gunzip = createGunzip({ chunkSize: 256 * 1024 });
  // Its errors reach the reader below.
  pipeline(all, gunzip).catch(() => {});
  try {
    yield* gunzip as AsyncIterable<Buffer>;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "Z_BUF_ERROR")
      throw new RestoreRefused("the file is cut off: its gzip stream has no end", { cause: error });
    if (code?.startsWith("Z_"))
      throw new RestoreRefused(`the file is damaged: gzip says "${(error as Error).message}"`, { cause: error });
    throw error;
  }
}

async function refuseUnlessEmpty(client: pg.Client) {
  const { rows } = await client.query<{ database: string; tables: string; size: string }>(
    `SELECT current_database() AS database, count(c.oid) AS tables, pg_size_pretty(coalesce(sum(pg_total_relation_size(c.oid)), 0)) AS size
     FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'r'
     WHERE n.nspname = 'Finances' GROUP BY n.oid`,
  );
  if (!rows[0]) return;
  const { database, tables, size } = rows[0];
  throw new RestoreRefused(
    `the database ${database} has a schema "Finances" already (${tables} tables, ${size}), and a restore never touches what is there. ` +
      "Make a new database (CREATE DATABASE …, or a database or branch at Neon), restore into that, compare, and only then switch over.",
  );
}

/** Ends a session, whatever it is doing, and waits until its transaction is rolled back. */
async function endSession(url: string, pid: number | undefined) {
  const other = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  try {
    await other.connect();
    await other.query("SELECT pg_terminate_backend($1, 10000)", [pid]);
  } catch {
    // Out of reach: the server rolls back when it notices that the connection is gone.
  } finally {
    await other.end().catch(() => {});
  }
}

function explained(error: unknown): unknown {
  if (error instanceof ScriptError)
    return new RestoreRefused(`the file is not what it should be: ${error.message}`, { cause: error });
  return error;
}
