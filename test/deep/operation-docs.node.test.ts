import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const wrangler = join(root, "node_modules/wrangler/bin/wrangler.js");
const texts = ["README.md", ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)]
  .filter((path) => path.endsWith(".md"))
  .map((path) => readFileSync(join(root, path), "utf8"));

/** Every wrangler command of the pages, with the options that it is used with. */
const used = new Map<string, Set<string>>();
for (const [, rest = ""] of texts.join("\n").matchAll(/npx wrangler ([^`#\n]+)/g)) {
  const command =
    /^(?:r2 (?:bucket (?:lock |lifecycle )?|object )|secret |deployments |triggers )?\w+/.exec(rest)?.[0] ?? rest;
  const options = used.get(command) ?? new Set<string>();
  for (const option of rest.match(/(?<=\s)--[a-z-]+/g) ?? []) options.add(option);
  used.set(command, options);
}

it("finds the commands of the pages", () => {
  expect([...used.keys()].toSorted()).toEqual([
    "deploy",
    "deployments list",
    "login",
    "r2 bucket create",
    "r2 bucket lifecycle add",
    "r2 bucket lock add",
    "r2 bucket lock list",
    "r2 object get",
    "rollback",
    "secret delete",
    "secret list",
    "secret put",
    "tail",
    "triggers deploy",
    "whoami",
  ]);
});

it.each([...used])("wrangler %s has the options that the pages use", async (command, options) => {
  const { stdout } = await promisify(execFile)(process.execPath, [wrangler, ...command.split(" "), "--help"], {
    env: { ...process.env, WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false" },
  });
  // For a command that it does not know it shows the one above.
  expect(stdout).toMatch(new RegExp(`^wrangler ${command}\\b`, "m"));
  const known = [...stdout.matchAll(/--[a-z-]+/g)].map(([option]) => option);
  for (const option of options) expect(known, `${command} ${option}`).toContain(option);
});
