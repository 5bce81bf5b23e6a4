import { readFileSync } from "node:fs";
import { join } from "node:path";
import { unstable_readConfig } from "wrangler";
import { checkedUrl, Refused } from "../account.ts";
import { migrationState, migrationText } from "../migrate.ts";
import { root } from "../stack.ts";
import type { Environment } from "./cloudflare.ts";
import { destructive } from "./destructive.ts";
import { lastWords, run } from "./process.ts";

export interface Commit {
  id: string;
  subject: string;
}

/** The commit of this checkout. Throws when not everything is committed. */
export async function checkout(allowDirty: boolean): Promise<Commit> {
  const git = async (...args: string[]) => {
    const { code, stdout, output } = await run("git", args);
    if (code !== 0) throw new Refused(`git ${args[0]} failed: ${lastWords(output, 3)}`);
    return stdout.trim();
  };
  const changed = await git("status", "--porcelain");
  if (changed !== "" && !allowDirty)
    throw new Refused(
      `not everything is committed (--allow-dirty releases it all the same):\n${lastWords(changed, 10)}`,
    );
  const id = (await git("rev-parse", "HEAD")).slice(0, 12);
  return { id: changed === "" ? id : `${id}-dirty`, subject: await git("log", "-1", "--format=%s") };
}

/** Where a release goes, as wrangler.toml says it. */
export interface Target {
  url: URL;
  requiredSecrets: string[];
}

/** Throws when there is no domain but the example. `url` is where it answers, if that is not its domain. */
export function targetOf(env: Environment, url: string | undefined): Target {
  const { routes = [], secrets } = unstable_readConfig(
    { config: join(root, "wrangler.toml"), env },
    { hideWarnings: true },
  ) as { routes?: (string | { pattern: string; custom_domain?: boolean })[]; secrets?: { required?: string[] } };
  const [domain] = routes.flatMap((route) => (typeof route === "object" && route.custom_domain ? [route.pattern] : []));
  if (domain === undefined)
    throw new Refused(`[env.${env}] in wrangler.toml has no custom domain: docs/deploy.md, step 7`);
  if (/(^|\.)example\.(com|net|org)$/.test(domain))
    throw new Refused(
      `${domain} in [env.${env}] of wrangler.toml is an example: write your own there (docs/deploy.md, step 7)`,
    );
  return { url: checkedUrl(url ?? `https://${domain}`), requiredSecrets: secrets?.required ?? [] };
}

/** The migrations to come. Throws for one that breaks the rule. */
export async function pendingMigrations(
  url: string,
  allowDestructive: boolean,
): Promise<{ applied: number; pending: string[] }> {
  const migrations = await migrationState(url);
  // An empty database has nothing to lose, and no code of before.
  if (migrations.applied === 0 || allowDestructive) return migrations;
  const found = migrations.pending.flatMap((tag) =>
    destructive(migrationText(tag)).map(
      ({ line, statement, reason }) => `drizzle/${tag}.sql, line ${line}: ${reason}: ${statement}`,
    ),
  );
  if (found.length > 0)
    throw new Refused(
      `the version that serves now may not survive this; once nothing that needs it can come back: --allow-destructive\n${found.join("\n")}`,
    );
  return migrations;
}

/** The names of the secrets in a file for the first upload. */
export function secretsIn(file: string | undefined): string[] {
  if (file === undefined) return [];
  try {
    return Object.keys(JSON.parse(readFileSync(file, "utf8")) as object);
  } catch {
    throw new Refused(`${file} is not a JSON object of secrets, as docs/deploy.md shows it`);
  }
}
