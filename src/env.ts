import { base64url } from "jose";
import { z } from "zod";
import { type Db, isLoopback, type Timing } from "./db/client.ts";

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
  signingKeys: readonly [SigningKey, ...SigningKey[]];
  accessTokenSeconds: number;
  /** bcrypt's work factor for new hashes; weaker ones are replaced at log-in. */
  bcryptCost: number;
}

const postgresUrl = z.string().refine((value) => {
  const url = URL.parse(value);
  return (
    url !== null &&
    /^postgres(ql)?:$/.test(url.protocol) &&
    url.username !== "" &&
    url.password !== "" &&
    url.pathname.length > 1
  );
}, "must be postgres://role:password@host/database");

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

const Variables = z.object({
  ENVIRONMENT: z.enum(["development", "staging", "production"]),
  DATABASE_URL: postgresUrl,
  JWT_KEYS: keyList,
  JWT_EXPIRY: z.coerce.number().int().min(60).max(86_400),
  // Below 10 a stolen hash is guessed too fast (OWASP); above 14 one log-in takes over a second of CPU.
  BCRYPT_COST: z.coerce.number().int().min(10).max(14),
});

let checked: { from: string; settings: Promise<Settings> } | undefined;

/**
 * The Worker's variables and secrets, checked once per isolate. Throws an Error that names the variable and what it must
 * be, never its value.
 */
export function settings(env: Env): Promise<Settings> {
  const from = [env.ENVIRONMENT, env.DATABASE_URL, env.JWT_KEYS, env.JWT_EXPIRY, env.BCRYPT_COST].join("\n");
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
  if (variables.ENVIRONMENT !== "development" && isLoopback(variables.DATABASE_URL)) {
    throw new Error(
      `The Worker is not configured. DATABASE_URL: must not be a loopback host in ${variables.ENVIRONMENT}`,
    );
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
    signingKeys: [first, ...others],
    accessTokenSeconds: variables.JWT_EXPIRY,
    bcryptCost: variables.BCRYPT_COST,
  };
}
