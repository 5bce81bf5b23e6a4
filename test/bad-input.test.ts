import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ClientChanges, NewClient } from "../src/client/contract.ts";
import { LineItemChanges, NewLineItem } from "../src/line-item/contract.ts";
import { NewPurchaseOrder, PurchaseOrderChanges, PurchaseOrderWithLines } from "../src/po/contract.ts";
import { NewVendor, VendorChanges } from "../src/vendor/contract.ts";
import { call, read, roundTrips, signIn, sql } from "./support/api.ts";
import { client, type Fields, kinds, line, po, poChanges, vendor } from "./support/fields.ts";
import { document } from "./support/operations.ts";
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
  /** The body around a list of such objects, and the pointer to the list, which has a good one first. */
  around?: [text: (objects: string) => string, pointer: string];
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
    around: [(objects) => `{"client_id":${ids.client},"line_items":[${lineText},${objects}]}`, "/line_items"],
  },
  { title: "POST /po/…/line-items", method: "POST", path: lines, fields: line, contract: NewLineItem, good: goodLine },
  {
    title: "an array of POST /po/…/line-items",
    method: "POST",
    path: lines,
    fields: line,
    contract: NewLineItem,
    good: goodLine,
    around: [(objects) => `[${lineText},${objects}]`, ""],
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
it.each<[string, Fields]>([
  ["NewClient", client],
  ["ClientChanges", client],
  ["NewVendor", vendor],
  ["VendorChanges", vendor],
  ["NewPurchaseOrder", po],
  ["PurchaseOrderChanges", poChanges],
  ["NewLineItem", line],
  ["LineItemChanges", line],
])("is documented in %s for null where null clears, and nowhere else", (name, fields) => {
  const properties = document.components.schemas[name]?.properties as Record<string, { type: string | string[] }>;
  const nullable = Object.entries(properties).filter(([, { type }]) => [type].flat().includes("null"));
  const cleared = Object.entries(fields).filter(([, [, clears]]) => clears === "null");
  expect(nullable.map(([field]) => field).toSorted()).toEqual(cleared.map(([field]) => field).toSorted());
});

/** A list has no more objects than can be answered for: a hundred faults are named. */
const atOnce = 10;
const titled = routes.map((route) => [route.title, route] as const);

/** An object with these members, as JSON text. */
const object = (members: Record<string, string>, raw = "") =>
  `{${[...Object.entries(members).map(([field, text]) => `${JSON.stringify(field)}:${text}`), ...(raw ? [raw] : [])].join(",")}}`;

/** Sends the objects, all at once where the route takes a list, and answers the pointers of what is refused in each. */
async function refusals(route: Route, objects: string[]): Promise<string[][]> {
  const [around, prefix] = route.around ?? [];
  const bodies = around ? [around(objects.join(","))] : objects;
  const pointers: string[][] = [];
  for (const body of bodies) {
    const response = await call(route.path(), { method: route.method, token, body });
    expect([body, response.status]).toEqual([body, 422]);
    const { errors = [] } = await problem(response, "validation-failed");
    if (!around) pointers.push(errors.map((error) => error.pointer));
    for (const { pointer } of around ? errors : []) {
      const [, index, rest = ""] = pointer.slice(prefix?.length).match(/^\/(\d+)(.*)$/s) ?? [];
      pointers[Number(index) - 1] = [...(pointers[Number(index) - 1] ?? []), rest];
    }
  }
  return pointers;
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
  let before: Awaited<ReturnType<typeof everything>>;
  beforeAll(async () => {
    before = await everything();
  });
  afterAll(async () => {
    expect(await everything(), "nothing is written").toEqual(before);
  });

  it("has every field of its contract here", () => {
    expect(Object.keys(route.fields).toSorted()).toEqual(Object.keys(route.contract.shape).toSorted());
  });

  it("refuses every bad value of every field where it stands, without the database", async () => {
    const bad = Object.entries(route.fields).map(([field, [kind, nullable, most = 0]]) => {
      const values: readonly string[] = [...kinds[kind](most), ...(nullable === "null" ? [] : ["null"])];
      return { field, values };
    });
    // All fields are bad at once, each with its next value, and start over until the longest list is through.
    const rounds = Math.max(...bad.map(({ values }) => values.length));
    const sent = Array.from({ length: rounds }, (_, round) =>
      Object.fromEntries(bad.map(({ field, values }) => [field, values[round % values.length] ?? ""])),
    );
    const trips = await roundTrips(async () => {
      for (let start = 0; start < rounds; start += atOnce) {
        const some = sent.slice(start, start + atOnce);
        const refused = await refusals(
          route,
          some.map((members) => object(members)),
        );
        for (const [index, members] of some.entries()) {
          // What is inside of a list or an object is pointed at there.
          const fields = (refused[index] ?? []).map((pointer) => pointer.split("/")[1] ?? "");
          const wrong = Object.entries(members).filter(
            ([field]) => fields.filter((each) => each === field).length !== 1,
          );
          expect(wrong).toEqual([]);
          expect(fields).toHaveLength(bad.length);
        }
      }
    });
    expect(trips).toBe(0);
  });

  it("refuses unknown fields and points at them", async () => {
    for (const value of ["1", "null", '{"x":1}', "1e400"]) {
      const refused = await refusals(
        route,
        unknownFields.map((field) => object(route.good(), `${JSON.stringify(field)}:${value}`)),
      );
      expect(refused).toEqual(unknownFields.map((field) => [`/${field.replaceAll("~", "~0").replaceAll("/", "~1")}`]));
    }
  });

  it.each(["null", "1", '"x"', "true", "1e400", "[[]]", "[null]", '["x"]'])("refuses a body of %s", async (text) => {
    const body = route.around ? route.around[0](text) : text;
    const response = await call(route.path(), { method: route.method, token, body });
    expect((await problem(response, "validation-failed")).errors?.length).toBeGreaterThan(0);
  });
});
