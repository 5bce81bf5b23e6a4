import { once } from "node:events";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningStack, startBrowser, startStack } from "../support/node/browser.ts";

let stack: RunningStack;
let browser: Browser;
const servers: Server[] = [];

async function listen(server: Server): Promise<string> {
  servers.push(server.listen(0, "127.0.0.1"));
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A web page of another origin than the API's. */
const serveAPage = () =>
  listen(
    createServer((_request, response) => {
      response.setHeader("Content-Type", "text/html");
      response.end("<!doctype html><title>Nexgen ERP</title>");
    }),
  );

let listed: string;
let unlisted: string;
let api: string;

beforeAll(async () => {
  [listed, unlisted] = [await serveAPage(), await serveAPage()];
  [stack, browser] = await Promise.all([startStack({ CORS_ORIGINS: listed }), startBrowser()]);
  api = await passBy(stack.url);
}, 90_000);

afterAll(async () => {
  await browser?.close();
  await stack?.stop();
  for (const server of servers) server.close();
});

/** What the browser sent to the API: requests of its own (preflights) show on no page, so they pass by here. */
const sent: string[] = [];
async function passBy(target: string): Promise<string> {
  const { port } = new URL(target);
  return listen(
    createServer((incoming, answer) => {
      const { method, url, headers } = incoming;
      sent.push(`${method} ${url}`);
      incoming.pipe(
        request({ host: "127.0.0.1", port, method, path: url, headers }, (response) => {
          answer.writeHead(response.statusCode ?? 502, response.rawHeaders);
          response.pipe(answer);
        }),
      );
    }),
  );
}

async function open(origin: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(origin);
  sent.length = 0;
  return page;
}

interface Asked {
  path: string;
  method?: string;
  token?: string;
  body?: object;
}

interface Answer {
  status?: number;
  headers?: Record<string, string>;
  location?: string | undefined;
  body?: { id?: number; access_token?: string } | null;
  refusal?: string;
}

/** What a script of the page gets for a request to the API: the answer as far as it may read it, or the browser's refusal. */
const ask = (page: Page, asked: Asked): Promise<Answer> =>
  page.evaluate(
    async ({ url, method = "GET", token, body }) => {
      try {
        const response = await fetch(url, {
          method,
          headers: {
            ...(token !== undefined && { Authorization: `Bearer ${token}` }),
            ...(body !== undefined && { "Content-Type": "application/json" }),
          },
          ...(body !== undefined && { body: JSON.stringify(body) }),
        });
        const { location, ...headers } = Object.fromEntries(response.headers);
        return {
          status: response.status,
          headers,
          location,
          body: response.status === 204 ? null : ((await response.json()) as Record<string, never>),
        };
      } catch (error) {
        return { refusal: String(error) };
      }
    },
    { ...asked, url: api + asked.path },
  );

const logIn = () => ({
  path: "/auth/login",
  method: "POST",
  body: { username: stack.username, password: stack.password },
});

describe("in a real browser", () => {
  it("a page of a listed origin logs in, reads, writes and deletes, after a preflight of each", async () => {
    const page = await open(listed);
    const tokens = await ask(page, logIn());
    expect(tokens.status).toBe(200);
    const token = String(tokens.body?.access_token);
    expect(await ask(page, { path: "/auth/me", token })).toMatchObject({ status: 200, body: { role: "admin" } });
    const made = await ask(page, { path: "/client", method: "POST", token, body: { name: "Over CORS" } });
    expect(made).toMatchObject({ status: 201, location: `/client/${made.body?.id}` });
    const path = String(made.location);
    expect(await ask(page, { path, method: "PATCH", token, body: { bundle_by_store: true } })).toMatchObject({
      status: 200,
    });
    expect(await ask(page, { path, method: "DELETE", token })).toMatchObject({ status: 204 });
    const refused = await ask(page, { path: "/client?limit=0", token });
    expect(refused).toMatchObject({
      status: 422,
      headers: { "x-request-id": expect.any(String) },
      body: { type: "/problems/validation-failed" },
    });
    expect(await ask(page, { path: "/client", token: "x" })).toMatchObject({
      status: 401,
      headers: { "www-authenticate": expect.stringMatching(/^Bearer/) },
    });
    expect(sent.filter((each) => each.startsWith("OPTIONS"))).toEqual([
      "OPTIONS /auth/login",
      "OPTIONS /auth/me",
      "OPTIONS /client",
      `OPTIONS ${path}`,
      "OPTIONS /client?limit=0",
    ]);
    await page.close();
  });

  it("a page of another origin gets nothing, and what it would have written is not sent", async () => {
    const page = await open(unlisted);
    const sessions = async (token: string) => {
      const response = await fetch(`${stack.url}/auth/sessions`, { headers: { Authorization: `Bearer ${token}` } });
      return ((await response.json()) as { data: unknown[] }).data.length;
    };
    const response = await fetch(stack.url + logIn().path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(logIn().body),
    });
    const { access_token: token } = (await response.json()) as { access_token: string };
    const before = await sessions(token);
    for (const asked of [logIn(), { path: "/auth/me", token }, { path: "/health" }, { path: "/openapi.json" }]) {
      expect(await ask(page, asked)).toEqual({ refusal: "TypeError: Failed to fetch" });
    }
    // What needs no preflight is sent, and its answer kept from the page; the rest never leaves the browser.
    expect(sent).toEqual(["OPTIONS /auth/login", "OPTIONS /auth/me", "GET /health", "GET /openapi.json"]);
    expect(await sessions(token)).toBe(before);
    await page.close();
  });
});
