import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { prepareAssets } from "../tools/assets.ts";
import { freePort } from "../tools/postgres.ts";
import { groupMembers, processIdentity } from "../tools/stack.ts";
import { dataDirectory, endAll, runTool } from "./support/node/dev.ts";

let directory: string;
let port: number;
const started: ChildProcess[] = [];

const run = (tool: string, variables: Record<string, string> = {}) => {
  const running = runTool(tool, { NEXGEN_DATA_DIR: directory, PORT: String(port), ...variables });
  started.push(running.child);
  return running;
};

async function recorded() {
  const state = JSON.parse(await readFile(join(directory, "stack.json"), "utf8")) as {
    children: { pid: number; name: string }[];
  };
  expect(state.children.map(({ name }) => name)).toEqual(["PostgreSQL", "the Worker"]);
  return state.children.flatMap(({ pid }) => [pid, ...groupMembers(pid)]);
}

const alive = (pids: number[]) => pids.filter((pid) => processIdentity(pid) !== undefined);

beforeAll(async () => {
  directory = await dataDirectory();
  port = await freePort();
});

afterAll(async () => {
  await endAll(started);
  await rm(directory, { recursive: true, force: true });
});

it("leaves the docs page alone that is there: another stack of this checkout would restart its Worker", async () => {
  const files = ["index.html", "start.js", "scalar.js"].map((name) =>
    join(import.meta.dirname, "../public/docs", name),
  );
  const written = () => Promise.all(files.map(async (file) => (await stat(file)).mtimeMs));
  // By the set-up of the tests.
  const before = await written();
  await prepareAssets();
  expect(await written()).toEqual(before);
});

it("names a busy port before it starts anything", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const address = other.address();
  const busy = typeof address === "object" && address ? address.port : 0;
  const { code, output } = await run("dev.ts", { PORT: String(busy) }).exited;
  other.close();
  expect(code).toBe(1);
  expect(output).toContain(`Port ${busy} is in use by another program. Choose another: PORT=${busy + 1} npm run dev`);
  expect(await readdir(directory)).toEqual([]);
});

it("serves, survives being killed, finds its data again and leaves nothing running", async () => {
  const first = run("dev.ts");
  const [, password] = /admin \/ (\S+)/.exec(await first.ready()) ?? [];
  expect((await fetch(`http://localhost:${port}/health`)).status).toBe(200);
  const orphans = await recorded();
  expect(alive(orphans).length).toBeGreaterThanOrEqual(4);

  const twin = await run("dev.ts").exited;
  expect(twin.code).toBe(1);
  expect(twin.output).toContain(`\`npm run dev\` (pid ${first.child.pid}, http://localhost:${port})`);
  expect(await run("migrate.ts").exited).toMatchObject({ code: 0, output: expect.stringContaining("Up to date") });

  first.child.kill("SIGKILL");
  await first.exited;
  const second = run("dev.ts");
  const output = await second.ready();
  expect(output).toContain("that an earlier run left behind");
  expect(output).toContain(`admin, password in ${join(directory, "demo-login.txt")}`);
  expect(alive(orphans)).toEqual([]);
  const logIn = await fetch(`http://localhost:${port}/auth/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ username: "admin", password }),
  });
  expect(logIn.status).toBe(200);

  const children = await recorded();
  second.child.kill("SIGINT");
  expect((await second.exited).code).toBe(130);
  expect(alive(children)).toEqual([]);
  expect(await readdir(directory)).not.toContain("stack.json");
}, 90_000);
