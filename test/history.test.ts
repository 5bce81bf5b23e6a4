import { describe, expect, it } from "vitest";
import {
  type AuditEntry,
  AuditEntryPage,
  DeletedPurchaseOrderPage as DeletedPage,
  PurchaseOrderWithLines as Po,
} from "../src/po/contract.ts";
import { insertAccount } from "./support/accounts.ts";
import { call, read, signIn, sql, type TestUser } from "./support/api.ts";
import { itFindsNothingAt, itIsAList, itIsSorted } from "./support/lists.ts";
import { problem } from "./support/problem.ts";
import { insert, insertClient, insertLine, insertPo, insertVendor, walk } from "./support/rows.ts";
import { create } from "./support/write.ts";

const entriesOf = async (po: number, token: string) =>
  (await walk(AuditEntryPage, `/po/${po}/history?limit=3`, token)).flatMap((page) => page.data);
const newestEntry = async () => Number((await sql(`SELECT max(id) AS id FROM "Finances".audit_log`))[0]?.id);
const nameOf = async ({ id }: TestUser) =>
  (await sql(`SELECT username FROM "Finances"."user" WHERE id = $1`, [id]))[0]?.username;

describe("GET /po/{po_id}/history", () => {
  it("tells who did what to the PO and its lines, newest first, before and after", async () => {
    const [editor, admin, viewer] = [await signIn("editor"), await signIn("admin"), await signIn()];
    const client_id = await insertClient();
    const line_items = [{ item_name: "Door", quantity: 2, unit_price: "10.5", gst_rate: 18 }];
    const po = await create(Po, "/po", { client_id, po_number: "H-1", line_items }, editor.token);
    const line = po.line_items[0]?.id;
    const path = `/po/${po.id}/line-items/${line}`;
    const changed = await call(path, { method: "PATCH", token: admin.token, body: { quantity: 3 } });
    await call(`/po/${po.id}/status`, {
      method: "POST",
      token: editor.token,
      body: { status: "active", reason: "Go" },
    });
    await call(path, { method: "DELETE", token: admin.token });

    const entries = await entriesOf(po.id, viewer.token);
    expect(entries.map((entry) => [entry.action, entry.table, entry.user_id])).toEqual([
      ["update", "client_po", admin.id],
      ["delete", "client_po_line_item", admin.id],
      ["update", "client_po", editor.id],
      ["update", "client_po", admin.id],
      ["update", "client_po_line_item", admin.id],
      ["update", "client_po", editor.id],
      ["insert", "client_po_line_item", editor.id],
      ["insert", "client_po", editor.id],
    ]);
    const names = { [editor.id]: await nameOf(editor), [admin.id]: await nameOf(admin) };
    for (const entry of entries) {
      expect(entry).toMatchObject({ username: names[entry.user_id ?? 0], actor: null, database_role: "nexgen_api" });
      expect(entry.client_po_id).toBe(po.id);
    }
    const [, , , , lineChange] = entries;
    expect(lineChange).toMatchObject({
      row_id: String(line),
      request_id: changed.headers.get("X-Request-Id"),
      changes: {
        quantity: { before: "2.000", after: "3.000" },
        total_price: { before: "21.00", after: "31.50" },
        gst_amount: { before: "3.78", after: "5.67" },
      },
    });
    expect(entries[2]?.changes).toEqual({
      status: { before: "pending", after: "active" },
      status_reason: { before: null, after: "Go" },
    });
    expect(entries.at(-1)?.changes).toMatchObject({ po_number: { after: "H-1" }, client_id: { after: client_id } });
  });

  it("has what was not written by the API: anybody's SQL, and the import, which says its name", async () => {
    const { token } = await signIn();
    const po = await insertPo();
    await sql(
      `WITH named AS (SELECT set_config('nexgen.actor', 'import', true))
       UPDATE "Finances".client_po SET notes = 'x' FROM named WHERE id = $1`,
      [po],
    );
    const none = { user_id: null, username: null, request_id: null, database_role: "nexgen_owner" };
    expect(await entriesOf(po, token)).toMatchObject([
      { ...none, actor: "import", action: "update", changes: { notes: { before: null, after: "x" } } },
      { ...none, actor: null, action: "insert" },
    ]);
  });

  it("stays when the PO is gone, with who deleted it and what it was", async () => {
    const admin = await signIn("admin");
    const po = await insertPo({ po_number: "GONE" });
    await insertLine(po);
    await call(`/po/${po}`, { method: "DELETE", token: admin.token });
    const entries = await entriesOf(po, admin.token);
    const actions = entries.map((entry) => `${entry.action} ${entry.table}`);
    expect(actions.slice(0, 2).toSorted()).toEqual(["delete client_po", "delete client_po_line_item"]);
    expect(entries.find((entry) => actions[entries.indexOf(entry)] === "delete client_po")).toMatchObject({
      user_id: admin.id,
      changes: { po_number: { before: "GONE" } },
    });
  });

  it("has nothing of what refers to the PO without being a part of it, nor what the legacy system had", async () => {
    const { token } = await signIn();
    const client_id = await insertClient();
    const po = await insertPo({ client_id, legacy: '{"po_value":"1.005"}' });
    await insert("client_payment", { client_id, client_po_id: po, payment_date: "2026-01-29", amount: "12.00" });
    const entries = await entriesOf(po, token);
    expect(entries.map((entry) => entry.table)).toEqual(["client_po"]);
    expect(entries[0]?.changes).not.toHaveProperty("legacy");
    expect(entries[0]?.changes).toHaveProperty("client_id");
    const admin = await signIn("admin");
    const all = await read(AuditEntryPage, `/ops/audit?table=client_po&row_id=${po}`, admin.token);
    expect(all.data[0]?.changes).toHaveProperty("legacy");
  });

  it("has no entry of another PO", async () => {
    const { token } = await signIn();
    const [one, two] = [await insertPo(), await insertPo()];
    await insertLine(two);
    expect((await entriesOf(one, token)).map((entry) => entry.row_id)).toEqual([String(one)]);
  });

  itFindsNothingAt(async (id) => `/po/${id}/history`);
  itIsAList(AuditEntryPage, "newest first", async () => {
    const po = await insertPo();
    const add = async () => {
      const id = await insertLine(po);
      const [entry] = await sql(
        `SELECT id FROM "Finances".audit_log WHERE table_name = 'client_po_line_item' AND row_id = $1`,
        [id],
      );
      return Number(entry?.id);
    };
    return { path: `/po/${po}/history`, add };
  });
});

