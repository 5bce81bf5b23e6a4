import { beforeAll, describe, expect, it } from "vitest";
import { Client } from "../src/client/contract.ts";
import { type ListedPurchaseOrder, PurchaseOrderWithLines as Po, PurchaseOrderPage } from "../src/po/contract.ts";
import { Vendor } from "../src/vendor/contract.ts";
import { call, read, roundTrips, signIn, sql } from "./support/api.ts";
import { freshDatabase } from "./support/database.ts";
import { problem } from "./support/problem.ts";
import { insert, insertClient, insertLine, insertLines, insertPo, insertVendor, walk } from "./support/rows.ts";

let token = "";
/** The POs of this file as single reads answer them, newest first. */
let all: Po[] = [];
const ids = { client: [0, 0], vendor: [0, 0], project: 0 };

const second = (n: number) => `2026-01-01T00:00:${String(n).padStart(2, "0")}.000001Z`;
const newestFirst = (a: Po, b: Po) => b.created_at.localeCompare(a.created_at) || b.id - a.id;

beforeAll(async () => {
  await freshDatabase();
  token = (await signIn()).token;
  ids.client = [await insertClient({ name: "Borealis Pharmacy" }), await insertClient({ name: "Austral 100%_Stores" })];
  ids.vendor = [await insertVendor({ name: "D'Souza & Sons" }), await insertVendor({ name: "औषधालय Traders" })];
  ids.project = await insert("project", { client_id: ids.client[0] ?? 0, name: "Fit-out" });
  const pick = <T>(values: readonly T[], n: number) => values[n % values.length] ?? null;
  for (let n = 0; n < 60; n++) {
    await insertPo({
      client_id: pick(ids.client, n),
      vendor_id: pick([null, ...ids.vendor], n),
      project_id: n % 5 === 0 ? ids.project : null,
      store_id: pick([null, "", "BR_1", "BRX1", "br_1"], n),
      po_number: n % 7 === 0 ? null : `${pick(["PO", "po", "P_", "P%", "P\\"], n)}-${n}`,
      po_date: n % 4 === 0 ? null : `2026-01-${String(1 + (n % 9)).padStart(2, "0")}`,
      po_value: n % 6 === 0 ? null : (n % 10) - 3,
      status: pick(["pending", "active", "completed", "cancelled"], Math.floor(n / 3)),
      po_type: n % 8 === 0 ? "verbal_agreement" : "standard",
      notes: pick(["Second phase", "second PHASE औषधालय", null, "100%_done\nBorealis"], n),
      created_at: second(Math.floor(n / 2)),
      updated_at: second(59 - (n % 13)),
    });
  }
  const listed = (await walk(PurchaseOrderPage, "/po/list?limit=200", token)).flatMap((page) => page.data);
  all = (await Promise.all(listed.map(({ id }) => read(Po, `/po/${id}`, token)))).toSorted(newestFirst);
  expect(all).toHaveLength(60);
});

const idsOf = (pos: { id: number }[]) => pos.map((po) => po.id);
const list = async (query: string, limit = 200): Promise<ListedPurchaseOrder[]> =>
  (await walk(PurchaseOrderPage, `/po/list?limit=${limit}${query}`, token)).flatMap((page) => page.data);
const has = (text: string | null, part: string) => text?.toLowerCase().includes(part.toLowerCase()) === true;
const nameOf = (po: Po, kind: "client" | "vendor") =>
  kind === "client"
    ? (["Borealis Pharmacy", "Austral 100%_Stores"][ids.client.indexOf(po.client_id)] ?? null)
    : (["D'Souza & Sons", "औषधालय Traders"][ids.vendor.indexOf(po.vendor_id ?? 0)] ?? null);
const mentions = (part: string) => (po: Po) =>
  [po.po_number, po.store_id, po.notes, nameOf(po, "client"), nameOf(po, "vendor")].some((text) => has(text, part));
const value = (po: Po) => (po.po_value === null ? null : Number(po.po_value));

