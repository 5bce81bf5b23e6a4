import { decodeProtectedHeader } from "jose";
import { described, Failed, type Schemas } from "./api.ts";
import { assert, type Check, NotRun, type Run, same } from "./check.ts";

const health = "GET /health";
const login = "Test user login";
/** What every check that is made as the admin needs. */
export const asAdmin = "Test protected endpoint with token";

const section = "API Testing";

export const endpointChecks: Check[] = [
  {
    section,
    name: health,
    async run({ api }) {
      const answer = await api.send("GET", "/health");
      if (answer.status !== 200) throw new Failed(`GET /health answered ${described(answer)}`);
      let body: Partial<Schemas["Health"]> | undefined;
      try {
        body = JSON.parse(answer.text);
      } catch {
        // Then it is somebody else's page.
      }
      if (body?.status !== "ok" || body.database !== "up" || typeof body.version !== "string")
        throw new Failed(`GET /health answered, but not as this API does: is ${api.url.origin} the right address?`);
      return `version ${body.version}, database up`;
    },
  },
  {
    section,
    name: "GET /docs",
    needs: health,
    async run({ api }) {
      const page = await api.send("GET", "/docs");
      assert(
        page.status === 200 && /^text\/html/.test(page.headers.get("Content-Type") ?? ""),
        `GET /docs answered ${described(page)} and no page`,
      );
      const { paths } = await api.expect<{ paths?: Record<string, unknown> }>(200, "GET", "/openapi.json");
      const known = Object.keys(paths ?? {});
      for (const path of ["/po/list", "/client", "/vendor"])
        assert(known.includes(path), `GET /openapi.json does not have ${path}`);
      return `${known.length} paths in /openapi.json`;
    },
  },
  {
    section,
    name: login,
    needs: health,
    async run(run) {
      const { api, account } = run;
      run.tokens = await api.expect<Schemas["Tokens"]>(200, "POST", "/auth/login", {
        body: account,
        token: null,
      });
      api.token = run.tokens.access_token;
      return `as ${account.username}`;
    },
  },
  {
    section,
    name: "Verify JWT token returned",
    needs: login,
    async run(run) {
      const { access_token, token_type, refresh_token } = tokensOf(run);
      assert(token_type === "bearer" && typeof refresh_token === "string", "the log-in's answer is not as documented");
      let header: ReturnType<typeof decodeProtectedHeader>;
      try {
        header = decodeProtectedHeader(access_token);
      } catch {
        throw new Failed("the access token is no JWT");
      }
      same("the access token", header, { alg: "HS256", typ: "at+jwt" });
      return "HS256, at+jwt";
    },
  },
  {
    section,
    name: asAdmin,
    needs: login,
    async run({ api, account }) {
      const me = await api.expect<Schemas["User"]>(200, "GET", "/auth/me");
      same("GET /auth/me", me, { username: account.username });
      assert(me.role === "admin", `${account.username} is ${me.role}: the smoke test needs an admin's account`);
      return me.role;
    },
  },
  {
    section,
    name: "GET /po/list",
    needs: asAdmin,
    async run({ api }) {
      const { data } = await api.expect<Schemas["PurchaseOrderPage"]>(200, "GET", "/po/list?limit=200");
      const newestFirst = data.every((po, index) => po.created_at <= (data[index - 1]?.created_at ?? "~"));
      assert(newestFirst, "GET /po/list is not sorted by created_at, newest first");
      return `${data.length} on the first page`;
    },
  },
  {
    section,
    name: "GET /po/aggregated/by-store",
    needs: asAdmin,
    async run({ api }) {
      const { bundles } = await api.expect<Schemas["BundlePage"]>(200, "GET", "/po/aggregated/by-store?limit=200");
      for (const { bundle_id, is_bundled, po_count, badge } of bundles)
        assert(
          is_bundled === po_count > 1 && badge.type === (is_bundled ? "bundled" : "single"),
          `${bundle_id} has ${po_count} POs and the badge ${badge.type}`,
        );
      return `${bundles.length} on the first page, ${bundles.filter((each) => each.is_bundled).length} of them bundled`;
    },
  },
  {
    section,
    name: "GET /po/{po_id}/line-items",
    needs: asAdmin,
    async run(run) {
      const order = await someOrder(run);
      const path = `/po/${order.id}/line-items?limit=200`;
      const { data } = await run.api.expect<Schemas["LineItemPage"]>(200, "GET", path);
      const lines = Math.min(order.line_item_count, 200);
      assert(data.length === lines, `GET ${path} has ${data.length} lines, the PO says ${lines}`);
      return `${data.length} of PO ${order.id}`;
    },
  },
  {
    section,
    name: "POST /po/{po_id}/line-items",
    needs: asAdmin,
    writes: true,
    async run(run) {
      const { order } = await run.made();
      const line = await run.api.create<Schemas["LineItem"]>(`/po/${order.id}/line-items`, {
        item_name: "Smoke test, another line",
        quantity: "3",
        unit_price: "100.10",
        gst_rate: "5",
      });
      // Half of a paisa is rounded up: 15.015.
      same("the new line", line, { total_price: "300.30", gst_amount: "15.02", gross_amount: "315.32" });
      return `line ${line.id}`;
    },
  },
  {
    section,
    name: "GET /client",
    needs: asAdmin,
    async run({ api }) {
      const { data } = await api.expect<Schemas["ClientPage"]>(200, "GET", "/client?limit=200");
      return `${data.length} on the first page`;
    },
  },
  {
    section,
    name: "GET /vendor",
    needs: asAdmin,
    async run({ api }) {
      const { data } = await api.expect<Schemas["VendorPage"]>(200, "GET", "/vendor?limit=200");
      return `${data.length} on the first page`;
    },
  },
];

/** The tokens of this run's session; the check that needs them needs the log-in too. */
export function tokensOf({ tokens }: Run): Schemas["Tokens"] {
  if (!tokens) throw new NotRun("nobody is logged in");
  return tokens;
}

/** Our own, or the newest one that has lines. */
async function someOrder(run: Run): Promise<Pick<Schemas["ListedPurchaseOrder"], "id" | "line_item_count">> {
  if (!run.readOnly) return (await run.made()).order;
  const { data } = await run.api.expect<Schemas["PurchaseOrderPage"]>(200, "GET", "/po/list?limit=200");
  const order = data.find(({ line_item_count }) => line_item_count > 0);
  if (!order) throw new NotRun("none of the newest POs has line items");
  return order;
}