describe("GET /ops/audit", () => {
  const listed = async (query: string, token: string): Promise<AuditEntry[]> =>
    (await read(AuditEntryPage, `/ops/audit?${query}`, token)).data;

  it("has every write in every table, newest first", async () => {
    const { token, id } = await signIn("admin");
    const mark = await newestEntry();
    const [client, vendor] = [await insertClient(), await insertVendor()];
    await call(`/vendor/${vendor}`, { method: "PATCH", token, body: { phone: "1" } });
    const entries = (await listed("limit=200", token)).filter((entry) => entry.id > mark);
    expect(
      entries.map((entry) => [entry.action, entry.table, entry.row_id, entry.user_id, entry.client_po_id]),
    ).toEqual([
      ["update", "vendor", String(vendor), id, null],
      ["insert", "vendor", String(vendor), null, null],
      ["insert", "client", String(client), null, null],
    ]);
  });

  it("has what one user wrote, or what was written of one row", async () => {
    const [admin, other] = [await signIn("admin"), await signIn("editor")];
    const vendor = await insertVendor();
    for (const { token } of [admin, other]) {
      await call(`/vendor/${vendor}`, { method: "PATCH", token, body: { phone: token.slice(-20) } });
    }
    expect(await listed(`user_id=${other.id}`, admin.token)).toMatchObject([
      { action: "update", row_id: String(vendor), user_id: other.id },
    ]);
    const ofRow = await listed(`table=vendor&row_id=${vendor}`, admin.token);
    expect(ofRow.map((entry) => entry.user_id)).toEqual([other.id, admin.id, null]);
    expect(await listed(`table=client&row_id=${vendor}&user_id=${other.id}`, admin.token)).toEqual([]);
  });

  it.each([
    ["table=vendor", "/row_id"],
    ["row_id=1", "/row_id"],
    ["table=refresh_session&row_id=1", "/table"],
    ["user_id=x", "/user_id"],
    ["user_id=0", "/user_id"],
    ["table=vendor&row_id=", "/row_id"],
  ])("refuses ?%s", async (query, pointer) => {
    const { token } = await signIn("admin");
    const { errors } = await problem(await call(`/ops/audit?${query}`, { token }), "validation-failed");
    expect(errors?.map((error) => error.pointer)).toContain(pointer);
  });

  it("has nothing of a user whose id no account can have", async () => {
    const { token } = await signIn("admin");
    expect(await listed("user_id=2147483648", token)).toEqual([]);
  });

  it("refuses a cursor with other filters", async () => {
    const { token, id } = await signIn("admin");
    const vendor = await insertVendor();
    for (const phone of ["1", "2"]) await call(`/vendor/${vendor}`, { method: "PATCH", token, body: { phone } });
    const { next_cursor } = await read(AuditEntryPage, `/ops/audit?user_id=${id}&limit=1`, token);
    expect((await call(`/ops/audit?user_id=${id}&cursor=${next_cursor}`, { token })).status).toBe(200);
    await problem(await call(`/ops/audit?cursor=${next_cursor}`, { token }), "invalid-cursor");
  });

  it("never shows a password, its hash or a token", async () => {
    const { token } = await signIn("admin");
    const account = await insertAccount();
    await call(`/user/${account.id}`, { method: "PATCH", token, body: { password: "seven brown boats at noon" } });
    const entries = await listed(`table=user&row_id=${account.id}`, token);
    expect(entries[0]?.changes).toMatchObject({ password: "changed" });
    expect(JSON.stringify(entries)).not.toMatch(/\$2[aby]\$|password_hash|token_hash|seven brown/);
  });

  const open = async () => {
    const vendor = await insertVendor();
    const add = async () => {
      await sql(`UPDATE "Finances".vendor SET phone = $2 WHERE id = $1`, [vendor, crypto.randomUUID()]);
      return newestEntry();
    };
    return { path: `/ops/audit?table=vendor&row_id=${vendor}`, add };
  };
  itIsAList(AuditEntryPage, "newest first", open, "admin");
  describe("sorted", () => {
    itIsSorted(AuditEntryPage, { id: (row) => row.id }, open, "admin");
  });
});

