import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { call, roundTrips, signIn } from "./support/api.ts";
import { problem } from "./support/problem.ts";

describe("GET /health", () => {
  it("asks the database, once", async () => {
    const trips = await roundTrips(async () => {
      const response = await call("/health");
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({ status: "ok", database: "up", version: expect.any(String) });
    });
    expect(trips).toBe(1);
  });

  it("leaves the database alone when it is only asked whether it lives", async () => {
    const trips = await roundTrips(async () => {
      const response = await call("/health?probe=live");
      expect(await response.json()).toMatchObject({ status: "ok", database: "not-checked" });
    });
    expect(trips).toBe(0);
  });

  it("answers 503 with Retry-After while the database refuses its password, as in the middle of a change of it", async () => {
    const url = env.DATABASE_URL;
    Object.assign(env, { DATABASE_URL: url.replace(/:[^:@/]+@/, `:${crypto.randomUUID()}@`) });
    const { token } = await signIn();
    for (const response of [await call("/health"), await call("/client", { token })]) {
      expect(response.headers.get("Retry-After")).toBe("5");
      await problem(response, "unavailable");
    }
    Object.assign(env, { DATABASE_URL: url });
    expect((await call("/health")).status).toBe(200);
  });

  it("answers 503 with Retry-After while the database is unreachable, and 200 again afterwards", async () => {
    const url = env.DATABASE_URL;
    // Nothing listens on port 9 (discard).
    Object.assign(env, { DATABASE_URL: url.replace(/:\d+\//, ":9/") });
    const down = await call("/health");
    Object.assign(env, { DATABASE_URL: url });
    expect(down.status).toBe(503);
    expect(down.headers.get("Retry-After")).toBe("5");
    expect(await down.json()).toMatchObject({ type: "/problems/unavailable", status: 503 });
    expect((await call("/health")).status).toBe(200);
  });
});
