import { base64url } from "jose";
import { z } from "zod";
import { type Db, isLoopback, type Timing } from "./db/client.ts";
import { logLevels } from "./log.ts";
import type { Problem } from "./problem.ts";

declare global {
  /** Secrets that may be missing, so that wrangler.toml cannot require them. */
  interface Env {
    MAINTENANCE?: string;
  }
}

/** Who is calling, as the access token says; the guard in the database has the last word. */
export interface Caller {
  userId: number;
  sessionId: string;
  tokenVersion: number;
}

export interface AppEnv {
  Bindings: Env;
  Variables: {
    requestId: string;
    settings: Settings;
    /** On open routes without a guard, on guarded ones with the caller's guard in front of every batch. */
    db: Db;
    timing: Timing;
    caller: Caller;
    /** Why the body could not be read. */
    bodyFault: Problem | undefined;
    /** Which problem the answer is; with its cause when the fault is ours. */
    failure: { problem: string; cause: unknown } | undefined;
  };
}

/** One key of `JWT_KEYS`: the first signs, all verify. */
export interface SigningKey {
  kid: string;
  key: CryptoKey;
}

export interface Settings {
  environment: "development" | "staging" | "production";
  databaseUrl: string;
  /** Role nexgen_backup, on a host that keeps a session. */
  backupDatabaseUrl: string;
  signingKeys: readonly [SigningKey, ...SigningKey[]];
  accessTokenSeconds: number;
  /** bcrypt's work factor for new hashes; weaker ones are replaced at log-in. */
  bcryptCost: number;
  /** The web pages whose scripts may call this API. */
  corsOrigins: readonly string[];
  /** Everything but /health is closed. */
  maintenance: boolean;
  /** Where alerts go; undefined: to the log alone. */
  alertWebhookUrl: string | undefined;
  /** Where errors of ours go; undefined: to the log alone. */
  sentryDsn: string | undefined;
  /** Sizes that are alerted of; undefined: none. */
  databaseLimitBytes: number | undefined;
  bucketLimitBytes: number | undefined;
  /** From here on a batch of statements is logged as slow. */
  slowQueryMilliseconds: number;
}

/** A weak one is guessed at the database, which the whole internet reaches. */
const leastPasswordLength = 16;

/** The URL of one role: no other, so that a Worker never runs as the owner by mistake. */
const urlOf = (role: string) =>
  z
    .string()
    .refine(
      (value) => {
        const url = URL.parse(value);
        return url !== null && /^postgres(ql)?:$/.test(url.protocol) && url.username !== "" && url.pathname.length > 1;
      },
      { error: `must be postgres://${role}:password@host/database`, abort: true },
    )
    .refine((value) => new URL(value).username === role, `must be the URL of the role ${role}`)
    .refine((value) => {
      const { password } = new URL(value);
      return password.length >= leastPasswordLength && new Set(password).size >= leastPasswordLength / 2;
    }, `must have a random password of ${leastPasswordLength} characters or more: \`npm run db:roles\` generates one`);

/** Origins of web pages, between commas: exactly as a browser sends them. */
const originList = z
  .string()
  .default("")
  .transform((value) =>
    value
      .split(",")
      .map((origin) => origin.trim())
      .filter((origin) => origin !== ""),
  )
  .pipe(
    z
      .array(
        z
          .string()
          .refine(
            (origin) => /^https?:$/.test(URL.parse(origin)?.protocol ?? "") && new URL(origin).origin === origin,
            "must be origins such as https://erp.example.com, between commas, without a path or a *",
          ),
      )
      .max(20),
  );

const keyList = z
  .string()
  .transform((value, context) => {
    try {
      return JSON.parse(value) as unknown;
    } catch {
      context.addIssue({ code: "custom", message: 'must be JSON: [{"kid":"…","key":"…"}]' });
      return z.NEVER;
    }
  })
  .pipe(
    z
      .array(
        z.strictObject({
          kid: z.string().regex(/^[A-Za-z0-9_-]{1,40}$/, "kid must be 1-40 letters, digits, _ or -"),
          key: z
            .string()
            .regex(/^[A-Za-z0-9_-]{43}$/, "key must be 256 random bits in base64url (43 characters)")
            .refine((key) => new Set(key).size >= 16, "key is not random"),
        }),
      )
      .min(1)
      .max(5)
      .refine((keys) => new Set(keys.map((each) => each.kid)).size === keys.length, "every kid must be different"),
  );

const webhookUrl = z.string().refine((value) => {
  const url = URL.parse(value);
  return url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback(value));
}, "must be https://… (in development also http:// on this machine)");

const sentryDsn = z.string().refine((value) => {
  const url = URL.parse(value);
  const secure = url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback(value));
  return secure && /^\w+$/.test(url.username) && url.password === "" && /\/\d+$/.test(url.pathname);
}, "must be https://KEY@host/PROJECT, as Sentry shows it (in development also http:// on this machine)");

