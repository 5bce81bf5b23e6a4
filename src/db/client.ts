import { NeonDbError, type NeonQueryFunction, neon, neonConfig } from "@neondatabase/serverless";
import { fillPlaceholders, type SQL } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";

/** SQL text and its parameters, ready to send. */
export interface Statement {
  text: string;
  params: unknown[];
}

/** One row; every value is text or null, as Postgres printed it. */
export type Row = Record<string, string | null>;

/**
 * A database for one request. Each call is one transaction and one round trip. On a guarded route the caller's guard is its
 * first statement, so that nothing is read or written for somebody whose session is over.
 */
export interface Db {
  /** Reads from one snapshot, read-only; answers the rows of each statement. */
  read(...statements: Statement[]): Promise<Row[][]>;
  /** Writes at READ COMMITTED, where each statement sees what others committed before it. */
  write(...statements: Statement[]): Promise<Row[][]>;
  /** The caller's guard, none on an open route: once more in a write, behind a statement that waits for others. */
  readonly guard: readonly Statement[];
}

const dialect = new PgDialect();

/** Values of a prepared statement: null, text, a number or a list of either. */
export type Parameter = string | number | boolean | null | readonly (string | number)[];

/**
 * A statement whose text is built once per isolate, at its first use. `sql.placeholder("name")` in `query` marks where the
 * values go.
 */
export function prepare<Name extends string = never>(query: () => SQL): (values: Record<Name, Parameter>) => Statement {
  let built: { sql: string; params: unknown[] } | undefined;
  return (values) => {
    built ??= dialect.sqlToQuery(query());
    return { text: built.sql, params: fillPlaceholders(built.params, values) };
  };
}

/** Values stay the text that Postgres sent: no float, no time zone of this process. */
export const asText = { getTypeParser: () => (value: string) => value };

const connections = new Map<string, NeonQueryFunction<false, false>>();

function connection(url: string): NeonQueryFunction<false, false> {
  const known = connections.get(url);
  if (known) return known;
  if (isLoopback(url)) useLocalEndpoint();
  const made = neon(url);
  connections.set(url, made);
  return made;
}

export const isLoopback = (url: string) => /^(localhost|127\.0\.0\.1)$/i.test(new URL(url).hostname);

/**
 * The only difference between development and production: the driver talks to the endpoint that the URL names. The
 * settings refuse such a URL outside of development, and no deployed Worker could reach it.
 */
export function useLocalEndpoint(): void {
  neonConfig.fetchEndpoint = (host, port) => `http://${host}:${port}/sql`;
  neonConfig.wsProxy = (host, port) => `${host}:${port}/v2`;
  neonConfig.useSecureWebSocket = false;
  neonConfig.pipelineTLS = false;
  neonConfig.pipelineConnect = false;
}

/** A statement that is built for this request alone, because its text depends on what the request has. */
export function compose(query: SQL): Statement {
  const { sql: text, params } = dialect.sqlToQuery(query);
  return { text, params };
}

/** Postgres took the whole batch back because of other writers: deadlock, serialization failure. Nothing is written. */
const rolledBackByOthers = (error: unknown) =>
  error instanceof NeonDbError && (error.code === "40P01" || error.code === "40001");

/** Whether it is the database that is away, as far as `error` tells, and not one statement that failed. */
export const isDatabaseDown = (error: unknown): boolean =>
  // Without a SQLSTATE it was the endpoint that failed, or nobody was there in time.
  error instanceof NeonDbError &&
  (error.code === undefined || /^(08...|57P0[123]|53300|28P01|28000|3D000)$/.test(error.code));

/** What one request has waited for so far. */
export interface Timing {
  /** For the database. */
  milliseconds: number;
  /** For its own body. */
  bodyMilliseconds?: number;
  roundTrips: number;
  /** Is told of every batch when it has ended, well or not. */
  heard?: (milliseconds: number, batch: readonly Statement[]) => void;
}

/**
 * How long a round trip may take. The database ends a statement after 5 s (tools/roles.ts) and says so; the rest is for a
 * compute that has to wake first. Who gives no answer at all by then gives none.
 */
const patienceMilliseconds = 8000;

/**
 * The database at `url`, whose cost `timing` counts; `guard` comes first in every batch. A round trip without an answer in
 * `patience` milliseconds fails with a NeonDbError that has no code, as every failure to reach it does: whether its writes
 * were done is then not known.
 */
export function createDb(
  url: string,
  timing: Timing = { milliseconds: 0, roundTrips: 0 },
  { guard = [], patience = patienceMilliseconds }: { guard?: readonly Statement[]; patience?: number } = {},
): Db {
  const send = async (
    statements: Statement[],
    mode: { isolationLevel: "RepeatableRead" | "ReadCommitted"; readOnly: boolean },
  ) => {
    const sql = connection(url);
    const batch = [...guard, ...statements];
    const started = performance.now();
    try {
      const results = await sql.transaction(
        batch.map((statement) => sql.query(statement.text, statement.params, { types: asText })),
        { ...mode, fetchOptions: { signal: AbortSignal.timeout(patience) } },
      );
      return results.slice(guard.length) as Row[][];
    } catch (error) {
      // The driver wraps what keeps an answer from beginning, and not what breaks it off.
      throw error instanceof NeonDbError ? error : new NeonDbError(`The answer broke off: ${error}`);
    } finally {
      const milliseconds = performance.now() - started;
      timing.milliseconds += milliseconds;
      timing.roundTrips += 1;
      timing.heard?.(milliseconds, batch);
    }
  };
  return {
    guard,
    read: (...statements) => send(statements, { isolationLevel: "RepeatableRead", readOnly: true }),
    async write(...statements) {
      const mode = { isolationLevel: "ReadCommitted", readOnly: false } as const;
      try {
        return await send(statements, mode);
      } catch (error) {
        // Once: whoever caused it has committed by now. A second time it is too busy here, and the caller hears so.
        if (rolledBackByOthers(error)) return send(statements, mode);
        throw error;
      }
    },
  };
}
