import { env } from "cloudflare:workers";
import { base64url } from "jose";
import { afterEach, describe, expect, it, vi } from "vitest";
import example from "../.dev.vars.example?raw";
import { settings } from "../src/env.ts";
import { call, roundTrips } from "./support/api.ts";
import { problem } from "./support/problem.ts";

const key = base64url.encode(crypto.getRandomValues(new Uint8Array(32)));
const keys = (...list: unknown[]) => JSON.stringify(list);
const password = "kV3-test_9qLw0ZrTbYx";
const good = {
  ENVIRONMENT: "production",
  DATABASE_URL: `postgres://nexgen_api:${password}@ep-cool-1.ap-southeast-1.aws.neon.tech/nexgen`,
  BACKUP_DATABASE_URL: `postgres://nexgen_backup:${password}@ep-cool-1.ap-southeast-1.aws.neon.tech/nexgen`,
  JWT_KEYS: keys({ kid: "2026-11", key }),
  JWT_EXPIRY: "3600",
  BCRYPT_COST: "12",
};
type Given = Record<string, string | undefined>;
const local = (host: string) => `postgresql://nexgen_api:${password}@${host}:1/c`;
// Only what is checked; the bindings play no part.
const check = (changes: Given) => settings({ ...good, ...changes } as unknown as Env);

