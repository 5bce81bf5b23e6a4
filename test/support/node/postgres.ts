import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { request as createRequest, createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import type { TestProject } from "vitest/node";
import { prepareAssets } from "../../../tools/assets.ts";
import { migrate } from "../../../tools/migrate.ts";
import { startNeonLocal } from "../../../tools/neon-local.ts";
import { startCluster } from "../../../tools/postgres.ts";
import { createRoles } from "../../../tools/roles.ts";

declare module "vitest" {
  interface ProvidedContext {
    apiUrl: string;
    backupUrl: string;
    jwtKeys: string;
    controlUrl: string;
  }
}

const template = "template_nexgen";

/**
 * One throw-away cluster and one local Neon endpoint for all test files of the Worker. A migrated template database is
 * cloned for each file, through a control address that only this run knows.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await prepareAssets();
  const directory = await mkdtemp(join(tmpdir(), "nexgen-test-"));
  const cluster = await startCluster({ directory, durable: false });
  const password = randomBytes(18).toString("base64url");
  const admin = new pg.Client({ connectionString: cluster.superuserUrl });
  await admin.connect();
  await admin.query(`CREATE ROLE nexgen_owner LOGIN CREATEROLE PASSWORD '${password}'`);
  await admin.query("GRANT pg_monitor TO nexgen_owner");
  await admin.query(`CREATE DATABASE ${template} OWNER nexgen_owner`);
  const ownerUrl = `postgres://nexgen_owner:${password}@127.0.0.1:${cluster.port}/${template}`;
  await migrate(ownerUrl);
  await createRoles(ownerUrl, { nexgen_api: password, nexgen_backup: password, nexgen_readonly: password });

  // As many connections as the tests have writers at once.
  const endpoint = await startNeonLocal({ upstream: { host: "127.0.0.1", port: cluster.port }, poolSize: 50 });
  const url = (role: string, database: string) =>
    `postgres://${role}:${password}@127.0.0.1:${endpoint.port}/${database}`;

  // CREATE DATABASE from a template allows nobody else in it, another clone neither: one at a time.
  let turn: Promise<unknown> = Promise.resolve();
  const inbox = webhookInbox();
  const control = createServer((request, response) => {
    if (request.url?.startsWith("/inbox/")) return void inbox(request, response);
    if (request.url === "/sql") return void failingEndpoint(request, response, endpoint.port);
    turn = turn
      .then(async () => {
        const name = `test_${randomBytes(6).toString("hex")}`;
        await admin.query(`CREATE DATABASE ${name} TEMPLATE ${template} OWNER nexgen_owner`);
        response.end(
          JSON.stringify({
            apiUrl: url("nexgen_api", name),
            backupUrl: url("nexgen_backup", name),
            readonlyUrl: url("nexgen_readonly", name),
            ownerUrl: url("nexgen_owner", name),
            roundTripsUrl: `http://127.0.0.1:${endpoint.port}/round-trips?database=${name}`,
          }),
        );
      })
      .catch((error: unknown) => {
        response.statusCode = 500;
        response.end(String(error));
      });
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => control.once("listening", resolve));

  project.provide("apiUrl", url("nexgen_api", template));
  project.provide("backupUrl", url("nexgen_backup", template));
  project.provide("jwtKeys", JSON.stringify([{ kid: "test", key: randomBytes(32).toString("base64url") }]));
  project.provide("controlUrl", `http://127.0.0.1:${(control.address() as AddressInfo).port}/`);

  return async () => {
    control.close();
    await endpoint.close();
    await admin.end();
    await cluster.stop();
    await rm(directory, { recursive: true, force: true });
  };
}

/**
 * Somebody's webhook, or a Sentry: `/inbox/NAME` keeps what is posted to it, JSON or the lines of an envelope, and answers it,
 * oldest first, to a GET. The first posts to `/inbox/NAME?refuse=N` are answered 500, all to `/inbox/refuse/…` 429.
 */
function webhookInbox() {
  const posts = new Map<string, unknown[]>();
  const refused = new Map<string, number>();
  return async (request: IncomingMessage, response: ServerResponse) => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://localhost");
    if (pathname.startsWith("/inbox/refuse/"))
      return void request.resume().on("end", () => response.writeHead(429).end());
    const kept = posts.get(pathname) ?? [];
    if (request.method === "GET") return void response.end(JSON.stringify(kept));
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const times = (refused.get(pathname) ?? 0) + 1;
    refused.set(pathname, times);
    if (times <= Number(searchParams.get("refuse") ?? 0)) return void response.writeHead(500).end();
    const text = Buffer.concat(chunks).toString("utf8");
    const lines = text.split("\n").filter((line) => line !== "");
    const post = pathname.endsWith("/envelope/")
      ? { headers: request.headers, lines: lines.map((line) => JSON.parse(line)) }
      : JSON.parse(text);
    posts.set(pathname, [...kept, post]);
    response.end();
  };
}

/** A Neon endpoint with the fault that the connection string's `application_name` asks for; the database is behind it. */
async function failingEndpoint(request: IncomingMessage, response: ServerResponse, port: number) {
  const { "neon-connection-string": url = "", ...headers } = request.headers;
  const begin = () => response.writeHead(200, { "Content-Type": "application/json" }).write('{"results":[');
  switch (new URL(String(url)).searchParams.get("application_name")) {
    case "never-answers":
      return;
    case "stalls":
      return void begin();
    case "breaks-off":
      begin();
      // Once it has arrived.
      return void setTimeout(() => response.destroy(), 200);
    case "loses-the-answer": {
      const passed = { host: "127.0.0.1", port, path: "/sql", method: "POST" };
      const toDatabase = createRequest({ ...passed, headers: { ...headers, "neon-connection-string": url } });
      toDatabase.on("response", (answer) => answer.resume());
      request.pipe(toDatabase);
      return;
    }
    default:
      response.writeHead(500).end();
  }
}
