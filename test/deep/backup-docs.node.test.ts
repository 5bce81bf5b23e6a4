import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");

const commandWord = /^(?:r2|bucket|object|lock|lifecycle|secret|put|get|add|list|delete|login|rollback|deploy)$/;

it("docs/disaster-recovery.md asks wrangler only for what it can do", async () => {
  const manual = (await readFile(join(root, "docs/disaster-recovery.md"), "utf8")).replace(/\n +/g, " ");
  const lines = [...manual.matchAll(/npx wrangler ([^`#]*?)(?=`|#|\n)/g)].map(([, line = ""]) => line);
  expect(lines.length).toBeGreaterThan(5);
  const wrangler = join(root, "node_modules/.bin/wrangler");
  const env = { ...process.env, WRANGLER_SEND_METRICS: "false", WRANGLER_HIDE_BANNER: "true" };
  for (const line of lines) {
    const words = line.split(" ");
    // The command is what comes before the first name, place or option.
    const end = words.findIndex((word) => !commandWord.test(word));
    const command = end === -1 ? words : words.slice(0, end);
    const { stdout } = await promisify(execFile)(wrangler, [...command, "--help"], { env });
    expect(stdout.split("\n")[0], line).toMatch(new RegExp(`^wrangler ${command.join(" ")}(?: |$)`));
    for (const option of line.match(/--[a-z-]+/g) ?? []) expect(stdout, line).toMatch(new RegExp(`${option}\\b`));
  }
}, 120_000);