/** Each filter, its query and the rule once more. */
const filters: [query: () => string, rule: (po: Po) => boolean][] = [
  [() => `client_id=${ids.client[0]}`, (po) => po.client_id === ids.client[0]],
  [() => `vendor_id=${ids.vendor[1]}`, (po) => po.vendor_id === ids.vendor[1]],
  [() => `project_id=${ids.project}`, (po) => po.project_id === ids.project],
  [() => "store_id=BR_1", (po) => po.store_id === "BR_1"],
  [() => "status=active", (po) => po.status === "active"],
  [() => "status=cancelled,pending", (po) => ["cancelled", "pending"].includes(po.status)],
  [() => "status=active,active", (po) => po.status === "active"],
  [() => "status=pending,active,completed,cancelled", () => true],
  [() => "po_type=verbal_agreement", (po) => po.po_type === "verbal_agreement"],
  ...["P", "PO-1", "P_", "P%", "P\\", "nope"].map((prefix): [() => string, (po: Po) => boolean] => [
    () => `po_number_prefix=${encodeURIComponent(prefix)}`,
    (po) => po.po_number?.startsWith(prefix) === true,
  ]),
  ...["borealis", "SECOND phase", "औषधालय", "100%_", "souza", "BR_1", "-12", "d'S", "phas", "a\nb"].map(
    (part): [() => string, (po: Po) => boolean] => [() => `q=${encodeURIComponent(part)}`, mentions(part)],
  ),
  [() => "po_date_from=2026-01-05", (po) => po.po_date !== null && po.po_date >= "2026-01-05"],
  [() => "po_date_to=2026-01-05", (po) => po.po_date !== null && po.po_date <= "2026-01-05"],
  [() => "po_date_from=2026-01-03&po_date_to=2026-01-03", (po) => po.po_date === "2026-01-03"],
  [() => "po_date_from=2026-01-04&po_date_to=2026-01-03", () => false],
  [() => "po_value_min=2.00", (po) => (value(po) ?? -9) >= 2],
  [() => "po_value_max=-1", (po) => (value(po) ?? 9) <= -1],
  [() => "po_value_min=-0.5&po_value_max=0.50", (po) => value(po) === 0],
  [
    () => `client_id=${ids.client[1]}&status=active,completed&q=phase&po_type=standard&po_value_min=0`,
    (po) =>
      po.client_id === ids.client[1] &&
      ["active", "completed"].includes(po.status) &&
      mentions("phase")(po) &&
      po.po_type === "standard" &&
      (value(po) ?? -1) >= 0,
  ],
];

describe("GET /po/list with filters", () => {
  it.each(filters)("%s answers what the rule says, in pages too, counted and oldest first", async (query, rule) => {
    const expected = idsOf(all.filter(rule));
    for (const limit of [200, 7]) expect(idsOf(await list(`&${query()}`, limit))).toEqual(expected);
    expect(idsOf(await list(`&${query()}&sort=created_at`, 11))).toEqual(expected.toReversed());
    const page = await read(PurchaseOrderPage, `/po/list?limit=1&include=total&${query()}`, token);
    expect(page).toMatchObject({ total: expected.length, total_is_exact: true });
  });

  it("finds with most of them some, and never all", () => {
    const found = filters.map(([, rule]) => all.filter(rule).length);
    expect(found.filter((count) => count > 0 && count < all.length).length).toBeGreaterThan(filters.length - 6);
  });

  it("answers the changes since a moment, those that waited longest first", async () => {
    const since = second(52);
    const expected = all
      .filter((po) => po.updated_at >= since)
      .toSorted((a, b) => a.updated_at.localeCompare(b.updated_at) || a.id - b.id);
    expect(expected.length).toBeGreaterThan(10);
    expect(idsOf(await list(`&updated_since=${since}`, 4))).toEqual(idsOf(expected));
    const own = expected.filter((po) => po.client_id === ids.client[0]);
    expect(idsOf(await list(`&updated_since=${since}&client_id=${ids.client[0]}`, 4))).toEqual(idsOf(own));
    expect(idsOf(await list(`&updated_since=${since}&sort=-updated_at`, 4))).toEqual(idsOf(expected.toReversed()));
  });
});

