import { createHash, randomBytes } from "node:crypto";
import { createWriteStream, readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { journal, migrate } from "../migrate.ts";
import { type Cluster, startCluster } from "../postgres.ts";
import { createRoles } from "../roles.ts";
import { checkedDatabaseUrl, isLoopback, root } from "../stack.ts";
import { type DataSet, fill } from "./data.ts";
import { parentOf } from "./processes.ts";

/** A PostgreSQL server for benches. */
export interface Stage {
  port: number;
  pid: number;
  /** A fresh copy of a data set, which is made on first use and kept; answers the database's name. */
  copy(set: DataSet): Promise<string>;
  /** The same, but empty: nothing in it but what the server itself brings. */
  empty(): Promise<string>;
  /** Over TCP, without the Neon endpoint. */
  url(role: Role, database: string): string;
  stop(): Promise<void>;
}

export type Role = "nexgen_owner" | "nexgen_api" | "nexgen_backup" | "nexgen_readonly";

/** The name of a data set's template: another one for another schema, or another way to fill it. */
function templateOf(set: DataSet): string {
  const hash = createHash("sha256");
  for (const { tag } of journal()) hash.update(readFileSync(join(root, "drizzle", `${tag}.sql`)));
  hash.update(readFileSync(join(import.meta.dirname, "data.ts")));
  return `${set}_${hash.digest("hex").slice(0, 12)}`;
}

type Server = Pick<Cluster, "port" | "superuserUrl" | "pid" | "stop">;

/**
 * A server of its own, with its data in `directory`. It does not wait for the disk: a bench measures work, and a data set that
 * is lost with the machine is made again.
 */
async function ownServer(directory: string, say: (line: string) => void, binaries?: string): Promise<Server> {
  const log = createWriteStream(join(directory, "postgres.log"));
  const cluster = await startCluster({
    directory: join(directory, "postgres"),
    durable: false,
    ...(binaries === undefined ? {} : { binaries }),
    log: (line) => log.write(`${line}\n`),
    notice: say,
  });
  return { ...cluster, stop: () => cluster.stop().finally(() => log.end()) };
}

/** Somebody else's server on this machine, by the URL of its superuser, who makes databases and roles there. */
async function givenServer(given: string): Promise<Server> {
  const url = checkedDatabaseUrl(given, "--database-url");
  if (!isLoopback(url.hostname)) throw new Error("--database-url goes to another machine: a bench measures this one.");
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    const { rows } = await client.query<{ pid: number; super: boolean }>(
      "SELECT pg_backend_pid() AS pid, rolsuper AS super FROM pg_roles WHERE rolname = current_user",
    );
    if (!rows[0]?.super)
      throw new Error("--database-url must be the URL of a superuser: it makes databases and roles.");
    const port = Number(url.port || 5432);
    return { port, superuserUrl: url.href, pid: parentOf(rows[0].pid), stop: async () => {} };
  } finally {
    await client.end();
  }
}

export interface StageOptions {
  /** A bin directory such as /usr/lib/postgresql/15/bin; default: the embedded PostgreSQL. */
  binaries?: string;
  /** A running server instead, by the URL of its superuser. */
  url?: string;
}

export async function startStage(
  directory: string,
  say: (line: string) => void,
  { binaries, url: given }: StageOptions = {},
): Promise<Stage> {
  const cluster = given === undefined ? await ownServer(directory, say, binaries) : await givenServer(given);
  const admin = new pg.Client({ connectionString: cluster.superuserUrl });
  const password = randomBytes(24).toString("base64url");
  const url: Stage["url"] = (role, database) => `postgres://${role}:${password}@127.0.0.1:${cluster.port}/${database}`;
  const names = async (text: string) => (await admin.query<{ name: string }>(text)).rows.map(({ name }) => name);
  const drop = async (database: string) => void (await admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`));

  async function template(set: DataSet): Promise<string> {
    const wanted = templateOf(set);
    const present = await names("SELECT datname AS name FROM pg_database WHERE datistemplate");
    if (present.includes(wanted)) return wanted;
    for (const outdated of present.filter((name) => name.startsWith(`${set}_`))) {
      await admin.query(`ALTER DATABASE ${outdated} IS_TEMPLATE false`);
      await drop(outdated);
    }
    const started = performance.now();
    say(`Making the ${set} data set …`);
    await drop(wanted);
    await admin.query(`CREATE DATABASE ${wanted} OWNER nexgen_owner`);
    await migrate(url("nexgen_owner", wanted));
    await createRoles(url("nexgen_owner", wanted), passwords);
    await fill(url("nexgen_owner", wanted), set);
    // Only a whole one is a template.
    await admin.query(`ALTER DATABASE ${wanted} IS_TEMPLATE true`);
    say(`Made in ${((performance.now() - started) / 1000).toFixed(1)} s`);
    return wanted;
  }

  const passwords = { nexgen_api: password, nexgen_backup: password, nexgen_readonly: password };
  const fresh = async (prefix: string, options: string) => {
    const name = `${prefix}_${randomBytes(4).toString("hex")}`;
    await admin.query(`CREATE DATABASE ${name} ${options} OWNER nexgen_owner`);
    return name;
  };
  try {
    await admin.connect();
    const [owner] = await names("SELECT rolname AS name FROM pg_roles WHERE rolname = 'nexgen_owner'");
    await admin.query(`${owner ? "ALTER" : "CREATE"} ROLE nexgen_owner LOGIN CREATEROLE PASSWORD '${password}'`);
    // What an interrupted bench left.
    for (const left of await names(`SELECT datname AS name FROM pg_database WHERE datname LIKE 'bench\\_%'`)) {
      await drop(left);
    }
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return {
    port: cluster.port,
    pid: cluster.pid,
    url,
    async copy(set) {
      const from = await template(set);
      const name = await fresh("bench", `TEMPLATE ${from} STRATEGY FILE_COPY`);
      await createRoles(url("nexgen_owner", name), passwords);
      return name;
    },
    empty: () => fresh("bench", "TEMPLATE template0"),
    async stop() {
      for (const left of await names(`SELECT datname AS name FROM pg_database WHERE datname LIKE 'bench\\_%'`)) {
        await drop(left);
      }
      await admin.end();
      await cluster.stop();
    },
  };
}
