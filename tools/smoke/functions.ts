import { described, type Schemas } from "./api.ts";
import { assert, type Check, makeOrder, same } from "./check.ts";
import { asAdmin, tokensOf } from "./endpoints.ts";

const section = "Functional Testing";

export const functionChecks: Check[] = [
  {
    section,
    name: "Login works",
    needs: asAdmin,
    async run(run) {
      const { api } = run;
      // Of nobody's account, so that nothing is counted against one.
      const stranger = { username: `smoke-test-${crypto.randomUUID()}`, password: crypto.randomUUID() };
      const refused = await api.send("POST", "/auth/login", { body: stranger, token: null });
      assert(refused.status === 401, `a log-in with a wrong password answered ${described(refused)}, not 401`);
      const { refresh_token } = tokensOf(run);
      run.tokens = await api.expect<Schemas["Tokens"]>(200, "POST", "/auth/refresh", {
        body: { refresh_token },
        token: null,
      });
      api.token = run.tokens.access_token;
      await api.expect(200, "GET", "/auth/me");
      return "a wrong password is refused, a refresh token gives the next one";
    },
  },
  {
    section,
    name: "PO operations work",
    needs: asAdmin,
    writes: true,
    async run(run) {
      const { api } = run;
      const { order, client, vendor } = await run.made();
      same("the new PO", order, {
        client_id: client.id,
        vendor_id: vendor.id,
        status: "pending",
        subtotal: "36501.00",
        total_tax: "6570.18",
        po_value: "43071.18",
        cgst: "3285.09",
        sgst: "3285.09",
        igst: null,
      });
      const listed = await api.expect<Schemas["PurchaseOrderPage"]>(200, "GET", `/po/list?client_id=${client.id}`);
      assert(listed.data.map(({ id }) => id).join() === `${order.id}`, "GET /po/list does not list the new PO");
      const changes = { notes: "Smoke test, changed", po_date: "2026-01-29" };
      const changed = await api.expect<Schemas["PurchaseOrderWithLines"]>(200, "PATCH", `/po/${order.id}`, {
        body: changes,
      });
      same("the changed PO", changed, changes);
      const status = { status: "active" as const, reason: "Smoke test" };
      const active = await api.expect<Schemas["PurchaseOrderWithLines"]>(200, "POST", `/po/${order.id}/status`, {
        body: status,
      });
      same("the PO", active, { status: "active" });
      return "created, listed, changed, made active";
    },
  },
  {
    section,
    name: "Line items work",
    needs: asAdmin,
    writes: true,
    async run(run) {
      const { api } = run;
      const { order } = await run.made();
      const lines = `/po/${order.id}/line-items`;
      const value = async () =>
        (await api.expect<Schemas["PurchaseOrderWithLines"]>(200, "GET", `/po/${order.id}`)).po_value;
      const before = paise(await value());
      const grew = async (by: bigint, when: string) => {
        const grown = paise(await value()) - before;
        assert(grown === by, `after ${when} the PO's value is ${grown} paise more, not ${by}`);
      };
      const line = await api.create<Schemas["LineItem"]>(lines, {
        item_name: "Smoke test, a third line",
        quantity: "3",
        unit_price: "100.10",
        gst_rate: "5",
      });
      await grew(31532n, "adding a line");
      const body = { quantity: "1" };
      const changed = await api.expect<Schemas["LineItem"]>(200, "PATCH", `${lines}/${line.id}`, { body });
      same("the changed line", changed, { total_price: "100.10", gst_amount: "5.01", gross_amount: "105.11" });
      await grew(10511n, "changing it");
      await api.expect(204, "DELETE", `${lines}/${line.id}`);
      await grew(0n, "deleting it");
      return "added, changed, deleted; the PO's value followed to the paisa";
    },
  },
  {
    section,
    name: "Database operations work",
    needs: asAdmin,
    writes: true,
    async run(run) {
      const { api, account } = run;
      const { client, vendor, order } = await run.made();
      const name = `${client.name}, renamed`;
      await api.expect(200, "PATCH", `/client/${client.id}`, { body: { name } });
      const terms = { payment_terms: "30 days", status: "inactive" as const };
      await api.expect(200, "PATCH", `/vendor/${vendor.id}`, { body: terms });
      same("the client", await api.expect<Schemas["Client"]>(200, "GET", `/client/${client.id}`), {
        name,
        version: 2,
      });
      same("the vendor", await api.expect<Schemas["Vendor"]>(200, "GET", `/vendor/${vendor.id}`), {
        ...terms,
        version: 2,
      });
      const path = `/po/${order.id}/history?limit=200`;
      const { data } = await api.expect<Schemas["AuditEntryPage"]>(200, "GET", path);
      const made = data.find(({ table, action }) => table === "client_po" && action === "insert");
      assert(made?.username === account.username, `GET ${path} does not say that ${account.username} made the PO`);
      return "what was written is read again, and the history says who wrote it";
    },
  },
  {
    section,
    name: "Aggregation works",
    needs: asAdmin,
    writes: true,
    async run(run) {
      const { client, order, newOrder } = await run.made();
      const second = await makeOrder(run, {
        ...newOrder,
        po_number: `${newOrder.po_number} 2`,
        line_items: [{ item_name: "Smoke test", quantity: "1", unit_price: "1.00" }],
      });
      const path = `/po/aggregated/by-store?client_id=${client.id}`;
      const { bundles } = await run.api.expect<Schemas["BundlePage"]>(200, "GET", path);
      const [bundle] = bundles;
      assert(bundles.length === 1 && bundle !== undefined, `GET ${path} has ${bundles.length} entries, not 1`);
      const values = await Promise.all(
        [order, second].map(({ id }) => run.api.expect<Schemas["PurchaseOrderWithLines"]>(200, "GET", `/po/${id}`)),
      );
      const sum = values.reduce((all, { po_value }) => all + paise(po_value), 0n);
      same("the bundle", bundle, {
        bundle_id: `store:${client.id}:${order.store_id}`,
        display_identifier: `BUNDLED-${order.store_id}`,
        is_bundled: true,
        po_count: 2,
        po_value: `${sum / 100n}.${String(sum % 100n).padStart(2, "0")}`,
      });
      return "two POs of one store are one bundle with their sum";
    },
  },
];

/** An amount with its two places, as a whole number. */
const paise = (amount: string | null) => BigInt((amount ?? "").replace(".", ""));
