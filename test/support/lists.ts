import { expect, it } from "vitest";
import type { z } from "zod";
import { call, read, roundTrips, signIn } from "./api.ts";
import { problem } from "./problem.ts";
import { insertClient, insertVendor, walk } from "./rows.ts";

/** Ids that cannot exist, or do not. */
export const missingIds = [
  "0",
  "-1",
  "1.5",
  "01",
  "1e1",
  "+1",
  "1%20",
  "9007199254740991",
  "9007199254740992",
  "9007199254740993",
  "99999999999999999999",
  "9223372036854775808",
  "abc",
  "%00",
  "%ff",
  "%D9%A1",
];

/** A path with one segment that is no id of anything is not found, with a valid token and in one round trip at most. */
export function itFindsNothingAt(pathOf: (id: string) => Promise<string>) {
  it.each(missingIds)("answers 404 for the id %s", async (id) => {
    const { token } = await signIn();
    const path = await pathOf(id);
    const trips = await roundTrips(async () => {
      await problem(await call(path, { token }), "not-found");
    });
    expect(trips).toBeLessThanOrEqual(1);
  });
}

interface List {
  path: string;
  add(): Promise<number>;
}

type PageOf = { data: { id: number }[]; next_cursor: string | null };

const withQuery = (path: string, query: string) => `${path}${path.includes("?") ? "&" : "?"}${query}`;

/** What every list does: `open` makes a list of its own to look at, `order` is how it is sorted, `role` who may read it. */
export function itIsAList(
  schema: z.ZodType<PageOf>,
  order: "by id" | "newest first",
  open: () => Promise<List>,
  role: "viewer" | "admin" = "viewer",
) {
  it.each([1, 2, 3, 200])("is walked to its end in pages of %i while rows are added", async (limit) => {
    const { token } = await signIn(role);
    const { path, add } = await open();
    const there = [await add(), await add(), await add(), await add(), await add()];
    let additions = 0;
    const pages = await walk(schema, withQuery(path, `limit=${limit}`), token, async () => {
      // By id the walk meets what is added: it would have no end if that never stopped.
      if (additions++ < 4) await add();
    });
    for (const page of pages.slice(0, -1)) expect(page.data).toHaveLength(limit);
    const ids = pages.flatMap((page) => page.data.map((row) => row.id));
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual(expect.arrayContaining(there));
    if (order === "by id") expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  });

  it("has pages of 50 unless told otherwise", async () => {
    const { token } = await signIn(role);
    const { path, add } = await open();
    await Promise.all(Array.from({ length: 51 }, add));
    const first = await read(schema, path, token);
    expect(first.data).toHaveLength(50);
    expect(first.next_cursor).not.toBeNull();
  });

  it("has no next page when the last row is the last of a page", async () => {
    const { token } = await signIn(role);
    const { path, add } = await open();
    await Promise.all([add(), add()]);
    const total = (await walk(schema, withQuery(path, "limit=200"), token)).flatMap((page) => page.data).length;
    // Some divisor, so that the last page is full.
    const limit = [200, 100, 50, 20, 10, 7, 5, 3, 2, 1].find((each) => total % each === 0 && total >= each) ?? 1;
    const pages = await walk(schema, withQuery(path, `limit=${limit}`), token);
    expect(pages).toHaveLength(total / limit);
  });

  it.each([
    ["limit=0", "/limit"],
    ["limit=201", "/limit"],
    ["limit=-1", "/limit"],
    ["limit=1.5", "/limit"],
    ["limit=1e2", "/limit"],
    ["limit=%201", "/limit"],
    ["limit=", "/limit"],
    ["limit", "/limit"],
    ["limit=abc", "/limit"],
    ["limit=1%00", "/limit"],
    ["limit=1&limit=2", "/limit"],
    ["limit=1&limit=1", "/limit"],
    ["cursor=", "/cursor"],
    ["cursor=%00", "/cursor"],
    ["nope=1", "/nope"],
    ["Limit=1", "/Limit"],
    ["limit%5B%5D=1", "/limit[]"],
    ["a~b%2Fc=1", "/a~0b~1c"],
    ["__proto__=1", "/__proto__"],
    ["constructor=1", "/constructor"],
    ["toString", "/toString"],
    ["=1", "/"],
    ["limit=1&=", "/"],
  ])("refuses ?%s and points at it", async (query, pointer) => {
    const { token } = await signIn(role);
    const { path } = await open();
    const { errors } = await problem(await call(withQuery(path, query), { token }), "validation-failed");
    expect(errors).toEqual([{ in: "query", pointer, detail: expect.any(String) }]);
  });

  it("points at every fault of a query", async () => {
    const { token } = await signIn(role);
    const { path } = await open();
    const { errors } = await problem(
      await call(withQuery(path, "limit=0&one=1&two=2"), { token }),
      "validation-failed",
    );
    expect(errors?.map((error) => error.pointer).toSorted()).toEqual(["/limit", "/one", "/two"]);
  });

  it("refuses a cursor that was changed, cut, extended or made up", async () => {
    const { token } = await signIn(role);
    const { path, add } = await open();
    await Promise.all([add(), add()]);
    const cursor = (await read(schema, withQuery(path, "limit=1"), token)).next_cursor ?? "";
    const [payload = "", signature = ""] = cursor.split(".");
    const other = (text: string) => `${text.startsWith("A") ? "B" : "A"}${text.slice(1)}`;
    const forged = [
      `${other(payload)}.${signature}`,
      `${payload}.${other(signature)}`,
      `${payload}.${signature.slice(0, -1)}`,
      `${payload}.${signature}A`,
      `${payload}A.${signature}`,
      `${payload}.`,
      `.${signature}`,
      ".",
      payload,
      `${cursor}.${signature}`,
      `${cursor}.`,
      ` ${cursor}`,
      `${btoa('["0"]')}.${signature}`,
      "1",
      "null",
      "A".repeat(1000),
    ];
    expect((await call(withQuery(path, `cursor=${cursor}`), { token })).status).toBe(200);
    for (const each of forged) {
      await problem(await call(withQuery(path, `cursor=${encodeURIComponent(each)}`), { token }), "invalid-cursor");
    }
  });

  it("refuses a cursor of another list, and another list refuses its cursor", async () => {
    const { token } = await signIn(role);
    const { path, add } = await open();
    await Promise.all([add(), add()]);
    const mine = (await read(schema, withQuery(path, "limit=1"), token)).next_cursor;
    const others = ["/client", "/vendor", "/po/list", "/po/aggregated/by-store"].filter((each) => each !== path);
    for (const other of others) {
      await problem(await call(`${other}?cursor=${mine}`, { token }), "invalid-cursor");
    }
    await Promise.all([insertClient(), insertClient(), insertVendor(), insertVendor()]);
    const donor = path === "/client" ? "/vendor" : "/client";
    const { next_cursor } = (await (await call(`${donor}?limit=1`, { token })).json()) as { next_cursor: string };
    await problem(await call(withQuery(path, `cursor=${next_cursor}`), { token }), "invalid-cursor");
  });

  it("takes another user's cursor: it holds a place, not a right", async () => {
    const [one, two] = await Promise.all([signIn(role), signIn(role)]);
    const { path, add } = await open();
    await Promise.all([add(), add()]);
    const cursor = (await read(schema, withQuery(path, "limit=1"), one.token)).next_cursor;
    expect((await call(withQuery(path, `cursor=${cursor}`), { token: two.token })).status).toBe(200);
  });
}

