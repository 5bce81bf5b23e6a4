import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, it } from "vitest";
import { dumping, hasPsql } from "./support/node/backup.ts";
import { describeServers } from "./support/node/database.ts";
import { contents, fixture, importText, query } from "./support/node/legacy-fixture.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..");
const manual = await readFile(join(root, "docs/disaster-recovery.md"), "utf8");
const blocks = [...manual.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = ""]) => block);

describeServers(
  "docs/disaster-recovery.md",
  (server) => {
    const dumpOf = dumping(server);
    let directory = "";
    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), "nexgen-manual-"));
    });
    afterAll(() => rm(directory, { recursive: true, force: true }));

    // As everywhere: CI has the client, another machine may not.
    it.skipIf(!hasPsql && !process.env.CI)("restores by hand, and nothing of a file that is cut off", async () => {
      const byHand = blocks.find((block) => block.includes("gunzip -t"));
      if (!byHand) throw new Error("the manual has no way by hand");
      const database = await server.database();
      const original = server.url("nexgen_owner", database);
      await importText(original, fixture);
      const whole = gzipSync((await dumpOf(database)).text);
      const restore = async (bytes: Uint8Array) => {
        const file = join(directory, "backup.sql.gz");
        await writeFile(file, bytes);
        const url = server.url("nexgen_owner", await server.database("template0"));
        const path = `/usr/lib/postgresql/15/bin:${process.env.PATH}`;
        const env = { ...process.env, PATH: path, FILE: file, URL: url };
        const code = await run("bash", ["-c", byHand], { env }).then(
          () => 0,
          (error: { code: number }) => error.code,
        );
        return { code, url };
      };

      const good = await restore(whole);
      expect(good.code).toBe(0);
      expect(await contents(good.url)).toEqual(await contents(original));
      const cut = await restore(whole.subarray(0, whole.length - 1000));
      expect(cut.code).not.toBe(0);
      expect(await query(cut.url, "SELECT FROM pg_namespace WHERE nspname = 'Finances'")).toEqual([]);
    });
  },
  "embedded",
);

it("names no command and no option of the backup tool that there is not", async () => {
  const texts = await Promise.all(
    ["docs/disaster-recovery.md", "README.md", ".github/workflows/restore-drill.yml"].map((file) =>
      readFile(join(root, file), "utf8"),
    ),
  );
  const used = new Map<string, Set<string>>();
  for (const [, name = "", rest = ""] of texts.join("\n").matchAll(/npm run (?:--silent )?backup -- (\w+)([^`\n#]*)/g))
    for (const option of ["--help", ...(rest.match(/--[a-z-]+/g) ?? [])])
      used.set(name, (used.get(name) ?? new Set<string>()).add(option));
  expect([...used.keys()].sort()).toEqual(["create", "download", "list", "prune", "restore", "verify"]);
  await Promise.all(
    [...used].map(async ([name, options]) => {
      const { stdout } = await run(process.execPath, [join(root, "tools/backup.ts"), name, "--help"]);
      for (const option of options) expect(stdout, `npm run backup -- ${name}`).toContain(option);
    }),
  );
}, 60_000);