describe("GET /po/list in another order", () => {
  const orders: [sort: string, key: (po: Po) => number | string][] = [
    ["created_at", (po) => po.created_at],
    ["updated_at", (po) => po.updated_at],
    // Null comes before everything.
    ["po_date", (po) => po.po_date ?? ""],
    ["po_value", (po) => value(po) ?? Number.NEGATIVE_INFINITY],
  ];
  const compare = (a: number | string, b: number | string) => (a < b ? -1 : a > b ? 1 : 0);

  it.each(orders)("is sorted by %s, then id, both ways, of all clients and of one", async (sort, key) => {
    const ascending = all.toSorted((a, b) => compare(key(a), key(b)) || a.id - b.id);
    for (const limit of [200, 7]) {
      expect(idsOf(await list(`&sort=${sort}`, limit))).toEqual(idsOf(ascending));
      expect(idsOf(await list(`&sort=-${sort}`, limit))).toEqual(idsOf(ascending.toReversed()));
      const own = ascending.filter((po) => po.client_id === ids.client[1]);
      expect(idsOf(await list(`&sort=${sort}&client_id=${ids.client[1]}`, limit))).toEqual(idsOf(own));
    }
  });

  it("keeps the range of its own field", async () => {
    const dated = all.filter((po) => po.po_date !== null && po.po_date <= "2026-01-03");
    const byDate = dated.toSorted((a, b) => compare(a.po_date ?? "", b.po_date ?? "") || a.id - b.id);
    expect(idsOf(await list("&sort=po_date&po_date_to=2026-01-03", 4))).toEqual(idsOf(byDate));
    const rich = all.filter((po) => (value(po) ?? -9) >= 4);
    const byValue = rich.toSorted((a, b) => compare(value(b) ?? 0, value(a) ?? 0) || b.id - a.id);
    expect(idsOf(await list("&sort=-po_value&po_value_min=4", 4))).toEqual(idsOf(byValue));
  });

  it.each([
    ["sort=po_date&status=active", ["/status"]],
    ["sort=-po_value&q=abc&vendor_id=1", ["/q", "/vendor_id"]],
    ["sort=po_value&po_date_from=2026-01-01", ["/po_date_from"]],
    ["sort=po_date&po_value_max=1", ["/po_value_max"]],
    ["sort=updated_at&store_id=S", ["/store_id"]],
    ["updated_since=2026-01-01T00:00:00Z&status=active", ["/status"]],
    ["updated_since=2026-01-01T00:00:00Z&sort=-created_at", ["/updated_since"]],
    ["updated_since=2026-01-01T00:00:00Z&sort=po_date", ["/updated_since"]],
  ])("refuses %s: no index has it", async (query, pointers) => {
    const { errors } = await problem(await call(`/po/list?${query}`, { token }), "validation-failed");
    expect(errors?.map((error) => error.pointer).toSorted()).toEqual(pointers.toSorted());
  });

  it.each([
    ["sort=po_number", "/sort"],
    ["sort=", "/sort"],
    ["sort=po_date,po_value", "/sort"],
    ["status=done", "/status/0"],
    ["status=", "/status/0"],
    ["status=active,", "/status/1"],
    ["po_type=other", "/po_type"],
    ["q=ab", "/q"],
    ["q=%25%25%25", "/q"],
    ["q=%20%20%20a", "/q"],
    ["q=%C2%BD%C2%BD%C2%BD", "/q"],
    ["q=%00ab", "/q"],
    ["client_id=0", "/client_id"],
    ["vendor_id=9007199254740993", "/vendor_id"],
    ["project_id=1.5", "/project_id"],
    ["store_id=", "/store_id"],
    ["po_number_prefix=", "/po_number_prefix"],
    ["po_date_from=2026-02-30", "/po_date_from"],
    ["po_date_to=yesterday", "/po_date_to"],
    ["po_value_min=1e3", "/po_value_min"],
    ["po_value_max=0.001", "/po_value_max"],
    ["updated_since=2026-01-01", "/updated_since"],
    ["include=lines", "/include/0"],
    ["expand=project", "/expand/0"],
  ])("refuses ?%s and points at it", async (query, pointer) => {
    const { errors } = await problem(await call(`/po/list?${query}`, { token }), "validation-failed");
    expect(errors).toMatchObject([{ in: "query", pointer }]);
  });
});

