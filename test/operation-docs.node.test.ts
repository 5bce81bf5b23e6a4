import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { unstable_readConfig } from "wrangler";
import packageJson from "../package.json" with { type: "json" };
import { checks } from "../tools/smoke/checks.ts";
import { describeServers } from "./support/node/database.ts";
import { fixturePath, query } from "./support/node/legacy-fixture.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..");
const text = (path: string) => readFileSync(join(root, path), "utf8");
const pages = [
  "README.md",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

/** A fenced block of a page, by the word after its language. */
function block(page: string, language: string, name?: string): string {
  const fence = name === undefined ? language : `${language} ${name}`;
  const [, code] = new RegExp(`^\`\`\`${fence}\n(.*?)^\`\`\`$`, "ms").exec(text(page)) ?? [];
  if (code === undefined) throw new Error(`${page} has no block ${fence}`);
  return code;
}

/** A line's own words, without the marks of a list, of bold type and of code. */
const words = (line: string) =>
  line
    .replace(/^(- \[[ x]\]|-) /, "")
    .replace(/[`*]{2}|`/g, "")
    .replace(/\s+/g, " ")
    .trim();

it("answers every line of the hosting checklist, in its order and own words", () => {
  const asked = text("test/fixtures/hosting-checklist.md")
    .replace(/\\\n\s*/g, "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && line !== "---" && !line.startsWith("```"))
    .map(words);
  expect(asked.length).toBeGreaterThan(200);
  const rows = text("docs/hosting-checklist.md")
    .split("\n")
    .filter((line) => /^(#|\| (?!the checklist says|---))/.test(line))
    .map((line) => line.split(" | "));
  const answered = rows.map(([line = ""]) => words(line.replace(/^\| /, "")));
  expect(answered).toEqual(asked);
  for (const [line = "", answer] of rows) if (!line.startsWith("#")) expect(answer, line).toMatch(/^.{4,} \|$/);
});

it("says of every line of the smoke test what it answers, and names no other", () => {
  const named = [...text("docs/hosting-checklist.md").matchAll(/\*\*(.+?)\*\*/g)].map(([, name]) => name);
  expect([...new Set(named)].toSorted()).toEqual(checks.map(({ name }) => name).toSorted());
});

it("links to files that there are", () => {
  for (const page of pages)
    for (const [, path = ""] of text(page).matchAll(/\]\((?!https?:|#)([^)#]+)/g))
      expect(existsSync(join(root, dirname(page), path)), `${page}: ${path}`).toBe(true);
});

it("names no command of ours that there is not", () => {
  const known = Object.keys(packageJson.scripts);
  for (const page of pages)
    for (const [, name = ""] of text(page).matchAll(/npm run (?:--silent )?([\w:]+)/g))
      expect(known, page).toContain(name);
});

it("names no option of the smoke test that there is not", async () => {
  const { stdout } = await run(process.execPath, [join(root, "tools/smoke.ts"), "--help"]);
  const used = pages.flatMap((page) =>
    [...text(page).matchAll(/npm run smoke -- ([^`\n]*)/g)].flatMap(([, rest = ""]) => rest.match(/--[a-z-]+/g) ?? []),
  );
  expect(new Set(used)).toEqual(new Set(["--username", "--expect", "--read-only"]));
  for (const option of used) expect(stdout).toContain(option);
});

