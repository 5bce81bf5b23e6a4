import { spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort } from "../../tools/postgres.ts";
import { removeDataDirectory, temporaryDataDirectory } from "../support/node/bucket.ts";

let directory = "";
beforeAll(async () => {
  directory = await temporaryDataDirectory();
});
afterAll(() => removeDataDirectory(directory));

const { npm_lifecycle_event: _, NEXGEN_SEED: __, OWNER_DATABASE_URL: ___, ...environment } = process.env;

function start(tool: string, args: string[], variables: Record<string, string> = {}) {
  const child = spawn(process.execPath, [join(import.meta.dirname, "../../tools", tool), ...args], {
    env: { ...environment, NEXGEN_DATA_DIR: directory, ...variables },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output.out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.err += text;
  });
  const ended = new Promise<{ code: number | null; out: string; err: string }>((done) =>
    child.on("close", (code) => done({ code, ...output })),
  );
  return { child, output, ended };
}
const backup = (...args: string[]) => start("backup.ts", args).ended;

it("makes a backup with a stack that it starts and ends, and without an account only one a day", async () => {
  const made = await backup("create");
  expect(made).toMatchObject({ code: 0, err: "" });
  expect(made.out).toMatch(/^Backup \d{4}-\d\d-\d\d: \d+ rows, [\d.]+ kB, in [\d.]+ s, read back and found whole\.\n$/);
  expect(await readdir(directory)).not.toContain("stack.json");
  expect(JSON.parse((await backup("list", "--json")).out)).toMatchObject([
    { id: made.out.slice(7, 17), state: "good", tiers: ["daily", "weekly", "monthly"] },
  ]);
  expect(await backup("create")).toEqual({
    code: 1,
    out: "",
    err: "backup: today has its backup already. An admin of this database can replace it: --username NAME\n",
  });
}, 180_000);

it("asks a running stack as its admin, replaces today's backup, and reads beside it", async () => {
  const port = String(await freePort());
  const stack = start("dev.ts", [], { PORT: port });
  try {
    await expect.poll(() => stack.output.out, { timeout: 90_000 }).toContain(`Ready on http://localhost:${port}`);
    const [made, ...lists] = await Promise.all([backup("create"), backup("list", "--json"), backup("list", "--json")]);
    expect(made).toMatchObject({ code: 0, err: expect.stringContaining("dumping client_po_line_item …\n") });
    expect(made?.out).toMatch(/^Backup .*, read back and found whole\.\n$/);
    for (const { code, err } of lists) expect({ code, err }).toEqual({ code: 0, err: "" });

    const refused = await start("backup.ts", ["create", "--username", "admin"], { NEXGEN_PASSWORD: "wrong" }).ended;
    expect(refused).toMatchObject({
      code: 1,
      out: "",
      err: `backup: log-in of admin at http://localhost:${port} refused: 401 Username or password is wrong\n`,
    });
    const verified = await backup("verify", "latest", "--json");
    expect(JSON.parse(verified.out)).toMatchObject({ differences: [], notices: [] });
  } finally {
    stack.child.kill("SIGINT");
    await stack.ended;
  }
}, 180_000);
