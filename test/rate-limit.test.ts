import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it } from "vitest";
import { limits, sourceOf } from "../src/rate-limit.ts";
import { call, roundTrips, signIn, token } from "./support/api.ts";
import { guardedOperations, prepared, titled } from "./support/operations.ts";
import { problem } from "./support/problem.ts";

const bindings = { ADDRESS_LIMIT: env.ADDRESS_LIMIT, USER_LIMIT: env.USER_LIMIT };
afterEach(() => {
  Object.assign(env, bindings);
});

/** Stands in for Cloudflare's counter, which lets thousands through: one that has had enough of the keys that are `used`. */
const enoughOf = (...used: string[]) => ({
  limit: async ({ key }: { key: string }) => ({ success: !used.includes(key) }),
});

/** Requests until one is turned away, `most` at the most. */
async function untilRefused(send: () => Promise<Response>, most: number): Promise<Response | undefined> {
  for (let sent = 0; sent < most; sent++) {
    const response = await send();
    if (response.status === 429) return response;
    await response.body?.cancel();
  }
  return undefined;
}

it("turns an address away that logs in too often, and no other address", async () => {
  // Does not validate, so that no password is compared; it counts all the same.
  const attempt = (address: string) =>
    call("/auth/login", { method: "POST", body: {}, headers: { "CF-Connecting-IP": address } });
  // The minute of the local emulation may turn once while this runs.
  const refused = await untilRefused(() => attempt("192.0.2.1"), 401);
  expect(refused?.headers.get("Retry-After")).toBe("60");
  expect(refused?.headers.get("RateLimit-Policy")).toBe('"sign-in";q=200;w=60');
  if (refused) await problem(refused, "too-many-requests");
  expect((await attempt("192.0.2.2")).status).toBe(422);
});

it("takes the address from CF-Connecting-IP alone", async () => {
  const attempt = (forged: string) =>
    call("/auth/login", {
      method: "POST",
      body: {},
      headers: {
        "CF-Connecting-IP": "192.0.2.3",
        "X-Forwarded-For": forged,
        "X-Real-IP": forged,
        Forwarded: `for=${forged}`,
      },
    });
  let sent = 0;
  expect(await untilRefused(() => attempt(`198.51.100.${sent++ % 250}`), 401)).toBeDefined();
});

it("counts what pages of other sites send from an address apart, so that they use up nothing of it", async () => {
  const from = (headers: Record<string, string>) =>
    call("/auth/login", { method: "POST", body: {}, headers: { "CF-Connecting-IP": "192.0.2.20", ...headers } });
  const foreign = { "Sec-Fetch-Site": "cross-site", Origin: "https://evil.example" };
  const refused = await untilRefused(() => from(foreign), 401);
  expect(refused?.status).toBe(429);
  expect((await from({})).status).toBe(422);
  Object.assign(env, { CORS_ORIGINS: "https://erp.example.com" });
  expect((await from({ ...foreign, Origin: "https://erp.example.com" })).status).toBe(422);
  expect((await from(foreign)).status).toBe(429);
  Object.assign(env, { CORS_ORIGINS: "" });
});

it("has the figures of the contract, which are those of wrangler.toml: test/configuration.node.test.ts", () => {
  expect([limits.user.perMinute, limits.address.perMinute, limits["sign-in"].perMinute]).toEqual([600, 1200, 20]);
});

it("counts an IPv6 /64 as one caller, and no other /64 with it", async () => {
  const attempt = (address: string) =>
    call("/auth/login", { method: "POST", body: {}, headers: { "CF-Connecting-IP": address } });
  let sent = 0;
  expect(await untilRefused(() => attempt(`2001:db8:64:1::${(sent++).toString(16)}`), 401)).toBeDefined();
  expect((await attempt("2001:db8:64:2::1")).status).toBe(422);
});

it.each([
  ["192.0.2.1", "192.0.2.1"],
  ["2001:db8:0:1:aaaa:bbbb:cccc:dddd", "2001:db8:0:1"],
  ["2001:DB8:0000:0001::1", "2001:db8:0:1"],
  ["2001:db8::1", "2001:db8:0:0"],
  ["2001:db8::", "2001:db8:0:0"],
  ["::1", "0:0:0:0"],
  ["::", "0:0:0:0"],
  ["2001:db8:1::2:3:4:5", "2001:db8:1:0"],
  ["local", "local"],
])("takes %s for %s", (address, source) => {
  expect(sourceOf(address)).toBe(source);
});

describe("a user who asks too often", () => {
  it.each(titled(guardedOperations))("is turned away without asking the database: %s", async (_title, operation) => {
    const { path, call: request, caller } = await prepared(operation);
    Object.assign(env, { USER_LIMIT: enoughOf(`${caller?.sessionId} 1`) });
    const trips = await roundTrips(async () => {
      const response = await call(path, request);
      expect(response.headers.get("Retry-After")).toBe("60");
      expect(response.headers.get("RateLimit-Policy")).toBe('"user";q=6000;w=60');
      await problem(response, "too-many-requests");
    });
    expect(trips).toBe(0);
  });

  it("is turned away wherever he asks from, and no other user is", async () => {
    const [busy, other] = [await signIn(), await signIn()];
    Object.assign(env, { USER_LIMIT: enoughOf(`${busy.sessionId} 1`) });
    const from = (address: string, token: string) =>
      call("/client", { token, headers: { "CF-Connecting-IP": address } });
    for (const address of ["192.0.2.4", "192.0.2.5"]) {
      expect((await from(address, busy.token)).status).toBe(429);
      expect((await from(address, other.token)).status).toBe(200);
    }
  });
});

it("counts the token of a session that is over, or of an older version, for nobody else", async () => {
  const user = await signIn();
  const again = await token({ sub: String(user.id), sid: user.sessionId, token_version: 2 });
  const counted: string[] = [];
  const count = async ({ key }: { key: string }) => {
    counted.push(key);
    return { success: true };
  };
  Object.assign(env, { USER_LIMIT: { limit: count } });
  await call("/auth/logout", { method: "POST", token: user.token });
  // Also what is refused before it is asked in the database who that is.
  await problem(await call("/auth/me?x=1", { token: user.token }), "validation-failed");
  await problem(await call("/auth/me", { token: again }), "unauthorized");
  expect(counted).toEqual([`${user.sessionId} 1`, `${user.sessionId} 1`, `${user.sessionId} 2`]);
});

it("turns an address away that changes passwords too often: each takes the work of two log-ins", async () => {
  const { token } = await signIn();
  const attempt = (address: string) =>
    call("/auth/password", { method: "POST", body: {}, token, headers: { "CF-Connecting-IP": address } });
  const refused = await untilRefused(() => attempt("192.0.2.8"), 401);
  expect(refused?.headers.get("RateLimit-Policy")).toBe('"sign-in";q=200;w=60');
  expect((await attempt("192.0.2.9")).status).toBe(422);
});

describe("an address that asks too often", () => {
  it.each(["/client", "/auth/login", "/health", "/openapi.json", "/docs", "/docs/scalar.js", "/nope"])(
    "is turned away at %s, and no other address is",
    async (path) => {
      Object.assign(env, { ADDRESS_LIMIT: enoughOf("192.0.2.6") });
      const from = (address: string) => call(path, { headers: { "CF-Connecting-IP": address } });
      const refused = await from("192.0.2.6");
      expect(refused.headers.get("RateLimit-Policy")).toBe('"address";q=12000;w=60');
      await problem(refused, "too-many-requests");
      const other = await from("192.0.2.7");
      expect(other.status).not.toBe(429);
      await other.arrayBuffer();
    },
  );
});
