import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { freePort } from "../../tools/postgres.ts";
import { checks } from "../../tools/smoke/checks.ts";
import { dataDirectory, endAll, runTool } from "../support/node/dev.ts";
import { fixturePath } from "../support/node/legacy-fixture.ts";

const tool = join(import.meta.dirname, "../../tools/smoke.ts");
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

/** The dev stack after the take-over of the legacy backup, with the admin that an operator makes then. */
const stack = { url: "", username: "operator", password: "seven green boats at noon" };
let running: ReturnType<typeof runTool> | undefined;
let directory = "";
/** Of a session of the test's own. */
let token = "";

beforeAll(async () => {
  directory = await dataDirectory();
  const port = await freePort();
  const variables = { NEXGEN_DATA_DIR: directory, NEXGEN_PASSWORD: stack.password };
  const ofWorker = { CORS_ORIGINS: "https://erp.example.com", BCRYPT_COST: "10" };
  running = runTool("dev.ts", { ...variables, ...ofWorker, PORT: String(port), NEXGEN_SEED: "none" });
  await running.ready();
  const { username, password } = stack;
  for (const [tool, args] of [
    ["import.ts", [fixturePath]],
    ["user.ts", ["create", "--username", username, "--email", "operator@example.com", "--role", "admin"]],
  ] as const) {
    const { code, output } = await runTool(tool, variables, args).exited;
    expect(code, output).toBe(0);
  }
  stack.url = `http://localhost:${port}`;
  token = (await api<{ access_token: string }>("POST", "/auth/login", { username, password })).access_token;
});
afterAll(async () => {
  if (running) await endAll([running.child]);
  await rm(directory, { recursive: true, force: true });
});

