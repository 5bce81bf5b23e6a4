import { describe, expect, it } from "vitest";
import { call, signIn } from "./support/api.ts";
import { problem } from "./support/problem.ts";
import { insertClient } from "./support/rows.ts";

/** The directives of a Content-Security-Policy. */
function policyOf(response: Response): Record<string, string[]> {
  const directives = (response.headers.get("Content-Security-Policy") ?? "").split(";").map((each) => each.trim());
  return Object.fromEntries(
    directives.map((each) => each.split(/\s+/)).map(([name = "", ...sources]) => [name, sources]),
  );
}

function expectSecure(response: Response) {
  const { headers } = response;
  const [, seconds] = /^max-age=(\d+); includeSubDomains$/.exec(headers.get("Strict-Transport-Security") ?? "") ?? [];
  expect(Number(seconds)).toBeGreaterThanOrEqual(31_536_000);
  expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
  expect(headers.get("X-Frame-Options")).toBe("DENY");
  expect(headers.get("Referrer-Policy")).toBe("no-referrer");
  expect(policyOf(response)).toMatchObject({ "default-src": ["'none'"], "frame-ancestors": ["'none'"] });
  for (const name of ["Server", "X-Powered-By", "Via", "X-AspNet-Version"]) expect(headers.get(name)).toBeNull();
  // Twice the same header would be one with a comma.
  for (const name of ["Strict-Transport-Security", "X-Content-Type-Options", "X-Request-Id", "Cache-Control"]) {
    expect(headers.get(name)).not.toMatch(/,.*\b(max-age=31536000|nosniff|no-store)\b/);
  }
  expect(headers.get("X-Request-Id")).toMatch(/^[\w=-]+$/);
}

const files: [path: string, type: string, content: string][] = [
  ["/docs", "text/html", '<div id="reference">'],
  ["/docs/scalar.js", "text/javascript", "createApiReference"],
  ["/docs/start.js", "text/javascript", "/openapi.json"],
];

describe("the docs", () => {
  it.each(files)("answers %s as %s", async (path, type, content) => {
    const response = await call(path);
    expect(response.status).toBe(200);
    expect(response.headers.get("Content-Type")).toMatch(new RegExp(`^${type}(; charset=utf-8)?$`));
    expect(await response.text()).toContain(content);
  });

  it.each(files)("lets %s load from this host alone, and no inline script", async (path) => {
    const response = await call(path);
    expectSecure(response);
    const policy = policyOf(response);
    expect(policy).toMatchObject({
      "default-src": ["'none'"],
      "script-src": ["'self'"],
      "connect-src": ["'self'"],
      "object-src": ["'none'"],
      "base-uri": ["'none'"],
      "form-action": ["'none'"],
      "frame-ancestors": ["'none'"],
    });
    const sources = new Set(Object.values(policy).flat());
    expect([...sources].filter((source) => !["'self'", "'none'", "'unsafe-inline'", "data:"].includes(source))).toEqual(
      [],
    );
    expect(
      Object.entries(policy)
        .filter(([, each]) => each.includes("'unsafe-inline'"))
        .map(([name]) => name),
    ).toEqual(["style-src"]);
  });

  it("has a page that the policy does not break: no inline script or handler, nothing of another host", async () => {
    const page = await (await call("/docs")).text();
    expect(page).not.toMatch(/<script(?![^>]*\ssrc=)[^>]*>/);
    expect(page).not.toMatch(/\son\w+=/);
    const targets = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, target = ""]) => target);
    expect(targets).toEqual(expect.arrayContaining(["/docs/scalar.js", "/docs/start.js", "/openapi.json"]));
    expect(targets.filter((target) => !/^(\/(?!\/)|data:,)/.test(target))).toEqual([]);
    const start = await (await call("/docs/start.js")).text();
    expect(start).not.toMatch(/https?:\/\//);
  });

  it("are where the address alone leads to", async () => {
    const response = await call("/");
    expect(response.status).toBe(302);
    expect(response.headers.get("Location")).toBe("/docs");
    expectSecure(response);
    await problem(await call("/", { method: "POST" }), "method-not-allowed");
  });

  it("answers HEAD with the same headers and no body", async () => {
    for (const [path] of files) {
      const [head, get] = [await call(path, { method: "HEAD" }), await call(path)];
      expect(head.status).toBe(200);
      expect(await head.text()).toBe("");
      expect(head.headers.get("Content-Type")).toBe(get.headers.get("Content-Type"));
      await get.arrayBuffer();
    }
  });

  it.each([
    "/docs/index.html",
    "/docs/",
    "/docs/index",
    "/index.html",
    "/docs/nope.js",
    "/docs/scalar.js/",
    "/docs/scalar%2Ejs%00",
    "/docs/..%2fwrangler.toml",
    "/docs/../docs/index.html",
    "/docs//scalar.js",
    "/scalar.js",
    "/public/docs/scalar.js",
    "/_headers",
    "/.dev.vars",
    "/wrangler.toml",
    "/src/index.ts",
    "/cdn-cgi/nope",
  ])("has nothing else: %s", async (path) => {
    const response = await call(path);
    expect(response.status).toBe(404);
    expect(response.headers.get("Content-Type")).toBe("application/problem+json");
    await response.arrayBuffer();
  });
});

describe("every answer of the API", () => {
  it.each<[string, string, number, Parameters<typeof call>[1]]>([
    ["a health check", "/health", 200, {}],
    ["the OpenAPI document", "/openapi.json", 200, {}],
    ["a kind of problem", "/problems/not-found", 200, {}],
    ["malformed JSON", "/auth/login", 400, { method: "POST", body: "{" }],
    ["no token", "/client", 401, {}],
    ["a wrong token", "/client", 401, { token: "x" }],
    ["an unknown path", "/nope", 404, {}],
    ["an unknown method", "/client", 405, { method: "DELETE" }],
    ["too large a body", "/auth/login", 413, { method: "POST", body: " ".repeat(2 ** 20 + 1) }],
    [
      "another media type",
      "/auth/login",
      415,
      { method: "POST", body: "{}", headers: { "Content-Type": "text/plain" } },
    ],
    ["an invalid body", "/auth/login", 422, { method: "POST", body: {} }],
    ["a preflight of a stranger", "/client", 204, { method: "OPTIONS", headers: { Origin: "https://evil.example" } }],
  ])("has secure headers and is not stored: %s", async (_case, path, status, options) => {
    const response = await call(path, options);
    expect(response.status).toBe(status);
    expectSecure(response);
    const nothing = ["default-src", "object-src", "base-uri", "form-action", "frame-ancestors"];
    expect(policyOf(response)).toEqual(Object.fromEntries(nothing.map((directive) => [directive, ["'none'"]])));
    expect(response.headers.get("Cache-Control")).toBe("no-store");
    expect(response.headers.get("Access-Control-Allow-Origin")).toBeNull();
    await response.arrayBuffer();
  });

  it("has them with data too, and is JSON", async () => {
    const { token } = await signIn();
    const response = await call(`/client/${await insertClient()}`, { token });
    expect(response.status).toBe(200);
    expectSecure(response);
    expect(response.headers.get("Content-Type")).toBe("application/json");
    expect(response.headers.get("Cache-Control")).toBe("no-store");
    expect(response.headers.get("Set-Cookie")).toBeNull();
  });
});
