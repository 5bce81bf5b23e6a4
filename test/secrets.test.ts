import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import { Tokens } from "../src/auth/contract.ts";
import { insertAccount, logIn, secretHash } from "./support/accounts.ts";
import { call, signIn, sql } from "./support/api.ts";

afterEach(() => {
  vi.restoreAllMocks();
  Object.assign(env, { LOG_LEVEL: "error" });
});

/** Everything that is written to the log from now on. */
function log(): string[] {
  const lines: string[] = [];
  for (const level of ["log", "info", "warn", "error", "debug"] as const) {
    vi.spyOn(console, level).mockImplementation((...parts) => {
      lines.push(parts.map((part) => (part instanceof Error ? `${part.stack}` : String(part))).join(" "));
    });
  }
  return lines;
}

it("no password, token, hash, key, address or database URL reaches the log or an error, whatever fails", async () => {
  const databaseUrl = env.DATABASE_URL;
  // Every request and every statement leaves a line.
  Object.assign(env, { LOG_LEVEL: "debug" });
  const lines = log();
  const { username, email } = await insertAccount();
  const chosen = `chosen ${crypto.randomUUID()}`;
  const wrong = `wrong ${crypto.randomUUID()}`;
  const tokens = Tokens.parse(await (await logIn(username, "secret")).json());
  const admin = await signIn("admin");
  const { key } = (JSON.parse(env.JWT_KEYS) as [{ key: string }])[0];
  const secrets = [chosen, wrong, tokens.access_token, tokens.refresh_token, admin.token, key, secretHash, databaseUrl];
  secrets.push(new URL(databaseUrl).password);
  /** Known to whoever sent it or may see it, and nothing for the log either. */
  const personal = [username, email, "searched@example.com"];

  const post = (path: string, body: object, token?: string) => call(path, { method: "POST", body, token });
  const requests = () => [
    logIn(username, wrong),
    logIn(wrong, chosen),
    post("/auth/refresh", { refresh_token: tokens.refresh_token.replace(/^./, (c) => (c === "-" ? "_" : "-")) }),
    post("/auth/refresh", { refresh_token: `${tokens.refresh_token}x` }),
    post("/auth/password", { current_password: wrong, new_password: chosen }, tokens.access_token),
    post("/user", { username, email: "x@example.com", password: chosen, role: "viewer" }, admin.token),
    post("/user", { username: 1, password: chosen, secret: tokens.refresh_token }, admin.token),
    call("/auth/me", { token: tokens.access_token.slice(0, -1) }),
    call("/auth/me", { headers: { Authorization: `Basic ${btoa(chosen)} ${tokens.access_token}` } }),
    call(`/auth/sessions?cursor=${tokens.refresh_token}`, { token: tokens.access_token }),
    call("/client", { token: admin.token }),
    call("/vendor?q=searched@example.com", { token: admin.token }),
    logIn(email, wrong),
  ];
  const answers = async () => {
    const statuses: number[] = [];
    for (const response of await Promise.all(requests())) {
      const text = `${JSON.stringify([...response.headers])}${await response.text()}`;
      for (const secret of secrets) expect(text).not.toContain(secret);
      statuses.push(response.status);
    }
    return statuses;
  };
  // All is well but for the requests; the database is away; it fails in words of its own.
  expect(await answers()).not.toContain(500);
  Object.assign(env, { DATABASE_URL: databaseUrl.replace(/:\d+\//, ":9/") });
  expect(await answers()).toContain(503);
  Object.assign(env, { DATABASE_URL: databaseUrl });
  await sql(`ALTER TABLE "Finances".login_attempt RENAME TO elsewhere`);
  await sql(`REVOKE SELECT ON "Finances".client FROM nexgen_api`);
  expect(await answers()).toContain(500);
  // A secret that is not as it must be.
  Object.assign(env, { DATABASE_URL: `${databaseUrl.replace("nexgen_api", "postgres")}${key}` });
  const misconfigured = await call("/health");
  expect(misconfigured.status).toBe(500);
  Object.assign(env, { DATABASE_URL: databaseUrl });

  expect(lines.length).toBeGreaterThan(50);
  const events = new Set(lines.map((line) => JSON.parse(line).event));
  expect([...events]).toEqual(expect.arrayContaining(["query", "request", "alert"]));
  for (const secret of [...secrets, ...personal]) expect(lines.filter((line) => line.includes(secret))).toEqual([]);
  expect(lines.filter((line) => line.includes("$2b$"))).toEqual([]);
});
