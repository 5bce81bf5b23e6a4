import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { expect, it } from "vitest";
import { unstable_readConfig as readConfig } from "wrangler";
import { settings } from "../src/env.ts";

const root = join(import.meta.dirname, "..");
const text = (path: string) => readFileSync(join(root, path), "utf8");
const config = readConfig({ config: join(root, "wrangler.toml") }, { hideWarnings: true });
const example = text(".dev.vars.example");
const required: string[] = config.secrets?.required ?? [];

it("has every required secret in .dev.vars.example, and MAINTENANCE, which may be missing", () => {
  expect(required).toEqual(expect.arrayContaining(["DATABASE_URL", "BACKUP_DATABASE_URL", "JWT_KEYS"]));
  expect(Object.keys(parseEnv(example)).toSorted()).toEqual(required.toSorted());
  expect(example).toContain("# MAINTENANCE=");
});

it("explains every variable and secret in docs/configuration.md", () => {
  const docs = text("docs/configuration.md");
  for (const name of [...required, ...Object.keys(config.vars)]) expect(docs).toContain(`| \`${name}\` |`);
});

it("refuses the example's own values, each by its name and without repeating it", async () => {
  const given = { ...config.vars, ...parseEnv(example) } as unknown as Env;
  const refusal = await settings(given).catch((error: unknown) => String(error));
  expect(refusal).toMatch(/DATABASE_URL: .*JWT_KEYS/s);
  expect(refusal).not.toMatch(/PASTE-43|:PASSWORD@/);
});

it("has no secret, and nothing that looks like one, in wrangler.toml", () => {
  expect(Object.keys(config.vars).filter((name) => required.includes(name))).toEqual([]);
  expect(text("wrangler.toml")).not.toMatch(/postgres(ql)?:\/\/|[A-Za-z0-9_-]{40,}|https:\/\/hooks/);
});
