import { type Api, described, Failed, type Schemas, walk } from "./api.ts";
import { assert, type Check, counts, same } from "./check.ts";
import { asAdmin } from "./endpoints.ts";

const section = "Data Integrity";

/** Of any list: the rate limit leaves 600 requests a minute, of 200 entries each. */
const most = 10_000;

export const integrityChecks: Check[] = [
  {
    section,
    name: "Record counts match backup",
    needs: asAdmin,
    async run(run) {
      const { tables, total } = await run.countsBefore();
      const found: Record<string, number> = { ...tables };
      if (run.expected.has("orphans")) found.orphans = (await keptOrphans(run.api)).data.length;
      const wrong = [...run.expected].filter(([table, rows]) => found[table] !== rows);
      if (wrong.length > 0)
        throw new Failed(wrong.map(([table, rows]) => `${table} has ${found[table]} rows, not ${rows}`).join("; "));
      return run.expected.size > 0
        ? `${run.expected.size} as expected, ${total} rows in all`
        : `${total} rows; nothing to compare with: --expect client=${tables.client},vendor=${tables.vendor},…`;
    },
  },
  {
    section,
    name: "Foreign key relationships intact",
    needs: asAdmin,
    async run(run) {
      const { api } = run;
      if (!run.readOnly) {
        const { client } = await run.made();
        const unknown = { client_id: 2_147_483_647 };
        await api.expect(422, "POST", "/po", { body: unknown });
        await api.expect(409, "DELETE", `/client/${client.id}`);
      }
      const { data } = await keptOrphans(api);
      const tables = [...new Set(data.map(({ table }) => table))];
      return data.length === 0
        ? "every row has its parent"
        : `but ${data.length} rows of the import that have no parent (${tables.join(", ")}): GET /ops/orphans`;
    },
  },
  {
    section,
    name: "Timestamps preserved",
    needs: asAdmin,
    async run(run) {
      const { api } = run;
      let read = 0;
      for (const path of ["/client", "/vendor", "/po/list"]) {
        const answer = await api.send("GET", `${path}?limit=200`);
        if (answer.status !== 200) throw new Failed(`GET ${path} answered ${described(answer)}`);
        const { data } = JSON.parse(answer.text) as { data: { id: number; created_at: string; updated_at: string }[] };
        const now = Date.parse(answer.headers.get("Date") ?? "") || Date.now();
        for (const { id, created_at, updated_at } of data)
          for (const instant of [created_at, updated_at]) {
            const clear = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(instant);
            assert(clear && Date.parse(instant) < now + 300_000, `${path} ${id} has the time ${instant}`);
            read += 1;
          }
      }
      if (!run.readOnly) {
        const { order } = await run.made();
        const body = { notes: "Smoke test, changed again" };
        const later = await api.expect<Schemas["PurchaseOrderWithLines"]>(200, "PATCH", `/po/${order.id}`, { body });
        same("the changed PO", later, { created_at: order.created_at });
        assert(later.updated_at > order.updated_at, "updated_at does not say that the PO was changed");
      }
      return `${read} read: UTC, microseconds, none of them to come`;
    },
  },
  {
    section,
    name: "All records accessible",
    needs: asAdmin,
    async run({ api }) {
      const { tables: before } = await counts(api);
      const clients = await walk(api, "/client", most);
      const vendors = await walk(api, "/vendor", most);
      const orders = await walk<Schemas["ListedPurchaseOrder"]>(api, "/po/list", most);
      const orphans = await keptOrphans(api);
      const { tables: after } = await counts(api);
      /** Others may write meanwhile. */
      const compare = (table: keyof typeof before, found: number) =>
        assert(
          found >= Math.min(before[table], after[table]) && found <= Math.max(before[table], after[table]),
          `${found} rows of ${table} can be read, it has ${after[table]}`,
        );
      if (clients.complete) compare("client", clients.data.length);
      if (vendors.complete) compare("vendor", vendors.data.length);
      if (orders.complete) {
        compare("client_po", orders.data.length);
        const ofOrders = orders.data.reduce((sum, { line_item_count }) => sum + line_item_count, 0);
        const ofNone = orphans.data.filter(({ table }) => table === "client_po_line_item").length;
        if (orphans.complete) compare("client_po_line_item", ofOrders + ofNone);
      }
      const read = [clients, vendors, orders].map(
        ({ data, complete }) => `${complete ? "" : "the first "}${data.length}`,
      );
      return `${read[0]} clients, ${read[1]} vendors, ${read[2]} POs with their lines`;
    },
  },
];

async function keptOrphans(api: Api) {
  const { data, complete } = await walk<Schemas["Orphan"]>(api, "/ops/orphans", most);
  return { data: data.filter(({ state }) => state === "kept"), complete };
}
