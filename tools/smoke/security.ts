import { connect as openTls } from "node:tls";
import { base64url, decodeJwt } from "jose";
import { described, Failed, type Schemas } from "./api.ts";
import { assert, type Check, NotRun, type Run } from "./check.ts";
import { asAdmin, tokensOf } from "./endpoints.ts";

const section = "Security";
const health = "GET /health";

/** Cloudflare renews a certificate 30 days before its end: with fewer than these left that has failed. */
const fewDays = 14;

export const securityChecks: Check[] = [
  {
    section,
    name: "Database user permissions",
    needs: asAdmin,
    async run({ api }) {
      const { data } = await api.expect<Schemas["AuditEntryPage"]>(200, "GET", "/ops/audit?limit=200");
      const byUsers = data.filter(({ user_id }) => user_id !== null);
      if (byUsers.length === 0) throw new NotRun("nobody has written through the API yet");
      for (const { database_role, id } of byUsers)
        assert(database_role === "nexgen_api", `entry ${id} of the audit log was written by the role ${database_role}`);
      return "the API writes as nexgen_api, which owns nothing";
    },
  },
  {
    section,
    name: "Network security",
    async run() {
      throw new NotRun("not to be seen from outside: docs/security.md");
    },
  },
  {
    section,
    name: "HTTPS/TLS enabled",
    needs: health,
    async run({ api }) {
      const { url } = api;
      if (url.protocol === "http:") throw new NotRun("plain http on this machine");
      const plain = new URL("/health", url);
      plain.protocol = "http:";
      const answer = await fetch(plain, { redirect: "manual", signal: AbortSignal.timeout(10_000) }).catch(
        () => undefined,
      );
      if (!answer) return "plain http is not answered";
      const location = answer.headers.get("Location") ?? "";
      assert(
        answer.status >= 301 && answer.status <= 308 && location.startsWith("https://"),
        `${plain.origin} answered ${answer.status}, not a redirect to https`,
      );
      return `plain http is redirected (${answer.status})`;
    },
  },
  {
    section,
    name: "SSL certificate",
    needs: health,
    async run({ api }) {
      if (api.url.protocol === "http:") throw new NotRun("plain http on this machine");
      const end = await certificateEnd(api.url);
      const days = Math.floor((end.getTime() - Date.now()) / 86_400_000);
      assert(days >= fewDays, `the certificate has ${days} days left (${end.toISOString().slice(0, 10)})`);
      return `${days} days left`;
    },
  },
  {
    section,
    name: "CORS configured properly",
    needs: health,
    async run({ api, origin }) {
      const stranger = "https://smoke-test.invalid";
      const allowed = async (from: string) => {
        const preflight = { "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type" };
        const headers = { Origin: from };
        const answers = [
          await api.send("GET", "/health", { headers, token: null }),
          await api.send("OPTIONS", "/auth/login", { headers: { ...headers, ...preflight }, token: null }),
        ];
        return answers.map((answer) => answer.headers.get("Access-Control-Allow-Origin"));
      };
      assert(
        (await allowed(stranger)).every((each) => each === null),
        `a page of any origin may call it: ${stranger} is let in`,
      );
      if (origin === undefined) return "a stranger's page is not let in";
      assert(
        (await allowed(origin)).every((each) => each === origin),
        `${origin} is not let in: CORS_ORIGINS`,
      );
      return `${origin} is let in, a stranger's page is not`;
    },
  },
  {
    section,
    name: "API rate limits",
    needs: health,
    async run({ api, rateLimit }) {
      if (!rateLimit) throw new NotRun("it would use up this address's log-ins of a minute: --rate-limit");
      // Does not validate, so that nothing but the limit is asked.
      for (let sent = 1; sent <= 500; sent++) {
        const answer = await api.send("POST", "/auth/refresh", { body: {}, token: null });
        if (answer.status !== 429) continue;
        const policy = answer.headers.get("RateLimit-Policy") ?? "";
        assert(/^"sign-in";q=\d+;w=60$/.test(policy), `429 came with the RateLimit-Policy ${policy || "missing"}`);
        const wait = answer.headers.get("Retry-After");
        assert(/^\d+$/.test(wait ?? ""), "429 came without Retry-After");
        return `${sent - 1} were let through; ${policy}`;
      }
      throw new Failed("500 refreshes at once were all let through");
    },
  },
  {
    section,
    name: "Database query limits",
    needs: asAdmin,
    async run({ api }) {
      for (const path of ["/client", "/vendor", "/po/list", "/po/aggregated/by-store"])
        await api.expect(422, "GET", `${path}?limit=201`);
      return "a page has 200 entries at most";
    },
  },
  {
    section,
    name: "All endpoints validate input",
    needs: asAdmin,
    async run(run) {
      const { api } = run;
      await api.expect(422, "GET", "/client?smoke=test");
      await api.expect(404, "GET", "/client/99999999999");
      if (run.readOnly) return "a query";
      await api.expect(422, "POST", "/client", { body: { name: "Smoke test", smoke: "test" } });
      const { order } = await run.made();
      const body = { item_name: "Smoke test", quantity: "-1", unit_price: "1" };
      await api.expect(422, "POST", `/po/${order.id}/line-items`, { body });
      return "a query, an unknown field, a negative quantity";
    },
  },
  {
    section,
    name: "SQL injection prevention",
    needs: asAdmin,
    async run({ api }) {
      const injection = encodeURIComponent("' OR 1=1 --");
      const { data } = await api.expect<Schemas["VendorPage"]>(200, "GET", `/vendor?q=${injection}`);
      assert(data.length === 0, `GET /vendor finds ${data.length} vendors named ' OR 1=1 --`);
      await api.expect(404, "GET", `/client/1${injection}`);
      return "what looks like SQL is text";
    },
  },
  {
    section,
    name: "XSS prevention headers",
    needs: health,
    async run({ api }) {
      const wanted: [name: string, value: RegExp][] = [
        ["Content-Security-Policy", /default-src 'none'.*frame-ancestors 'none'/],
        ["X-Content-Type-Options", /^nosniff$/],
        ["X-Frame-Options", /^DENY$/],
        ["Referrer-Policy", /^no-referrer$/],
        ["Strict-Transport-Security", /max-age=(?:3153[6-9]|[4-9]\d{4}|\d{6})\d*/],
      ];
      for (const path of ["/health", "/docs", "/no/such/path"]) {
        const { headers } = await api.send("GET", path);
        for (const [name, value] of wanted)
          assert(value.test(headers.get(name) ?? ""), `GET ${path} has ${name}: ${headers.get(name) ?? "missing"}`);
      }
      return wanted.map(([name]) => name).join(", ");
    },
  },
  {
    section,
    name: "JWT token validation working",
    needs: asAdmin,
    async run(run) {
      const [, payload = "", signature = ""] = tokensOf(run).access_token.split(".");
      const unsigned = base64url.encode(JSON.stringify({ alg: "none", typ: "at+jwt" }));
      await refused(run, undefined, "no token");
      await refused(run, "smoke.test.token", "what is no token");
      await refused(run, `${unsigned}.${payload}.`, "a token without a signature");
      await refused(run, `${unsigned}.${payload}.${signature}`, "a token that says it needs no signature");
      return "401 for none, a made-up and an unsigned one";
    },
  },
  {
    section,
    name: "Token expiration enforced",
    needs: asAdmin,
    async run(run) {
      const { access_token, expires_in } = tokensOf(run);
      const [header, , signature] = access_token.split(".");
      const claims = decodeJwt(access_token);
      const { exp = 0, iat = 0 } = claims;
      assert(exp - iat === expires_in, `the token lives ${exp - iat} s, its answer says ${expires_in}`);
      assert(expires_in >= 60 && expires_in <= 86_400, `a token lives ${expires_in} s: JWT_EXPIRY`);
      const longer = base64url.encode(JSON.stringify({ ...claims, exp: exp + 86_400 }));
      await refused(run, `${header}.${longer}.${signature}`, "a token whose end was moved");
      return `${expires_in} s, and its end cannot be moved`;
    },
  },
  {
    section,
    name: "Password requirements met",
    needs: asAdmin,
    async run({ api, rateLimit }) {
      // It has the log-ins' limit, which was found by using it up.
      if (rateLimit) throw new NotRun("--rate-limit has used up this address's minute: run it without");
      // Refused for what it is, before the current password is looked at: nothing is counted, nothing changes.
      for (const [password, what] of [
        ["é".repeat(37), "of 74 bytes"],
        ["smoke test!", "of 11 characters"],
      ] as const) {
        const body = { current_password: crypto.randomUUID(), new_password: password };
        const answer = await api.send("POST", "/auth/password", { body });
        const { errors } = (answer.status === 422 ? JSON.parse(answer.text) : {}) as Partial<Schemas["Problem"]>;
        assert(
          errors?.[0]?.pointer === "/new_password",
          `a new password ${what} answered ${described(answer)}, not that it is refused`,
        );
      }
      return "at most 72 bytes, at least 12 characters";
    },
  },
];

async function refused({ api }: Run, token: string | undefined, what: string): Promise<void> {
  const answer = await api.send("GET", "/client", { token: token ?? null });
  assert(answer.status === 401, `GET /client with ${what} answered ${described(answer)}, not 401`);
  assert(/^Bearer /.test(answer.headers.get("WWW-Authenticate") ?? ""), "401 came without WWW-Authenticate: Bearer");
}

/** When the certificate that this machine trusts ends. */
function certificateEnd({ hostname, port }: URL): Promise<Date> {
  return new Promise((done, failed) => {
    const host = hostname.replace(/^\[|\]$/g, "");
    const socket = openTls({ host, port: Number(port || 443), servername: host, timeout: 10_000 }, () => {
      done(new Date(socket.getPeerCertificate().valid_to));
      socket.destroy();
    });
    socket.once("error", (error) => failed(new Failed(`no TLS: ${error.message}`)));
    socket.once("timeout", () => socket.destroy(new Error("no answer in 10 s")));
  });
}
