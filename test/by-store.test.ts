import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { BundlePage } from "../src/po/contract.ts";
import { call, read, signIn, sql } from "./support/api.ts";
import { itFollowsTheRule } from "./support/bundling.ts";
import { freshDatabase } from "./support/database.ts";
import { itIsAList, itIsSorted } from "./support/lists.ts";
import { problem } from "./support/problem.ts";
import { insert, insertClient, insertLine, insertLines, insertPo, walk } from "./support/rows.ts";

const route = "/po/aggregated/by-store";
const bundling = () => insertClient({ bundle_by_store: true });
const poIds = (pages: BundlePage[]) => pages.flatMap((page) => page.bundles.map((entry) => entry.po_ids));

describe("GET /po/aggregated/by-store", () => {
  const asList = BundlePage.transform(({ bundles, next_cursor }) => ({
    data: bundles.map((entry) => ({ id: entry.po_ids[0] ?? 0 })),
    next_cursor,
  }));
  itIsAList(asList, "newest first", async () => ({ path: route, add: () => insertPo() }));
  describe("sorted", () => {
    itIsSorted(asList, { created_at: (row) => row.id }, async () => {
      const client_id = await bundling();
      const add = () => insertPo({ client_id, store_id: crypto.randomUUID() });
      return { path: `${route}?client_id=${client_id}`, add };
    });

    it("oldest first, an entry where its newest PO stood when the walk began", async () => {
      const { token } = await signIn();
      const client_id = await bundling();
      const add = (store_id: string) => insertPo({ client_id, store_id });
      const [a, b, c] = [await add("S1"), await add("S2"), await add("S1")];
      const path = `${route}?client_id=${client_id}&sort=created_at`;
      const pages = await walk(BundlePage, `${path}&limit=1`, token, async () => {
        await add("S1");
        await add("S3");
      });
      expect(poIds(pages)).toEqual([[b], [c, a]]);
      expect(poIds([await read(BundlePage, path, token)])).toHaveLength(3);
    });
  });
  describe("of one client", () => {
    itIsAList(asList, "newest first", async () => {
      const client_id = await bundling();
      const add = () => insertPo({ client_id, store_id: crypto.randomUUID() });
      return { path: `${route}?client_id=${client_id}`, add };
    });
  });

  describe("on the worked example", () => {
    // Its ids are given, so no sequence is behind them.
    afterAll(freshDatabase);
    beforeEach(async () => {
      await freshDatabase();
      for (const id of [1, 2, 3]) await insertClient({ id, name: `Client ${id}`, bundle_by_store: id === 2 });
      await insert("project", { id: 7, name: "Fit-out", client_id: 2 });
      const rows = [
        [201, 1, "S-01", "A-1", "1000.00", "1000.00", 5, null],
        [202, 1, "S-01", "A-2", "500.00", "400.00", 6, null],
        [301, 2, "S-01", "D-1", "100.10", "100.10", 7, 7],
        [302, 2, "S-01", "D-2", "200.20", "150.20", 8, null],
        [303, 2, "S-02", "D-3", "300.00", "300.00", 9, null],
        [304, 2, null, null, null, null, 10, null],
        [305, 2, "", "D-5", "50.00", "50.00", 11, null],
        [306, 2, "", "D-6", "60.00", "60.00", 12, null],
        [401, 3, "S-09", "Z-1", "60.00", "60.00", 12, null],
      ] as const;
      for (const [id, client_id, store_id, po_number, po_value, receivable_amount, day, project_id] of rows) {
        const created_at = `2026-01-${String(day).padStart(2, "0")}T00:00:00Z`;
        await insertPo({ id, client_id, store_id, po_number, po_value, receivable_amount, created_at, project_id });
      }
    });

    it("has the order, the values and the totals of the rule", async () => {
      const { token } = await signIn();
      const page = await read(BundlePage, `${route}?include=summary`, token);
      expect(
        page.bundles.map((entry) => [entry.po_ids, entry.display_identifier, entry.po_value, entry.receivable_amount]),
      ).toEqual([
        [[401], "Z-1", "60.00", "60.00"],
        [[306], "D-6", "60.00", "60.00"],
        [[305], "D-5", "50.00", "50.00"],
        [[304], "PO-304", "0.00", "0.00"],
        [[303], "D-3", "300.00", "300.00"],
        [[302, 301], "BUNDLED-S-01", "300.30", "250.30"],
        [[202], "A-2", "500.00", "400.00"],
        [[201], "A-1", "1000.00", "1000.00"],
      ]);
      expect(page.summary).toEqual({
        bundle_count: 8,
        bundled_count: 1,
        single_count: 7,
        total_po_value: "2270.30",
        total_line_items: 0,
      });
      expect(page.next_cursor).toBeNull();
    });

    it("has the exact fields of a bundle and of a single", async () => {
      const { token } = await signIn();
      const { bundles } = await read(BundlePage, route, token);
      const bundle = bundles.find((entry) => entry.is_bundled);
      const unset = {
        po_date: null,
        status: "pending",
        po_type: "standard",
        parent_po_id: null,
        agreement_date: null,
        pi_number: null,
        pi_date: null,
        vendor_id: null,
        site_id: null,
        notes: null,
        subtotal: "0.00",
        total_tax: "0.00",
        line_item_count: 0,
      };
      expect(bundle).toEqual({
        ...unset,
        bundle_id: "store:2:S-01",
        display_identifier: "BUNDLED-S-01",
        is_bundled: true,
        badge: { type: "bundled", label: "Bundle (2 POs)", color: "blue", icon: "package" },
        bundling_note: "2 POs for store S-01: D-2, D-1",
        client_id: 2,
        client_name: "Client 2",
        store_id: "S-01",
        po_ids: [302, 301],
        po_numbers: ["D-2", "D-1"],
        po_count: 2,
        project_id: 7,
        po_number: "D-2",
        created_at: "2026-01-08T00:00:00.000000Z",
        po_value: "300.30",
        receivable_amount: "250.30",
      });
      const single = bundles.find((entry) => entry.po_ids[0] === 304);
      expect(single).toEqual({
        ...unset,
        bundle_id: "po:304",
        display_identifier: "PO-304",
        is_bundled: false,
        badge: { type: "single", label: "Single PO", color: "gray", icon: "file" },
        bundling_note: null,
        client_id: 2,
        client_name: "Client 2",
        store_id: null,
        po_ids: [304],
        po_numbers: [null],
        po_count: 1,
        project_id: null,
        po_number: null,
        created_at: "2026-01-10T00:00:00.000000Z",
        po_value: "0.00",
        receivable_amount: "0.00",
      });
      expect(bundles.find((entry) => entry.po_ids[0] === 303)).toMatchObject({
        bundle_id: "store:2:S-02",
        is_bundled: false,
        bundling_note: null,
      });
      expect(bundles.find((entry) => entry.po_ids[0] === 305)?.bundle_id).toBe("po:305");
      expect(bundles.find((entry) => entry.po_ids[0] === 202)?.bundle_id).toBe("po:202");
    });

    it("has the totals of one client, on every page", async () => {
      const { token } = await signIn();
      const pages = await walk(BundlePage, `${route}?client_id=2&include=summary&limit=2`, token);
      expect(poIds(pages)).toEqual([[306], [305], [304], [303], [302, 301]]);
      const summary = { bundle_count: 5, bundled_count: 1, single_count: 4, total_po_value: "710.30" };
      for (const page of pages) expect(page.summary).toEqual({ ...summary, total_line_items: 0 });
    });
  });

  describe("bundling", () => {
    it("takes the header fields from the newest PO and the project from the newest that has one", async () => {
      const { token } = await signIn();
      const client_id = await bundling();
      const project = await insert("project", { name: "new", client_id });
      const old = await insert("project", { name: "old", client_id });
      const store = { client_id, store_id: "S" };
      await insertPo({ ...store, project_id: old, po_number: "1", notes: "first", created_at: "2026-01-01T00:00:00Z" });
      const middle = await insertPo({ ...store, project_id: project, created_at: "2026-01-02T00:00:00Z" });
      await insertPo({
        ...store,
        po_number: "3",
        po_date: "2026-01-03",
        status: "cancelled",
        po_type: "verbal_agreement",
        parent_po_id: middle,
        agreement_date: "2026-01-04",
        pi_number: "PI-3",
        pi_date: "2026-01-05",
        notes: "last",
        created_at: "2026-01-03T00:00:00.000001Z",
      });
      const { bundles } = await read(BundlePage, `${route}?client_id=${client_id}`, token);
      expect(bundles).toHaveLength(1);
      expect(bundles[0]).toMatchObject({
        project_id: project,
        po_number: "3",
        po_numbers: ["3", null, "1"],
        po_date: "2026-01-03",
        status: "cancelled",
        po_type: "verbal_agreement",
        parent_po_id: middle,
        agreement_date: "2026-01-04",
        pi_number: "PI-3",
        pi_date: "2026-01-05",
        notes: "last",
        created_at: "2026-01-03T00:00:00.000001Z",
        bundling_note: `3 POs for store S: 3, PO-${middle}, 1`,
      });
    });

    it("compares store ids exactly: null and empty never bundle, spaces, case and normal forms count", async () => {
      const { token } = await signIn();
      const client_id = await bundling();
      const stores = [null, "", " ", "  ", "S-01", "s-01", "S-01 ", " S-01", "S-01\t", "caf\u00e9", "cafe\u0301"];
      for (const store_id of [...stores, ...stores]) await insertPo({ client_id, store_id });
      const { bundles } = await read(BundlePage, `${route}?client_id=${client_id}&limit=200`, token);
      const bundled = bundles.filter((entry) => entry.is_bundled);
      expect(bundled.map((entry) => entry.store_id).toSorted()).toEqual(stores.filter(Boolean).toSorted());
      expect(bundled.every((entry) => entry.po_count === 2)).toBe(true);
      const singles = bundles.filter((entry) => !entry.is_bundled);
      expect(singles.map((entry) => entry.store_id)).toEqual(["", null, "", null]);
    });

    it("never bundles across clients, nor for a client that does not want it", async () => {
      const { token } = await signIn();
      const [one, two, plain] = [await bundling(), await bundling(), await insertClient()];
      const store_id = crypto.randomUUID();
      for (const client_id of [one, two, plain, one, two, plain]) await insertPo({ client_id, store_id });
      const pages = await walk(BundlePage, `${route}?limit=200`, token);
      const mine = pages.flatMap((page) => page.bundles).filter((entry) => entry.store_id === store_id);
      expect(mine.map((entry) => [entry.client_id, entry.po_count])).toEqual([
        [plain, 1],
        [two, 2],
        [one, 2],
        [plain, 1],
      ]);
      expect(mine[0]?.bundle_id).toBe(`po:${mine[0]?.po_ids[0]}`);
      expect(mine[1]?.bundle_id).toBe(`store:${two}:${store_id}`);
    });

    it("bundles by created_at, then id, where several POs were made at once", async () => {
      const { token } = await signIn();
      const client_id = await bundling();
      const at = { client_id, store_id: "S", created_at: "2026-01-01T00:00:00Z" };
      const ids = [await insertPo(at), await insertPo(at), await insertPo(at)];
      const { bundles } = await read(BundlePage, `${route}?client_id=${client_id}`, token);
      expect(bundles.map((entry) => entry.po_ids)).toEqual([ids.toReversed()]);
    });

    it("names the newest 200 POs of a bundle of 250, and sums all of them", async () => {
      const { token } = await signIn();
      const client_id = await bundling();
      await sql(
        `INSERT INTO "Finances".client_po (client_id, store_id, po_number, po_value, created_at)
         SELECT $1, 'S', 'N-' || n, 1.01, '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 second'
         FROM generate_series(1, 250) n`,
        [client_id],
      );
      const { bundles } = await read(BundlePage, `${route}?client_id=${client_id}`, token);
      const newest = Array.from({ length: 200 }, (_, index) => `N-${250 - index}`);
      expect(bundles).toHaveLength(1);
      expect(bundles[0]).toMatchObject({
        po_count: 250,
        badge: { label: "Bundle (250 POs)" },
        po_numbers: newest,
        po_value: "252.50",
      });
      expect(bundles[0]?.po_ids).toEqual(bundles[0]?.po_ids.toSorted((a, b) => b - a));
      expect(bundles[0]?.po_ids).toHaveLength(200);
      expect(bundles[0]?.bundling_note).toBe(`250 POs for store S: ${newest.slice(0, 10).join(", ")}, …`);
    });

    it("sums amounts beyond what one PO can have", async () => {
      const { token } = await signIn();
      const client_id = await bundling();
      for (let i = 0; i < 3; i++) await insertPo({ client_id, store_id: "S", po_value: "9999999999999.99" });
      const page = await read(BundlePage, `${route}?client_id=${client_id}&include=summary`, token);
      expect(page.bundles[0]).toMatchObject({ po_value: "29999999999999.97", receivable_amount: "29999999999999.97" });
      expect(page.summary?.total_po_value).toBe("29999999999999.97");
    });

    it("keeps fields within the contract for the longest store id and numbers", async () => {
      const { token } = await signIn();
      const client_id = await bundling();
      const store_id = "😀".repeat(50) + "s".repeat(50);
      for (let i = 0; i < 12; i++) {
        await insertPo({ client_id, store_id, po_number: `${i}`.padStart(255, "n") });
      }
      const { bundles } = await read(BundlePage, `${route}?client_id=${client_id}`, token);
      expect(bundles[0]?.display_identifier).toBe(`BUNDLED-${store_id}`);
    });
  });

  describe("include=line_items", () => {
    it("combines the lines of all POs of an entry, newest PO first, and says whose they are", async () => {
      const { token } = await signIn();
      const client_id = await bundling();
      const store = { client_id, store_id: "S" };
      const old = await insertPo({ ...store, created_at: "2026-01-01T00:00:00Z" });
      const single = await insertPo({ client_id });
      const young = await insertPo({ ...store, created_at: "2026-01-02T00:00:00Z" });
      const lines = [await insertLine(old), await insertLine(young), await insertLine(old), await insertLine(young)];
      const price = { total_price: "100.00", gst_rate: "18" };
      const own = await insertLine(single, price);
      const page = await read(BundlePage, `${route}?client_id=${client_id}&include=line_items,summary`, token);
      const [alone, bundle] = page.bundles;
      expect(bundle?.line_items?.map((line) => [line.client_po_id, line.id])).toEqual([
        [young, lines[1]],
        [young, lines[3]],
        [old, lines[0]],
        [old, lines[2]],
      ]);
      expect(bundle).toMatchObject({ line_item_count: 4, subtotal: "40.00", total_tax: "0.00", po_value: "40.00" });
      expect(alone?.line_items).toMatchObject([{ id: own, gross_amount: "118.00" }]);
      expect(alone).toMatchObject({ subtotal: "100.00", total_tax: "18.00", po_value: "118.00" });
      expect(page.summary).toMatchObject({ total_line_items: 5, total_po_value: "158.00" });
    });

    it("answers an empty array for an entry without lines, and no field without include", async () => {
      const { token } = await signIn();
      const client_id = await insertClient();
      await insertPo({ client_id });
      const path = `${route}?client_id=${client_id}`;
      const withLines = await read(BundlePage, `${path}&include=line_items`, token);
      expect(withLines.bundles[0]?.line_items).toEqual([]);
      expect(withLines).not.toHaveProperty("summary");
      expect((await read(BundlePage, path, token)).bundles[0]).not.toHaveProperty("line_items");
    });

    it("refuses a bundle of more than 2,000 lines and names the route to take, also behind other entries", async () => {
      const { token } = await signIn();
      const client_id = await bundling();
      const [one, two] = [await insertPo({ client_id, store_id: "S" }), await insertPo({ client_id, store_id: "S" })];
      await insertLines(one, 1000);
      await insertLines(two, 1000);
      const path = `${route}?client_id=${client_id}&include=line_items`;
      expect((await read(BundlePage, path, token)).bundles[0]?.line_items).toHaveLength(2000);

      await insertLine(one);
      const { errors } = await problem(await call(path, { token }), "validation-failed");
      expect(errors).toMatchObject([{ in: "query", pointer: "/include" }]);
      expect(errors?.[0]?.detail).toContain("GET /po/{po_id}/line-items");
      expect(errors?.[0]?.detail).toContain("2001");

      await insertLine(await insertPo({ client_id }));
      const first = await read(BundlePage, path, token);
      expect(first.bundles).toHaveLength(1);
      await problem(await call(`${path}&cursor=${first.next_cursor}`, { token }), "validation-failed");
      const without = await read(BundlePage, `${route}?client_id=${client_id}&cursor=${first.next_cursor}`, token);
      expect(without.bundles).toMatchObject([{ po_ids: [two, one], line_item_count: 2001 }]);
      expect(without.next_cursor).toBeNull();
    });

    it("ends a page early at 2,000 lines and goes on with the next", async () => {
      const { token } = await signIn();
      const client_id = await insertClient();
      const ids = [];
      for (const count of [1, 2000, 300, 900, 800]) {
        const id = await insertPo({ client_id });
        await insertLines(id, count);
        ids.unshift(id);
      }
      const pages = await walk(BundlePage, `${route}?client_id=${client_id}&include=line_items`, token);
      expect(pages.map((page) => page.bundles.map((entry) => entry.line_items?.length))).toEqual([
        [800, 900, 300],
        [2000],
        [1],
      ]);
      expect(poIds(pages).flat()).toEqual(ids);
    });
  });

  it.each(["include=", "include=lines", "include=summary,", "include=SUMMARY", "include=summary&include=line_items"])(
    "refuses ?%s",
    async (query) => {
      const { token } = await signIn();
      const { errors } = await problem(await call(`${route}?${query}`, { token }), "validation-failed");
      expect(errors?.every((error) => error.pointer.startsWith("/include"))).toBe(true);
    },
  );

  it.each(["0", "-1", "1.5", "abc", "", "9007199254740993", "99999999999999999999", "1&client_id=2"])(
    "refuses ?client_id=%s",
    async (id) => {
      const { token } = await signIn();
      const { errors } = await problem(await call(`${route}?client_id=${id}`, { token }), "validation-failed");
      expect(errors?.map((error) => error.pointer)).toEqual(["/client_id"]);
    },
  );

  it("is empty, with totals of nothing, for a client without POs and for one that is not there", async () => {
    const { token } = await signIn();
    for (const id of [await bundling(), 9007199254740991]) {
      expect(await read(BundlePage, `${route}?client_id=${id}&include=summary`, token)).toEqual({
        bundles: [],
        next_cursor: null,
        summary: { bundle_count: 0, bundled_count: 0, single_count: 0, total_po_value: "0.00", total_line_items: 0 },
      });
    }
  });

  it("refuses a cursor with another client, and takes it with another limit or include", async () => {
    const { token } = await signIn();
    const [one, two] = [await bundling(), await bundling()];
    for (const client_id of [one, one, two, two]) await insertPo({ client_id });
    const { next_cursor } = await read(BundlePage, `${route}?client_id=${one}&limit=1`, token);
    for (const query of [`client_id=${two}&`, ""]) {
      await problem(await call(`${route}?${query}cursor=${next_cursor}`, { token }), "invalid-cursor");
    }
    const path = `${route}?client_id=${one}&limit=200&include=summary,line_items&cursor=${next_cursor}`;
    expect((await read(BundlePage, path, token)).bundles).toHaveLength(1);
  });

  it("keeps a walk as it was on its first page, whatever is added later", async () => {
    const { token } = await signIn();
    const client_id = await bundling();
    const ids: Record<string, number[]> = {};
    for (const store_id of ["A", "B", "C", "A", "B"]) {
      ids[store_id] = [await insertPo({ client_id, store_id, po_value: "1.00" }), ...(ids[store_id] ?? [])];
    }
    const path = `${route}?client_id=${client_id}&limit=1&include=summary`;
    const pages = await walk(BundlePage, path, token, async () => {
      for (const store_id of ["A", "B", "C", "D", null]) await insertPo({ client_id, store_id, po_value: "1.00" });
    });
    expect(poIds(pages)).toEqual([ids.B, ids.A, ids.C]);
    for (const page of pages) expect(page.summary).toMatchObject({ bundle_count: 3, total_po_value: "5.00" });
  });
});

itFollowsTheRule(60);
