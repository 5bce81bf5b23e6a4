import { describe, expect, it } from "vitest";
import { Vendor, VendorPage } from "../src/vendor/contract.ts";
import { call, read, signIn } from "./support/api.ts";
import { itFindsNothingAt, itIsAList, itIsSorted } from "./support/lists.ts";
import { problem } from "./support/problem.ts";
import { insertVendor, walk } from "./support/rows.ts";

describe("GET /vendor/{vendor_id}", () => {
  it("answers all fields of the vendor", async () => {
    const { token } = await signIn();
    const id = await insertVendor({
      name: "D'Souza & Sons",
      contact_person: "Maria D'Souza",
      email: "accounts@dsouza.example",
      phone: "+91 98200 00000",
      address: "3 Mill Road\r\nPune",
      gstin: "27ABCDE1234F1Z5",
      payment_terms: "30 days",
      status: "inactive",
      created_at: "2025-12-31T20:00:00.1-05:00",
      updated_at: "2026-01-01T01:00:00.000001Z",
    });
    expect(await read(Vendor, `/vendor/${id}`, token)).toEqual({
      id,
      name: "D'Souza & Sons",
      contact_person: "Maria D'Souza",
      email: "accounts@dsouza.example",
      phone: "+91 98200 00000",
      address: "3 Mill Road\r\nPune",
      gstin: "27ABCDE1234F1Z5",
      payment_terms: "30 days",
      status: "inactive",
      created_at: "2026-01-01T01:00:00.100000Z",
      updated_at: "2026-01-01T01:00:00.000001Z",
      version: 1,
    });
  });

  it("answers null for what is not known, and active by default", async () => {
    const { token } = await signIn();
    const id = await insertVendor();
    expect(await read(Vendor, `/vendor/${id}`, token)).toMatchObject({
      contact_person: null,
      email: null,
      phone: null,
      address: null,
      gstin: null,
      payment_terms: null,
      status: "active",
    });
  });

  itFindsNothingAt(async (id) => `/vendor/${id}`);
});

describe("GET /vendor", () => {
  itIsAList(VendorPage, "by id", async () => ({ path: "/vendor", add: () => insertVendor() }));

  // A search is a list of its own, with the same rules.
  describe("with q", () => {
    itIsAList(VendorPage, "by id", async () => {
      const name = crypto.randomUUID();
      return { path: `/vendor?q=${name.toUpperCase()}`, add: () => insertVendor({ name: `~ ${name} ~` }) };
    });
  });

  describe("sorted", () => {
    itIsSorted(VendorPage, { id: (row) => row.id, name: (row) => row.name.toLowerCase() }, async () => {
      const mark = crypto.randomUUID();
      let count = 0;
      // Some names are the same, whatever the case: they are sorted by id.
      const add = () => insertVendor({ name: `${"bAaCBca".charAt(count++ % 7)} ${mark}` });
      return { path: `/vendor?q=${mark}`, add };
    });
  });

  it("carries the fields of a single read", async () => {
    const { token } = await signIn();
    const name = crypto.randomUUID();
    const id = await insertVendor({ name, gstin: "27ABCDE1234F1Z5" });
    const { data } = await read(VendorPage, `/vendor?q=${name}`, token);
    expect(data).toEqual([await read(Vendor, `/vendor/${id}`, token)]);
  });
});

describe("GET /vendor?q=", () => {
  const found = async (q: string, token: string) => {
    const pages = await walk(VendorPage, `/vendor?q=${encodeURIComponent(q)}`, token);
    return pages.flatMap((page) => page.data.map((row) => row.name));
  };

  it.each([
    ["the beginning", (mark: string) => [`${mark} tail`, mark]],
    ["the middle", (mark: string) => [`head ${mark} tail`, mark]],
    ["the end", (mark: string) => [`head ${mark}`, mark]],
    ["the whole name", (mark: string) => [mark, mark]],
    ["another case", (mark: string) => [mark.toUpperCase(), mark.toLowerCase()]],
    ["Devanagari", (mark: string) => [`शर्मा ट्रेडर्स ${mark}`, `ट्रेडर्स ${mark}`]],
    ["accents in another case", (mark: string) => [`ÉCLAIR ${mark}`, `éclair ${mark}`]],
    ["a surrogate pair", (mark: string) => [`${mark} 😀`, `${mark} 😀`]],
    ["a literal percent sign", (mark: string) => [`${mark} 100%`, `${mark} 100%`]],
    ["a literal underscore", (mark: string) => [`${mark}_x`, `${mark}_x`]],
    ["a literal backslash", (mark: string) => [`${mark}\\x`, `${mark}\\x`]],
    ["a backslash at the end", (mark: string) => [`${mark}\\`, `${mark}\\`]],
    ["quotes", (mark: string) => [`${mark} ' " ; --`, `${mark} ' " ; --`]],
  ])("finds %s of a name", async (_case, make) => {
    const { token } = await signIn();
    const [name = "", q = ""] = make(crypto.randomUUID());
    await insertVendor({ name });
    await insertVendor();
    expect(await found(q, token)).toEqual([name]);
  });

  it.each([
    ["%", (mark: string) => `${mark}%z`],
    ["_", (mark: string) => `${mark}_z`],
    ["\\", (mark: string) => `${mark}\\z`],
    ["*", (mark: string) => `${mark}*z`],
    [".", (mark: string) => `${mark}.z`],
  ])("takes %s for itself, not for a wildcard", async (_case, make) => {
    const { token } = await signIn();
    const mark = crypto.randomUUID();
    await insertVendor({ name: `${mark}az` });
    await insertVendor({ name: `${mark}z` });
    expect(await found(make(mark), token)).toEqual([]);
    expect(await found(mark, token)).toHaveLength(2);
  });

  it("looks at names only", async () => {
    const { token } = await signIn();
    const mark = crypto.randomUUID();
    await insertVendor({ address: mark, contact_person: mark, email: mark });
    expect(await read(VendorPage, `/vendor?q=${mark}`, token)).toEqual({ data: [], next_cursor: null });
  });

  it("keeps its search while it is walked: a cursor of another search is refused", async () => {
    const { token } = await signIn();
    const mark = crypto.randomUUID();
    await insertVendor({ name: `${mark} a` });
    await insertVendor({ name: `${mark} b` });
    const { next_cursor } = await read(VendorPage, `/vendor?q=${mark}&limit=1`, token);
    for (const query of [`q=${mark.slice(1)}`, `q=${mark.toUpperCase()}`, "limit=1"]) {
      await problem(await call(`/vendor?${query}&cursor=${next_cursor}`, { token }), "invalid-cursor");
    }
    const second = await read(VendorPage, `/vendor?q=${mark}&limit=200&cursor=${next_cursor}`, token);
    expect(second.data.map((row) => row.name)).toEqual([`${mark} b`]);
  });

  it.each([
    ["nothing", ""],
    ["101 characters", "x".repeat(101)],
    ["a NUL", "a%00b"],
  ])("refuses %s", async (_case, q) => {
    const { token } = await signIn();
    const { errors } = await problem(await call(`/vendor?q=${q}`, { token }), "validation-failed");
    expect(errors?.map((error) => error.pointer)).toEqual(["/q"]);
  });
});
