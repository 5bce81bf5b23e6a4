import { readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { freePort } from "../../tools/postgres.ts";
import { dataDirectory, endAll, runTool } from "../support/node/dev.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });

let directory = "";
let url = "";
let running: ReturnType<typeof runTool> | undefined;
let output = "";
let owner: pg.Client;
/** What reached the webhook and Sentry, by the path that it was sent to. */
const received: { path: string; body: string }[] = [];
const receiver = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  received.push({ path: String(request.url), body });
  response.end();
});

beforeAll(async () => {
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  directory = await dataDirectory();
  const port = await freePort();
  url = `http://localhost:${port}`;
  running = runTool("dev.ts", {
    NEXGEN_DATA_DIR: directory,
    PORT: String(port),
    BCRYPT_COST: "10",
    ALERT_WEBHOOK_URL: `http://${host}/alerts`,
    SENTRY_DSN: `http://publickey@${host}/42`,
  });
  for (const stream of [running.child.stdout, running.child.stderr])
    stream?.on("data", (chunk: string) => {
      output += chunk;
    });
  await running.ready();
  const read = async (name: string) => JSON.parse(await readFile(join(directory, name), "utf8"));
  const [{ nexgen_owner }, { databasePort }] = [await read("secrets.json"), await read("stack.json")];
  owner = new pg.Client(`postgres://nexgen_owner:${nexgen_owner}@127.0.0.1:${databasePort}/nexgen`);
  await owner.connect();
});
afterAll(async () => {
  await owner?.end();
  if (running) await endAll([running.child]);
  receiver.close();
  await rm(directory, { recursive: true, force: true });
});

it("says what it does and what fails as the bundle that is deployed, without Node's compatibility", async () => {
  const [, password = ""] = /admin \/ (\S+)/.exec(output) ?? [];
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(`${url}/auth/login`, {
    method: "POST",
    headers,
    body: JSON.stringify({ username: "admin", password }),
  });
  expect(answer.status).toBe(200);
  const { access_token, refresh_token } = (await answer.json()) as Record<string, string>;
  const authorization = { Authorization: `Bearer ${access_token}` };
  expect((await fetch(`${url}/vendor`, { headers: authorization })).status).toBe(200);
  await owner.query(`REVOKE SELECT ON "Finances".vendor FROM nexgen_api`);
  const failed = await fetch(`${url}/vendor?q=searched-word`, { headers: authorization });
  expect(failed.status).toBe(500);
  const request_id = String(failed.headers.get("X-Request-Id"));
  await vi.waitFor(() => expect(received).toHaveLength(2), { timeout: 20_000 });

  const alert = received.find(({ path }) => path === "/alerts");
  expect(JSON.parse(alert?.body ?? "")).toMatchObject({
    kind: "server-error",
    details: { request_id, route: "/vendor" },
  });
  const envelope = received.find(({ path }) => path.startsWith("/api/42/envelope/?"));
  expect(envelope?.path).toContain("sentry_key=publickey");
  expect(JSON.parse(envelope?.body.trim().split("\n")[2] ?? "")).toMatchObject({
    tags: { request_id, method: "GET", route: "/vendor", problem: "internal" },
    exception: { values: [{ type: "NeonDbError", value: "permission denied for table vendor" }] },
  });

  const lines = () =>
    [...output.matchAll(/\{"level":.*\}/g)].map(([line]) => JSON.parse(line) as Record<string, unknown>);
  await vi.waitFor(() =>
    expect(lines().find((line) => line.request_id === request_id && line.event === "request")).toBeDefined(),
  );
  expect(lines().filter(({ event }) => event === "request")).toMatchObject([
    { method: "POST", route: "/auth/login", status: 200, round_trips: 2 },
    { method: "GET", route: "/vendor", status: 200, round_trips: 1 },
    { method: "GET", route: "/vendor", status: 500, problem: "internal", request_id },
  ]);
  for (const secret of [password, access_token, refresh_token, "searched-word"]) {
    expect(JSON.stringify([received, lines()])).not.toContain(secret);
  }
});