describe("a walk through the filtered list", () => {
  it("takes its cursor with the same filters and order alone, whatever else is asked for", async () => {
    const path = `/po/list?limit=2&status=active,pending&client_id=${ids.client[0]}`;
    const { next_cursor } = await read(PurchaseOrderPage, path, token);
    for (const more of ["", "&include=total", "&expand=vendor", "&limit=3"]) {
      const reordered = `/po/list?client_id=${ids.client[0]}&status=active,pending${more}&cursor=${next_cursor}`;
      expect((await call(reordered, { token })).status).toBe(200);
    }
    for (const other of [
      "status=active,pending",
      `client_id=${ids.client[0]}`,
      `client_id=${ids.client[1]}&status=active,pending`,
      `client_id=${ids.client[0]}&status=active,pending&sort=created_at`,
      `client_id=${ids.client[0]}&status=active,pending&q=abc`,
    ]) {
      await problem(await call(`/po/list?${other}&cursor=${next_cursor}`, { token }), "invalid-cursor");
    }
  });

  it.each(["-created_at", "po_value", "-po_value", "-po_date"])(
    "by %s meets each PO once, however many are added meanwhile",
    async (sort) => {
      const client_id = await insertClient();
      const add = (n: number) =>
        insertPo({ client_id, po_value: n % 3, po_date: n % 2 === 0 ? null : "2026-03-01", created_at: second(n) });
      const there: number[] = [];
      for (let n = 0; n < 11; n++) there.push(await add(n));
      let added = 0;
      const pages = await walk(PurchaseOrderPage, `/po/list?limit=2&sort=${sort}&client_id=${client_id}`, token, () =>
        added++ < 8 ? Promise.all([add(added), add(added + 20)]) : Promise.resolve(),
      );
      const met = pages.flatMap((page) => idsOf(page.data));
      expect(new Set(met).size).toBe(met.length);
      expect(met).toEqual(expect.arrayContaining(there));
    },
  );

  it("by updated_at meets whatever changes during it again, and so loses no change", async () => {
    const client_id = await insertClient();
    const there: number[] = [];
    for (let n = 0; n < 5; n++) there.push(await insertPo({ client_id, updated_at: second(n) }));
    let changes = 0;
    const path = `/po/list?limit=2&updated_since=2026-01-01T00:00:00Z&client_id=${client_id}`;
    const pages = await walk(PurchaseOrderPage, path, token, async () => {
      if (changes++ === 0) await sql(`UPDATE "Finances".client_po SET notes = 'x' WHERE id = $1`, [there[0]]);
    });
    const met = pages.flatMap((page) => page.data);
    expect(idsOf(met)).toEqual([...there, there[0]]);
    expect(met.at(-1)).toMatchObject({ notes: "x" });
  });
});

describe("GET /po/list with more in it", () => {
  it("expands clients, vendors and lines as their own reads answer them, in one round trip", async () => {
    const [client_id, vendor_id] = [await insertClient(), await insertVendor({ gstin: "27ABCDE1234F1Z5" })];
    const [one, two] = [await insertPo({ client_id, vendor_id }), await insertPo({ client_id })];
    await insertLine(one);
    await insertLine(one, { total_price: "1.00" });
    const path = `/po/list?client_id=${client_id}&expand=vendor,client,line_items&include=total`;
    let page: PurchaseOrderPage | undefined;
    expect(
      await roundTrips(async () => {
        page = await read(PurchaseOrderPage, path, token);
      }),
    ).toBe(1);
    const client = await read(Client, `/client/${client_id}`, token);
    const vendor = await read(Vendor, `/vendor/${vendor_id}`, token);
    expect(page).toEqual({
      data: [
        { ...(await read(Po, `/po/${two}`, token)), client, vendor: null },
        { ...(await read(Po, `/po/${one}`, token)), client, vendor },
      ],
      next_cursor: null,
      total: 2,
      total_is_exact: true,
    });
  });

  it("ends a page of lines early, and loses no PO and no line by it", async () => {
    const client_id = await insertClient();
    const counts = [900, 900, 900, 2000, 0, 1];
    const pos: number[] = [];
    for (const count of counts) {
      const po = await insertPo({ client_id });
      if (count > 0) await insertLines(po, count);
      pos.unshift(po);
    }
    const path = `/po/list?client_id=${client_id}&expand=line_items`;
    const pages = await walk(PurchaseOrderPage, path, token);
    expect(pages.map((page) => idsOf(page.data))).toEqual([pos.slice(0, 2), [pos[2]], pos.slice(3, 5), [pos[5]]]);
    const lines = pages.flatMap((page) => page.data.map((po) => po.line_items?.length));
    expect(lines).toEqual(counts.toReversed());
  });

  it("counts to 10,000 and says that there are more", async () => {
    await freshDatabase();
    const { token } = await signIn();
    const client_id = await insertClient();
    const add = (count: number) =>
      sql(`INSERT INTO "Finances".client_po (client_id) SELECT $1 FROM generate_series(1, $2::int)`, [
        client_id,
        count,
      ]);
    const counted = async () => {
      const { total, total_is_exact } = await read(PurchaseOrderPage, "/po/list?limit=1&include=total", token);
      return [total, total_is_exact];
    };
    expect(await counted()).toEqual([0, true]);
    await add(10_000);
    expect(await counted()).toEqual([10_000, true]);
    await add(1);
    expect(await counted()).toEqual([10_000, false]);
  });
});
