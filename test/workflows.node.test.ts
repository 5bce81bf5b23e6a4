import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { workflowFindings } from "../tools/workflows.ts";

const file = (path: string) => readFile(join(import.meta.dirname, "../.github", path), "utf8");
const pinned = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2";
const workflow = (lines: { steps?: string; job?: string; top?: string } = {}) => `name: one
on: push
${lines.top ?? "permissions: {}"}
jobs:
  only:
    runs-on: ubuntu-24.04
    ${lines.job ?? "timeout-minutes: 5"}
    steps:
      - uses: ${pinned}
      ${lines.steps ?? "- run: npm run check"}
`;

describe("npm run check lets a workflow pass", () => {
  it("that is as it must be", async () => {
    expect(await workflowFindings("one.yml", workflow())).toEqual([]);
  });

  it.each([
    [
      "an action by its tag",
      workflow({ steps: "- uses: actions/setup-node@v4" }),
      "actions/setup-node@v4 is not pinned",
    ],
    [
      "a hash without its version",
      workflow({ steps: `- uses: actions/cache@${"a".repeat(40)}` }),
      `actions/cache@${"a".repeat(40)} is not pinned`,
    ],
    ["a script that there is not", workflow({ steps: "- run: npm run nothing" }), "there is no npm run nothing"],
    ["no permissions", workflow({ top: "env: {}" }), "has no permissions"],
    ["no time limit", workflow({ job: "env: {}" }), "only has no timeout-minutes"],
    ["a job that there is not", workflow({ job: "timeout-minutes: 5\n    needs: other" }), "other"],
    ["a permission that there is not", workflow({ top: "permissions: { contents: reed }" }), "Unexpected value 'reed'"],
    ["a misspelt key", workflow({ steps: "- runs: npm ci" }), "Unexpected value 'runs'"],
    ["a misspelt context", workflow({ steps: `- run: a\n        env: { A: "\${{ secret.A }}" }` }), "'secret'"],
    [
      "text of others in a script",
      workflow({ steps: `- run: echo "\${{ github.head_ref }}"` }),
      "an expression in a script",
    ],
  ])("but not with %s", async (_what, content, words) => {
    const findings = await workflowFindings("one.yml", content);
    expect(findings.join("\n")).toContain(words);
    expect(findings.join("\n")).toContain("one.yml");
  });
});

it("keeps the packages and the actions up to date, every week", async () => {
  const { updates } = parse(await file("dependabot.yml")) as {
    updates: { "package-ecosystem": string; directory: string; schedule: { interval: string }; groups: object }[];
  };
  expect(updates.map((each) => [each["package-ecosystem"], each.directory, each.schedule.interval])).toEqual([
    ["npm", "/", "weekly"],
    ["github-actions", "/", "weekly"],
  ]);
  for (const { groups } of updates) expect(Object.keys(groups)).not.toEqual([]);
});

it("deploys main to staging and tags to production, after the check, the latter once it is approved", async () => {
  const { on, jobs } = parse(await file("workflows/deploy.yml")) as {
    on: unknown;
    jobs: Record<
      string,
      { if: string; needs: string; environment: string; concurrency: string; steps: { run?: string }[] }
    >;
  };
  expect(on).toEqual({ push: { branches: ["main"], tags: ["v*"] } });
  expect(jobs.check).toEqual({ uses: "./.github/workflows/check.yml" });
  for (const [env, ref] of [
    ["staging", "github.ref == 'refs/heads/main'"],
    ["production", "startsWith(github.ref, 'refs/tags/v')"],
  ] as const) {
    const job = jobs[env];
    expect(job).toMatchObject({ needs: "check", environment: env, concurrency: `deploy-${env}` });
    expect(job?.if).toContain(ref);
    expect(job?.steps.at(-1)?.run).toContain(`npm run deploy -- --env ${env} `);
  }
});

describe("the prober", () => {
  let directory: string;
  const posts: unknown[] = [];
  let health: { status: number; hangs?: true } = { status: 200 };
  const server = createServer(async (request, response) => {
    if (request.url === "/health") {
      if (!health.hangs) response.writeHead(health.status).end();
      return;
    }
    let body = "";
    for await (const chunk of request) body += chunk;
    posts.push(JSON.parse(body));
    response.end();
  }).listen(0, "127.0.0.1");

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "nexgen-prober-"));
    // GitHub's own command, which says how the run before ended, and a clock that does not make us wait.
    for (const [name, script] of [
      ["gh", 'echo "$BEFORE"'],
      ["sleep", ":"],
    ] as const) {
      await writeFile(join(directory, name), `#!/bin/sh\n${script}\n`);
      await chmod(join(directory, name), 0o755);
    }
  });
  afterAll(async () => {
    server.closeAllConnections();
    server.close();
    await rm(directory, { recursive: true });
  });

  /** Runs the scripts as GitHub does: with `-e`, the second one after a failure of the first. */
  async function run(before: string) {
    const { jobs } = parse(await file("workflows/prober.yml")) as {
      jobs: { health: { steps: { name: string; run: string }[] } };
    };
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const step = async (name: string) => {
      const script = jobs.health.steps.find((each) => each.name === name)?.run ?? "exit 99";
      const env = { API_URL: origin, ALERT_WEBHOOK_URL: `${origin}/hook`, BEFORE: before, GITHUB_REPOSITORY: "a/b" };
      const PATH = `${directory}${delimiter}${process.env.PATH}`;
      const [code] = await once(
        spawn("bash", ["-e", "-c", script], { env: { ...process.env, ...env, PATH } }),
        "close",
      );
      return code as number;
    };
    const code = await step("probe");
    if (code !== 0) expect(await step("alert")).toBe(0);
    return code;
  }

  it("is content with 200", async () => {
    health = { status: 200 };
    expect(await run("success")).toBe(0);
    expect(posts).toEqual([]);
  });

  it("fails on 503, and says so once", async () => {
    health = { status: 503 };
    expect(await run("success")).not.toBe(0);
    expect(posts).toEqual([{ kind: "prober", text: expect.stringContaining("/health is not well") }]);
    expect(await run("failure")).not.toBe(0);
    expect(posts).toHaveLength(1);
  });

  it("fails when there is no answer in 5 seconds", async () => {
    health = { status: 200, hangs: true };
    expect(await run("failure")).not.toBe(0);
  });
});
