import { describe, expect, it } from "vitest";
import { createDb, type Statement } from "../src/db/client.ts";
import { LineItem } from "../src/line-item/contract.ts";
import { PurchaseOrderWithLines as Po } from "../src/po/contract.ts";
import { call, read, roundTrips, signIn, sql } from "./support/api.ts";
import { database } from "./support/database.ts";
import { problem } from "./support/problem.ts";
import { insertClient, insertLine, insertLines, insertPo } from "./support/rows.ts";

const state = "27ABCDE1234F1Z5";
const newPo = () => insertPo({ vendor_gstin: state, bill_to_gstin: state });
const times = <Value>(count: number, make: (index: number) => Value) =>
  Array.from({ length: count }, (_, n) => make(n));

/** The PO's amounts beside what its lines add up to. */
async function expectExact(po: number): Promise<void> {
  const [row] = await sql(
    `SELECT po.line_item_count, po.subtotal, po.total_tax, po.po_value, po.cgst + po.sgst AS split, po.receivable_amount,
            sums.lines, sums.net, sums.tax, sums.gross
     FROM "Finances".client_po po CROSS JOIN LATERAL (
       SELECT count(*) AS lines, coalesce(sum(total_price), 0.00) AS net, coalesce(sum(gst_amount), 0.00) AS tax,
              coalesce(sum(gross_amount), 0.00) AS gross
       FROM "Finances".client_po_line_item line WHERE line.client_po_id = po.id
     ) sums WHERE po.id = $1`,
    [po],
  );
  expect(row).toMatchObject({
    line_item_count: row?.lines,
    subtotal: row?.net,
    total_tax: row?.tax,
    po_value: row?.gross,
    split: row?.tax,
    receivable_amount: row?.gross,
  });
}

/** One writer of the API: adds two lines, changes and deletes them in turns. Answers the statuses it met. */
async function writer(po: number, token: string, salt: number): Promise<number[]> {
  const path = `/po/${po}/line-items`;
  const statuses: number[] = [];
  const send = async (where: string, method: string, body?: unknown) => {
    const response = await call(where, { method, token, body });
    statuses.push(response.status);
    if (response.status === 503) expect(response.headers.get("Retry-After")).toMatch(/^\d+$/);
    return response;
  };
  const line = (n: number) => ({ item_name: `L${n}`, quantity: `${n}.125`, unit_price: `${salt}.0375`, gst_rate: n });
  const one = await send(path, "POST", line(1));
  const own = one.status === 201 ? LineItem.parse(await one.json()).id : 0;
  await send(path, "POST", [line(2), line(3), line(4)]);
  await send(`${path}/${own}`, "PATCH", { quantity: `${salt + 1}.5`, gst_rate: "12.5" });
  await send(`${path}/${own}`, "PATCH", { total_price: `${salt}.05` });
  if (salt % 2 === 0) await send(`${path}/${own}`, "DELETE");
  await send(`/po/${po}`, "PATCH", { notes: `writer ${salt}` });
  return statuses;
}