const open: { close(): unknown }[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

async function api<Body>(method: string, path: string, body?: object): Promise<Body> {
  const answer = await fetch(stack.url + path, {
    method,
    headers: { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  expect(answer.ok, `${method} ${path}: ${text}`).toBe(true);
  return (text === "" ? undefined : JSON.parse(text)) as Body;
}

const counts = async () => (await api<{ tables: Record<string, number> }>("GET", "/ops/counts")).tables;
const newestAuditEntry = async () => (await api<{ data: { id: number }[] }>("GET", "/ops/audit?limit=1")).data[0]?.id;

/** Starts the tool as a person would; with the operator's password unless another one is given. */
function start(args: string[], variables: Record<string, string> = {}) {
  const { npm_lifecycle_event: _, ...environment } = process.env;
  const child = spawn(process.execPath, [tool, ...args], {
    env: { ...environment, NEXGEN_PASSWORD: stack.password, ...variables },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said.out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said.err += text;
  });
  const ended = once(child, "close").then(([code]) => {
    expect(said.out + said.err, "no password, no token").not.toMatch(/eyJ[\w-]{10}/);
    expect(said.out + said.err).not.toContain(variables.NEXGEN_PASSWORD || stack.password);
    return { code: code as number, ...said };
  });
  return { child, said, ended };
}

const smoke = (url: string, args: string[] = [], variables?: Record<string, string>) =>
  start([url, "--username", stack.username, ...args], variables).ended;

interface Report {
  ok: boolean;
  checks: { section: string; name: string; status: string; milliseconds: number; detail: string }[];
}
const report = async (...run: Parameters<typeof smoke>) => {
  const [url, args = [], variables] = run;
  const { code, out, err } = await smoke(url, [...args, "--json"], variables);
  const { ok, checks } = JSON.parse(out) as Report;
  const named = (status: string) => checks.filter((check) => check.status === status).map(({ name }) => name);
  return { code, ok, checks, err, passed: named("pass"), failed: named("fail"), notRun: named("not-run") };
};

/** What plain http on this machine has no answer to. */
const notHere = ["Network security", "HTTPS/TLS enabled", "SSL certificate", "API rate limits"];

it("passes after the take-over with the checklist's figures, and leaves every count as it was", async () => {
  const before = await counts();
  const figures = "client=2,vendor=13,client_po=4,client_po_line_item=156,orphans=75";
  const expected = ["--expect", figures, "--origin", "https://erp.example.com"];
  const { code, ok, checks: made, err, notRun } = await report(stack.url, expected);
  expect(err).toBe("");
  expect([code, ok]).toEqual([0, true]);
  expect(made.map(({ name }) => name)).toEqual(checks.map(({ name }) => name));
  expect(notRun).toEqual(notHere);
  for (const { name, milliseconds } of made) expect(milliseconds, name).toBeLessThan(30_000);
  expect(await counts()).toEqual(before);
  const { data } = await api<{ data: { name: string }[] }>("GET", "/client?limit=200");
  expect(data.filter(({ name }) => name.startsWith("Smoke test"))).toEqual([]);
});

it("writes nothing with --read-only, and passes", async () => {
  const before = await newestAuditEntry();
  const { code, out, err } = await smoke(stack.url, ["--read-only"]);
  expect(err).toBe("");
  expect(code).toBe(0);
  expect(out).toMatch(/^API Testing\n {2}ok {3}GET \/health +\d+ ms {2}version .*, database up$/m);
  const writing = checks.filter(({ writes }) => writes).map(({ name }) => name);
  for (const name of writing) expect(out).toContain(`-    ${name} `);
  expect(out).toMatch(new RegExp(`, 0 failed, ${writing.length + notHere.length} not run, in [\\d.]+ s\\.\n$`));
  expect(await newestAuditEntry()).toBe(before);
});

it("names the count that is not as expected", async () => {
  const before = await counts();
  const wrong = `client=${before.client},vendor=${Number(before.vendor) + 1},orphans=0`;
  const { code, err } = await smoke(stack.url, ["--read-only", "--expect", wrong]);
  expect(err).toBe(
    `smoke: FAILED: Record counts match backup: vendor has ${before.vendor} rows, not ${Number(before.vendor) + 1}; ` +
      "orphans has 75 rows, not 0\n",
  );
  expect(code).toBe(1);
});

it("names the log-in when the password is wrong", async () => {
  const wrong = "seven brown boats at noon";
  const { code, err, failed, passed } = await report(stack.url, [], { NEXGEN_PASSWORD: wrong });
  expect(failed).toEqual(["Test user login"]);
  expect(err).toBe("smoke: FAILED: Test user login: POST /auth/login answered 401 Username or password is wrong\n");
  expect(code).toBe(1);
  // What needs no account is answered all the same.
  expect(passed).toEqual(["GET /health", "GET /docs", "CORS configured properly", "XSS prevention headers"]);
});

it("refuses the account of a viewer, and writes nothing", async () => {
  const account = { username: `viewer-${crypto.randomUUID()}`, password: "seven brown boats at noon" };
  await api("POST", "/user", { ...account, email: `${account.username}@example.com`, role: "viewer" });
  const before = await newestAuditEntry();
  const { ended } = start([stack.url, "--username", account.username], { NEXGEN_PASSWORD: account.password });
  const { code, err } = await ended;
  expect(err).toBe(
    `smoke: FAILED: Test protected endpoint with token: ${account.username} is viewer: the smoke test needs an admin's account\n`,
  );
  expect(code).toBe(1);
  expect(await newestAuditEntry()).toBe(before);
});

it("gives no password to a server that is not ours", async () => {
  const asked: string[] = [];
  const url = await listen(
    createServer((incoming, answer) => {
      asked.push(`${incoming.method} ${incoming.url}`);
      answer.setHeader("Content-Type", "application/json").end('{"status":"UP"}');
    }),
  );
  const { code, err, failed, passed } = await report(url);
  expect([code, failed, passed]).toEqual([1, ["GET /health"], []]);
  expect(err).toContain(`not as this API does: is ${url} the right address?`);
  expect(asked).toEqual(["GET /health"]);
});

it("says that a server is down", async () => {
  const url = `http://127.0.0.1:${await freePort()}`;
  const { code, err, failed } = await report(url);
  expect([code, failed]).toEqual([1, ["GET /health"]]);
  expect(err).toMatch(
    /^smoke: FAILED: GET \/health: http:\/\/127\.0\.0\.1:\d+ cannot be reached: connect ECONNREFUSED/,
  );
});

it("stops with Ctrl-C, and removes what it wrote", async () => {
  const before = await counts();
  const { child, said, ended } = start([stack.url, "--username", stack.username]);
  await vi.waitFor(() => expect(said.out).toContain("ok   POST /po/{po_id}/line-items"), 60_000);
  child.kill("SIGINT");
  const { code, out } = await ended;
  expect(code).toBe(130);
  expect(out).toMatch(/ok {3}Everything written is removed/);
  expect(out).toMatch(/ok {3}Log-out ends the session/);
  expect(await counts()).toEqual(before);
});

it("finds what a broken server does wrong, line by line, and says what it could not remove", async () => {
  const before = await counts();
  let bearer: string | undefined;
  const url = await listen(
    passOn({
      request(incoming) {
        bearer ??= incoming.headers.authorization;
        // No token is asked for: whoever comes is let in as somebody who was.
        if (incoming.url === "/client" && bearer) incoming.headers.authorization = bearer;
        if (incoming.method !== "DELETE") return undefined;
        // Says that it deletes a line, and keeps it; does not delete a client at all.
        if (/\/line-items\//.test(incoming.url ?? "")) return 204;
        return /^\/client\//.test(incoming.url ?? "") ? 503 : undefined;
      },
      headers(headers) {
        headers["access-control-allow-origin"] = "*";
        delete headers["x-content-type-options"];
      },
      body: (text, path) => {
        if (path.startsWith("/vendor?limit=200")) return JSON.stringify({ ...JSON.parse(text), data: [] });
        if (path.startsWith("/po/aggregated")) return text.replaceAll('"is_bundled":true', '"is_bundled":false');
        if (path.startsWith("/ops/audit")) return text.replaceAll('"nexgen_api"', '"nexgen_owner"');
        return text;
      },
    }),
  );
  const { code, failed, err } = await report(url);
  expect(failed).toEqual([
    "GET /po/aggregated/by-store",
    "Line items work",
    "Aggregation works",
    "Foreign key relationships intact",
    "All records accessible",
    "Database user permissions",
    "CORS configured properly",
    "XSS prevention headers",
    "JWT token validation working",
    "Token expiration enforced",
    "Everything written is removed",
  ]);
  expect(code).toBe(1);
  expect(err).toContain("Line items work: after deleting it the PO's value is 10511 paise more, not 0\n");
  const [, client] = /removed: DELETE (\/client\/\d+) answered 503\. Left: \1\n/.exec(err) ?? [];
  await api("DELETE", String(client));
  expect(await counts()).toEqual(before);
});

it.skipIf(!process.env.CI && !(await hasOpenssl()))(
  "looks at the certificate and at what plain http does",
  async () => {
    const directory = await mkdtemp(join(tmpdir(), "nexgen-smoke-"));
    try {
      const good = await certificate(directory, "good", 90);
      const redirecting = await serveBoth(good, (incoming, answer) => {
        answer.writeHead(308, { Location: `https://${incoming.headers.host}${incoming.url}` }).end();
      });
      const secure = await report(redirecting, ["--read-only"], { NODE_EXTRA_CA_CERTS: good.file });
      expect([secure.code, secure.err]).toEqual([0, ""]);
      const detail = (name: string) => secure.checks.find((check) => check.name === name)?.detail;
      expect(detail("SSL certificate")).toMatch(/^(89|90) days left$/);
      expect(detail("HTTPS/TLS enabled")).toBe("plain http is redirected (308)");

      const old = await certificate(directory, "old", 5);
      const serving = await serveBoth(old, (_incoming, answer) => {
        answer.end("served without TLS");
      });
      const insecure = await report(serving, ["--read-only"], { NODE_EXTRA_CA_CERTS: old.file });
      expect([insecure.code, insecure.failed]).toEqual([1, ["HTTPS/TLS enabled", "SSL certificate"]]);
      expect(insecure.err).toMatch(/answered 200, not a redirect to https\n.*the certificate has [45] days left/);

      // A certificate that nobody vouches for is not a matter of days.
      const unknown = await report(serving, ["--read-only"]);
      expect([unknown.code, unknown.failed]).toEqual([1, ["GET /health"]]);
      expect(unknown.err).toMatch(/self-signed certificate/);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
);

it("refuses what would show the password, or what it cannot understand", async () => {
  const cases: [code: number, args: string[], message: RegExp][] = [
    [1, ["http://api.example.com", "--username", "a"], /would send the password unencrypted: write https:\/\/api/],
    [1, ["api.example.com", "--username", "a"], /is not a URL: write https:\/\/host/],
    [2, [stack.url], /required option '--username <name>'/],
    [2, ["--username", "a"], /missing required argument 'url'/],
    [2, [stack.url, "--username", "a", "--expect", "klient=2"], /There are: billing_po, .*orphans/],
    [2, [stack.url, "--username", "a", "--expect", "client=two"], /Write client=2,vendor=13/],
    [2, [stack.url, "--username", "a", "--origin", "https://erp.example.com/"], /An origin is https:\/\/host, no more/],
  ];
  for (const [code, args, message] of cases) {
    const refused = await start(args).ended;
    expect(refused.err, args.join(" ")).toMatch(message);
    expect(refused.code, args.join(" ")).toBe(code);
  }
  const silent = await start([stack.url, "--username", "a"], { NEXGEN_PASSWORD: "" }).ended;
  expect([silent.code, silent.err]).toEqual([1, expect.stringContaining("set NEXGEN_PASSWORD")]);
});

it("explains itself", async () => {
  const { code, out } = await start(["--help"]).ended;
  expect(code).toBe(0);
  for (const option of ["--username", "--expect", "--read-only", "--origin", "--rate-limit", "--json", "Exit codes"])
    expect(out).toContain(option);
});

// The last one: nobody here can log in for a minute after it.
it("finds the limit of log-ins when it is asked to", async () => {
  const { code, checks: made, err } = await report(stack.url, ["--read-only", "--rate-limit"]);
  expect([code, err]).toEqual([0, ""]);
  const limit = made.find(({ name }) => name === "API rate limits");
  expect(limit?.detail).toMatch(/^\d+ were let through; "sign-in";q=200;w=60$/);
});

async function listen(server: Server | TcpServer): Promise<string> {
  open.push(server.listen(0, "127.0.0.1"));
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Faults {
  /** Answers with this status instead of asking the stack. */
  request?(incoming: IncomingMessage): number | undefined;
  headers?(headers: Record<string, string | string[] | undefined>): void;
  body?(text: string, path: string): string;
}

const passOn = (faults: Faults) => createServer((incoming, answer) => forward(incoming, answer, faults));

/** The stack's answer, as a server with these faults would give it. */
function forward(incoming: IncomingMessage, answer: ServerResponse, faults: Faults = {}): void {
  const { method, url: path = "", headers } = incoming;
  const status = faults.request?.(incoming);
  if (status !== undefined) {
    incoming.resume();
    answer.writeHead(status).end();
    return;
  }
  const { port } = new URL(stack.url);
  incoming.pipe(
    request(
      { host: "127.0.0.1", port, method, path, headers: { ...headers, "accept-encoding": "identity" } },
      (given) => {
        const chunks: Buffer[] = [];
        given.on("data", (chunk: Buffer) => chunks.push(chunk));
        given.on("end", () => {
          const { "content-length": _, "transfer-encoding": __, ...kept } = given.headers;
          faults.headers?.(kept);
          const text = Buffer.concat(chunks).toString();
          const changed = given.statusCode === 200 ? (faults.body?.(text, path) ?? text) : text;
          answer.writeHead(given.statusCode ?? 502, kept).end(changed);
        });
      },
    ),
  );
}

interface Certificate {
  file: string;
  cert: string;
  key: string;
}

/** The stack behind TLS, and on the same port what answers plain http. */
async function serveBoth(
  { cert, key }: Certificate,
  plainly: (incoming: IncomingMessage, answer: ServerResponse) => void,
): Promise<string> {
  const secure = createTlsServer({ cert, key }, (incoming, answer) => forward(incoming, answer));
  const plain = createServer(plainly);
  const both = createTcpServer((socket) => {
    socket.once("data", (first) => {
      socket.pause();
      socket.unshift(first);
      // A TLS handshake begins with the byte 22 (RFC 8446, section 5.1).
      (first[0] === 22 ? secure : plain).emit("connection", socket);
      process.nextTick(() => socket.resume());
    });
    socket.on("error", () => socket.destroy());
  });
  const url = new URL(await listen(both));
  return `https://localhost:${url.port}`;
}

async function certificate(directory: string, name: string, days: number): Promise<Certificate> {
  const [file, key] = [join(directory, `${name}.pem`), join(directory, `${name}.key`)];
  const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  await promisify(execFile)("openssl", [...args, "-days", `${days}`, ...subject, "-out", file, "-keyout", key]);
  return { file, cert: await readFile(file, "utf8"), key: await readFile(key, "utf8") };
}

function hasOpenssl(): Promise<boolean> {
  return promisify(execFile)("openssl", ["version"]).then(
    () => true,
    () => false,
  );
}
