import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import pg from "pg";
import { type RawData, type WebSocket, WebSocketServer } from "ws";

export interface NeonLocal {
  port: number;
  close(): Promise<void>;
}

export interface NeonLocalOptions {
  /** Default: a free one. */
  port?: number;
  upstream: { host: string; port: number; ssl?: boolean | ConnectionOptions };
  /** Connections per role and database, 8 by default; further requests wait. */
  poolSize?: number;
}

interface Statement {
  text: string;
  values: (string | null)[];
}

interface Field {
  name: string;
  tableID: number;
  columnID: number;
  dataTypeID: number;
  dataTypeSize: number;
  dataTypeModifier: number;
  format: string;
}

interface StatementResult {
  command: string | null;
  rowCount: number | null;
  fields: Field[];
  rows: (string | null)[][];
  rowAsArray: true;
}

/** Parts of pg's connection that its type declarations leave out or give older parameters. */
interface Wire {
  stream: Duplex;
  parse(message: { name: string; text: string; types: [] }): void;
  bind(message: { portal: string; statement: string; values: (string | null)[] }): void;
  describe(message: { type: "P"; name: string }): void;
  execute(message: { portal: string; rows: number }): void;
  sync(): void;
}

const limitBytes = 10 * 1024 * 1024;
const highWaterBytes = 1024 * 1024;
const waitMs = 15_000;
const idleMs = 2_000;
const maxLifetimeSeconds = 60;

const errorFields =
  "severity code detail hint position internalPosition internalQuery where schema table column dataType constraint file line routine".split(
    " ",
  );

class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * Statements sent in one go in the extended protocol with a single Sync: after an error the server skips everything up
 * to that Sync, so nothing behind a failed statement runs.
 */
class Pipeline {
  readonly results: StatementResult[] = [];
  private readonly statements: Statement[];
  private readonly settle: { fulfil(results: StatementResult[]): void; reject(error: Error): void };
  private current: StatementResult = emptyResult();
  private bytes = 0;

  constructor(statements: Statement[], settle: Pipeline["settle"]) {
    this.statements = statements;
    this.settle = settle;
  }

  submit(connection: pg.Connection) {
    const wire = connection as unknown as Wire; // The declarations lag behind pg's own signatures.
    wire.stream.cork();
    for (const { text, values } of this.statements) {
      wire.parse({ name: "", text, types: [] });
      wire.bind({ portal: "", statement: "", values });
      wire.describe({ type: "P", name: "" });
      wire.execute({ portal: "", rows: 0 });
    }
    wire.sync();
    wire.stream.uncork();
  }

  handleRowDescription(message: { fields: Field[] }) {
    this.current.fields = message.fields;
  }

  handleDataRow(message: { length: number; fields: (string | null)[] }) {
    this.bytes += message.length;
    if (this.bytes > limitBytes) return this.refuse(507, `response is too large (max is ${limitBytes} bytes)`);
    this.current.rows.push(message.fields);
  }

  handleCommandComplete(message: { text: string }) {
    const [, command, rows] = /^(\D*?)(?: \d+)*?(?: (\d+))?$/.exec(message.text) ?? [];
    this.current.command = command ?? message.text;
    this.current.rowCount = rows === undefined ? null : Number(rows);
    this.finish();
  }

  handleEmptyQuery() {
    this.finish();
  }

  handleReadyForQuery() {
    this.settle.fulfil(this.results);
  }

  handleError(error: Error) {
    this.settle.reject(error);
  }

  handleCopyInResponse() {
    this.refuse(400, "COPY FROM STDIN is not supported over HTTP");
  }

  handleCopyData() {
    this.refuse(400, "COPY TO STDOUT is not supported over HTTP");
  }

  handlePortalSuspended() {}

  private finish() {
    this.results.push(this.current);
    this.current = emptyResult();
  }

  private refuse(status: number, message: string) {
    this.current.rows = [];
    this.settle.reject(new Refusal(status, message));
  }
}

function emptyResult(): StatementResult {
  return { command: null, rowCount: null, fields: [], rows: [], rowAsArray: true };
}

// DISCARD ALL without PLANS: the next request finds no state of this one, yet functions keep their plans.
const forgetSession =
  "CLOSE ALL; RESET ALL; RESET SESSION AUTHORIZATION; DEALLOCATE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

