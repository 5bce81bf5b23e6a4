import { describe, expect, it } from "vitest";
import { Counts, OrphanPage } from "../src/ops/contract.ts";
import { call, read, roundTrips, signIn, sql } from "./support/api.ts";
import { problem } from "./support/problem.ts";
import { insertLine, insertPo, walk } from "./support/rows.ts";

/** A line and a payment of POs that do not exist, as the import leaves them. */
async function keepOrphans() {
  await sql(`DO $$ BEGIN
    ALTER TABLE "Finances".client_po_line_item DROP CONSTRAINT client_po_line_item_po_fkey;
    ALTER TABLE "Finances".client_payment DROP CONSTRAINT client_payment_po_fkey;
    INSERT INTO "Finances".client_po_line_item (id, client_po_id, item_name, quantity, unit_price) VALUES (9001, 7001, 'Door', 2, 10.5), (9002, 7001, 'Door', 1, 1);
    INSERT INTO "Finances".client (id, name) VALUES (8001, 'Orphanage');
    INSERT INTO "Finances".client_payment (id, client_id, client_po_id, amount) VALUES (9003, 8001, 7002, 100);
    ALTER TABLE "Finances".client_po_line_item ADD CONSTRAINT client_po_line_item_po_fkey FOREIGN KEY (client_po_id) REFERENCES "Finances".client_po ON DELETE CASCADE NOT VALID;
    ALTER TABLE "Finances".client_payment ADD CONSTRAINT client_payment_po_fkey FOREIGN KEY (client_po_id) REFERENCES "Finances".client_po NOT VALID;
    INSERT INTO "Finances".legacy_orphan (table_name, row_id, constraint_name, missing_key, row)
    VALUES ('client_po_line_item', '9004', 'client_po_line_item_po_fkey', '7003', '{"id": 9004, "total_price": "5.00"}');
  END $$`);
}

describe("GET /ops/counts", () => {
  it("counts every table in one round trip", async () => {
    const { token } = await signIn("admin");
    const before = await read(Counts, "/ops/counts", token);
    const po = await insertPo();
    await insertLine(po);
    await insertLine(po);
    let after = before;
    expect(
      await roundTrips(async () => {
        after = await read(Counts, "/ops/counts", token);
      }),
    ).toBe(1);
    expect(Object.keys(after.tables)).toHaveLength(19);
    expect(after.tables.client_po).toBe(before.tables.client_po + 1);
    expect(after.tables.client_po_line_item).toBe(before.tables.client_po_line_item + 2);
    expect(after.total).toBe(Object.values(after.tables).reduce((sum, count) => sum + count, 0));
  });
});

describe("GET /ops/orphans", () => {
  it("shows the kept and the quarantined rows, whole, with decimals as strings", async () => {
    const { token } = await signIn("admin");
    expect(await read(OrphanPage, "/ops/orphans", token)).toEqual({ data: [], next_cursor: null });
    await keepOrphans();
    let page: OrphanPage | undefined;
    expect(
      await roundTrips(async () => {
        page = await read(OrphanPage, "/ops/orphans", token);
      }),
    ).toBe(1);
    expect(page?.data.map(({ state, table, row_id, missing_key }) => [state, table, row_id, missing_key])).toEqual([
      ["kept", "client_payment", "9003", "7002"],
      ["kept", "client_po_line_item", "9001", "7001"],
      ["kept", "client_po_line_item", "9002", "7001"],
      ["quarantined", "client_po_line_item", "9004", "7003"],
    ]);
    expect(page?.data[1]).toMatchObject({
      constraint: "client_po_line_item_po_fkey",
      row: { id: 9001, client_po_id: 7001, item_name: "Door", unit_price: "10.5000", total_price: "21.00" },
    });
    const walked = await walk(OrphanPage, "/ops/orphans?limit=1", token);
    expect(walked.flatMap((each) => each.data)).toEqual(page?.data);
  });
});

describe("the ops routes", () => {
  it.each(["/ops/counts", "/ops/orphans"])("are for admins: %s", async (path) => {
    for (const role of ["viewer", "editor"] as const) {
      await problem(await call(path, { token: (await signIn(role)).token }), "forbidden");
    }
  });
});
