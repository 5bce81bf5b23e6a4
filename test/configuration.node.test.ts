import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { expect, it } from "vitest";
import { unstable_readConfig } from "wrangler";

const root = join(import.meta.dirname, "..");
const text = (path: string) => readFileSync(join(root, path), "utf8");

/** What is looked at of wrangler's configuration, whose own type needs the Worker's. */
interface Configuration {
  vars: Record<string, unknown>;
  secrets?: { required?: string[] };
  assets: unknown;
  triggers: unknown;
  limits: unknown;
  placement: unknown;
  observability: unknown;
  logpush?: boolean;
  routes?: { pattern: string; custom_domain: boolean }[];
  workers_dev: boolean;
  preview_urls: boolean;
  r2_buckets: { binding: string; bucket_name: string }[];
  analytics_engine_datasets: { binding: string; dataset?: string }[];
  ratelimits: { name: string; namespace_id: string; simple: { limit: number; period: number } }[];
}
/** An environment of wrangler.toml as wrangler deploys it; development is the top level. */
const configOf = (name: string): Configuration =>
  unstable_readConfig(
    { config: join(root, "wrangler.toml"), ...(name !== "development" && { env: name }) },
    { hideWarnings: true },
  );
const environments = ["development", "staging", "production"];
const config = configOf("development");
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

it.each(environments)("has every binding, variable and limit in %s", (name) => {
  const resolved = configOf(name);
  expect(Object.keys(resolved.vars)).toEqual(expect.arrayContaining(Object.keys(config.vars)));
  expect(resolved.vars.ENVIRONMENT).toBe(name);
  expect(resolved.secrets?.required).toEqual(required);
  expect(resolved.assets).toEqual(config.assets);
  expect(resolved.triggers).toEqual(config.triggers);
  expect(resolved.limits).toEqual({ cpu_ms: 300_000 });
  expect(resolved.placement).toEqual({ mode: "off" });
  expect(resolved.observability).toEqual({
    enabled: true,
    head_sampling_rate: 1,
    logs: { enabled: true, invocation_logs: true, head_sampling_rate: 1 },
  });
  // Development is on nobody's domain; which one the others have is the operator's to say.
  const deployed = name !== "development";
  expect(resolved.routes).toEqual(deployed ? [{ pattern: expect.any(String), custom_domain: true }] : undefined);
  expect(resolved.logpush).toBe(deployed ? true : undefined);
  expect(resolved.workers_dev).toBe(false);
  expect(resolved.preview_urls).toBe(false);
  expect(resolved.r2_buckets.map(({ binding, bucket_name }) => [binding, bucket_name])).toEqual([
    ["BACKUPS", `nexgen-finance-backups-${name}`],
  ]);
  expect(resolved.analytics_engine_datasets).toEqual([{ binding: "ANALYTICS", dataset: `nexgen_finance_${name}` }]);
  const times = name === "development" ? 10 : 1;
  // What src/rate-limit.ts says to whoever is turned away: test/rate-limit.test.ts.
  expect(resolved.ratelimits.map((each) => [each.name, each.simple])).toEqual([
    ["USER_LIMIT", { limit: 600 * times, period: 60 }],
    ["ADDRESS_LIMIT", { limit: 1200 * times, period: 60 }],
    ["SIGN_IN_LIMIT", { limit: 20 * times, period: 60 }],
  ]);
});

it.each(["staging", "production"])("leaves %s nothing to inherit but the program itself", async (env) => {
  const whole = text("wrangler.toml");
  const first = whole.indexOf("[env.");
  const [program = ""] = /^name = .*\nmain = .*\ncompatibility_date = .*\n/m.exec(whole) ?? [];
  expect(program).not.toBe("");
  const directory = await mkdtemp(join(tmpdir(), "nexgen-configuration-"));
  const resolved = async (name: string, toml: string) => {
    const config = join(directory, name);
    await writeFile(config, toml);
    return { ...unstable_readConfig({ config, env }, { hideWarnings: true }), configPath: "", userConfigPath: "" };
  };
  try {
    expect(await resolved("alone.toml", program + whole.slice(first))).toEqual(await resolved("whole.toml", whole));
  } finally {
    await rm(directory, { recursive: true });
  }
});

it("shares no limit and no domain between environments", () => {
  const domains = environments.flatMap((name) => configOf(name).routes?.map(({ pattern }) => pattern) ?? []);
  expect(new Set(domains).size).toBe(2);
  const ids = environments.flatMap((name) => configOf(name).ratelimits.map((each) => each.namespace_id));
  expect(new Set(ids).size).toBe(9);
});

it("has no secret, and nothing that looks like one, in wrangler.toml", () => {
  expect(Object.keys(config.vars).filter((name) => required.includes(name))).toEqual([]);
  expect(text("wrangler.toml")).not.toMatch(/postgres(ql)?:\/\/|[A-Za-z0-9_-]{40,}|https:\/\/hooks/);
});

it("names files that exist in the security page's table of ASVS, and each of them is run", () => {
  const named = [...text("docs/security.md").matchAll(/\]\(\.\.\/(test\/[^)]+)\)/g)].map(([, path]) => String(path));
  expect(new Set(named).size).toBeGreaterThan(20);
  for (const path of named) {
    expect(path).toMatch(/^test\/(browser\/)?[\w-]+(\.node)?\.test\.ts$/);
    expect(text(path)).toMatch(/\bit(\.each|\w+)?[(<]/);
  }
});
