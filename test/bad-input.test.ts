import { beforeAll, describe, expect, it } from "vitest";
import { ClientChanges, NewClient } from "../src/client/contract.ts";
import { LineItemChanges, NewLineItem } from "../src/line-item/contract.ts";
import { NewPurchaseOrder, PurchaseOrderChanges, PurchaseOrderWithLines } from "../src/po/contract.ts";
import { NewVendor, VendorChanges } from "../src/vendor/contract.ts";
import { call, read, roundTrips, signIn, sql } from "./support/api.ts";
import { client, type Fields, kinds, line, po, poChanges, vendor } from "./support/fields.ts";
import { problem } from "./support/problem.ts";
import { insertClient, insertLine, insertPo, insertVendor } from "./support/rows.ts";

const lineText = '{"item_name":"Shelf","quantity":"1","unit_price":"1"}';
interface Route {
  title: string;
  method: "POST" | "PATCH";
  path: () => string;
  fields: Fields;
  contract: { shape: object };
  /** The members of a good body, by field. */
  good: () => Record<string, string>;
  /** Where the object stands in the body, and its pointer. */
  around?: [text: (object: string) => string, pointer: string];
}
const ids = { client: 0, vendor: 0, po: 0, line: 0 };
let token = "";
beforeAll(async () => {
  token = (await signIn("editor")).token;
  ids.client = await insertClient();
  ids.vendor = await insertVendor();
  ids.po = await insertPo({ client_id: ids.client });
  ids.line = await insertLine(ids.po, { quantity: "1", unit_price: "1", total_price: null });
});
const goodLine = () => ({ item_name: '"Shelf"', quantity: '"1"', unit_price: '"1"' });
const lines = () => `/po/${ids.po}/line-items`;
const routes: Route[] = [
  {
    title: "POST /client",
    method: "POST",
    path: () => "/client",
    fields: client,
    contract: NewClient,
    good: () => ({ name: '"Acme"' }),
  },
  {
    title: "PATCH /client",
    method: "PATCH",
    path: () => `/client/${ids.client}`,
    fields: client,
    contract: ClientChanges,
    good: () => ({}),
  },
  {
    title: "POST /vendor",
    method: "POST",
    path: () => "/vendor",
    fields: vendor,
    contract: NewVendor,
    good: () => ({ name: '"Acme"' }),
  },
  {
    title: "PATCH /vendor",
    method: "PATCH",
    path: () => `/vendor/${ids.vendor}`,
    fields: vendor,
    contract: VendorChanges,
    good: () => ({}),
  },
  {
    title: "POST /po",
    method: "POST",
    path: () => "/po",
    fields: po,
    contract: NewPurchaseOrder,
    good: () => ({ client_id: String(ids.client) }),
  },
  {
    title: "PATCH /po",
    method: "PATCH",
    path: () => `/po/${ids.po}`,
    fields: poChanges,
    contract: PurchaseOrderChanges,
    good: () => ({}),
  },
  {
    title: "a line of POST /po",
    method: "POST",
    path: () => "/po",
    fields: line,
    contract: NewLineItem,
    good: goodLine,
    around: [(text) => `{"client_id":${ids.client},"line_items":[${lineText},${text}]}`, "/line_items/1"],
  },
  { title: "POST /po/…/line-items", method: "POST", path: lines, fields: line, contract: NewLineItem, good: goodLine },
  {
    title: "an array of POST /po/…/line-items",
    method: "POST",
    path: lines,
    fields: line,
    contract: NewLineItem,
    good: goodLine,
    around: [(text) => `[${`${lineText},`.repeat(499)}${text}]`, "/499"],
  },
  {
    title: "PATCH /po/…/line-items",
    method: "PATCH",
    path: () => `${lines()}/${ids.line}`,
    fields: line,
    contract: LineItemChanges,
    good: () => ({}),
  },
];
const titled = routes.map((route) => [route.title, route] as const);

/** Sends an object with these members to the route. */
async function send(route: Route, members: Record<string, string>, raw = ""): Promise<Response> {
  const object = `{${[...Object.entries(members).map(([field, text]) => `${JSON.stringify(field)}:${text}`), ...(raw ? [raw] : [])].join(",")}}`;
  return call(route.path(), { method: route.method, token, body: route.around ? route.around[0](object) : object });
}

const strange = ["a/b~c", "", "\u0000", "\ud800", "\u2028"];
const unknownFields = [
  "nope",
  "Name",
  "id",
  "version",
  "gst_amount",
  "__proto__",
  "constructor",
  "toString",
  ...strange,
];

/** Everything that there is, so that a write that was refused can be seen to have done nothing. */
const everything = async () => ({
  po: await read(PurchaseOrderWithLines, `/po/${ids.po}`, token),
  rows: await sql(
    `SELECT (SELECT count(*) FROM "Finances".client) AS clients, (SELECT sum(version) FROM "Finances".vendor) AS vendors,
       (SELECT count(*) FROM "Finances".client_po) AS pos, (SELECT count(*) FROM "Finances".audit_log) AS entries`,
  ),
});

describe.each(titled)("%s", (_title, route) => {
  const [, prefix] = route.around ?? [undefined, ""];

  it("has every field of its contract here", () => {
    expect(Object.keys(route.fields).toSorted()).toEqual(Object.keys(route.contract.shape).toSorted());
  });

  it.each(Object.entries(route.fields))(
    "refuses every bad %s where it stands, without the database",
    async (field, kind) => {
      const [name, nullable, most = 0] = kind;
      const values: string[] = [...kinds[name](most), ...(nullable === "null" ? [] : ["null"])];
      const { unit_price, ...others } = route.good();
      // A line has one price.
      const good = field === "total_price" || unit_price === undefined ? others : { ...others, unit_price };
      const before = await everything();
      const trips = await roundTrips(async () => {
        for (const value of values) {
          const response = await send(route, { ...good, [field]: value });
          expect([value, response.status]).toEqual([value, 422]);
          const { errors } = await problem(response, "validation-failed");
          const pointers = errors?.map((error) => error.pointer) ?? [];
          // What is inside of a list or an object is pointed at there.
          expect([value, pointers.filter((each) => !each.startsWith(`${prefix}/${field}`))]).toEqual([value, []]);
          expect([value, pointers.length]).toEqual([value, 1]);
        }
      });
      expect(trips).toBe(0);
      expect(await everything()).toEqual(before);
    },
  );

  it("refuses unknown fields and points at them", async () => {
    for (const field of unknownFields) {
      for (const value of ["1", "null", '{"x":1}', "1e400"]) {
        const response = await send(route, route.good(), `${JSON.stringify(field)}:${value}`);
        const { errors } = await problem(response, "validation-failed");
        const pointer = `${prefix}/${field.replaceAll("~", "~0").replaceAll("/", "~1")}`;
        expect(errors).toEqual([{ in: "body", pointer, detail: "is not a field of this request" }]);
      }
    }
  });

  it.each(["null", "1", '"x"', "true", "1e400", "[[]]", "[null]", '["x"]'])("refuses a body of %s", async (text) => {
    const body = route.around ? route.around[0](text) : text;
    const response = await call(route.path(), { method: route.method, token, body });
    expect((await problem(response, "validation-failed")).errors?.length).toBeGreaterThan(0);
  });
});
