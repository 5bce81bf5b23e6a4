import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page, Request, Response } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningStack, startBrowser, startStack } from "../support/node/browser.ts";

let stack: RunningStack;
let browser: Browser;

beforeAll(async () => {
  [stack, browser] = await Promise.all([startStack(), startBrowser()]);
}, 90_000);

afterAll(async () => {
  await browser?.close();
  await stack?.stop();
});

const desktop = { viewport: { width: 1280, height: 900 } };
const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

/** The docs in a browser of their own, with all that must not happen there. */
async function openDocs(options: BrowserContextOptions = desktop) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const requests: Request[] = [];
  const faults: string[] = [];
  context.on("request", (request) => requests.push(request));
  page.on("pageerror", (error) => faults.push(error.message));
  // A breach of the policy is among them.
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) faults.push(message.text());
  });
  await page.goto(`${stack.url}/docs`);
  await page.getByRole("heading", { name: "Nexgen Finance API" }).waitFor();
  const expectClean = () => {
    expect(faults).toEqual([]);
    const hosts = requests.map((request) => new URL(request.url())).filter(({ protocol }) => protocol !== "data:");
    expect([...new Set(hosts.map(({ origin }) => origin))]).toEqual([stack.url]);
  };
  return { page, requests, expectClean, close: () => context.close() };
}

/** SCREENSHOTS=folder keeps what a person should look at. */
async function show(page: Page, name: string) {
  const folder = process.env.SCREENSHOTS;
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

interface Documented {
  path: string;
  method: string;
  tag: string;
  summary: string;
}

async function documented(): Promise<Documented[]> {
  const response = await fetch(`${stack.url}/openapi.json`);
  const { paths } = (await response.json()) as { paths: Record<string, object> };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { tags, summary }]) => ({
      path,
      method: method.toUpperCase(),
      tag: String(tags[0]),
      summary: String(summary),
    })),
  );
}

const idOf = ({ tag, method, path }: Omit<Documented, "summary">) => `tag/${tag}/${method}${path}`;
/** In the list at the side: the editor has another one, and so has a phone. */
const entryOf = (page: Page, id: string) => page.locator(`[data-sidebar-id$="/${id}"]`).filter({ visible: true });

/** Opens a group of operations in the list at the side. */
async function unfold(page: Page, tag: string) {
  const group = entryOf(page, `tag/${tag}`).locator("> div button[aria-expanded]");
  if ((await group.getAttribute("aria-expanded")) !== "true") await group.click();
}

/** Goes to an operation by the list at the side, and opens its editor. */
async function openEditor(page: Page, operation: Omit<Documented, "summary">) {
  const id = idOf(operation);
  await unfold(page, operation.tag);
  await entryOf(page, id).getByRole("link").click();
  await page.locator(`section[id$="/${id}"]`).getByRole("button", { name: "Test Request" }).click();
  return page.getByRole("dialog");
}

/** Sends a request from the page as a person does, and closes the editor again. */
async function send(page: Page, method: string, path: string, tag: string, body?: object): Promise<Response> {
  const editor = await openEditor(page, { method, path, tag });
  if (body) await editor.locator(".cm-content").first().fill(JSON.stringify(body));
  const [response] = await Promise.all([
    page.waitForResponse((each) => new URL(each.url()).pathname === path),
    editor.getByRole("button", { name: /^Send/ }).first().click(),
  ]);
  await editor.getByText(String(response.status())).first().waitFor();
  await show(page, `${method}${path.replaceAll("/", "-")}`);
  await page.keyboard.press("Escape");
  await editor.waitFor({ state: "hidden" });
  return response;
}

