import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { call, roundTrips } from "./support/api.ts";

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
