import fc from "fast-check";
import { expect, it } from "vitest";
import { type Bundle, BundlePage } from "../../src/po/contract.ts";
import { read, signIn, sql } from "./api.ts";
import { freshDatabase } from "./database.ts";
import { insert, insertClient } from "./rows.ts";

const route = "/po/aggregated/by-store";

/** The rule of bundling once more, as naively as it can be said. */
export function itFollowsTheRule(numRuns: number) {
  interface Po {
    id: number;
    client: number;
    store: string | null;
    number: string | null;
    second: number;
    value: number | null;
    receivable: number | null;
    project: number | null;
    lines: number[];
  }
  const clients = [
    { id: 1, bundles: true },
    { id: 2, bundles: true },
    { id: 3, bundles: false },
  ];

  const money = (paise: number) =>
    `${paise < 0 ? "-" : ""}${Math.floor(Math.abs(paise) / 100)}.${String(Math.abs(paise) % 100).padStart(2, "0")}`;
  const instantOf = (second: number) => `2026-01-01T00:00:${String(second).padStart(2, "0")}.000001Z`;
  const total = (numbers: (number | null)[]) => numbers.reduce<number>((sum, each) => sum + (each ?? 0), 0);
  const newestFirst = (a: Po, b: Po) => b.second - a.second || b.id - a.id;
  /** A PO with lines is worth what they are; there is no GST on these. */
  const worthOf = (po: Po) => (po.lines.length > 0 ? total(po.lines) : po.value);
  const receivableOf = (po: Po) => (po.lines.length > 0 ? total(po.lines) : (po.receivable ?? po.value));

  function entriesOf(pos: Po[]) {
    const groups = new Map<string, Po[]>();
    for (const po of pos.toSorted(newestFirst)) {
      const canBundle = clients.some((client) => client.id === po.client && client.bundles) && !!po.store;
      const key = canBundle ? `store:${po.client}:${po.store}` : `po:${po.id}`;
      groups.set(key, [...(groups.get(key) ?? []), po]);
    }
    return [...groups].map(([bundle_id, members]) => ({ bundle_id, members }));
  }

  function wire(bundle_id: string, members: Po[]) {
    const [newest] = members;
    if (!newest) throw new Error("an entry has a PO");
    const bundled = members.length > 1;
    return {
      bundle_id,
      display_identifier: bundled ? `BUNDLED-${newest.store}` : (newest.number ?? `PO-${newest.id}`),
      is_bundled: bundled,
      badge: bundled
        ? { type: "bundled", label: `Bundle (${members.length} POs)`, color: "blue", icon: "package" }
        : { type: "single", label: "Single PO", color: "gray", icon: "file" },
      client_id: newest.client,
      client_name: `Client ${newest.client}`,
      store_id: newest.store,
      po_ids: members.map((po) => po.id),
      po_numbers: members.map((po) => po.number),
      po_count: members.length,
      po_number: newest.number,
      project_id: members.find((po) => po.project !== null)?.project ?? null,
      created_at: instantOf(newest.second),
      po_value: money(total(members.map(worthOf))),
      receivable_amount: money(total(members.map(receivableOf))),
      subtotal: money(total(members.flatMap((po) => po.lines))),
      total_tax: "0.00",
      line_item_count: members.flatMap((po) => po.lines).length,
    };
  }

  async function store(pos: Po[]) {
    await sql(
      `INSERT INTO "Finances".client_po (id, client_id, store_id, po_number, created_at, po_value, receivable_amount, project_id)
       SELECT id, client_id, store_id, po_number, created_at, po_value, receivable_amount, project_id
       FROM json_populate_recordset(NULL::"Finances".client_po, $1::json)`,
      [
        JSON.stringify(
          pos.map((po) => ({
            id: po.id,
            client_id: po.client,
            store_id: po.store,
            po_number: po.number,
            created_at: instantOf(po.second),
            po_value: po.lines.length > 0 || po.value === null ? null : money(po.value),
            receivable_amount: po.lines.length > 0 || po.receivable === null ? null : money(po.receivable),
            project_id: po.project,
          })),
        ),
      ],
    );
    const lines = pos.flatMap((po) => po.lines.map((price) => ({ po: po.id, price: money(price) })));
    if (lines.length === 0) return;
    await sql(
      `INSERT INTO "Finances".client_po_line_item (client_po_id, item_name, total_price)
       SELECT po, 'Line', price FROM json_to_recordset($1::json) AS line (po bigint, price numeric)`,
      [JSON.stringify(lines)],
    );
  }

  const paise = fc.option(fc.integer({ min: -100_000, max: 100_000 }), { freq: 3 });
  const somePo = fc.record({
    client: fc.constantFrom(1, 2, 3),
    store: fc.constantFrom(null, "", " ", "S", "s", "S "),
    numbered: fc.boolean(),
    second: fc.integer({ min: 0, max: 5 }),
    value: paise,
    receivable: paise,
    project: fc.constantFrom(null, null, 1, 2),
    lines: fc.array(fc.integer({ min: 0, max: 9999 }), { maxLength: 2 }),
  });

  it("pages through what the rule says, while POs are added at any time, also before the walk's first", async () => {
    await freshDatabase();
    const { token } = await signIn();
    for (const { id, bundles } of clients) await insertClient({ id, name: `Client ${id}`, bundle_by_store: bundles });
    for (const id of [1, 2]) await insert("project", { id, name: "Fit-out" });

    await fc.assert(
      fc.asyncProperty(
        fc.array(somePo, { maxLength: 14 }),
        fc.array(somePo, { maxLength: 8 }),
        fc.constantFrom(1, 2, 3, 5, 200),
        fc.constantFrom(undefined, 1, 3),
        fc.infiniteStream(fc.integer({ min: 0, max: 2 })),
        // Ids in another order than the rows are made in.
        fc.shuffledSubarray(
          Array.from({ length: 22 }, (_, index) => index + 1),
          { minLength: 22 },
        ),
        async (initial, later, limit, client, addsPerPage, ids) => {
          await sql(`DELETE FROM "Finances".client_po`);
          const numbered = [...initial, ...later].map(({ numbered, ...po }, index) => {
            const id = ids[index] ?? 0;
            return { ...po, id, number: numbered ? `N-${id}` : null };
          });
          const existing = numbered.slice(0, initial.length);
          const toCome = numbered.slice(initial.length);
          await store(existing);

          let snapshot: Po | undefined;
          let last: Po | undefined;
          let cursor: string | null = null;
          do {
            const visible = existing.filter(
              (po) => (client === undefined || po.client === client) && (!snapshot || newestFirst(snapshot, po) <= 0),
            );
            const entries = entriesOf(visible);
            const rest = entries.filter(({ members: [head] }) => !last || (head && newestFirst(last, head) < 0));
            const filters = `limit=${limit}&include=summary,line_items${client === undefined ? "" : `&client_id=${client}`}`;
            const path: string = `${route}?${filters}${cursor === null ? "" : `&cursor=${cursor}`}`;
            const page: BundlePage = await read(BundlePage, path, token);

            expect(page.bundles.map(comparable)).toEqual(
              rest.slice(0, limit).map(({ bundle_id, members }) => wire(bundle_id, members)),
            );
            expect(page.bundles.map((entry) => entry.bundling_note === null)).toEqual(
              page.bundles.map((entry) => !entry.is_bundled),
            );
            expect(
              page.bundles.map((entry) => entry.line_items?.map((line) => [line.client_po_id, line.total_price])),
            ).toEqual(
              rest
                .slice(0, limit)
                .map(({ members }) => members.flatMap((po) => po.lines.map((price) => [po.id, money(price)]))),
            );
            expect(page.summary).toEqual({
              bundle_count: entries.length,
              bundled_count: entries.filter(({ members }) => members.length > 1).length,
              single_count: entries.filter(({ members }) => members.length === 1).length,
              total_po_value: money(total(visible.map(worthOf))),
              total_line_items: visible.flatMap((po) => po.lines).length,
            });
            expect(page.next_cursor === null).toBe(rest.length <= limit);

            cursor = page.next_cursor;
            snapshot ??= visible.toSorted(newestFirst)[0];
            last = rest.slice(0, limit).at(-1)?.members[0];
            const added = toCome.splice(0, addsPerPage.next().value);
            if (cursor !== null && added.length > 0) {
              await store(added);
              existing.push(...added);
            }
          } while (cursor !== null);
        },
      ),
      { numRuns },
    );
  }, 600_000);

  function comparable(entry: Bundle) {
    const { line_items: _lines, bundling_note: _note, ...rest } = entry;
    const { po_date, status, po_type, parent_po_id, agreement_date, pi_number, pi_date, ...more } = rest;
    expect({ po_date, status, po_type }).toEqual({ po_date: null, status: "pending", po_type: "standard" });
    expect([parent_po_id, agreement_date, pi_number, pi_date]).toEqual([null, null, null, null]);
    const { vendor_id, site_id, notes, ...compared } = more;
    expect([vendor_id, site_id, notes]).toEqual([null, null, null]);
    return compared;
  }
}
