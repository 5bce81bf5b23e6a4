import { expect, it } from "vitest";
import { limits, sourceOf } from "../src/rate-limit.ts";
import { call } from "./support/api.ts";
import { problem } from "./support/problem.ts";

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