const isolationLevels: Record<string, string> = {
  ReadUncommitted: "READ UNCOMMITTED",
  ReadCommitted: "READ COMMITTED",
  RepeatableRead: "REPEATABLE READ",
  Serializable: "SERIALIZABLE",
};

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function beginStatement(request: IncomingMessage): Statement {
  const modes: string[] = [];
  const level = header(request, "neon-batch-isolation-level");
  if (level !== undefined) {
    const name = isolationLevels[level];
    if (!name) throw new Refusal(400, `invalid isolation level ${level}`);
    modes.push(`ISOLATION LEVEL ${name}`);
  }
  for (const [name, on, off] of [
    ["neon-batch-read-only", "READ ONLY", "READ WRITE"],
    ["neon-batch-deferrable", "DEFERRABLE", "NOT DEFERRABLE"],
  ] as const) {
    const value = header(request, name);
    if (value === "true") modes.push(on);
    else if (value === "false") modes.push(off);
    else if (value !== undefined) throw new Refusal(400, `invalid value of ${name}: ${value}`);
  }
  return { text: `BEGIN ${modes.join(" ")}`, values: [] };
}

interface Target {
  user: string;
  password: string;
  database: string;
  applicationName: string | undefined;
}

function target(request: IncomingMessage): Target {
  const given = header(request, "neon-connection-string");
  if (!given) throw new Refusal(400, "missing Neon-Connection-String header");
  try {
    const url = new URL(given);
    const user = decodeURIComponent(url.username);
    const password = decodeURIComponent(url.password);
    const database = decodeURIComponent(url.pathname.slice(1));
    if (!/^postgres(ql)?:$/.test(url.protocol) || !user || !database) throw new Error("incomplete");
    if (!password) throw new Refusal(400, "missing password in the connection string");
    return { user, password, database, applicationName: url.searchParams.get("application_name") ?? undefined };
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(400, "invalid connection string: expected postgres://user:password@host/database");
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    // Read to its end even when refused: a connection reset would hide the answer.
    bytes += chunk.length;
    if (bytes <= limitBytes) chunks.push(chunk);
  }
  if (bytes > limitBytes) throw new Refusal(413, `request is too large (max is ${limitBytes} bytes)`);
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (error) {
    throw new Refusal(400, `invalid JSON: ${(error as Error).message}`);
  }
}

function statementOf(value: unknown): Statement {
  const { query, params = [] } = (value ?? {}) as { query?: unknown; params?: unknown };
  if (typeof query !== "string" || !Array.isArray(params))
    throw new Refusal(400, 'expected {"query": "…", "params": […]}');
  if (params.length > 65_535) throw new Refusal(400, "a statement has at most 65535 parameters");
  const values = params.map((param: unknown) => {
    if (param === null || param === undefined) return null;
    return typeof param === "object" ? JSON.stringify(param) : String(param);
  });
  return { text: query, values };
}

function failureOf(error: unknown): { status: number; body: Record<string, unknown> } {
  if (error instanceof Refusal) return { status: error.status, body: { message: error.message, code: null } };
  const { message, ...rest } = error as Error & Record<string, unknown>;
  const sqlState = "severity" in rest ? rest.code : undefined;
  // 57P03: the server is starting up or shutting down, so nothing was reached.
  if (typeof sqlState !== "string" || sqlState === "57P03") {
    const reason = (error as Error).message || String((error as { code?: string }).code ?? error);
    return { status: 503, body: { message: `could not reach the database: ${reason}`, code: null } };
  }
  const fields = Object.fromEntries(errorFields.map((field) => [field, rest[field] ?? null]));
  return { status: 400, body: { message: (error as Error).message, ...fields } };
}

function answer(response: ServerResponse, status: number, body: unknown) {
  if (response.destroyed || response.headersSent) return;
  const text = JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  response.end(text);
}

const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

