import { describe, expect, it } from "vitest";
import { PurchaseOrderWithLines as Po } from "../src/po/contract.ts";
import { type Status, statuses, transitions } from "../src/po/status.ts";
import { call, read, signIn, sql } from "./support/api.ts";
import { problem } from "./support/problem.ts";
import { insertClient, insertLine, insertPo } from "./support/rows.ts";
import { audited, create, whileUncommitted } from "./support/write.ts";

const editor = async () => (await signIn("editor")).token;
const setStatus = (po: number, token: string, body: unknown) =>
  call(`/po/${po}/status`, { method: "POST", token, body });
const send = (method: string, path: string, token: string, body?: unknown) => call(path, { method, token, body });

const pairs = statuses.flatMap((from) => statuses.map((to): [Status, Status] => [from, to]));
const allowed = pairs.filter(([from, to]) => transitions[from].includes(to));
const refused = pairs.filter(([from, to]) => from !== to && !transitions[from].includes(to));

describe("the status of a PO", () => {
  it("has these transitions, and no PO is stuck", () => {
    expect(allowed.map((pair) => pair.join(" → "))).toEqual([
      "pending → active",
      "pending → cancelled",
      "active → pending",
      "active → completed",
      "active → cancelled",
      "completed → active",
      "cancelled → pending",
    ]);
    for (const status of statuses) expect(transitions[status].length).toBeGreaterThan(0);
  });

  it.each(allowed)("goes from %s to %s, with a reason that stays with it", async (from, to) => {
    const { token, id } = await signIn("editor");
    const po = await insertPo({ status: from, status_reason: "Old reason" });
    const response = await setStatus(po, token, { status: to, reason: "Because" });
    expect([response.status, response.headers.get("ETag")]).toEqual([200, '"2"']);
    const changed = Po.parse(await response.json());
    expect(changed).toMatchObject({ status: to, status_reason: "Because", version: 2 });
    expect(await read(Po, `/po/${po}`, token)).toEqual(changed);
    expect(await audited(response, id)).toEqual([`update client_po ${po}`]);
    const [entry] = await sql(`SELECT changes::text AS changes FROM "Finances".audit_log WHERE request_id = $1`, [
      response.headers.get("X-Request-Id"),
    ]);
    expect(JSON.parse(entry?.changes ?? "")).toEqual({
      status: { before: from, after: to },
      status_reason: { before: "Old reason", after: "Because" },
    });
  });

  it.each(refused)("does not go from %s to %s, and says where it goes", async (from, to) => {
    const { token, id } = await signIn("editor");
    const po = await insertPo({ status: from });
    const response = await setStatus(po, token, { status: to, reason: "Because" });
    expect((await problem(response, "conflict")).errors).toEqual([
      { in: "body", pointer: "/status", detail: `a ${from} PO becomes ${transitions[from].join(" or ")}` },
    ]);
    expect(await audited(response, id)).toEqual([]);
    expect(await read(Po, `/po/${po}`, token)).toMatchObject({ status: from, status_reason: null, version: 1 });
  });

  it.each(statuses)("stays %s when it is that already, and nothing else changes either", async (status) => {
    const { token, id } = await signIn("editor");
    const po = await insertPo({ status, status_reason: "Said before" });
    const response = await setStatus(po, token, { status, reason: "Said now" });
    expect(Po.parse(await response.json())).toMatchObject({ status, status_reason: "Said before", version: 1 });
    expect([response.status, await audited(response, id)]).toEqual([200, []]);
  });

  it("loses its reason with a change that gives none", async () => {
    const token = await editor();
    const po = await insertPo({ status_reason: "Old reason" });
    for (const body of [{ status: "active" }, { status: "pending", reason: null }]) {
      await setStatus(po, token, { status: "cancelled", reason: "No" });
      await setStatus(po, token, { status: "pending", reason: "Yes" });
      await setStatus(po, token, body);
    }
    expect(await read(Po, `/po/${po}`, token)).toMatchObject({ status: "pending", status_reason: "Yes" });
    await setStatus(po, token, { status: "active" });
    expect(await read(Po, `/po/${po}`, token)).toMatchObject({ status: "active", status_reason: null });
  });

  it.each([
    [{}, "/status"],
    [{ status: "done" }, "/status"],
    [{ status: "Active" }, "/status"],
    [{ status: " active" }, "/status"],
    [{ status: null }, "/status"],
    [{ status: "toString" }, "/status"],
    [{ status: "active", reason: 1 }, "/reason"],
    [{ status: "active", reason: "x".repeat(1001) }, "/reason"],
    [{ status: "active", reason: "\u0000" }, "/reason"],
    [{ status: "active", because: "x" }, "/because"],
  ])("is not set by %j", async (body, pointer) => {
    const po = await insertPo();
    const { errors } = await problem(await setStatus(po, await editor(), body), "validation-failed");
    expect(errors).toMatchObject([{ in: "body", pointer }]);
  });

  it("is set once by two who want different things at once", async () => {
    const token = await editor();
    const po = await insertPo({ status: "active" });
    const [one, two] = await Promise.all([
      setStatus(po, token, { status: "completed" }),
      setStatus(po, token, { status: "pending" }),
    ]);
    expect([one?.status, two?.status].toSorted()).toEqual([200, 409]);
  });
});

/** A PO of 11.80 with one line. */
async function poWithLine(status = "active") {
  const po = await insertPo({ status: "pending", vendor_gstin: "27ABCDE1234F1Z5", bill_to_gstin: "27ABCDE1234F1Z5" });
  const line = await insertLine(po, { quantity: 1, unit_price: "10", total_price: null, gst_rate: 18 });
  await sql(`UPDATE "Finances".client_po SET status = $2 WHERE id = $1`, [po, status]);
  return { po, line, lines: `/po/${po}/line-items` };
}

