import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { Command } from "commander";
import openapiTypes from "openapi-typescript";
import pg from "pg";
import { breakingChanges } from "./breaking.ts";
import { commonPasswordFile, commonPasswordModule } from "./common-passwords.ts";
import { migrate } from "./migrate.ts";
import { startCluster } from "./postgres.ts";
import { postmanIsCurrent } from "./postman.ts";
import { createRoles, roles } from "./roles.ts";
import { compareWithDefinition, describeSchema, schemaDrift } from "./schema.ts";
import { checkedDatabaseUrl, ownerDatabaseUrl, root } from "./stack.ts";
import { findingsOfAll as workflows } from "./workflows.ts";

const options = new Command("npm run check --")
  .description(
    "Types, lint and format, the files made from others, and the schema: src/db/schema.ts against the migrations, and both\n" +
      "against a live database (default: OWNER_DATABASE_URL, else the dev stack's, if there is one).",
  )
  .option(
    "--write",
    "format, and write docs/openapi.json, what is made from it, and the list of common passwords anew, before checking",
  )
  .option("--schema-only", "nothing but the schema: after a migration")
  .option("--database-url <url>", "the owner's URL of the live database to compare")
  .parse()
  .opts<{ write?: true; schemaOnly?: true; databaseUrl?: string }>();

/** What is wrong, line by line; none when all is well. */
type Findings = string[];

const documentFile = join(root, "docs/openapi.json");
const documentTypesFile = join(root, "docs/openapi.d.ts");

const allSteps: [name: string, run: () => Findings | Promise<Findings>][] = [
  ["list of common passwords is up to date", commonPasswordsAreCurrent],
  ["bindings", () => command("wrangler", "types", "--strict-vars=false")],
  ["OpenAPI document is up to date", documentIsCurrent],
  ["types of the OpenAPI document are up to date", documentTypesAreCurrent],
  ["Postman collection is up to date", () => postmanIsCurrent(openApi(), options.write)],
  ["types of the Worker", () => command("tsc", "-p", ".")],
  ["types of the tools", () => command("tsc", "-p", "tools")],
  ["lint and format", () => command("biome", "check", ...(options.write ? ["--write"] : []), ".")],
  ["OpenAPI document breaks no client without a new version", nothingBreaks],
  ["OpenAPI document lints", () => command("redocly", "lint", "--config", "docs/redocly.yaml", "docs/openapi.json")],
  ["workflows", workflows],
  ["migrations follow src/db/schema.ts", migrationsAreComplete],
  ["schema", schemaHasNotDrifted],
];
const steps = options.schemaOnly ? allSteps.slice(-1) : allSteps;

function command(name: string, ...args: string[]): Findings {
  const { status, stdout, stderr, error } = spawnSync(join(root, "node_modules/.bin", name), args, {
    cwd: root,
    encoding: "utf8",
    env: {
      ...process.env,
      PATH: `${join(root, "node_modules/.bin")}:${process.env.PATH}`,
      WRANGLER_SEND_METRICS: "false",
      REDOCLY_TELEMETRY: "off",
      REDOCLY_SUPPRESS_UPDATE_NOTICE: "true",
    },
  });
  return status === 0 ? [] : [error?.message ?? `${stdout}${stderr}`.trim()];
}

function commonPasswordsAreCurrent(): Findings {
  const current = commonPasswordModule();
  if (options.write) writeFileSync(commonPasswordFile, current);
  const committed = existsSync(commonPasswordFile) ? readFileSync(commonPasswordFile, "utf8") : "";
  return committed === current ? [] : [`${relative(root, commonPasswordFile)} is old: npm run check -- --write`];
}

async function documentIsCurrent(): Promise<Findings> {
  // By a computed name: the Worker's types are not the tools' types.
  const load = (path: string) => import(new URL(path, import.meta.url).href);
  const { app } = await load("../src/app.ts");
  const { openApiDocument } = await load("../src/openapi.ts");
  const current = `${JSON.stringify(JSON.parse(openApiDocument(app)), undefined, 2)}\n`;
  if (options.write) writeFileSync(documentFile, current);
  const committed = existsSync(documentFile) ? readFileSync(documentFile, "utf8") : "";
  return committed === current ? [] : ["docs/openapi.json is not what the code says: npm run check -- --write"];
}

const openApi = () => JSON.parse(readFileSync(documentFile, "utf8"));

async function documentTypesAreCurrent(): Promise<Findings> {
  const current = await openapiTypes(openApi());
  if (options.write) writeFileSync(documentTypesFile, current);
  const committed = existsSync(documentTypesFile) ? readFileSync(documentTypesFile, "utf8") : "";
  return committed === current ? [] : ["docs/openapi.d.ts is old: npm run check -- --write"];
}

