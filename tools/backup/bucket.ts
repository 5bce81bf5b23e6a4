import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { getPlatformProxy as GetPlatformProxy, unstable_readConfig as ReadConfig } from "wrangler";
import { dataDirectory, root } from "../stack.ts";

export const environments = ["staging", "production"] as const;
export type Environment = (typeof environments)[number];

export interface OpenBucket {
  bucket: R2Bucket;
  /** For the person at the keyboard. */
  name: string;
  close(): Promise<void>;
}

const binding = "BACKUPS";

/**
 * The bucket of the backups as a Worker would have it: the dev stack's, in the data directory, or a deployed
 * environment's, through wrangler and its credentials.
 */
export async function openBucket(environment: Environment | undefined): Promise<OpenBucket> {
  if (environment === undefined) return local();
  const bucketName = await configuredBucket(environment);
  return connect(remoteConfig(bucketName), `${bucketName} at Cloudflare`, false).catch((error: Error) => {
    throw new Error(
      `the bucket ${bucketName} cannot be reached. It needs \`npx wrangler login\`, or CLOUDFLARE_API_TOKEN (R2 read, Workers edit) and CLOUDFLARE_ACCOUNT_ID. wrangler says: ${error.message}`,
      { cause: error },
    );
  });
}

/** What wrangler is asked for: nothing but the bucket, the real one. */
export const remoteConfig = (bucketName: string) => config({ bucket_name: bucketName, remote: true });

const config = (bucket: { bucket_name: string; remote?: true }) => ({
  name: "nexgen-finance-backup-tool",
  compatibility_date: "2026-10-01",
  r2_buckets: [{ binding, ...bucket }],
});

/** The name that wrangler.toml gives an environment's bucket. */
export async function configuredBucket(
  environment: Environment | undefined,
  file = join(root, "wrangler.toml"),
): Promise<string> {
  const { unstable_readConfig: readConfig } = await wrangler();
  const where = { config: file, ...(environment === undefined ? {} : { env: environment }) };
  const { definedEnvironments, r2_buckets }: WranglerConfig = readConfig(where, { hideWarnings: true });
  // For an environment that it does not know wrangler takes the development one's.
  if (environment !== undefined && !definedEnvironments?.includes(environment))
    throw new Error(`${file} has no environment ${environment}`);
  const name = r2_buckets.find((each) => each.binding === binding)?.bucket_name;
  if (name) return name;
  const section = environment === undefined ? "r2_buckets" : `env.${environment}.r2_buckets`;
  throw new Error(`${file} has no [[${section}]] with the binding ${binding}`);
}

interface WranglerConfig {
  definedEnvironments?: string[];
  r2_buckets: { binding: string; bucket_name?: string }[];
}

async function local(): Promise<OpenBucket> {
  const bucketName = await configuredBucket(undefined);
  // Where `wrangler dev --persist-to` keeps it: tools/dev.ts.
  const path = join(dataDirectory(), "r2state", "v3");
  const { bucket, name, close } = await connect(config({ bucket_name: bucketName }), dataDirectory(), { path });
  return { bucket: patient(bucket), name, close };
}

async function connect(
  settings: ReturnType<typeof config>,
  name: string,
  persist: false | { path: string },
): Promise<OpenBucket> {
  const { getPlatformProxy } = await wrangler();
  // A folder of its own: wrangler takes variables from files beside its configuration.
  const directory = mkdtempSync(join(tmpdir(), "nexgen-backup-"));
  const clean = () => rmSync(directory, { recursive: true, force: true });
  try {
    const configPath = join(directory, "wrangler.json");
    writeFileSync(configPath, JSON.stringify(settings));
    const proxy = await getPlatformProxy<{ BACKUPS: R2Bucket }>({ configPath, envFiles: [], persist });
    return { bucket: proxy.env.BACKUPS, name, close: () => proxy.dispose().finally(clean) };
  } catch (error) {
    clean();
    throw error;
  }
}

/**
 * A running dev stack has the same files open. Reading beside it is safe, but SQLite answers a reader that meets a
 * writer's lock with an error of R2's without a number; a moment later it works.
 */
function patient(bucket: R2Bucket): R2Bucket {
  const again = async <T>(attempt: () => Promise<T>): Promise<T> => {
    for (let tries = 1; ; tries++) {
      try {
        return await attempt();
      } catch (error) {
        if (tries === 10 || !String(error).includes("Unspecified error (0)")) throw error;
        await sleep(50 * tries);
      }
    }
  };
  const patiently: Record<string, unknown> = {};
  for (const method of ["get", "head", "list", "put", "delete"] as const)
    patiently[method] = (...args: unknown[]) =>
      again(() => (bucket[method] as (...args: unknown[]) => Promise<unknown>)(...args));
  return patiently as unknown as R2Bucket;
}

async function wrangler(): Promise<{
  getPlatformProxy: typeof GetPlatformProxy;
  unstable_readConfig: typeof ReadConfig;
}> {
  const home = existsSync(dataDirectory()) ? join(dataDirectory(), "wrangler") : tmpdir();
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const quiet = {
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    WRANGLER_HIDE_BANNER: "true",
    WRANGLER_LOG: process.env.WRANGLER_LOG ?? "error",
    WRANGLER_LOG_PATH: join(home, "logs"),
    WRANGLER_REGISTRY_PATH: join(home, "registry"),
    WRANGLER_CACHE_DIR: join(home, "cache"),
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
  };
  // It reads them once, when it is loaded.
  Object.assign(process.env, quiet);
  return import("wrangler");
}