describe.each(["completed", "cancelled"])("a %s PO", (closed) => {
  it("keeps its lines and amounts against everybody", async () => {
    const { token, id } = await signIn("editor");
    const { po, line, lines } = await poWithLine(closed);
    const before = await read(Po, `/po/${po}`, token);
    const writes: [method: string, path: string, body?: unknown][] = [
      ["POST", lines, { item_name: "Door", total_price: "1" }],
      ["POST", lines, [{ item_name: "Door", total_price: "0" }]],
      ["PATCH", `${lines}/${line}`, { quantity: 2 }],
      ["PATCH", `${lines}/${line}`, { item_name: "Door" }],
      ["DELETE", `${lines}/${line}`],
      ["PATCH", `/po/${po}`, { receivable_amount: "1" }],
      ["PATCH", `/po/${po}`, { receivable_amount: null }],
      // The tax would be split in another way.
      ["PATCH", `/po/${po}`, { bill_to_gstin: "29ABCDE1234F1Z5" }],
    ];
    for (const [method, path, body] of writes) {
      const response = await send(method, path, token, body);
      // A receivable amount that is cleared becomes the value again, which it is.
      if (JSON.stringify(body) === '{"receivable_amount":null}') expect(response.status).toBe(200);
      else expect((await problem(response, "conflict")).errors?.[0]?.detail).toMatch(/completed or cancelled/);
      expect(await audited(response, id)).toEqual([]);
    }
    const owners = [
      `UPDATE "Finances".client_po_line_item SET quantity = 3 WHERE client_po_id = $1`,
      `DELETE FROM "Finances".client_po_line_item WHERE client_po_id = $1`,
      `INSERT INTO "Finances".client_po_line_item (client_po_id, item_name, total_price) VALUES ($1, 'Door', 1)`,
      `UPDATE "Finances".client_po SET receivable_amount = 0 WHERE id = $1`,
      `UPDATE "Finances".client_po SET status = 'completed', receivable_amount = 0 WHERE id = $1`,
    ];
    for (const text of owners) await expect(sql(text, [po])).rejects.toThrow(/its line items and amounts are locked/);
    expect(await read(Po, `/po/${po}`, token)).toEqual(before);
  });

  it("keeps a value that no lines make", async () => {
    const token = await editor();
    const po = await insertPo({ status: closed, po_value: "5.00" });
    await problem(await send("PATCH", `/po/${po}`, token, { po_value: "6.00" }), "conflict");
    await problem(await send("PATCH", `/po/${po}`, token, { po_value: null }), "conflict");
    expect((await send("PATCH", `/po/${po}`, token, { po_value: "5.00" })).status).toBe(200);
    expect(await read(Po, `/po/${po}`, token)).toMatchObject({ po_value: "5.00", version: 1 });
  });

  it("can still be described in other words, and take a change that changes nothing", async () => {
    const token = await editor();
    const { po, line, lines } = await poWithLine(closed);
    expect((await send("PATCH", `/po/${po}`, token, { notes: "Filed", store_id: "S" })).status).toBe(200);
    expect((await send("PATCH", `${lines}/${line}`, token, { quantity: "1.000" })).status).toBe(200);
    expect(await read(Po, `/po/${po}`, token)).toMatchObject({ notes: "Filed", po_value: "11.80" });
  });

  it("is open again when its status is set back", async () => {
    const token = await editor();
    const { po, line, lines } = await poWithLine(closed);
    expect((await setStatus(po, token, { status: closed === "completed" ? "active" : "pending" })).status).toBe(200);
    expect((await send("PATCH", `${lines}/${line}`, token, { quantity: 2 })).status).toBe(200);
    expect((await send("PATCH", `/po/${po}`, token, { receivable_amount: "1" })).status).toBe(200);
    expect(await read(Po, `/po/${po}`, token)).toMatchObject({ po_value: "23.60", receivable_amount: "1.00" });
  });

  it("may come as such, with its lines and a receivable amount of its own", async () => {
    const token = await editor();
    const client_id = await insertClient();
    const line_items = [{ item_name: "Door", quantity: 2, unit_price: "10", gst_rate: 18 }];
    const given = { client_id, status: closed, line_items, receivable_amount: "3.00" };
    const po = await create(Po, "/po", given, token);
    expect(po).toMatchObject({ status: closed, po_value: "23.60", receivable_amount: "3.00", line_item_count: 1 });
    await problem(await send("POST", `/po/${po.id}/line-items`, token, line_items), "conflict");
  });

  it("is deleted with its lines all the same", async () => {
    const { token } = await signIn("admin");
    const { po } = await poWithLine(closed);
    expect((await send("DELETE", `/po/${po}`, token)).status).toBe(204);
  });

  it("lets no line in that comes in the moment of its closing", async () => {
    const token = await editor();
    const { po, lines } = await poWithLine("active");
    const close = `UPDATE "Finances".client_po SET status = '${closed}' WHERE id = $1`;
    const response = await whileUncommitted(close, [po], () =>
      send("POST", lines, token, { item_name: "Door", total_price: "1" }),
    );
    await problem(response, "conflict");
    expect(await read(Po, `/po/${po}`, token)).toMatchObject({ status: closed, line_item_count: 1 });
  });
});

it.each(["pending", "active"])("a %s PO is open: lines and amounts follow what is written", async (open) => {
  const token = await editor();
  const { po, lines } = await poWithLine(open);
  expect((await send("POST", lines, token, { item_name: "Door", total_price: "1" })).status).toBe(201);
  expect((await send("PATCH", `/po/${po}`, token, { receivable_amount: "1" })).status).toBe(200);
});