/**
 * What every list that can be sorted does. `keys` are its sorts and what each sorts a row by; `add` adds a row that is in
 * the list from then on, or, where a walk has no place for later ones, in the next walk.
 */
export function itIsSorted<Row extends { id: number }>(
  schema: z.ZodType<{ data: Row[]; next_cursor: string | null }>,
  keys: Record<string, (row: Row) => string | number>,
  open: () => Promise<List>,
  role: "viewer" | "admin" = "viewer",
) {
  const sorts = Object.keys(keys).flatMap((key) => [key, `-${key}`]);
  const above = <Value>(a: Value, b: Value) => (a === b ? 0 : a > b ? 1 : -1);

  it.each(sorts)("is walked in the order of %s, nothing twice and nothing lost, while rows are added", async (sort) => {
    const { path, add } = await open();
    const { token } = await signIn(role);
    const there: number[] = [];
    for (let count = 0; count < 7; count += 1) there.push(await add());
    let additions = 0;
    const pages = await walk(schema, withQuery(path, `limit=2&sort=${sort}`), token, async () => {
      if (additions++ < 4) await add();
    });
    const rows = pages.flatMap((page) => page.data);
    const keyOf = keys[sort.replace("-", "")] ?? (() => "");
    const sorted = rows.toSorted((a, b) => above(keyOf(a), keyOf(b)) || a.id - b.id);
    expect(rows.map((row) => row.id)).toEqual(
      (sort.startsWith("-") ? sorted.toReversed() : sorted).map((row) => row.id),
    );
    expect(new Set(rows.map((row) => row.id)).size).toBe(rows.length);
    expect(rows.map((row) => row.id)).toEqual(expect.arrayContaining(there));
  });

  it("refuses a cursor of another order", async () => {
    const { path, add } = await open();
    const { token } = await signIn(role);
    await Promise.all([add(), add()]);
    for (const sort of sorts) {
      const { next_cursor } = await read(schema, withQuery(path, `limit=1&sort=${sort}`), token);
      for (const other of sorts) {
        const response = await call(withQuery(path, `limit=1&sort=${other}&cursor=${next_cursor}`), { token });
        if (other === sort) expect(response.status).toBe(200);
        else await problem(response, "invalid-cursor");
      }
    }
  });

  it.each(["", "--id", "+id", "ID", "version", "id,name", "__proto__"])("has no order %j", async (sort) => {
    const { path } = await open();
    const { token } = await signIn(role);
    const response = await call(withQuery(path, `sort=${encodeURIComponent(sort)}`), { token });
    const { errors } = await problem(response, "validation-failed");
    expect(errors).toEqual([{ in: "query", pointer: "/sort", detail: expect.stringContaining("-") }]);
  });
}
