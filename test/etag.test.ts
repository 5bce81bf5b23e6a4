import { describe, expect, it } from "vitest";
import { call, roundTrips, signIn, sql } from "./support/api.ts";
import { operations } from "./support/operations.ts";
import { problem } from "./support/problem.ts";
import { insertClient, insertLine, insertPo, insertVendor } from "./support/rows.ts";
import { audited } from "./support/write.ts";

const admin = async () => (await signIn("admin")).token;
const tagOf = (response: Response) => response.headers.get("ETag");

/** Everything that has a version: how to make one, and a change of it. */
const things: [name: string, make: () => Promise<string>, changes: (value: string) => object][] = [
  ["a client", async () => `/client/${await insertClient()}`, (name) => ({ name })],
  ["a vendor", async () => `/vendor/${await insertVendor()}`, (phone) => ({ phone: phone.slice(0, 20) })],
  ["a PO", async () => `/po/${await insertPo()}`, (notes) => ({ notes })],
  [
    "a line item",
    async () => {
      const po = await insertPo();
      return `/po/${po}/line-items/${await insertLine(po)}`;
    },
    (item_name) => ({ item_name }),
  ],
];

describe.each(things)("%s", (_name, make, changes) => {
  const change = (path: string, token: string, tag?: string, body = changes(crypto.randomUUID())) =>
    call(path, { method: "PATCH", token, body, headers: tag === undefined ? {} : { "If-Match": tag } });
  const remove = (path: string, token: string, tag: string) =>
    call(path, { method: "DELETE", token, headers: { "If-Match": tag } });

  it("carries its version as ETag, read or changed", async () => {
    const [token, path] = [await admin(), await make()];
    for (const expected of ["1", "2", "3"]) {
      const response = expected === "1" ? await call(path, { token }) : await change(path, token);
      expect(tagOf(response)).toBe(`"${expected}"`);
      expect(await response.json()).toMatchObject({ version: Number(expected) });
    }
    expect(tagOf(await call(path, { token, method: "HEAD" }))).toBe('"3"');
    // Nothing is changed, so nothing is another version.
    expect(tagOf(await change(path, token, undefined, {}))).toBe('"3"');
  });

  it.each(['"1"', 'W/"1"', '"7", "1"', '"other","1"', 'W/"0" ,\tW/"1"', "*"])(
    "is changed where it is %s",
    async (tag) => {
      const [token, path] = [await admin(), await make()];
      let response = new Response();
      expect(
        await roundTrips(async () => {
          response = await change(path, token, tag);
        }),
      ).toBe(1);
      expect([response.status, tagOf(response)]).toEqual([200, '"2"']);
    },
  );

  it.each(['"2"', 'W/"2"', '"0"', '"01"', '"-1"', '"1.0"', '""', '"other"', '"99999999999999999999"', '"4294967297"'])(
    "is not changed and not deleted where it is not %s, and says which it is",
    async (tag) => {
      const { token, id } = await signIn("admin");
      const path = await make();
      const before = await (await call(path, { token })).json();
      for (const attempt of [
        () => change(path, token, tag),
        () => change(path, token, tag, {}),
        () => remove(path, token, tag),
      ]) {
        let response = new Response();
        expect(
          await roundTrips(async () => {
            response = await attempt();
          }),
        ).toBe(1);
        expect(tagOf(response)).toBe('"1"');
        expect(await audited(response, id)).toEqual([]);
        expect((await problem(response, "precondition-failed")).detail).toContain("version 1");
      }
      expect(await (await call(path, { token })).json()).toEqual(before);
    },
  );

  it.each(["1", "'1'", '"1', '"1" "2"', '"1",', ",", '"a b"', "* , *", 'w/"1"', '"1", *'])(
    "refuses If-Match: %s, which is no list of tags",
    async (tag) => {
      const [token, path] = [await admin(), await make()];
      for (const response of [await change(path, token, tag), await remove(path, token, tag)]) {
        const { errors } = await problem(response, "validation-failed");
        expect(errors).toMatchObject([{ in: "header", pointer: "/If-Match" }]);
      }
    },
  );

  it("is deleted where it has the ETag", async () => {
    const [token, path] = [await admin(), await make()];
    expect((await change(path, token)).status).toBe(200);
    await problem(await remove(path, token, '"1"'), "precondition-failed");
    expect((await remove(path, token, '"2"')).status).toBe(204);
    expect((await call(path, { token })).status).toBe(404);
  });

  it("is not found when it is gone, whatever the tag", async () => {
    const [token, path] = [await admin(), await make()];
    expect((await remove(path, token, "*")).status).toBe(204);
    for (const tag of ["*", '"1"']) {
      await problem(await change(path, token, tag), "not-found");
      await problem(await remove(path, token, tag), "not-found");
    }
  });

  it("loses no update: of many at once that saw one version, one is made", async () => {
    const [token, path] = [await admin(), await make()];
    const responses = await Promise.all(Array.from({ length: 10 }, () => change(path, token, '"1"')));
    const statuses = responses.map((response) => response.status).toSorted();
    expect(statuses).toEqual([200, ...Array.from({ length: 9 }, () => 412)]);
    // The loser hears of a version that it can go on with.
    const refused = responses.find((response) => response.status === 412);
    expect(refused && tagOf(refused)).toBe('"2"');
    expect(tagOf(await call(path, { token }))).toBe('"2"');
  });

  it("is not deleted by one who has not seen the change of that moment", async () => {
    const [token, path] = [await admin(), await make()];
    const changing = change(path, token);
    const [deleted] = await Promise.all([remove(path, token, '"1"'), changing]);
    const changed = await changing;
    // Whoever was first has won, and the other one knows.
    expect([
      [412, 200],
      [204, 404],
    ]).toContainEqual([deleted.status, changed.status]);
  });

  it.each(['"1"', 'W/"1"', '"x", "1"', "*"])("is not sent again to one who has %s", async (tag) => {
    const [token, path] = [await admin(), await make()];
    for (const method of ["GET", "HEAD"]) {
      let response = new Response();
      const trips = await roundTrips(async () => {
        response = await call(path, { method, token, headers: { "If-None-Match": tag } });
      });
      expect([trips, response.status, await response.text()]).toEqual([1, 304, ""]);
      expect(tagOf(response)).toBe('"1"');
      expect(response.headers.get("Cache-Control")).toBe("no-store");
      expect(response.headers.get("X-Request-Id")).toMatch(/./);
    }
  });

  it.each(['"2"', '"other"', "1", '""', '"1" "2"'])("is sent to one who has %s alone", async (tag) => {
    const [token, path] = [await admin(), await make()];
    const response = await call(path, { token, headers: { "If-None-Match": tag } });
    expect([response.status, tagOf(response)]).toEqual([200, '"1"']);
    expect(await response.json()).toMatchObject({ version: 1 });
  });

  it("is sent again after a change", async () => {
    const [token, path] = [await admin(), await make()];
    await change(path, token);
    expect((await call(path, { token, headers: { "If-None-Match": '"1"' } })).status).toBe(200);
  });

  it("answers 404 and 401 before 304", async () => {
    const path = await make();
    await problem(await call(path, { headers: { "If-None-Match": "*" } }), "unauthorized");
    const token = await admin();
    await remove(path, token, "*");
    await problem(await call(path, { token, headers: { "If-None-Match": "*" } }), "not-found");
  });
});