describe("GET /po/deleted", () => {
  const deletePo = async () => {
    const po = await insertPo();
    await sql(`DELETE FROM "Finances".client_po WHERE id = $1`, [po]);
    return po;
  };
  const idsSince = async (since: string, token: string) =>
    (await read(DeletedPage, `/po/deleted?limit=200&since=${encodeURIComponent(since)}`, token)).data.map(
      (row) => row.id,
    );

  it("has the POs that are gone, since when one asks, whoever deleted them", async () => {
    const { token } = await signIn();
    const admin = await signIn("admin");
    await insertPo();
    const one = await deletePo();
    const two = await insertPo();
    await call(`/po/${two}`, { method: "DELETE", token: admin.token });
    const { data } = await read(DeletedPage, "/po/deleted?limit=200", token);
    const [first, second] = data.slice(-2);
    expect([first?.id, second?.id]).toEqual([one, two]);
    const since = second?.deleted_at ?? "";
    // From that very moment on, to the microsecond.
    expect(await idsSince(since, token)).toEqual([two]);
    expect(await idsSince(first?.deleted_at ?? "", token)).toEqual([one, two]);
    expect(await idsSince(since.replace("Z", "+00:00"), token)).toEqual([two]);
    expect(await idsSince("2999-01-01T00:00:00Z", token)).toEqual([]);
  });

  it("has no PO that is there again, and no row of another table", async () => {
    const { token } = await signIn();
    const po = await deletePo();
    await insertPo({ id: po });
    const line = await insertLine(po);
    await sql(`DELETE FROM "Finances".client_po_line_item WHERE id = $1`, [line]);
    const { data } = await read(DeletedPage, "/po/deleted?limit=200", token);
    expect(data.map((row) => row.id)).not.toContain(po);
  });

  it.each([
    "today",
    "2026-01-29",
    "2026-02-30T00:00:00Z",
    "2026-01-29T24:00:00Z",
    "2026-01-29T00:00:00",
    "2026-01-29 00:00:00Z",
    "2026-01-29T00:00:00.1234567Z",
    "2026-01-29T00:00:00+15:00",
    "infinity",
    "",
  ])("refuses since=%s", async (since) => {
    const { token } = await signIn();
    const path = `/po/deleted?since=${encodeURIComponent(since)}`;
    const { errors } = await problem(await call(path, { token }), "validation-failed");
    expect(errors).toMatchObject([{ in: "query", pointer: "/since" }]);
  });

  itIsAList(DeletedPage, "by id", async () => ({ path: "/po/deleted", add: deletePo }));
});
