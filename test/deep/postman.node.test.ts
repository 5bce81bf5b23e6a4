import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { postmanCollection } from "../../tools/postman.ts";
import { type RunningStack, startStack } from "../support/node/browser.ts";

const root = join(import.meta.dirname, "../..");
const document = JSON.parse(await readFile(join(root, "docs/openapi.json"), "utf8"));
const manual = await readFile(join(root, "docs/postman.md"), "utf8");

interface Report {
  executions: {
    item: { name: string; request: { method: string; url: { path: string[] } } };
    assertions: { assertion: string; error?: object }[];
  }[];
  failures: { source: { name: string }; error: { message: string } }[];
}

let stack: RunningStack;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "nexgen-postman-"));
  stack = await startStack();
}, 90_000);

afterAll(async () => {
  await stack?.stop();
  await rm(directory, { recursive: true, force: true });
});

/** Runs the collection with the command of the manual, against the stack of this test. */
async function run(more = ""): Promise<Report & { code: number }> {
  const [, command = ""] = /^```sh\n(.*?newman run.*?)\n```$/ms.exec(manual) ?? [];
  const file = join(directory, "report.json");
  const here = `${command.replace(".nexgen/", `${stack.directory}/`)} --env-var base_url=${stack.url} ${more}`;
  const child = spawn("bash", ["-c", `${here} --reporters json --reporter-json-export ${file}`], {
    cwd: root,
    // newman uses what Node 24 would rather not.
    env: { ...process.env, NODE_NO_WARNINGS: "1" },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const [code] = (await once(child, "exit")) as [number];
  return { ...(JSON.parse(await readFile(file, "utf8")) as { run: Report }).run, code };
}

async function ask(path: string, token?: string, body?: object) {
  const response = await fetch(stack.url + path, {
    ...(body && { method: "POST", body: JSON.stringify(body) }),
    headers: { "Content-Type": "application/json", ...(token !== undefined && { Authorization: `Bearer ${token}` }) },
  });
  expect(response.status).toBe(200);
  return (await response.json()) as { access_token: string; data: { username: string; disabled: boolean }[] };
}

describe("the Postman collection", () => {
  it("runs as the manual says without a failure, asks every operation, and takes away what it made", async () => {
    const { username, password } = stack;
    const { access_token: token } = await ask("/auth/login", undefined, { username, password });
    const lists = () => Promise.all(["/client", "/vendor", "/po/list"].map((path) => ask(path, token)));
    const before = await lists();
    const { code, failures, executions } = await run();
    expect(failures.map(({ source, error }) => `${source.name}: ${error.message}`)).toEqual([]);
    expect(code).toBe(0);
    const asked = executions.map(({ item }) => `${item.request.method} /${item.request.url.path.join("/")}`);
    const documented = Object.entries(document.paths as object).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`),
    );
    expect([...new Set(asked)].toSorted()).toEqual(documented.toSorted());
    for (const { item, assertions } of executions) {
      expect([item.name, assertions[0]?.assertion]).toEqual([item.name, expect.stringMatching(/^answers 20[014]$/)]);
    }
    expect(await lists()).toEqual(before);
    const left = (await ask("/user", token)).data.filter((account) => account.username !== username);
    expect(left).toEqual([expect.objectContaining({ username: expect.stringMatching(/^postman-/), disabled: true })]);
  }, 60_000);

  it("fails at the log-in when the password is wrong, whatever characters it has, and goes no further", async () => {
    const { code, failures, executions } = await run(`--env-var 'password=a "b" \\c'`);
    expect(code).toBe(1);
    expect(executions.map(({ item }) => item.name)).toEqual(["Check health", "Log in"]);
    // Read as JSON: it is the password that is wrong, not the form.
    expect(failures.map(({ error }) => error.message)[0]).toBe("expected response to have status code 200 but got 401");
  }, 60_000);

  it("is not made of a document with an operation that has no place in the run", () => {
    const odd = { ...document.paths["/health"].get, operationId: "countMoons" };
    const paths = { ...document.paths, "/moon": { get: odd } };
    expect(() => postmanCollection({ ...document, paths })).toThrow(/no place for countMoons/);
  });
});
