import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "..");

/** What the linter says to one import in a file of that name, in a project of its own with our rules. */
function lint(file: string, specifier: string) {
  const project = mkdtempSync(join(tmpdir(), "nexgen-lint-"));
  try {
    const rules = JSON.parse(readFileSync(join(root, "biome.json"), "utf8"));
    writeFileSync(join(project, "biome.json"), JSON.stringify({ ...rules, vcs: { enabled: false } }));
    mkdirSync(dirname(join(project, file)), { recursive: true });
    writeFileSync(join(project, file), `import { thing } from "${specifier}";\n\nexport const other = thing;\n`);
    const { status, stderr } = spawnSync(join(root, "node_modules/.bin/biome"), ["lint", file], {
      cwd: project,
      encoding: "utf8",
    });
    return status === 0 ? "allowed" : /noRestrictedImports|noNodejsModules/.test(stderr) ? "refused" : stderr;
  } finally {
    rmSync(project, { recursive: true });
  }
}

describe("the import rules", () => {
  it.each([
    ["src/po/contract.ts", "../db/schema.ts"],
    ["src/po/contract.ts", "drizzle-orm"],
    ["src/po/contract.ts", "hono"],
    ["src/po/queries.ts", "hono"],
    ["src/po/queries.ts", "../problem.ts"],
    ["src/po/queries.ts", "../client/queries.ts"],
    ["src/po/bundles.ts", "../problem.ts"],
    ["src/po/routes.ts", "../client/queries.ts"],
    ["src/po/routes.ts", "drizzle-orm"],
    ["src/db/json.ts", "zod"],
    ["src/db/json.ts", "../problem.ts"],
    ["src/page.ts", "./db/client.ts"],
    ["src/problem.ts", "drizzle-orm"],
    ["src/app.ts", "node:fs"],
  ])("refuse %s the import of %s", (file, specifier) => {
    expect(lint(file, specifier)).toBe("refused");
  });

  it.each([
    ["src/po/contract.ts", "../line-item/contract.ts"],
    ["src/po/queries.ts", "../db/client.ts"],
    ["src/po/routes.ts", "./queries.ts"],
    ["src/po/routes.ts", "../problem.ts"],
  ])("allow %s the import of %s", (file, specifier) => {
    expect(lint(file, specifier)).toBe("allowed");
  });
});