describe("a PO", () => {
  it("has another ETag when a line of it was added, changed or deleted, by anybody", async () => {
    const token = await admin();
    const po = await insertPo();
    const line = await insertLine(po, { quantity: "1", unit_price: "1", total_price: null });
    const lines = `/po/${po}/line-items`;
    const tag = async () => tagOf(await call(`/po/${po}`, { token }));
    expect(await tag()).toBe('"2"');
    await call(lines, { method: "POST", token, body: { item_name: "Door", total_price: "1" } });
    expect(await tag()).toBe('"3"');
    await call(`${lines}/${line}`, { method: "PATCH", token, body: { unit: "Nos" } });
    expect(await tag()).toBe('"4"');
    await call(`${lines}/${line}`, { method: "DELETE", token });
    expect(await tag()).toBe('"5"');
    await sql(`UPDATE "Finances".client_po_line_item SET unit = 'm' WHERE client_po_id = $1`, [po]);
    expect(await tag()).toBe('"6"');
  });
});

describe("what is made", () => {
  it("carries its ETag at once, with what its lines made of it", async () => {
    const token = await admin();
    const client_id = await insertClient();
    const post = (path: string, body: unknown) => call(path, { method: "POST", token, body });
    const line = { item_name: "Door", total_price: "1" };
    expect(tagOf(await post("/client", { name: crypto.randomUUID() }))).toBe('"1"');
    expect(tagOf(await post("/vendor", { name: "Bolts" }))).toBe('"1"');
    expect(tagOf(await post("/po", { client_id }))).toBe('"1"');
    const po = await post("/po", { client_id, line_items: [line] });
    expect(tagOf(po)).toBe(`"${((await po.json()) as { version: number }).version}"`);
    const lines = `${po.headers.get("Location")}/line-items`;
    expect(tagOf(await post(lines, line))).toBe('"1"');
    // Several rows have no version in common.
    expect(tagOf(await post(lines, [line, line]))).toBeNull();
  });
});

it.each<[string, () => Promise<string>, unknown]>([
  ["a client", async () => "/client", { name: "x" }],
  ["lines", async () => `/po/${await insertPo()}/line-items`, { item_name: "x", total_price: 1 }],
  ["a status", async () => `/po/${await insertPo()}/status`, { status: "active" }],
])("is not ignored where it is not looked at: a POST of %s with If-Match is refused", async (_case, pathOf, body) => {
  const { token } = await signIn("editor");
  const path = await pathOf();
  const response = await call(path, { method: "POST", token, body, headers: { "If-Match": '"77"' } });
  const { errors } = await problem(response, "validation-failed");
  expect(errors).toEqual([{ in: "header", pointer: "/If-Match", detail: expect.stringContaining("PATCH") }]);
});

describe("in the document", () => {
  const withHeader = (name: string) =>
    operations
      .filter((operation) => operation.parameters?.some((each) => each.in === "header" && each.name === name))
      .map((operation) => `${operation.method} ${operation.path}`)
      .toSorted();
  const paths = ["/client/{client_id}", "/po/{po_id}", "/po/{po_id}/line-items/{line_item_id}", "/vendor/{vendor_id}"];

  it("every PATCH and DELETE of a version takes If-Match, and every read If-None-Match", () => {
    expect(withHeader("If-Match")).toEqual(
      ["DELETE", "PATCH"].flatMap((method) => paths.map((path) => `${method} ${path}`)),
    );
    expect(withHeader("If-None-Match")).toEqual(paths.map((path) => `GET ${path}`));
  });
});