async function connectUpstream({ host, port, ssl }: NeonLocalOptions["upstream"]): Promise<Socket> {
  const socket = connectTcp({ host, port });
  await once(socket, "connect");
  if (!ssl) return socket;
  socket.write(sslRequest);
  const [reply] = (await once(socket, "data")) as [Buffer];
  if (reply.toString("latin1") !== "S") throw new Error("the server does not offer TLS");
  const secured = connectTls({ socket, ...(isIP(host) ? {} : { servername: host }), ...(ssl === true ? {} : ssl) });
  await once(secured, "secureConnect");
  return secured;
}

/** How the server knows a session of pg's client: parts that its type declarations leave out. */
interface Backend {
  processID: number;
  secretKey: number;
}

/** Cancels what a session is doing, by a connection of its own as the protocol wants it. */
async function cancel(upstream: NeonLocalOptions["upstream"], { processID, secretKey }: Backend): Promise<void> {
  const message = Buffer.alloc(16);
  for (const [index, value] of [16, 80877102, processID, secretKey].entries()) message.writeInt32BE(value, index * 4);
  (await connectUpstream(upstream)).on("error", () => {}).end(message);
}

/** The database that a client names in its start-up message; undefined until the message is complete. */
function databaseOfStartup(bytes: Buffer): string | null | undefined {
  if (bytes.length < 8) return undefined;
  const length = bytes.readUInt32BE(0);
  const code = bytes.readUInt32BE(4);
  // SSLRequest and GSSENCRequest come before the start-up message.
  if (code === 80877103 || code === 80877104) return databaseOfStartup(bytes.subarray(8));
  if (code >> 16 !== 3 || length > 10_000) return null;
  if (bytes.length < length) return undefined;
  const words = bytes.subarray(8, length).toString("utf8").split("\0");
  const settings = new Map<string, string>();
  for (let i = 0; i + 1 < words.length; i += 2) settings.set(words[i] ?? "", words[i + 1] ?? "");
  return settings.get("database") ?? settings.get("user") ?? null;
}

/**
 * Serves Neon's HTTP and WebSocket protocols on 127.0.0.1 for any PostgreSQL, as @neondatabase/serverless speaks them:
 * `POST /sql`, `/v2`, and `GET /round-trips?database=NAME` (the number of requests and connections so far, as text).
 * User, password and database are the caller's; the server is always `upstream`.
 */
