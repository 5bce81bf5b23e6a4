import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe } from "vitest";
import { migrate } from "../../../tools/migrate.ts";
import { type Cluster, startCluster } from "../../../tools/postgres.ts";
import { createRoles } from "../../../tools/roles.ts";

const template = "template_nexgen";
const installed15 = "/usr/lib/postgresql/15/bin";
const servers: { name: string; binaries?: string }[] = [
  { name: "the embedded PostgreSQL 18" },
  { name: "PostgreSQL 15", binaries: installed15 },
];

/** A throw-away cluster with an owner like Neon's (CREATEROLE, no superuser), a migrated template and the three roles. */
export class TestServer {
  readonly password = randomBytes(18).toString("base64url");
  readonly name: string;
  private readonly binaries: string | undefined;
  private directory = "";
  private cluster: Cluster | undefined;
  private admin: pg.Client | undefined;
  private readonly open: pg.Client[] = [];
  private turn: Promise<unknown> = Promise.resolve();

  constructor(name: string, binaries: string | undefined) {
    this.name = name;
    this.binaries = binaries;
  }

  async start(): Promise<void> {
    if (this.binaries && !existsSync(this.binaries)) throw new Error(`${this.binaries} is missing: CI tests both ends`);
    this.directory = await mkdtemp(join(tmpdir(), "nexgen-test-"));
    this.cluster = await startCluster({
      directory: this.directory,
      durable: false,
      ...(this.binaries === undefined ? {} : { binaries: this.binaries }),
    });
    this.admin = new pg.Client(this.cluster.superuserUrl);
    await this.admin.connect();
    await this.admin.query(`CREATE ROLE nexgen_owner LOGIN CREATEROLE PASSWORD '${this.password}'`);
    await this.admin.query(`CREATE DATABASE ${template} OWNER nexgen_owner`);
    await migrate(this.url("nexgen_owner", template));
    await this.createRoles(template);
  }

  async stop(): Promise<void> {
    await Promise.all(this.open.map((client) => client.end()));
    await this.admin?.end();
    await this.cluster?.stop();
    if (this.directory) await rm(this.directory, { recursive: true, force: true });
  }

  get superuserUrl(): string {
    if (!this.cluster) throw new Error("the test server is not running");
    return this.cluster.superuserUrl;
  }

  url(role: string, database: string): string {
    return `postgres://${role}:${this.password}@127.0.0.1:${this.cluster?.port}/${database}`;
  }

  createRoles(database: string): Promise<void> {
    const { password } = this;
    return createRoles(this.url("nexgen_owner", database), {
      nexgen_api: password,
      nexgen_backup: password,
      nexgen_readonly: password,
    });
  }

  /** A new database, a clone of the migrated template unless `from` names another; answers its name. */
  async database(from = template): Promise<string> {
    const name = `test_${randomBytes(6).toString("hex")}`;
    // CREATE DATABASE allows nobody else in its template, another clone neither: one at a time.
    const made = this.turn.then(async () => {
      await this.superuser(`CREATE DATABASE ${name} TEMPLATE ${from} OWNER nexgen_owner`);
      // A clone starts without its template's rights on the database itself.
      await this.superuser(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`);
      await this.superuser(`GRANT CONNECT ON DATABASE ${name} TO nexgen_api, nexgen_backup, nexgen_readonly`);
    });
    this.turn = made.catch(() => {});
    await made;
    return name;
  }

  /** A connection that ends with the server at the latest. */
  async connect(database: string, role = "nexgen_owner"): Promise<pg.Client> {
    const client = new pg.Client(this.url(role, database));
    await client.connect();
    this.open.push(client);
    return client;
  }

  /** Runs SQL as the cluster's superuser, outside of the tested database. */
  async superuser(text: string): Promise<pg.QueryResult> {
    if (!this.admin) throw new Error("the test server is not running");
    return this.admin.query(text);
  }

  /** The same in a tested database, for what its owner may not do. */
  async superuserIn(database: string, text: string): Promise<void> {
    const url = new URL(this.superuserUrl);
    url.pathname = `/${database}`;
    const client = new pg.Client(url.href);
    await client.connect();
    await client.query(text).finally(() => client.end());
  }
}

/**
 * Declares `tests` once per supported end of PostgreSQL's versions, each with a cluster of its own. Where the machine has
 * no PostgreSQL 15 its tests show up as skipped; with CI set they fail.
 */
export function describeServers(
  subject: string,
  tests: (server: TestServer) => void,
  /** `embedded`: for a tool that asks nothing of Postgres that could differ. */
  which: "both" | "embedded" = "both",
): void {
  for (const { name, binaries } of servers.slice(0, which === "both" ? undefined : 1)) {
    const absent = binaries !== undefined && !existsSync(binaries) && !process.env.CI;
    describe.skipIf(absent)(`${subject} on ${name}`, () => {
      const server = new TestServer(name, binaries);
      beforeAll(() => server.start());
      afterAll(() => server.stop());
      tests(server);
    });
  }
}

/** What a query was refused with; throws when it was not. */
export async function refusal(query: Promise<unknown>): Promise<pg.DatabaseError> {
  const error = await query.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error === undefined) throw new Error("expected a refusal, it was done");
  if (!(error instanceof pg.DatabaseError)) throw error;
  return error;
}

/** Every row of a query, keyed by column; numerics and int8 are text. */
export async function rows(client: pg.Client, text: string, values: unknown[] = []) {
  return (await client.query<Record<string, unknown>>(text, values)).rows;
}

/** The first row of a query. */
export async function row(client: pg.Client, text: string, values: unknown[] = []) {
  const [first] = await rows(client, text, values);
  if (!first) throw new Error(`no row: ${text}`);
  return first;
}