describe("50 writers of one PO", () => {
  it("never meet a deadlock, and the totals are their lines' sums", async () => {
    const { token } = await signIn("editor");
    const po = await newPo();
    let met: number[][] = [];
    const trips = await roundTrips(async () => {
      met = await Promise.all(times(50, (salt) => writer(po, token, salt)));
    });
    // A deadlock would be tried again, and so not be seen but here.
    expect(trips).toBe(met.flat().length);
    expect(met.map((statuses) => statuses.filter((status) => status !== 204))).toEqual(
      Array(50).fill([201, 201, 200, 200, 200]),
    );
    await expectExact(po);
    // Every one of them counts once: 50 x (2 inserts, 2 changes, a note) and 25 deletions.
    const after = await read(Po, `/po/${po}`, token);
    expect(after).toMatchObject({ line_item_count: 175, version: 1 + 50 * 5 + 25 });
  }, 30_000);

  it("are told to come again where foreign SQL gets in their way, and the totals are right all the same", async () => {
    const { token } = await signIn("editor");
    const po = await newPo();
    await insertLines(po, 20);
    const shared = (await read(Po, `/po/${po}`, token)).line_items.map((line) => line.id);
    // Lines first and the PO afterwards: the order that the API avoids.
    const foreign: Statement[] = [
      {
        text: `SELECT FROM "Finances".client_po_line_item WHERE id = ANY ($1) FOR UPDATE`,
        params: [shared.slice(0, 5)],
      },
      { text: "SELECT pg_sleep(0.1)", params: [] },
      {
        text: `UPDATE "Finances".client_po_line_item SET quantity = quantity + 0.125 WHERE id = ANY ($1)`,
        params: [shared.slice(0, 3)],
      },
      { text: `DELETE FROM "Finances".client_po_line_item WHERE id = $1`, params: [shared[4]] },
      {
        text: `INSERT INTO "Finances".client_po_line_item (client_po_id, item_name, quantity, unit_price, gst_rate)
               SELECT $1, 'foreign', n, 0.335, 18 FROM generate_series(1, 4) n`,
        params: [po],
      },
    ];
    const stranger = async () => {
      const outcome = await createDb(database.ownerUrl)
        .write(...foreign)
        .then(() => "done")
        .catch((error: { code?: string }) => error.code);
      expect(["done", "40P01"]).toContain(outcome);
    };
    const changes = times(5, async (salt) => {
      const path = `/po/${po}/line-items/${shared[salt]}`;
      const response = await call(path, { method: "PATCH", token, body: { quantity: `${salt}.335` } });
      return [response.status];
    });
    const writers = times(5, (salt) => writer(po, token, salt));
    const [met] = await Promise.all([Promise.all([...changes, ...writers]), stranger(), stranger()]);
    // 404: a stranger deleted the line.
    expect(met.flat().filter((status) => ![200, 201, 204, 404, 503].includes(status))).toEqual([]);
    await expectExact(po);
  }, 30_000);
});

/** Lets the first `count` changes of the line fail as a deadlock does: a sequence counts on through rollbacks. */
async function deadlock(line: number, count: number): Promise<void> {
  const name = `deadlock_of_${line}`;
  await sql(`CREATE SEQUENCE "Finances".${name}`);
  await sql(
    `CREATE FUNCTION "Finances".${name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
       IF nextval('"Finances".${name}') <= ${count} THEN
         RAISE EXCEPTION 'deadlock detected' USING ERRCODE = 'deadlock_detected';
       END IF;
       RETURN NEW;
     END $$`,
  );
  await sql(
    `CREATE TRIGGER ${name} BEFORE UPDATE ON "Finances".client_po_line_item
     FOR EACH ROW WHEN (OLD.id = ${line}) EXECUTE FUNCTION "Finances".${name}()`,
  );
}

describe("a deadlock with foreign SQL", () => {
  it("is tried once more, unseen by the caller", async () => {
    const { token } = await signIn("editor");
    const po = await newPo();
    const line = await insertLine(po);
    const before = await read(Po, `/po/${po}`, token);
    await deadlock(line, 1);
    const trips = await roundTrips(async () => {
      const response = await call(`/po/${po}/line-items/${line}`, {
        method: "PATCH",
        token,
        body: { total_price: "7" },
      });
      expect(response.status).toBe(200);
    });
    expect(trips).toBe(2);
    expect(await read(Po, `/po/${po}`, token)).toMatchObject({ po_value: "7.00", version: before.version + 1 });
  });

  it("is answered 503 with Retry-After the second time, and nothing is written", async () => {
    const { token } = await signIn("editor");
    const po = await newPo();
    const line = await insertLine(po);
    const before = await read(Po, `/po/${po}`, token);
    await deadlock(line, 2);
    const response = await call(`/po/${po}/line-items/${line}`, { method: "PATCH", token, body: { total_price: "7" } });
    await problem(response, "unavailable");
    expect(response.headers.get("Retry-After")).toBe("5");
    expect(await read(Po, `/po/${po}`, token)).toEqual(before);
  });
});

