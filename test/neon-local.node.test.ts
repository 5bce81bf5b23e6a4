import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, type NeonDbError, neon, neonConfig } from "@neondatabase/serverless";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type NeonLocal, startNeonLocal } from "../tools/neon-local.ts";
import { type Cluster, startCluster } from "../tools/postgres.ts";

const installed15 = "/usr/lib/postgresql/15/bin";
const servers: { name: string; binaries?: string }[] = [{ name: "the embedded PostgreSQL 18" }];
if (existsSync(installed15)) servers.push({ name: "PostgreSQL 15", binaries: installed15 });

it("drives PostgreSQL 15 as well wherever it must", () => {
  if (process.env.CI) expect(servers, `${installed15} is missing`).toHaveLength(2);
});

describe.each(servers)("the local Neon endpoint on $name", ({ binaries }) => {
  let directory: string;
  let cluster: Cluster;
  let endpoint: NeonLocal;
  const start = (port?: number) =>
    startCluster({
      directory,
      durable: false,
      ...(binaries === undefined ? {} : { binaries }),
      ...(port === undefined ? {} : { port }),
    });
  const url = (user = "app", password = "app-password", database = "shop") =>
    `postgres://${user}:${password}@127.0.0.1:${endpoint.port}/${database}`;
  const connect = () => {
    const client = new Client(url());
    client.neonConfig.wsProxy = (host, port) => `${host}:${port}/v2`;
    client.neonConfig.useSecureWebSocket = false;
    client.neonConfig.pipelineTLS = false;
    client.neonConfig.pipelineConnect = false;
    return client;
  };
  const refusal = async (query: Promise<unknown>) => {
    const error = await query.then(() => undefined).catch((reason: NeonDbError) => reason);
    if (!error) throw new Error("expected a refusal");
    return error;
  };
  const raw = (body: string, headers: Record<string, string> = { "Neon-Connection-String": url() }) =>
    fetch(`http://127.0.0.1:${endpoint.port}/sql`, { method: "POST", body, headers });
  const roundTrips = async (database: string) =>
    Number(await (await fetch(`http://127.0.0.1:${endpoint.port}/round-trips?database=${database}`)).text());

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "nexgen-neon-local-"));
    cluster = await start();
    endpoint = await startNeonLocal({ upstream: { host: "127.0.0.1", port: cluster.port } });
    neonConfig.fetchEndpoint = (host, port) => `http://${host}:${port}/sql`;
    const superuser = new pg.Client(cluster.superuserUrl);
    await superuser.connect();
    await superuser.query("CREATE ROLE app LOGIN PASSWORD 'app-password'");
    await superuser.query("CREATE ROLE reader LOGIN PASSWORD 'reader-password'");
    await superuser.query("CREATE DATABASE shop OWNER app");
    await superuser.end();
    await neon(url())`CREATE TABLE item (id int CONSTRAINT item_pk PRIMARY KEY, name text, price numeric(15,2))`;
    await neon(url())`GRANT SELECT ON item TO reader`;
  });

  afterAll(async () => {
    await endpoint?.close();
    await cluster?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  it("answers a query as rows, as arrays and as a full result", async () => {
    const sql = neon(url());
    expect(await sql`SELECT ${7}::int AS n, ${"é🙂"} AS s`).toEqual([{ n: 7, s: "é🙂" }]);
    expect(await sql.query("SELECT 1 AS a, 2 AS a", [], { arrayMode: true })).toEqual([[1, 2]]);
    const full = await sql.query("SELECT true AS yes", [], { fullResults: true });
    expect(full).toMatchObject({ command: "SELECT", rowCount: 1, rows: [{ yes: true }], rowAsArray: false });
    expect(full.fields).toMatchObject([{ name: "yes", dataTypeID: 16 }]);
    expect(await sql.query("", [], { fullResults: true })).toMatchObject({ command: null, rowCount: null, rows: [] });
  });

  it("keeps numerics, bigints and microseconds as text, and tells null from the empty string", async () => {
    const response = await raw(
      JSON.stringify({
        query: "SELECT $1::numeric, $2::int8, $3::text IS NULL, $4::text, '2026-01-02 03:04:05.678901+00'::timestamptz",
        params: ["12345678901234567890.10", "9007199254740993", null, ""],
      }),
    );
    const { rows } = (await response.json()) as { rows: unknown[] };
    expect(rows).toEqual([["12345678901234567890.10", "9007199254740993", "t", "", "2026-01-02 03:04:05.678901+00"]]);
    const [row] = await neon(url())`SELECT ${null}::text AS a, ${""}::text AS b, ${"007"}::text AS c`;
    expect(row).toEqual({ a: null, b: "", c: "007" });
  });

  it("commits a transaction and answers each of its queries", async () => {
    const sql = neon(url());
    const results = await sql.transaction(
      [
        sql`INSERT INTO item VALUES (1, 'one', 1.50), (2, 'two', 2.50)`,
        sql`UPDATE item SET price = price * 2 WHERE id = 1`,
        sql`SELECT price FROM item ORDER BY id`,
      ],
      { fullResults: true },
    );
    expect(results.map((result) => [result.command, result.rowCount])).toEqual([
      ["INSERT", 2],
      ["UPDATE", 1],
      ["SELECT", 2],
    ]);
    expect(results[2]?.rows).toEqual([{ price: "3.00" }, { price: "2.50" }]);
    expect(await sql`SELECT count(*)::int AS n FROM item`).toEqual([{ n: 2 }]);
  });

  it("rolls a transaction back at its first error and runs nothing behind it", async () => {
    const sql = neon(url());
    await sql`CREATE SEQUENCE IF NOT EXISTS ran`;
    const error = await refusal(
      sql.transaction([
        sql`INSERT INTO item VALUES (10, 'ten', 1)`,
        sql`INSERT INTO item VALUES (10, 'again', 1)`,
        sql`SELECT nextval('ran')`,
        sql`SELECT 1/0`,
      ]),
    );
    expect(error).toMatchObject({
      name: "NeonDbError",
      code: "23505",
      constraint: "item_pk",
      table: "item",
      schema: "public",
      severity: "ERROR",
    });
    expect(error.detail).toContain("(id)=(10)");
    expect(await sql`SELECT count(*)::int AS n FROM item WHERE id = 10`).toEqual([{ n: 0 }]);
    expect(await sql`SELECT is_called FROM ran`).toEqual([{ is_called: false }]);
  });

  it("surfaces an error that only COMMIT finds", async () => {
    const sql = neon(url());
    await sql`CREATE TABLE IF NOT EXISTS late (id int CONSTRAINT late_once UNIQUE DEFERRABLE INITIALLY DEFERRED)`;
    const error = await refusal(
      sql.transaction([sql`INSERT INTO late VALUES (1)`, sql`INSERT INTO late VALUES (1)`, sql`SELECT 1`]),
    );
    expect(error).toMatchObject({ code: "23505", constraint: "late_once" });
    expect(await sql`SELECT count(*)::int AS n FROM late`).toEqual([{ n: 0 }]);
  });

  it("refuses two statements in one string, with and without parameters", async () => {
    const sql = neon(url());
    expect((await refusal(sql.query("SELECT 1; SELECT 2"))).code).toBe("42601");
    expect((await refusal(sql.query("SELECT $1::int; SELECT 2", [1]))).code).toBe("42601");
    expect((await refusal(sql.transaction([sql.query("SELECT 1; COMMIT")]))).code).toBe("42601");
  });

  it("applies isolation level, read only and deferrable", async () => {
    const sql = neon(url());
    const shown = async (options: Parameters<typeof sql.transaction>[1]) => {
      const rows = await sql.transaction(
        [sql`SHOW transaction_isolation`, sql`SHOW transaction_read_only`, sql`SHOW transaction_deferrable`],
        { ...options, arrayMode: true },
      );
      return rows.map((result) => (result as string[][])[0]?.[0]);
    };
    expect(await shown({})).toEqual(["read committed", "off", "off"]);
    expect(await shown({ isolationLevel: "RepeatableRead" })).toEqual(["repeatable read", "off", "off"]);
    expect(await shown({ isolationLevel: "Serializable", readOnly: true, deferrable: true })).toEqual([
      "serializable",
      "on",
      "on",
    ]);
    const write = sql.transaction([sql`DELETE FROM item`], { readOnly: true });
    expect((await refusal(write)).code).toBe("25006");
    const headers = { "Neon-Connection-String": url(), "Neon-Batch-Isolation-Level": "READ COMMITTED" };
    expect((await raw('{"queries":[{"query":"SELECT 1"}]}', headers)).status).toBe(400);
  });

  it("refuses a wrong password, also while the right one has open connections, and an unknown database", async () => {
    await neon(url())`SELECT 1`;
    expect(await refusal(neon(url("app", "wrong"))`SELECT 1`)).toMatchObject({
      code: "28P01",
      message: 'password authentication failed for user "app"',
    });
    expect((await refusal(neon(url("app", "app-password", "nowhere"))`SELECT 1`)).code).toBe("3D000");
  });

  it("gives each role its own rights and no more", async () => {
    const sql = neon(url("reader", "reader-password"));
    expect(await sql`SELECT current_user AS who, count(*) >= 0 AS reads FROM item`).toEqual([
      { who: "reader", reads: true },
    ]);
    expect((await refusal(sql`DELETE FROM item`)).code).toBe("42501");
  });

  it("hands the next request no state of the one before", async () => {
    const sql = neon(url());
    await sql`SET statement_timeout = '7s'`;
    await sql`BEGIN`;
    await sql`SELECT pg_advisory_lock(42)`;
    await sql`CREATE TEMP TABLE leftover (id int)`;
    for (let i = 0; i < 8; i++) {
      const [row] =
        await sql`SELECT current_setting('statement_timeout') AS timeout, to_regclass('leftover') AS leftover,
        (SELECT count(*)::int FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()) AS open,
        (SELECT count(*)::int FROM pg_locks JOIN pg_database d ON d.oid = database
         WHERE locktype = 'advisory' AND d.datname = current_database()) AS locks`;
      expect(row).toEqual({ timeout: "0", leftover: null, open: 0, locks: 0 });
    }
  });

  it("refuses an answer and a request over 10 MB, COPY, and malformed requests", async () => {
    const sql = neon(url());
    const big = await refusal(sql`SELECT repeat('x', 1000) FROM generate_series(1, 20000)`);
    expect(big.message).toContain("HTTP status 507");
    expect((await refusal(sql`SELECT length(${"x".repeat(11_000_000)})`)).message).toContain("HTTP status 413");
    expect((await refusal(sql`COPY item TO STDOUT`)).message).toContain("COPY TO STDOUT is not supported");
    expect((await refusal(sql`COPY item FROM STDIN`)).message).toContain("COPY FROM STDIN is not supported");
    expect((await raw("{")).status).toBe(400);
    expect((await raw("null")).status).toBe(400);
    expect((await raw('{"query":1}')).status).toBe(400);
    expect((await raw('{"queries":{}}')).status).toBe(400);
    expect((await raw('{"query":"SELECT 1"}', {})).status).toBe(400);
    expect((await raw('{"query":"SELECT 1"}', { "Neon-Connection-String": "mysql://a:b@c/d" })).status).toBe(400);
    expect(await sql`SELECT length(${"x".repeat(1_000_000)}) AS n`).toEqual([{ n: 1_000_000 }]);
  });

  it("speaks the wire protocol over a WebSocket, COPY and large answers included", async () => {
    const client = connect();
    await client.connect();
    const { rows } = await client.query("SELECT $1::int + 1 AS n, current_user AS who", [41]);
    expect(rows).toEqual([{ n: 42, who: "app" }]);
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const copied = await new Promise<Buffer>((fulfil, reject) => {
      const chunks: Buffer[] = [];
      const copy = {
        submit: (connection: { query(text: string): void }) =>
          connection.query("COPY (SELECT i, repeat('y', 100) FROM generate_series(1, 200000) i) TO STDOUT"),
        handleCopyData: (message: { chunk: Buffer }) => chunks.push(Buffer.from(message.chunk)),
        handleCommandComplete: () => {},
        handleReadyForQuery: () => fulfil(Buffer.concat(chunks)),
        handleError: reject,
      };
      client.query(copy as unknown as string); // The driver accepts any object with submit; its types do not.
    });
    await client.query("COMMIT");
    const lines = copied.toString().trimEnd().split("\n");
    expect(lines).toHaveLength(200_000);
    expect(lines.at(-1)).toBe(`200000\t${"y".repeat(100)}`);
    await client.end();
  });

  it("ends the server's session with the WebSocket and the WebSocket with the server's session", async () => {
    const [one, two] = [connect(), connect()];
    await Promise.all([one.connect(), two.connect()]);
    const { rows } = await one.query("SELECT pg_backend_pid() AS pid");
    const ended = new Promise((fulfil) => one.on("error", fulfil));
    await two.query("SELECT pg_terminate_backend($1)", [rows[0]?.pid]);
    await ended;
    const mine = (await two.query("SELECT pg_backend_pid() AS pid")).rows[0]?.pid;
    await two.end();
    await expect
      .poll(() => neon(url())`SELECT count(*)::int AS n FROM pg_stat_activity WHERE pid = ${mine}`)
      .toEqual([{ n: 0 }]);
  });

  it("counts one round trip per query, batch and WebSocket connection", async () => {
    const sql = neon(url());
    const before = await roundTrips("shop");
    await sql`SELECT 1`;
    await sql.transaction([sql`SELECT 1`, sql`SELECT 2`, sql`SELECT 3`]);
    const client = connect();
    await client.connect();
    await client.query("SELECT 1");
    await client.query("SELECT 2");
    await client.end();
    expect(await roundTrips("shop")).toBe(before + 3);
    expect(await roundTrips("unheard-of")).toBe(0);
  });

  it("queues a burst of 200 requests on its 8 connections", async () => {
    const sql = neon(url("reader", "reader-password"));
    const answers = await Promise.all(
      Array.from(
        { length: 200 },
        (_, i) => sql`SELECT ${i}::int AS i, pg_sleep(0.01),
          (SELECT count(*)::int FROM pg_stat_activity WHERE usename = 'reader') AS sessions`,
      ),
    );
    expect(answers.map(([row]) => row?.i)).toEqual(Array.from({ length: 200 }, (_, i) => i));
    expect(Math.max(...answers.map(([row]) => row?.sessions))).toBeLessThanOrEqual(8);
  });

  it("cancels the statements of a caller who goes away, and never begins those that waited", async () => {
    const sql = neon(url());
    await sql`CREATE TABLE IF NOT EXISTS given_up (id int)`;
    const superuser = new pg.Client(cluster.superuserUrl);
    await superuser.connect();
    const sleeping = async () => {
      const asleep = `SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(61)%' AND state = 'active' AND pid <> pg_backend_pid()`;
      return (await superuser.query(asleep)).rowCount;
    };
    const caller = new AbortController();
    const fetchOptions = { signal: caller.signal };
    const reader = neon(url("reader", "reader-password"), { fetchOptions });
    const calls = Array.from({ length: 8 }, () => refusal(reader.query("SELECT pg_sleep(61)")));
    await expect.poll(sleeping, { timeout: 10_000 }).toBe(8);
    // Its connections are all taken: this one waits for its turn.
    calls.push(refusal(reader.query("SELECT pg_sleep(61), 'waited'")));
    caller.abort();
    await Promise.all(calls);
    await expect.poll(sleeping, { timeout: 10_000 }).toBe(0);
    expect(await neon(url("reader", "reader-password"))`SELECT 1 AS one`).toEqual([{ one: 1 }]);
    const transaction = new AbortController();
    const written = refusal(
      sql.transaction([sql`INSERT INTO given_up VALUES (1)`, sql`SELECT pg_sleep(61)`], {
        fetchOptions: { signal: transaction.signal },
      }),
    );
    await expect.poll(sleeping, { timeout: 10_000 }).toBe(1);
    transaction.abort();
    await written;
    await expect.poll(sleeping, { timeout: 10_000 }).toBe(0);
    expect(await sql`SELECT FROM given_up`).toEqual([]);
    await superuser.end();
  });

  it("lets go of a database that is not used any more", async () => {
    const superuser = new pg.Client(cluster.superuserUrl);
    await superuser.connect();
    await superuser.query("CREATE DATABASE passing OWNER app");
    await neon(url("app", "app-password", "passing"))`SELECT 1`;
    await expect
      .poll(() => superuser.query("DROP DATABASE passing").then(() => "gone"), { timeout: 6000 })
      .toBe("gone");
    await superuser.end();
  });

  it("reports an unreachable server at once and works again when it is back", async () => {
    const sql = neon(url());
    const running = refusal(sql`SELECT pg_sleep(60)`);
    await expect
      .poll(
        () =>
          sql`SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND state = 'active'`,
      )
      .toEqual([{ n: 1 }]);
    const { port } = cluster;
    await cluster.stop();
    expect((await running).code).toBe("57P01");
    const error = await refusal(sql`SELECT 1`);
    expect(error.message).toContain("HTTP status 503");
    expect(error.message).toContain("could not reach the database");
    await expect(connect().connect()).rejects.toBeDefined();
    cluster = await start(port);
    expect(await sql`SELECT count(*)::int AS n FROM item WHERE id = 1`).toEqual([{ n: 1 }]);
  });
});
