import { beforeAll, describe, expect, it } from "vitest";
import { Client } from "../src/client/contract.ts";
import { LineItem } from "../src/line-item/contract.ts";
import { PurchaseOrderWithLines as Po } from "../src/po/contract.ts";
import { call, read, roundTrips, signIn, sql } from "./support/api.ts";
import { missingIds } from "./support/lists.ts";
import { fill, operations, rows, titled } from "./support/operations.ts";
import { problem } from "./support/problem.ts";
import { insertClient, insertLine, insertPo } from "./support/rows.ts";
import { create } from "./support/write.ts";

// Accounts and sessions have tests of their own.
const writes = operations.filter(({ method, path }) => method !== "GET" && !/^\/(auth|user|ops)\b/.test(path));
const withBody = writes.filter((operation) => operation.requestBody);
let token = "";
beforeAll(async () => {
  token = (await signIn("admin")).token;
});
const utf8 = (text: string) => new TextEncoder().encode(text);

it("speaks of all thirteen writes", () => {
  expect(writes.map((operation) => operation.operationId).toSorted()).toEqual([
    "createClient",
    "createLineItems",
    "createPurchaseOrder",
    "createVendor",
    "deleteClient",
    "deleteLineItem",
    "deletePurchaseOrder",
    "deleteVendor",
    "setPurchaseOrderStatus",
    "updateClient",
    "updateLineItem",
    "updatePurchaseOrder",
    "updateVendor",
  ]);
});

