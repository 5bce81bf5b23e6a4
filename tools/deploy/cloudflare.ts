import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Refused } from "../account.ts";
import { lastWords, type Outcome, run } from "./process.ts";

export type Environment = "staging" | "production";

/** Wrangler, as one environment of wrangler.toml sees it. What fails throws with wrangler's own words. */
export function cloudflare(environment: Environment) {
  const wrangler = (args: string[], more: { env?: NodeJS.ProcessEnv; signal?: AbortSignal } = {}) =>
    run("wrangler", args, {
      ...more,
      env: { ...withoutOwner, ...more.env, WRANGLER_SEND_METRICS: "false", NO_COLOR: "1" },
    });
  // The owner's database and the admin's password are not wrangler's business.
  const { OWNER_DATABASE_URL: _, NEXGEN_PASSWORD: __, ...withoutOwner } = process.env;
  const here = ["--env", environment];

  return {
    /** Who is logged in, or which account the token is for. */
    async account(): Promise<string> {
      const { code, stdout, output } = await wrangler(["whoami", "--json"]);
      const said = stdout.trim().startsWith("{") ? (JSON.parse(stdout) as WhoAmI) : undefined;
      if (said?.loggedIn === false)
        throw new Refused("wrangler is not logged in: npx wrangler login, or set CLOUDFLARE_API_TOKEN");
      if (code !== 0 || !said) throw failed("wrangler whoami", output);
      return said.accounts?.map(({ name }) => name).join(", ") || said.email || "by its token";
    },

    /** The version that serves; undefined when nothing was ever uploaded. Throws in the middle of a gradual deployment. */
    async liveVersion(): Promise<string | undefined> {
      const { code, stdout, output } = await wrangler(["deployments", "status", "--json", ...here]);
      if (code !== 0) {
        // There is no such Worker, or not in this environment.
        if (/\[code: (10007|10090)\]|has no deployments/.test(output)) return undefined;
        throw failed("wrangler deployments status", output);
      }
      const { versions } = JSON.parse(stdout) as { versions: { version_id: string; percentage: number }[] };
      const [version, ...others] = versions.filter(({ percentage }) => percentage > 0);
      if (others.length > 0)
        throw new Refused(
          "two versions serve at once: finish that gradual deployment first (wrangler versions deploy)",
        );
      return version?.version_id;
    },

    async secretNames(): Promise<string[]> {
      const outcome = await wrangler(["secret", "list", ...here]);
      if (outcome.code !== 0) throw failed("wrangler secret list", outcome.output);
      return (JSON.parse(outcome.stdout) as { name: string }[]).map(({ name }) => name);
    },

    /** Builds what would be uploaded, and answers its size. */
    async build(signal: AbortSignal): Promise<string> {
      const directory = await mkdtemp(join(tmpdir(), "nexgen-bundle-"));
      try {
        const { code, output } = await wrangler(["deploy", "--dry-run", "--minify", ...here, "--outdir", directory], {
          signal,
        });
        if (code !== 0) throw failed("wrangler deploy --dry-run", output);
        return /Total Upload: (.+)/.exec(output)?.[1] ?? "built";
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },

    /** Uploads and serves; answers the new version. Throws when wrangler does not say that all went well. */
    async deploy(about: { tag: string; message: string; secretsFile: string | undefined }): Promise<string> {
      const directory = await mkdtemp(join(tmpdir(), "nexgen-deploy-"));
      try {
        const report = join(directory, "report.ndjson");
        const secrets = about.secretsFile === undefined ? [] : ["--secrets-file", about.secretsFile];
        const { code, output } = await wrangler(
          ["deploy", "--minify", ...here, "--tag", about.tag, "--message", about.message, ...secrets],
          { env: { WRANGLER_OUTPUT_FILE_PATH: report } },
        );
        if (code !== 0) throw failed("wrangler deploy", output);
        const lines = (await readFile(report, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
        const [deployed] = lines.map((line) => JSON.parse(line) as Report).filter(({ type }) => type === "deploy");
        if (!deployed?.version_id) throw failed("wrangler deploy did not say which version it made", output);
        return deployed.version_id;
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },

    async rollBack(version: string, message: string): Promise<void> {
      const { code, output } = await wrangler(["rollback", version, ...here, "--yes", "--message", message]);
      if (code !== 0) throw failed("wrangler rollback", output);
    },
  };
}

interface WhoAmI {
  loggedIn: boolean;
  email?: string;
  accounts?: { name: string }[];
}

/** A line of the file that WRANGLER_OUTPUT_FILE_PATH names. */
interface Report {
  type: string;
  version_id?: string;
}

const failed = (what: string, output: Outcome["output"]) => new Error(`${what} failed:\n${lastWords(output)}`);