const limitBytes = z.coerce.number().int().positive().optional();

const Variables = z.object({
  ENVIRONMENT: z.enum(["development", "staging", "production"]),
  DATABASE_URL: urlOf("nexgen_api"),
  BACKUP_DATABASE_URL: urlOf("nexgen_backup").refine(
    (value) => !new URL(value).hostname.includes("-pooler."),
    "must be the direct host, without -pooler: a snapshot needs a session",
  ),
  JWT_KEYS: keyList,
  JWT_EXPIRY: z.coerce.number().int().min(60).max(86_400),
  // src/log.ts reads it where it writes.
  LOG_LEVEL: z.enum(logLevels).default("info"),
  // Below 10 a stolen hash is guessed too fast (OWASP); above 14 one log-in takes over a second of CPU.
  BCRYPT_COST: z.coerce.number().int().min(10).max(14),
  CORS_ORIGINS: originList,
  // A typing error must neither open what was to be closed nor close it unnoticed.
  MAINTENANCE: z.enum(["on", "off", ""]).default("off"),
  ALERT_WEBHOOK_URL: webhookUrl.optional(),
  SENTRY_DSN: sentryDsn.optional(),
  DATABASE_LIMIT_BYTES: limitBytes,
  BUCKET_LIMIT_BYTES: limitBytes,
  SLOW_QUERY_MS: z.coerce.number().int().min(0).max(60_000).default(1000),
});

let checked: { from: string; settings: Promise<Settings> } | undefined;

/**
 * The Worker's variables and secrets, checked once per isolate. Throws an Error that names the variable and what it must
 * be, never its value.
 */
export function settings(env: Env): Promise<Settings> {
  const given: Record<string, unknown> = { ...env };
  const from = JSON.stringify(Object.keys(Variables.shape).map((name) => given[name] ?? null));
  if (checked?.from !== from) checked = { from, settings: check(env) };
  return checked.settings;
}

async function check(env: Env): Promise<Settings> {
  const result = Variables.safeParse(env);
  if (!result.success) {
    const faults = result.error.issues.map((issue) => {
      // The name of an unknown field may be a key that stands in the wrong place.
      const fault = issue.code === "unrecognized_keys" ? "has an unknown field" : issue.message;
      return `${issue.path.join(".")}: ${fault}`;
    });
    throw new Error(`The Worker is not configured. ${faults.join("; ")}`);
  }
  const variables = result.data;
  // The local Neon endpoint is chosen by a loopback host alone, so such a host must never reach another environment.
  for (const name of ["DATABASE_URL", "BACKUP_DATABASE_URL", "ALERT_WEBHOOK_URL", "SENTRY_DSN"] as const) {
    if (variables.ENVIRONMENT !== "development" && variables[name] !== undefined && isLoopback(variables[name]))
      throw new Error(`The Worker is not configured. ${name}: must not be a loopback host in ${variables.ENVIRONMENT}`);
  }
  // A page that came over plain HTTP may be anybody's by the time it runs.
  const plain = (origin: string) => origin.startsWith("http:") && !isLoopback(origin);
  if (variables.CORS_ORIGINS.some(plain)) {
    throw new Error("The Worker is not configured. CORS_ORIGINS: must be https, but for a loopback host");
  }
  if (variables.ENVIRONMENT === "production" && variables.CORS_ORIGINS.some(isLoopback)) {
    throw new Error("The Worker is not configured. CORS_ORIGINS: must not be a loopback host in production");
  }
  const [first, ...others] = await Promise.all(
    variables.JWT_KEYS.map(async ({ kid, key }) => ({
      kid,
      key: await crypto.subtle.importKey("raw", base64url.decode(key), { name: "HMAC", hash: "SHA-256" }, false, [
        "sign",
        "verify",
      ]),
    })),
  );
  if (!first) throw new Error("The Worker is not configured. JWT_KEYS: needs at least one key");
  return {
    environment: variables.ENVIRONMENT,
    databaseUrl: variables.DATABASE_URL,
    backupDatabaseUrl: variables.BACKUP_DATABASE_URL,
    signingKeys: [first, ...others],
    accessTokenSeconds: variables.JWT_EXPIRY,
    bcryptCost: variables.BCRYPT_COST,
    corsOrigins: variables.CORS_ORIGINS,
    maintenance: variables.MAINTENANCE === "on",
    alertWebhookUrl: variables.ALERT_WEBHOOK_URL,
    sentryDsn: variables.SENTRY_DSN,
    databaseLimitBytes: variables.DATABASE_LIMIT_BYTES,
    bucketLimitBytes: variables.BUCKET_LIMIT_BYTES,
    slowQueryMilliseconds: variables.SLOW_QUERY_MS,
  };
}
