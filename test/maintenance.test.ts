import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import { call, roundTrips, signIn } from "./support/api.ts";
import { operations, titled } from "./support/operations.ts";
import { problem } from "./support/problem.ts";

afterEach(() => {
  Object.assign(env, { MAINTENANCE: undefined });
  vi.restoreAllMocks();
});

const closed = () => Object.assign(env, { MAINTENANCE: "on" });

it.each(titled(operations.filter(({ path }) => path !== "/health")))(
  "closes every operation without asking the database: %s",
  async (_title, { method, path }) => {
    closed();
    const logged = vi.spyOn(console, "error");
    const trips = await roundTrips(async () => {
      const response = await call(path.replaceAll(/\{\w+\}/g, "1"), { method, ...(method !== "GET" && { body: {} }) });
      expect(response.headers.get("Retry-After")).toBe("300");
      await problem(response, "maintenance");
    });
    expect(trips).toBe(0);
    expect(logged).not.toHaveBeenCalled();
  },
);

it.each(["/docs", "/openapi.json", "/nope", "//health", "/health/", "/HEALTH"])("closes %s too", async (path) => {
  closed();
  await problem(await call(path), "maintenance");
});

it("leaves the health check open, so that a monitor sees what is the matter", async () => {
  closed();
  expect((await call("/health")).status).toBe(200);
  expect((await call("/health?probe=live")).status).toBe(200);
});

it("is over as soon as the secret says so", async () => {
  const { token } = await signIn();
  closed();
  expect((await call("/client", { token })).status).toBe(503);
  Object.assign(env, { MAINTENANCE: "off" });
  expect((await call("/client", { token })).status).toBe(200);
});