export async function startNeonLocal(options: NeonLocalOptions): Promise<NeonLocal> {
  const { upstream } = options;
  const pools = new Map<string, pg.Pool>();
  const roundTrips = new Map<string, number>();
  const count = (database: string) => roundTrips.set(database, (roundTrips.get(database) ?? 0) + 1);

  function poolOf({ user, password, database, applicationName }: Target): pg.Pool {
    // The password is part of the key: a wrong one must not find the connections that the right one opened.
    const key = JSON.stringify([user, password, database, applicationName]);
    const existing = pools.get(key);
    if (existing) return existing;
    const pool = new pg.Pool({
      host: upstream.host,
      port: upstream.port,
      ssl: upstream.ssl ?? false,
      user,
      password: () => password,
      database,
      max: options.poolSize ?? 8,
      connectionTimeoutMillis: waitMs,
      idleTimeoutMillis: idleMs,
      maxLifetimeSeconds,
      ...(applicationName === undefined ? {} : { application_name: applicationName }),
    });
    pool.on("error", () => {}); // An idle connection that the server closed: the pool has dropped it already.
    pool.on("remove", () => {
      if (pool.totalCount === 0 && pool.waitingCount === 0 && pools.get(key) === pool) pools.delete(key);
    });
    pools.set(key, pool);
    return pool;
  }

  /** `caller` is who waits for it: when that is closed the statements are cancelled, as Neon does. */
  async function execute(to: Target, statements: Statement[], caller: ServerResponse): Promise<StatementResult[]> {
    const client = await poolOf(to).connect();
    if (caller.destroyed) {
      client.release();
      throw new Refusal(499, "the caller went away");
    }
    let lost = false;
    const cancelWork = () => {
      // It may arrive when these statements are done, so no others must run on this connection.
      lost = true;
      void cancel(upstream, client as unknown as Backend).catch(() => {});
    };
    caller.once("close", cancelWork);
    const onError = () => {
      lost = true;
    };
    client.on("error", onError);
    const release = (discard: boolean) => {
      client.off("error", onError);
      client.release(discard || lost);
    };
    const tidy = async (rollback: boolean) => {
      try {
        if (rollback) await client.query("ROLLBACK");
        await client.query(forgetSession);
        release(false);
      } catch {
        release(true);
      }
    };
    try {
      const results = await new Promise<StatementResult[]>((fulfil, reject) => {
        client.query(new Pipeline(statements, { fulfil, reject }));
      }).finally(() => caller.off("close", cancelWork));
      void tidy((client as unknown as { getTransactionStatus(): string }).getTransactionStatus() !== "I");
      return results;
    } catch (error) {
      if (error instanceof Refusal || lost) release(true);
      else await tidy(statements.length > 1);
      throw error;
    }
  }

  async function serveSql(request: IncomingMessage, response: ServerResponse) {
    try {
      const to = target(request);
      const body = await bodyOf(request);
      count(to.database);
      const queries = (body as { queries?: unknown } | null)?.queries;
      if (queries === undefined) {
        const [result] = await execute(to, [statementOf(body)], response);
        return answer(response, 200, result);
      }
      if (!Array.isArray(queries)) throw new Refusal(400, '"queries" is not an array');
      const statements = [beginStatement(request), ...queries.map(statementOf), { text: "COMMIT", values: [] }];
      const results = await execute(to, statements, response);
      answer(response, 200, { results: results.slice(1, -1) });
    } catch (error) {
      const { status, body } = failureOf(error);
      answer(response, status, body);
    }
  }

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    if (url.pathname === "/sql" && request.method === "POST") {
      void serveSql(request, response);
    } else if (url.pathname === "/round-trips" && request.method === "GET") {
      response.writeHead(200, { "content-type": "text/plain" });
      response.end(String(roundTrips.get(url.searchParams.get("database") ?? "") ?? 0));
    } else {
      answer(response, 404, { message: "expected POST /sql, GET /round-trips or a WebSocket at /v2" });
    }
  });
  // workerd reuses connections; closing one while it sends the next request would be an error there.
  server.keepAliveTimeout = 600_000;
  server.headersTimeout = 610_000;

  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 64 * 1024 * 1024 });

  function relay(client: WebSocket) {
    client.pause();
    client.on("error", () => client.terminate());
    connectUpstream(upstream).then(
      (database) => {
        pipe(client, database);
        client.resume();
      },
      (error: Error) => {
        client.resume();
        client.close(1011, error.message.slice(0, 100));
      },
    );
  }

  function pipe(client: WebSocket, database: Socket) {
    if (client.readyState !== client.OPEN) {
      database.destroy();
      return;
    }
    database.setNoDelay(true);
    let head: Buffer | undefined = Buffer.alloc(0);
    client.on("message", (data: RawData) => {
      const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer);
      if (head) {
        head = Buffer.concat([head, bytes]);
        const name = databaseOfStartup(head);
        if (name) count(name);
        if (name !== undefined) head = undefined;
      }
      if (!database.write(bytes)) client.pause();
    });
    database.on("drain", () => client.resume());
    database.on("data", (bytes: Buffer) => {
      client.send(bytes, { binary: true }, () => {
        if (client.bufferedAmount < highWaterBytes) database.resume();
      });
      if (client.bufferedAmount >= highWaterBytes) database.pause();
    });
    database.on("end", () => client.close(1000));
    database.on("error", (error) => client.close(1011, error.message.slice(0, 100)));
    database.on("close", () => client.close());
    client.on("close", () => database.end());
  }

  server.on("upgrade", (request, socket, head) => {
    if (new URL(request.url ?? "/", "http://localhost").pathname !== "/v2") {
      socket.end("HTTP/1.1 404 Not Found\r\n\r\n");
      return;
    }
    sockets.handleUpgrade(request, socket, head, relay);
  });

  await new Promise<void>((fulfil, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", fulfil);
  });
  const address = server.address();
  if (typeof address !== "object" || !address) throw new Error("the Neon endpoint has no port");

  return {
    port: address.port,
    async close() {
      for (const client of sockets.clients) client.terminate();
      const closed = new Promise((fulfil) => server.close(fulfil));
      server.closeAllConnections();
      await closed;
      await Promise.all([...pools.values()].map((pool) => pool.end()));
    },
  };
}
