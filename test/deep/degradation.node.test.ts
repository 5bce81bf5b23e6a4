import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort, startCluster } from "../../tools/postgres.ts";
import { dataDirectory, endAll, runTool } from "../support/node/dev.ts";

let cluster: Awaited<ReturnType<typeof startCluster>>;
let stack: ReturnType<typeof runTool>;
let origin: string;
const directories: string[] = [];

const startPostgres = (port?: number) =>
  startCluster({ directory: directories[0] ?? "", durable: false, ...(port === undefined ? {} : { port }) });

beforeAll(async () => {
  directories.push(await mkdtemp(join(tmpdir(), "nexgen-degradation-")), await dataDirectory());
  cluster = await startPostgres();
  const superuser = new pg.Client(cluster.superuserUrl);
  await superuser.connect();
  await superuser.query("CREATE ROLE nexgen_owner LOGIN CREATEROLE PASSWORD 'the-owner-of-the-database'");
  await superuser.query("CREATE DATABASE nexgen OWNER nexgen_owner");
  await superuser.end();
  const port = await freePort();
  origin = `http://localhost:${port}`;
  stack = runTool("dev.ts", {
    OWNER_DATABASE_URL: `postgres://nexgen_owner:the-owner-of-the-database@127.0.0.1:${cluster.port}/nexgen`,
    NEXGEN_DATA_DIR: directories[1] ?? "",
    PORT: String(port),
    BCRYPT_COST: "10",
  });
}, 120_000);

afterAll(async () => {
  if (stack) await endAll([stack.child]);
  await cluster?.stop();
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
});

/** A client that waits no longer than the checklist's ten seconds. */
const send = (path: string, init: RequestInit = {}) =>
  fetch(origin + path, { ...init, signal: AbortSignal.timeout(10_000) });

it("answers 503 with Retry-After while Postgres is stopped, and goes on by itself when it is back", async () => {
  const [, password] = /admin \/ (\S+)/.exec(await stack.ready()) ?? [];
  const logIn = () =>
    send("/auth/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ username: "admin", password }),
    });
  const { access_token } = (await (await logIn()).json()) as { access_token: string };
  const headers = { Authorization: `Bearer ${access_token}`, "Content-Type": "application/json" };
  const create = (name: string) => send("/client", { method: "POST", headers, body: JSON.stringify({ name }) });
  const list = () => send("/po/list", { headers });
  expect((await list()).status).toBe(200);

  const { port } = cluster;
  await cluster.stop();
  for (let round = 0; round < 3; round++)
    for (const ask of [() => send("/health"), list, () => create("While it is down"), logIn]) {
      const answer = await ask();
      expect(answer.status).toBe(503);
      expect(answer.headers.get("Retry-After")).toBe("5");
      expect(answer.headers.get("Content-Type")).toBe("application/problem+json");
    }
  expect((await send("/health?probe=live")).status).toBe(200);

  cluster = await startPostgres(port);
  expect((await send("/health")).status).toBe(200);
  expect((await list()).status).toBe(200);
  expect((await create("Back again")).status).toBe(201);
  const { data } = (await (await send("/client", { headers })).json()) as { data: { name: string }[] };
  expect(data.map(({ name }) => name)).toContain("Back again");
  expect(data.map(({ name }) => name)).not.toContain("While it is down");
}, 120_000);