describe("the Worker's settings", () => {
  it("are what the variables say", async () => {
    const other = base64url.encode(crypto.getRandomValues(new Uint8Array(32)));
    const JWT_KEYS = keys({ kid: "b", key }, { kid: "a", key: other });
    const found = await check({ JWT_KEYS, JWT_EXPIRY: "900" });
    expect(found).toMatchObject({
      environment: "production",
      databaseUrl: good.DATABASE_URL,
      backupDatabaseUrl: good.BACKUP_DATABASE_URL,
      alertWebhookUrl: undefined,
      sentryDsn: undefined,
      databaseLimitBytes: undefined,
      slowQueryMilliseconds: 1000,
      accessTokenSeconds: 900,
      bcryptCost: 12,
      corsOrigins: [],
      maintenance: false,
    });
    expect(found.signingKeys.map((each) => each.kid)).toEqual(["b", "a"]);
    expect(found.signingKeys.every((each) => !each.key.extractable)).toBe(true);
  });

  it.each<[string, Given]>([
    ["development on a loopback host", { ENVIRONMENT: "development", DATABASE_URL: local("127.0.0.1") }],
    ["development on localhost", { ENVIRONMENT: "development", DATABASE_URL: local("localhost") }],
    ["staging on Neon", { ENVIRONMENT: "staging", DATABASE_URL: `${good.DATABASE_URL}?sslmode=require` }],
    ["five keys", { JWT_KEYS: keys(...["a", "b", "c", "d", "e"].map((kid) => ({ kid, key }))) }],
    ["the shortest life of a token", { JWT_EXPIRY: "60" }],
    ["the longest life of a token", { JWT_EXPIRY: "86400" }],
    ["the least work for a password", { BCRYPT_COST: "10" }],
    ["the most work for a password", { BCRYPT_COST: "14" }],
    ["pages of two origins", { CORS_ORIGINS: " https://erp.example.com, https://a.example:8443 ," }],
    ["a page on this machine, in staging", { ENVIRONMENT: "staging", CORS_ORIGINS: "http://localhost:5173" }],
    ["no origins", { CORS_ORIGINS: undefined }],
    ["closed for maintenance", { MAINTENANCE: "on" }],
    ["open in words", { MAINTENANCE: "off" }],
    ["open, as nothing says otherwise", { MAINTENANCE: "" }],
    ["a webhook", { ALERT_WEBHOOK_URL: "https://hooks.example/T0/B0/x" }],
    ["a webhook on this machine", { ENVIRONMENT: "development", ALERT_WEBHOOK_URL: "http://127.0.0.1:9/x" }],
    ["a project at Sentry", { SENTRY_DSN: "https://0123456789abcdef@o1.ingest.sentry.example/42" }],
    ["a Sentry on this machine", { ENVIRONMENT: "development", SENTRY_DSN: "http://key@127.0.0.1:9/1" }],
    ["a log of everything", { LOG_LEVEL: "debug" }],
    ["a shorter patience with the database", { SLOW_QUERY_MS: "250" }],
    ["limits of sizes", { DATABASE_LIMIT_BYTES: "536870912", BUCKET_LIMIT_BYTES: "1" }],
  ])("may be %s", async (_case, changes) => {
    await expect(check(changes)).resolves.toMatchObject({});
  });

  const secret = "s3cr3t-that-must-not-show";
  it.each<[string, string, Given]>([
    ["no environment", "ENVIRONMENT", { ENVIRONMENT: undefined }],
    ["another environment", "ENVIRONMENT", { ENVIRONMENT: secret }],
    ["an environment in capitals", "ENVIRONMENT", { ENVIRONMENT: "PRODUCTION" }],
    ["no database", "DATABASE_URL", { DATABASE_URL: undefined }],
    ["an empty database URL", "DATABASE_URL", { DATABASE_URL: "" }],
    ["a database URL that is none", "DATABASE_URL", { DATABASE_URL: secret }],
    ["another protocol", "DATABASE_URL", { DATABASE_URL: `https://nexgen_api:${secret}@db.example/c` }],
    ["a URL without a role", "DATABASE_URL", { DATABASE_URL: `postgres://db.example/${secret}` }],
    ["a URL without a password", "DATABASE_URL", { DATABASE_URL: `postgres://nexgen_api@${secret}.example/c` }],
    ["a URL without a database", "DATABASE_URL", { DATABASE_URL: `postgres://nexgen_api:${secret}@db.example` }],
    ["a URL with an empty database", "DATABASE_URL", { DATABASE_URL: `postgres://nexgen_api:${secret}@db.example/` }],
    [
      "a loopback host in production",
      "DATABASE_URL",
      { DATABASE_URL: `postgres://nexgen_api:${secret}@127.0.0.1:5432/c` },
    ],
    [
      "localhost in staging",
      "DATABASE_URL",
      { ENVIRONMENT: "staging", DATABASE_URL: `postgres://nexgen_api:${secret}@localhost/c` },
    ],
    ["localhost in capitals", "DATABASE_URL", { DATABASE_URL: `postgres://nexgen_api:${secret}@LOCALHOST/c` }],
    ["the owner's URL", "DATABASE_URL", { DATABASE_URL: `postgres://nexgen_owner:${secret}@db.example/c` }],
    ["a superuser's URL", "DATABASE_URL", { DATABASE_URL: `postgres://postgres:${secret}@db.example/c` }],
    ["another role's URL", "DATABASE_URL", { DATABASE_URL: `postgres://nexgen_backup:${secret}@db.example/c` }],
    ["the example's URL", "DATABASE_URL", { DATABASE_URL: "postgres://nexgen_api:PASSWORD@HOST/DATABASE" }],
    ["a short password", "DATABASE_URL", { DATABASE_URL: `postgres://nexgen_api:${secret.slice(0, 15)}@db.example/c` }],
    [
      "a password of one word, repeated",
      "DATABASE_URL",
      { DATABASE_URL: `postgres://nexgen_api:${"secret".repeat(4)}@db.example/c` },
    ],
    ["no database for backups", "BACKUP_DATABASE_URL", { BACKUP_DATABASE_URL: undefined }],
    ["a URL for backups that is none", "BACKUP_DATABASE_URL", { BACKUP_DATABASE_URL: secret }],
    ["the API's role for backups", "BACKUP_DATABASE_URL", { BACKUP_DATABASE_URL: good.DATABASE_URL }],
    [
      "the pooler for backups",
      "BACKUP_DATABASE_URL",
      { BACKUP_DATABASE_URL: `postgres://nexgen_backup:${secret}@ep-cool-1-pooler.ap-southeast-1.aws.neon.tech/c` },
    ],
    [
      "a loopback host for backups",
      "BACKUP_DATABASE_URL",
      { BACKUP_DATABASE_URL: `postgres://nexgen_backup:${secret}@127.0.0.1/c` },
    ],
    ["a webhook that is no URL", "ALERT_WEBHOOK_URL", { ALERT_WEBHOOK_URL: secret }],
    ["an empty webhook", "ALERT_WEBHOOK_URL", { ALERT_WEBHOOK_URL: "" }],
    ["a webhook without TLS", "ALERT_WEBHOOK_URL", { ALERT_WEBHOOK_URL: `http://hooks.example/${secret}` }],
    ["a webhook on this machine", "ALERT_WEBHOOK_URL", { ALERT_WEBHOOK_URL: `http://127.0.0.1/${secret}` }],
    ["a DSN that is no URL", "SENTRY_DSN", { SENTRY_DSN: secret }],
    ["a DSN without TLS", "SENTRY_DSN", { SENTRY_DSN: `http://key@sentry.example/1?${secret}` }],
    ["a DSN without a key", "SENTRY_DSN", { SENTRY_DSN: `https://sentry.example/1?${secret}` }],
    ["a DSN with Sentry's old secret key", "SENTRY_DSN", { SENTRY_DSN: `https://key:${secret}@sentry.example/1` }],
    ["a DSN without a project", "SENTRY_DSN", { SENTRY_DSN: `https://key@sentry.example/${secret}` }],
    ["a Sentry on this machine", "SENTRY_DSN", { SENTRY_DSN: `http://key@127.0.0.1/1?${secret}` }],
    ["a limit in words", "DATABASE_LIMIT_BYTES", { DATABASE_LIMIT_BYTES: secret }],
    ["a limit of nothing", "BUCKET_LIMIT_BYTES", { BUCKET_LIMIT_BYTES: "0" }],
    ["another level of the log", "LOG_LEVEL", { LOG_LEVEL: secret }],
    ["a time in words", "SLOW_QUERY_MS", { SLOW_QUERY_MS: secret }],
    ["no keys", "JWT_KEYS", { JWT_KEYS: undefined }],
    ["the example's key", "JWT_KEYS", { JWT_KEYS: keys({ kid: "2026-11", key: "PASTE-43-CHARACTERS-HERE" }) }],
    ["an empty text as keys", "JWT_KEYS", { JWT_KEYS: "" }],
    ["keys that are no JSON", "JWT_KEYS", { JWT_KEYS: secret }],
    ["keys that are cut", "JWT_KEYS", { JWT_KEYS: `[{"kid":"a","key":"${secret}"` }],
    ["an empty list of keys", "JWT_KEYS", { JWT_KEYS: "[]" }],
    ["a key alone", "JWT_KEYS", { JWT_KEYS: JSON.stringify({ kid: "a", key: secret }) }],
    ["a key as text", "JWT_KEYS", { JWT_KEYS: JSON.stringify(secret) }],
    ["a list of texts", "JWT_KEYS", { JWT_KEYS: keys(secret) }],
    ["null", "JWT_KEYS", { JWT_KEYS: "null" }],
    ["kid and key in one", "JWT_KEYS", { JWT_KEYS: keys({ [secret]: secret }) }],
    ["another field beside a key", "JWT_KEYS", { JWT_KEYS: keys({ kid: "a", key, [secret]: true }) }],
    ["a short key", "JWT_KEYS", { JWT_KEYS: keys({ kid: "a", key: key.slice(1) }) }],
    ["a long key", "JWT_KEYS", { JWT_KEYS: keys({ kid: "a", key: `${key}A` }) }],
    ["a padded key", "JWT_KEYS", { JWT_KEYS: keys({ kid: "a", key: `${key.slice(1)}=` }) }],
    ["a key in plain base64", "JWT_KEYS", { JWT_KEYS: keys({ kid: "a", key: `+/${key.slice(2)}` }) }],
    ["a key of one letter", "JWT_KEYS", { JWT_KEYS: keys({ kid: "a", key: "A".repeat(43) }) }],
    ["a key that repeats", "JWT_KEYS", { JWT_KEYS: keys({ kid: "a", key: "abcdefghijk".repeat(4).slice(1) }) }],
    ["a weak second key", "JWT_KEYS", { JWT_KEYS: keys({ kid: "a", key }, { kid: "b", key: secret }) }],
    ["the same kid twice", "JWT_KEYS", { JWT_KEYS: keys({ kid: "a", key }, { kid: "a", key }) }],
    ["an empty kid", "JWT_KEYS", { JWT_KEYS: keys({ kid: "", key }) }],
    ["a kid with spaces", "JWT_KEYS", { JWT_KEYS: keys({ kid: `${secret} `, key }) }],
    ["six keys", "JWT_KEYS", { JWT_KEYS: keys(...["a", "b", "c", "d", "e", "f"].map((kid) => ({ kid, key }))) }],
    ["no life of a token", "JWT_EXPIRY", { JWT_EXPIRY: undefined }],
    ["an empty life of a token", "JWT_EXPIRY", { JWT_EXPIRY: "" }],
    ["a token that lives too short", "JWT_EXPIRY", { JWT_EXPIRY: "59" }],
    ["a token that lives too long", "JWT_EXPIRY", { JWT_EXPIRY: "86401" }],
    ["a token that never ends", "JWT_EXPIRY", { JWT_EXPIRY: "Infinity" }],
    ["half a second", "JWT_EXPIRY", { JWT_EXPIRY: "60.5" }],
    ["a life in words", "JWT_EXPIRY", { JWT_EXPIRY: secret }],
    ["no work for a password", "BCRYPT_COST", { BCRYPT_COST: undefined }],
    ["too little work for a password", "BCRYPT_COST", { BCRYPT_COST: "9" }],
    ["too much work for a password", "BCRYPT_COST", { BCRYPT_COST: "15" }],
    ["half a step of work", "BCRYPT_COST", { BCRYPT_COST: "10.5" }],
    ["pages of every origin", "CORS_ORIGINS", { CORS_ORIGINS: "*" }],
    ["pages of the origin null", "CORS_ORIGINS", { CORS_ORIGINS: "null" }],
    ["pages of every subdomain", "CORS_ORIGINS", { CORS_ORIGINS: "https://*.example.com/" }],
    ["an origin with a path", "CORS_ORIGINS", { CORS_ORIGINS: "https://erp.example.com/" }],
    ["an origin in capitals", "CORS_ORIGINS", { CORS_ORIGINS: "https://ERP.example.com" }],
    ["an origin without a scheme", "CORS_ORIGINS", { CORS_ORIGINS: "erp.example.com" }],
    ["an origin of another scheme", "CORS_ORIGINS", { CORS_ORIGINS: "ftp://erp.example.com" }],
    ["a page that came over plain HTTP", "CORS_ORIGINS", { CORS_ORIGINS: "http://erp.example.com" }],
    ["a page of the staff's own machines, in production", "CORS_ORIGINS", { CORS_ORIGINS: "http://localhost:5173" }],
    ["closed in other words", "MAINTENANCE", { MAINTENANCE: "true" }],
    ["closed in capitals", "MAINTENANCE", { MAINTENANCE: "ON" }],
  ])("must not be %s: the error names the variable, never its value", async (_case, name, changes) => {
    const error: unknown = await check(changes).catch((reason: unknown) => reason);
    if (!(error instanceof Error)) throw new Error("it was taken");
    expect(error.message).toMatch(new RegExp(`^The Worker is not configured\\. ${name}\\b`));
    for (const value of [secret, key, key.slice(2), secret.slice(0, 15), password, "abcdefghijk"])
      expect(error.message).not.toContain(value);
  });

  it("must not be those of .dev.vars.example", async () => {
    const values = [...example.matchAll(/^(\w+)=(['"])(.*)\2$/gm)].map(([, name = "", , value = ""]) => [name, value]);
    expect(values.map(([name]) => name)).toEqual(expect.arrayContaining(["DATABASE_URL", "JWT_KEYS"]));
    const refusal = await check(Object.fromEntries(values)).catch((reason: unknown) => String(reason));
    expect(refusal).toMatch(/DATABASE_URL: .*JWT_KEYS/s);
    expect(refusal).not.toMatch(/PASTE-43|:PASSWORD@/);
  });

  it("are all named when several are wrong", async () => {
    await expect(check({ ENVIRONMENT: "x", DATABASE_URL: "x", JWT_KEYS: "x", JWT_EXPIRY: "x" })).rejects.toThrow(
      /ENVIRONMENT.*DATABASE_URL.*JWT_KEYS.*JWT_EXPIRY/s,
    );
  });
});

describe("a Worker with a bad variable", () => {
  const variables = { ...env };
  afterEach(() => {
    Object.assign(env, { JWT_KEYS: variables.JWT_KEYS, ENVIRONMENT: variables.ENVIRONMENT });
    vi.restoreAllMocks();
  });

  it.each(["/health", "/health?probe=live", "/client", "/openapi.json", "/docs"])(
    "answers 500 at %s without a detail, and logs which variable it is",
    async (path) => {
      const logged = vi.spyOn(console, "error").mockImplementation(() => {});
      Object.assign(env, { JWT_KEYS: keys({ kid: "a", key: "short-key-of-mine" }) });
      const trips = await roundTrips(async () => {
        const response = await call(path);
        const body = await problem(response, "internal");
        expect(body).not.toHaveProperty("detail");
        expect(JSON.stringify(body)).not.toMatch(/JWT_KEYS|configured|short-key-of-mine/);
        expect(logged).toHaveBeenCalledOnce();
        const line = String(logged.mock.calls[0]?.[0]);
        expect(JSON.parse(line)).toMatchObject({ request_id: response.headers.get("X-Request-Id") });
        expect(line).toContain("JWT_KEYS");
        expect(line).not.toContain("short-key-of-mine");
      });
      expect(trips).toBe(0);
    },
  );

  it("refuses the tests' own loopback database in production, and works again when that is put right", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    Object.assign(env, { ENVIRONMENT: "production" });
    await problem(await call("/health"), "internal");
    Object.assign(env, { ENVIRONMENT: "development" });
    expect((await call("/health")).status).toBe(200);
  });
});