it("says of every alert what to do", () => {
  const [, kinds = ""] = /export type AlertKind =([^;]+);/.exec(text("src/alert.ts")) ?? [];
  const known = [...kinds.matchAll(/"([\w-]+)"/g)].map(([, kind]) => kind);
  expect(known.length).toBeGreaterThan(5);
  const alerts = text("docs/monitoring.md").split("## Alerts")[1]?.split("\n## ")[0] ?? "";
  const explained = [...alerts.matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(([, cell = ""]) => cell.match(/[\w-]+/g) ?? []);
  expect(explained.toSorted()).toEqual(known.toSorted());
});

it("says of every line of the log what it is", () => {
  const source = readdirSync(join(root, "src"), { recursive: true })
    .map((name) => `src/${name}`)
    .filter((path) => path.endsWith(".ts"));
  const written = source.flatMap((path) =>
    [...text(path).matchAll(/\blog\(\s*(?:c\.)?env,([^{]*)\{/g)].flatMap(([, words = ""]) =>
      [...words.matchAll(/"([\w-]+)"/g)].flatMap(([, word = ""]) =>
        ["debug", "info", "warn", "error"].includes(word) ? [] : [word],
      ),
    ),
  );
  const logs = text("docs/monitoring.md").split("## Logs")[1]?.split("\n## ")[0] ?? "";
  const explained = [...logs.matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(([, cell = ""]) => cell.match(/[\w-]+/g) ?? []);
  expect(new Set(explained)).toEqual(new Set(["event", ...written]));
});

it("shows a custom domain that wrangler understands in the place of wrangler.toml's own", async () => {
  const [before = "", production = ""] = text("wrangler.toml").split("[env.production]\n");
  const edited = production.replace(/^routes = .*\n/m, block("docs/deploy.md", "toml"));
  const directory = await mkdtemp(join(tmpdir(), "nexgen-docs-"));
  const config = join(directory, "wrangler.toml");
  await writeFile(config, `${before}[env.production]\n${edited}`);
  const { routes, logpush } = unstable_readConfig({ config, env: "production" }, { hideWarnings: true });
  expect(routes).toEqual([{ pattern: "api.example.com", custom_domain: true }]);
  expect(logpush).toBe(true);
  await rm(directory, { recursive: true });
});

it("names every option of the deploy command, and no other", async () => {
  const { stdout } = await run(process.execPath, [join(root, "tools/deploy.ts"), "--help"]);
  const known = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, option = ""]) => option);
  expect(known).toContain("--allow-destructive");
  const page = text("docs/deploy.md");
  for (const option of known.filter((each) => !["--help", "--url", "--database-url", "--settle"].includes(each)))
    expect(page, option).toContain(option);
  for (const each of pages)
    for (const [, rest = ""] of text(each).matchAll(/npm run deploy -- ((?:[^`\n\\]|\\\n)*)/g))
      for (const option of rest.match(/--[a-z-]+/g) ?? []) expect(known, each).toContain(option);
});

it("explains every exit code of the deploy command", () => {
  const codes = /const exit = \{([^}]+)\}/.exec(text("tools/deploy.ts"))?.[1]?.match(/\d+/g) ?? [];
  // Wrong usage explains itself.
  for (const code of codes.filter((each) => each !== "2")) expect(text("docs/deploy.md")).toContain(`| ${code} | `);
});

it("has every required secret in the file of the first upload, and a key as it must be", async () => {
  const secrets: Record<string, string> = JSON.parse(block("docs/deploy.md", "json"));
  const config = { config: join(root, "wrangler.toml"), env: "production" };
  const { required = [] } = unstable_readConfig(config, { hideWarnings: true }).secrets ?? {};
  expect(Object.keys(secrets)).toEqual(expect.arrayContaining(required));
  expect(JSON.parse(secrets.JWT_KEYS ?? "")).toEqual([{ kid: "2026-11", key: "KEY" }]);
  const { stdout } = await run("bash", ["-c", block("docs/deploy.md", "sh", "key")], { env: withNode });
  expect(stdout).toMatch(/^[\w-]{43}\n$/);
});

/** As in a shell of `npm ci`: the checkout's own Node first. */
const withNode: NodeJS.ProcessEnv = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` };

describeServers(
  "docs/deploy.md",
  (server) => {
    it("takes an empty database to schema, roles, first admin and the legacy data", async () => {
      const url = server.url("nexgen_owner", await server.database("template0"));
      const { npm_lifecycle_event: _, ...environment } = withNode;
      const env = {
        ...environment,
        OWNER_DATABASE_URL: url,
        NEXGEN_PASSWORD: "seven brown boats at noon",
        ADMIN: "boss",
        ADMIN_EMAIL: "boss@example.com",
        LEGACY_BACKUP: fixturePath,
      };
      const { stdout } = await run("bash", ["-ec", block("docs/deploy.md", "sh", "setup")], { env, cwd: root });
      expect(stdout).toContain("Created admin boss");
      expect(stdout).toContain("19 tables, 196 records");
      expect(await query(url, `SELECT count(*)::int AS rows FROM "Finances".client_po_line_item`)).toEqual([
        { rows: 156 },
      ]);
      expect(await query(url, block("docs/monitoring.md", "sql", "activity"))).toBeInstanceOf(Array);
    }, 60_000);
  },
  "embedded",
);