/** Compared with what was committed last and, where that is what is checked, with the commit that it came on top of. */
function nothingBreaks(): Findings {
  const current = readFileSync(documentFile, "utf8");
  return ["HEAD^", "HEAD"].flatMap((commit) => {
    const base = spawnSync("git", ["show", `${commit}:docs/openapi.json`], {
      cwd: root,
      encoding: "utf8",
      maxBuffer: 2 ** 28,
    });
    // No repository, or no such commit in it: a copy of the files, or a clone without history.
    if (base.status !== 0 || base.stdout === current) return [];
    const findings = breakingChanges(base.stdout, current);
    if (findings.length === 0) return [];
    return [`since ${commit}; raise the version in src/openapi.ts, or take it back:`, ...findings];
  });
}

/** drizzle-kit would write another migration if schema.ts said more than the last snapshot: let it try on a copy. */
function migrationsAreComplete(): Findings {
  const copy = mkdtempSync(join(root, "node_modules/.nexgen-check-"));
  try {
    cpSync(join(root, "drizzle"), join(copy, "drizzle"), { recursive: true });
    const config = join(copy, "drizzle.config.json");
    writeFileSync(
      config,
      JSON.stringify({
        dialect: "postgresql",
        casing: "snake_case",
        schema: join(root, "src/db/schema.ts"),
        // drizzle-kit takes every path as relative to where it runs.
        out: relative(root, join(copy, "drizzle")),
        schemaFilter: ["Finances"],
      }),
    );
    const { status, stdout, stderr } = spawnSync(
      join(root, "node_modules/.bin/drizzle-kit"),
      ["generate", "--config", config],
      {
        cwd: root,
        encoding: "utf8",
        env: { ...process.env, PATH: `${join(root, "node_modules/.bin")}:${process.env.PATH}` },
      },
    );
    if (status !== 0) return [`${stdout}${stderr}`.trim()];
    return stdout.includes("No schema changes") ? [] : ["src/db/schema.ts has no migration yet: npm run db:generate"];
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

async function schemaHasNotDrifted(): Promise<Findings> {
  const directory = mkdtempSync(join(tmpdir(), "nexgen-check-"));
  const cluster = await startCluster({ directory, durable: false });
  try {
    const fresh = await freshDatabase(cluster.superuserUrl);
    const findings = await compareWithDefinition(fresh);
    const live = await liveDatabase();
    if (!live) {
      console.log("  no live database to compare: no --database-url, no OWNER_DATABASE_URL, and no dev stack yet");
      return findings;
    }
    try {
      const { missing, unexpected, notValid } = schemaDrift(
        await describeSchema(fresh),
        await describeSchema(live.url),
      );
      for (const key of notValid) console.log(`  not drift: ${key} is NOT VALID, it has orphans from the import`);
      return [
        ...findings,
        ...missing.map((line) => `${live.name} lacks: ${line}`),
        ...unexpected.map((line) => `${live.name} has besides: ${line}`),
      ];
    } finally {
      await live.stop();
    }
  } finally {
    await cluster.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function freshDatabase(superuserUrl: string): Promise<string> {
  const superuser = new pg.Client({ connectionString: superuserUrl });
  await superuser.connect();
  await superuser.query("CREATE ROLE nexgen_owner LOGIN CREATEROLE PASSWORD 'check'");
  await superuser.query("CREATE DATABASE nexgen OWNER nexgen_owner");
  await superuser.end();
  const url = new URL(superuserUrl);
  Object.assign(url, { username: "nexgen_owner", password: "check", pathname: "/nexgen" });
  await migrate(url.href);
  await createRoles(url.href, Object.fromEntries(roles.map((role) => [role, "check"])));
  return url.href;
}

async function liveDatabase() {
  const given = options.databaseUrl ?? process.env.OWNER_DATABASE_URL;
  // Checking must not bring a database into being.
  if (!given && !existsSync(join(resolve(root, process.env.NEXGEN_DATA_DIR || ".nexgen"), "secrets.json")))
    return undefined;
  const owner = await ownerDatabaseUrl(options.databaseUrl);
  const name = given ? checkedDatabaseUrl(given, "the URL").host : "the dev stack's database";
  return { ...owner, name };
}

let failed = 0;
for (const [name, run] of steps) {
  const started = performance.now();
  const findings = await run();
  console.log(
    `${findings.length === 0 ? "ok  " : "FAIL"} ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`,
  );
  for (const finding of findings) console.log(finding.replace(/^/gm, "  "));
  if (findings.length > 0) failed += 1;
}
if (failed > 0) {
  console.error(`\ncheck: ${failed} of ${steps.length} failed`);
  process.exitCode = 1;
}