const statusesOf = (responses: Response[]) => responses.map((response) => response.status);
describe("writers of different things", () => {
  it("give a PO a value while others add its first line and delete its last: the value is the lines' or the given one", async () => {
    const { token } = await signIn("editor");
    for (let round = 0; round < 8; round++) {
      const po = await insertPo({ po_value: "1.00" });
      const path = `/po/${po}/line-items`;
      const line = { item_name: "Shelf", total_price: "7", gst_rate: "18" };
      const addAndDelete = async () => {
        const made = await call(path, { method: "POST", token, body: line });
        expect(made.status).toBe(201);
        const { id } = LineItem.parse(await made.json());
        expect((await call(`${path}/${id}`, { method: "DELETE", token })).status).toBe(204);
      };
      const value = async (n: number) => {
        const response = await call(`/po/${po}`, { method: "PATCH", token, body: { po_value: `${n}.55` } });
        if (response.status === 200) return;
        expect((await problem(response, "validation-failed")).errors).toMatchObject([{ pointer: "/po_value" }]);
      };
      await Promise.all([...times(4, addAndDelete), ...times(8, value)]);
      const after = await read(Po, `/po/${po}`, token);
      // Nobody gave a receivable amount: it has moved with the value, step by step.
      expect(after).toMatchObject({ line_item_count: 0, receivable_amount: after.po_value });
      expect(after.po_value).toMatch(after.subtotal === null ? /^\d\.55$/ : /^0\.00$/);
    }
  });

  it("add lines to a PO that is deleted: before it or not at all", async () => {
    const { token } = await signIn("admin");
    for (let round = 0; round < 5; round++) {
      const po = await newPo();
      await insertLine(po);
      const line = { item_name: "Shelf", total_price: "1", gst_rate: "18" };
      const add = () => call(`/po/${po}/line-items`, { method: "POST", token, body: line });
      const [before, gone, after] = await Promise.all([
        Promise.all(times(8, add)),
        call(`/po/${po}`, { method: "DELETE", token }),
        Promise.all(times(8, add)),
      ]);
      expect(gone.status).toBe(204);
      expect(statusesOf([...before, ...after]).filter((status) => status !== 201 && status !== 404)).toEqual([]);
      expect(await sql(`SELECT FROM "Finances".client_po_line_item WHERE client_po_id = $1`, [po])).toEqual([]);
    }
  });

  it("create POs of a client, a vendor and a parent that are deleted: one or the other", async () => {
    const { token } = await signIn("admin");
    for (let round = 0; round < 5; round++) {
      const [client_id, parent_po_id] = [await insertClient(), await insertPo()];
      const create = () => call("/po", { method: "POST", token, body: { client_id, parent_po_id } });
      const [made, ...deleted] = await Promise.all([
        Promise.all(times(6, create)),
        call(`/client/${client_id}`, { method: "DELETE", token }),
        call(`/po/${parent_po_id}`, { method: "DELETE", token }),
      ]);
      expect(statusesOf(made).filter((status) => status !== 201 && status !== 422)).toEqual([]);
      expect(statusesOf(deleted).filter((status) => status !== 204 && status !== 409)).toEqual([]);
      if (deleted.some((response) => response.status === 204)) {
        const later = await problem(await create(), "validation-failed");
        expect(["/client_id", "/parent_po_id"]).toContain(later.errors?.[0]?.pointer);
      }
    }
  });

  it("move POs to a client where others take their number: one has it", async () => {
    const { token } = await signIn("editor");
    for (let round = 0; round < 5; round++) {
      const target = await insertClient();
      const pos = await Promise.all(times(6, () => insertPo({ po_number: "PO-1" })));
      const all = await Promise.all([
        ...pos.map((po) => call(`/po/${po}`, { method: "PATCH", token, body: { client_id: target } })),
        ...times(3, () => call("/po", { method: "POST", token, body: { client_id: target, po_number: "PO-1" } })),
      ]);
      expect(statusesOf(all).filter((status) => status === 409)).toHaveLength(8);
      expect(statusesOf(all).filter((status) => status === 200 || status === 201)).toHaveLength(1);
    }
  });

  it("renumber two POs and make each the other's parent: no error of ours", async () => {
    const { token } = await signIn("editor");
    const client_id = await insertClient();
    for (let round = 0; round < 3; round++) {
      const [one, two] = [await insertPo({ client_id }), await insertPo({ client_id })];
      const change = (po: number, parent_po_id: number) => {
        const body = { parent_po_id, po_number: crypto.randomUUID() };
        return call(`/po/${po}`, { method: "PATCH", token, body });
      };
      const all = await Promise.all([change(one, two), change(two, one), change(one, two), change(two, one)]);
      expect(statusesOf(all).filter((status) => status !== 200 && status !== 503)).toEqual([]);
    }
  });
});
