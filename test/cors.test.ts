import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { call, signIn } from "./support/api.ts";

const erp = "https://erp.example.com";
const corsOf = ({ headers }: Response) =>
  Object.fromEntries([...headers].filter(([name]) => name.startsWith("access-control-")));

beforeEach(() => {
  Object.assign(env, { CORS_ORIGINS: `${erp}, http://127.0.0.1:5173` });
});
afterEach(() => {
  Object.assign(env, { CORS_ORIGINS: "" });
});

const preflight = (origin: string, path = "/po") =>
  call(path, {
    method: "OPTIONS",
    headers: {
      Origin: origin,
      "Access-Control-Request-Method": "POST",
      "Access-Control-Request-Headers": "authorization,content-type",
    },
  });

describe("a page of a listed origin", () => {
  it.each(["/po", "/po/138/line-items", "/auth/login", "/nope"])(
    "is told by a preflight of %s what it may send",
    async (path) => {
      const response = await preflight(erp, path);
      expect(response.status).toBe(204);
      expect(corsOf(response)).toEqual({
        "access-control-allow-origin": erp,
        "access-control-allow-methods": "GET,HEAD,POST,PATCH,DELETE",
        "access-control-allow-headers": expect.stringContaining("Authorization,Content-Type"),
        "access-control-expose-headers": expect.any(String),
        "access-control-max-age": "7200",
      });
      expect(response.headers.get("Vary")).toContain("Origin");
      expect(await response.text()).toBe("");
    },
  );

  it.each<[string, string, number, Parameters<typeof call>[1]]>([
    ["data", "/client", 200, {}],
    ["a refusal without a token", "/client", 401, { headers: { Authorization: "" } }],
    ["an unknown path", "/nope", 404, {}],
    ["an unknown method", "/client", 405, { method: "DELETE" }],
    ["too large a body", "/client", 413, { method: "POST", body: " ".repeat(2 ** 20 + 1) }],
    ["an invalid body", "/auth/login", 422, { method: "POST", body: {} }],
    ["the document", "/openapi.json", 200, {}],
    ["the docs page", "/docs", 200, {}],
  ])(
    "may read %s, its errors and the headers it needs, never with credentials",
    async (_case, path, status, options) => {
      const { token } = await signIn("admin");
      const response = await call(path, { token, ...options, headers: { Origin: erp, ...options?.headers } });
      expect(response.status).toBe(status);
      expect(corsOf(response)).toEqual({
        "access-control-allow-origin": erp,
        "access-control-expose-headers": expect.stringMatching(/\bLocation\b.*\bRetry-After\b.*\bX-Request-Id\b/),
      });
      expect(response.headers.get("Vary")).toContain("Origin");
      await response.arrayBuffer();
    },
  );
});

describe("a page of any other origin", () => {
  it.each([
    "https://evil.example",
    "http://erp.example.com",
    "https://erp.example.com:8443",
    "https://erp.example.com.evil.example",
    "https://evil-erp.example.com",
    "https://sub.erp.example.com",
    "https://ERP.example.com",
    "http://127.0.0.1:5174",
    "null",
    "*",
    "",
    `${erp},http://127.0.0.1:5173`,
  ])("is told nothing: %s", async (origin) => {
    // As any OPTIONS is answered; without a header of CORS a browser takes it for a refusal.
    const refused = await preflight(origin);
    expect([refused.status, refused.headers.get("Allow")]).toEqual([204, "POST, OPTIONS"]);
    const { token } = await signIn();
    const answered = await call("/client", { token, headers: { Origin: origin } });
    expect(answered.status).toBe(200);
    for (const response of [refused, answered]) {
      expect(corsOf(response)).toEqual({});
      // A cache must not give this answer to a page that is on the list.
      expect(response.headers.get("Vary")).toContain("Origin");
    }
  });

  it("is every one where the list is empty", async () => {
    Object.assign(env, { CORS_ORIGINS: "" });
    const response = await preflight(erp);
    expect(response.status).toBe(204);
    expect(corsOf(response)).toEqual({});
    expect(response.headers.has("Vary")).toBe(false);
  });
});