describe("the docs in a real browser", () => {
  it("open at the API's address, and are called by its name", async () => {
    const page = await browser.newPage();
    await page.goto(stack.url);
    expect(page.url()).toBe(`${stack.url}/docs`);
    expect(await page.title()).toBe("Nexgen Finance API");
    await page.close();
  });

  it("offer the document as it is to download", async () => {
    const { page, close } = await openDocs();
    const [download] = await Promise.all([
      page.waitForResponse((response) => response.url() === `${stack.url}/openapi.json`),
      page.getByRole("link", { name: "Download OpenAPI Document" }).click(),
    ]);
    expect(await download.text()).toBe(await (await fetch(`${stack.url}/openapi.json`)).text());
    await close();
  });

  it("show every operation of the document, at the side and in the text", async () => {
    const { page, expectClean, close } = await openDocs();
    const operations = await documented();
    for (const tag of new Set(operations.map((operation) => operation.tag))) await unfold(page, tag);
    const listed = await page
      .locator("[data-sidebar-id]")
      .evaluateAll((entries) => entries.map((entry) => entry.getAttribute("data-sidebar-id") ?? ""));
    const shown = listed.map((id) => id.replace(/^[^/]*\//, "")).filter((id) => /\/[A-Z]+\//.test(id));
    expect(shown.toSorted()).toEqual(operations.map(idOf).toSorted());
    for (const operation of operations) {
      const entry = entryOf(page, idOf(operation)).getByRole("link");
      expect((await entry.innerText()).replace(/\s+/g, " ")).toContain(operation.path);
      await entry.click();
      await page.getByRole("heading", { name: operation.summary, exact: true }).first().waitFor();
    }
    expectClean();
    await close();
  }, 120_000);

  it("log in by a log-in that is sent from them, send requests with its token, and keep it nowhere", async () => {
    const { page, requests, expectClean, close } = await openDocs();
    const { username, password } = stack;
    const tokens = await (await send(page, "POST", "/auth/login", "auth", { username, password })).json();
    const bearer = `Bearer ${tokens.access_token}`;
    const me = await send(page, "GET", "/auth/me", "auth");
    expect(await me.json()).toMatchObject({ username, role: "admin" });
    expect(me.request().headers().authorization).toBe(bearer);
    const made = await send(page, "POST", "/client", "client", { name: "From the docs" });
    expect(made.status()).toBe(201);
    expect(await made.json()).toMatchObject({ name: "From the docs" });
    // Neither a cursor nor a filter goes along unless it is ticked, nor the example of an Idempotency-Key or an ETag.
    expect(made.request().headers()).not.toHaveProperty("idempotency-key");
    const listed = await send(page, "GET", "/po/list", "po");
    expect([listed.status(), new URL(listed.url()).search]).toEqual([200, ""]);
    const kept = await page.evaluate<string>(
      "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href])",
    );
    for (const secret of [password, tokens.access_token, tokens.refresh_token]) expect(kept).not.toContain(secret);
    expect((await send(page, "POST", "/auth/logout", "auth")).status()).toBe(204);
    const health = await send(page, "GET", "/health", "health");
    expect(health.request().headers().authorization ?? "").not.toContain("ey");
    expect(requests.filter((request) => request.method() === "POST").map((request) => request.url())).toEqual(
      ["/auth/login", "/client", "/auth/logout"].map((path) => stack.url + path),
    );
    expectClean();
    await close();
  }, 90_000);

  it.each<[string, BrowserContextOptions, bright: boolean]>([
    ["light", { ...desktop, colorScheme: "light" }, true],
    ["dark", { ...desktop, colorScheme: "dark" }, false],
    ["phone", { ...phone, colorScheme: "light" }, true],
  ])(
    "fit the screen, the editor too, and follow the colours of the system: %s",
    async (name, options, bright) => {
      const { page, expectClean, close } = await openDocs(options);
      const width = options.viewport?.width;
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(width);
      const colour = await page.evaluate<string>("getComputedStyle(document.body).backgroundColor");
      const [red = 0] = /\d+/.exec(colour)?.map(Number) ?? [];
      expect(red > 127).toBe(bright);
      await show(page, name);
      if (name === "phone") await page.getByRole("button", { name: "Open Menu" }).click();
      await show(page, `${name}-list`);
      const editor = await openEditor(page, { tag: "auth", method: "POST", path: "/auth/login" });
      await editor.locator(".cm-content").first().waitFor();
      await editor
        .locator(".cm-content")
        .first()
        .fill(JSON.stringify({ username: "a".repeat(200), password: "" }));
      // The end of the long line is where the cursor is; the editor around it has not been pushed aside.
      const pushed = await editor.evaluate(
        (dialog) =>
          [dialog, ...dialog.querySelectorAll("*")].filter(
            (element) => element.scrollLeft > 0 && !element.matches(".cm-scroller"),
          ).length,
      );
      expect(pushed).toBe(0);
      await show(page, `${name}-editor`);
      expectClean();
      await close();
    },
    60_000,
  );
});