describe.each(titled(withBody))("%s", (_title, { method, path: pattern }) => {
  let path = "";
  beforeAll(async () => {
    path = fill(pattern, await rows());
  });
  const send = (bytes: Uint8Array, type = "application/json") =>
    call(path, { method, token, bytes, headers: type === "" ? {} : { "Content-Type": type } });

  it("does not read what is no JSON", async () => {
    const texts = ["", " ", "{", '{"name":', "NaN", '{"name":NaN}', '{"po_value":Infinity}', '{"po_value":-Infinity}'];
    const others = [
      '{"name":"a","name":"a"}',
      '{"client_id":1,"line_items":[{"total_price":"1","total_price":"1000"}]}',
      "{'name':1}",
      '{"name":"a"}}',
      '{"name":"a",}',
      '{"po_value":01}',
      '{"po_value":.5}',
      '{"name":"a\nb"}',
      "\ufeff\ufeff{}",
    ];
    for (const text of [...texts, ...others]) await problem(await send(utf8(text)), "malformed-request");
    // UTF-16, Latin-1, half a character, an encoded surrogate: nothing of these is UTF-8.
    for (const bytes of [
      [0x7b, 0, 0x7d, 0],
      [0x22, 0xe9, 0x22],
      [0x22, 0xe2, 0x82, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
    ]) {
      await problem(await send(new Uint8Array(bytes)), "malformed-request");
    }
  });

  it("does not read another media type, or none", async () => {
    for (const type of [
      "",
      "text/plain",
      "application/x-www-form-urlencoded",
      "application/xml",
      "application/jsonx",
      "text/json",
      "application/json-patch+json",
      "application/problem+json",
      "application/vnd.api+json; charset=utf-8",
      ...(method === "PATCH" ? [] : ["application/merge-patch+json"]),
    ]) {
      await problem(await send(utf8("{}"), type), "unsupported-media-type");
    }
  });

  it("refuses deep nesting for its shape, also with a number that a double cannot hold", async () => {
    for (const inner of ["1", "1.00000000000000000001"]) {
      for (const depth of [1000, 100_000]) {
        const body = `{"name":${"[".repeat(depth)}${inner}${"]".repeat(depth)}}`;
        const response = await send(utf8(body));
        expect([inner, depth, response.status]).toEqual([inner, depth, inner !== "1" && depth > 1000 ? 400 : 422]);
      }
    }
  });
});

describe.each(titled(writes.filter((operation) => operation.path.includes("{"))))("%s", (_title, operation) => {
  const names = [...operation.path.matchAll(/\{(\w+)\}/g)].map((match) => String(match[1]));
  it.each(names)("finds nothing at an id that is not there: %s", async (name) => {
    const ids = await rows();
    const before = await sql(`SELECT max(id) FROM "Finances".audit_log`);
    for (const id of missingIds) {
      const path = fill(operation.path.replace(`{${name}}`, id), ids);
      const bodies: Record<string, object> = {
        createLineItems: { item_name: "x", total_price: "1" },
        setPurchaseOrderStatus: { status: "active" },
        updatePurchaseOrder: { notes: "x" },
      };
      const fitting = operation.requestBody && (bodies[operation.operationId] ?? {});
      const trips = await roundTrips(async () => {
        await problem(await call(path, { method: operation.method, token, body: fitting }), "not-found");
      });
      expect(trips).toBeLessThanOrEqual(1);
    }
    expect(await sql(`SELECT max(id) FROM "Finances".audit_log`)).toEqual(before);
  });
});

it.each([
  ["/client", "PUT", "GET, HEAD, POST, OPTIONS"],
  ["/client", "DELETE", "GET, HEAD, POST, OPTIONS"],
  ["/client/1", "POST", "GET, HEAD, PATCH, DELETE, OPTIONS"],
  ["/vendor/1", "PUT", "GET, HEAD, PATCH, DELETE, OPTIONS"],
  ["/po", "GET", "POST, OPTIONS"],
  ["/po", "PATCH", "POST, OPTIONS"],
  ["/po/1", "POST", "GET, HEAD, PATCH, DELETE, OPTIONS"],
  ["/po/1/line-items", "PATCH", "GET, HEAD, POST, OPTIONS"],
  ["/po/1/line-items", "DELETE", "GET, HEAD, POST, OPTIONS"],
  ["/po/1/line-items/1", "PUT", "GET, HEAD, PATCH, DELETE, OPTIONS"],
  ["/po/aggregated/by-store", "DELETE", "GET, HEAD, OPTIONS"],
  ["/po/list", "PUT", "GET, HEAD, OPTIONS"],
])("%s has no %s, and says what it has", async (path, method, allowed) => {
  const response = await call(path, { method, token });
  await problem(response, "method-not-allowed");
  expect(response.headers.get("Allow")?.split(", ").toSorted()).toEqual(allowed.split(", ").toSorted());
});

it("takes a byte order mark before JSON for nothing", async () => {
  const name = crypto.randomUUID();
  expect((await create(Client, "/client", `\ufeff{"name":"${name}"}`, token)).name).toBe(name);
});

it.each([
  ["0012.50", "12.50"],
  ["-0", "0.00"],
  ["-0.00", "0.00"],
  ["9999999999999.99", "9999999999999.99"],
  ["-9999999999999.99", "-9999999999999.99"],
  ["7", "7.00"],
  ["0.1", "0.10"],
])("takes the amount %s as text, and as a number where JSON has it", async (given, stored) => {
  const client_id = await insertClient();
  const number = given.startsWith("00") ? given.slice(2) : given;
  for (const text of [`"${given}"`, number, `${number.includes(".") ? number : `${number}.`}0000000000000000000`]) {
    const po = await create(Po, "/po", `{"client_id":${client_id},"po_value":${text}}`, token);
    expect([text, po.po_value]).toEqual([text, stored]);
  }
});

it.each(["1e2", "1E+2", "100", "100.0", "1.00e2"])("takes the number %s for what it is", async (text) => {
  const [po, client_id] = [await insertPo(), await insertClient()];
  expect((await create(Po, "/po", `{"client_id":${client_id},"po_value":${text}}`, token)).po_value).toBe("100.00");
  const line = `{"item_name":"x","quantity":${text},"unit_price":${text},"gst_rate":${text}}`;
  expect((await create(LineItem, `/po/${po}/line-items`, line, token)).gross_amount).toBe("20000.00");
});

it.each<[string, number, number]>([
  ["the 500th line is bad", 499, 422],
  ["there is a 501st", 501, 422],
])("creates no part of a PO where %s", async (_case, count, status) => {
  const client_id = await insertClient();
  const good = Array.from({ length: count }, () => ({ item_name: "x", total_price: "1" }));
  const bad =
    status === 422 && count === 499 ? [{ item_name: "x", quantity: "0.001", unit_price: "0", gst_rate: "100.01" }] : [];
  const response = await call("/po", { method: "POST", token, body: { client_id, line_items: [...good, ...bad] } });
  const pointer = bad.length > 0 ? "/line_items/499/gst_rate" : "/line_items";
  expect((await problem(response, "validation-failed")).errors).toMatchObject([{ pointer }]);
  expect(await sql(`SELECT FROM "Finances".client_po WHERE client_id = $1`, [client_id])).toEqual([]);
});

it.each<[string, object, string]>([
  [
    "a line overflows",
    { line_items: [{ item_name: "x", quantity: "999999999999.999", unit_price: "99999999999.9999" }] },
    "",
  ],
  [
    "the gross amount overflows",
    { line_items: [{ item_name: "x", total_price: "9999999999999.99", gst_rate: "18" }] },
    "",
  ],
  ["the sum overflows", { line_items: Array(2).fill({ item_name: "x", total_price: "5000000000000" }) }, ""],
  ["the vendor is unknown", { vendor_id: 8_000_000, line_items: [{ item_name: "x", total_price: "1" }] }, "/vendor_id"],
])("creates nothing, not even a PO without lines, where %s", async (_case, body, pointer) => {
  const client_id = await insertClient();
  const response = await call("/po", { method: "POST", token, body: { client_id, ...body } });
  expect((await problem(response, "validation-failed")).errors).toMatchObject([{ in: "body", pointer }]);
  expect(await sql(`SELECT FROM "Finances".client_po WHERE client_id = $1`, [client_id])).toEqual([]);
});

it.each<[string, object]>([
  ["a line that overflows", { quantity: "999999999999.999" }],
  ["a tax that overflows", { total_price: "9999999999999.99" }],
])("changes nothing of a PO for %s", async (_case, body) => {
  const po = await insertPo();
  const line = await insertLine(po, { quantity: "1", unit_price: "100", total_price: null, gst_rate: "18" });
  const before = await read(Po, `/po/${po}`, token);
  const response = await call(`/po/${po}/line-items/${line}`, { method: "PATCH", token, body });
  expect((await problem(response, "validation-failed")).errors).toMatchObject([{ in: "body", pointer: "" }]);
  expect(await read(Po, `/po/${po}`, token)).toEqual(before);
});

describe("a body of a mebibyte", () => {
  const most = 2 ** 20;
  const send = (path: string, text: string) => call(path, { method: "POST", token, body: text });

  it.each<[path: string, before: string, filling: string, after: string, status: number]>([
    ["/po", '{"client_id":1,"po_value":', "9", "}", 422],
    ["/po", '{"client_id":1,"po_value":1.', "0", "1}", 422],
    ["/po", '{"client_id":1,"po_value":0.', "0", "1e5}", 422],
    ["/po", '{"client_id":1,"po_value":1', "0", "e99999999999}", 422],
    ["/po", '{"client_id":1,"po_value":1e', "9", "}", 422],
    ["/po", '{"client_id":1,"po_value":"', "0", '1"}', 422],
    ["/po", '{"client_id":', "1", "}", 422],
    ["/po", '{"client_id":1,"line_items":[', "{},", "{}]}", 422],
    ["/po", '{"client_id":1,"line_items":[', "1e400,", "1]}", 422],
    ["/po/1/line-items", "[", "{},", "{}]", 422],
    ["/po/1/line-items", "[", "1e400,", "1]", 422],
    ["/po/1/line-items", "", "[", "", 400],
    ["/po/1/line-items", "", "[1e400,", "", 400],
    ["/vendor", '{"name":"x","email":"', "a", '@b.example"}', 422],
    ["/vendor", '{"name":"x","email":"a@', "b.", '"}', 422],
    ["/vendor", '{"name":"', "\u2028", '"}', 422],
    ["/vendor", '{"name":"', "\\ud83d\\ude00", '\\ud83d"}', 422],
    ["/vendor", '{"name":"', " ", 'x"}', 422],
    ["/client", "{", '"a":1,', '"a":1}', 400],
    ["/client", "", " ", "", 400],
  ])("is refused by %s in no time: %s, much of %j, %s", async (path, before, filling, after, status) => {
    const room = most - utf8(before).length - utf8(after).length;
    const body = `${before}${filling.repeat(Math.floor(room / utf8(filling).length))}${after}`;
    const response = await send(path, body);
    await problem(response, status === 400 ? "malformed-request" : "validation-failed");
  });

  it("is as much as is read", async () => {
    await problem(await send("/client", " ".repeat(most + 1)), "body-too-large");
    const bytes = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let part = 0; part < 20; part++) controller.enqueue(new Uint8Array(100_000).fill(32));
        controller.close();
      },
    });
    const headers = { "Content-Type": "application/json" };
    await problem(await call("/client", { method: "POST", token, bytes, headers }), "body-too-large");
  });
});

it("names the first hundred faults of a body that has thousands", async () => {
  const line = { item_name: "", quantity: 0, unit_price: -1, gst_rate: 101, nope: 1 };
  const body = {
    client_id: "x",
    line_items: Array(500).fill(line),
    ...Object.fromEntries(
      Array(5000)
        .fill(0)
        .map((_, n) => [`x${n}`, 1]),
    ),
  };
  const { errors } = await problem(await call("/po", { method: "POST", token, body }), "validation-failed");
  expect(errors).toHaveLength(100);
});
