import { describe, expect, it } from "vitest";
import { csvColumns } from "../src/po/csv.ts";
import { call, roundTrips, signIn, sql } from "./support/api.ts";
import { freshDatabase } from "./support/database.ts";
import { problem } from "./support/problem.ts";
import { insertClient, insertLine, insertPo, insertVendor } from "./support/rows.ts";

/** CSV as RFC 4180 has it, read character by character: rows of fields by column. */
function parse(text: string): Record<string, string>[] {
  const rows: string[][] = [[]];
  for (let at = 0; at < text.length; ) {
    let field = "";
    if (text[at] === '"') {
      for (at++; text[at] !== '"' || text[++at] === '"'; at++) field += text[at];
    } else {
      while (at < text.length && text[at] !== "," && text[at] !== "\r") {
        if (text[at] === '"' || text[at] === "\n") throw new Error(`not quoted: ${text.slice(at - 20, at + 20)}`);
        field += text[at++];
      }
    }
    rows.at(-1)?.push(field);
    if (text[at] === ",") at++;
    else if (text.startsWith("\r\n", at)) {
      at += 2;
      rows.push([]);
    } else throw new Error(`no end of a field: ${text.slice(at - 20, at + 20)}`);
  }
  expect(rows.pop()).toEqual([]);
  const [names = [], ...records] = rows;
  return records.map((record) => {
    expect(record).toHaveLength(names.length);
    return Object.fromEntries(names.map((name, index) => [name, record[index] ?? ""]));
  });
}

const exported = async (query: string, token: string, headers: Record<string, string> = {}) => {
  const response = await call(`/po/list?${query}`, { token, headers });
  expect([response.status, response.headers.get("Content-Type")]).toEqual([200, "text/csv; charset=utf-8"]);
  return response;
};

describe("GET /po/list as CSV", () => {
  it("is a file with all fields of each PO and the names of client and vendor", async () => {
    const { token } = await signIn();
    const client_id = await insertClient({ name: `Borealis, "B" ${crypto.randomUUID()}` });
    const vendor_id = await insertVendor({ name: "औषधालय" });
    const notes = 'Line one\r\nLine "two", and\nthree\rfour';
    const one = await insertPo({ client_id, vendor_id, po_number: "PO-1", po_date: "2026-01-29", notes });
    await insertLine(one, { quantity: 1, unit_price: "10", total_price: null, gst_rate: 18 });
    await sql(`UPDATE "Finances".client_po SET receivable_amount = -1.5 WHERE id = $1`, [one]);
    const two = await insertPo({ client_id });

    const response = await exported(`format=csv&client_id=${client_id}`, token);
    expect(response.headers.get("Content-Disposition")).toBe('attachment; filename="purchase-orders.csv"');
    const text = await response.text();
    expect(text.split("\r\n")[0]).toBe(csvColumns.join(","));
    const [newer, older] = parse(text);
    const [client] = await sql(`SELECT name FROM "Finances".client WHERE id = $1`, [client_id]);
    expect(older).toMatchObject({ id: String(one), notes, po_date: "2026-01-29", po_number: "PO-1", project_id: "" });
    expect(older).toMatchObject({ po_value: "11.80", receivable_amount: "-1.50", subtotal: "10.00", cgst: "" });
    expect(older).toMatchObject({ client_name: client?.name, vendor_name: "औषधालय", line_item_count: "1" });
    expect(older?.created_at).toMatch(/^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z$/);
    expect(newer).toMatchObject({ id: String(two), vendor_id: "", vendor_name: "", po_value: "" });
  });

  const split = [
    "ok\n=1+1",
    "ok\r=1+1",
    "ok\r\n =1+1",
    "ok;=1+1",
    "ok\t@A1",
    "\n=1+1",
    "a;-1+1;+2",
    "- one\n- two; three",
    'a;"=1+1',
    "a;\u2007=1",
    'a\t""- 1',
  ];
  it.each(split)("has no formula for a reader that ends fields and records elsewhere: %j", async (notes) => {
    const { token } = await signIn();
    const client_id = await insertClient();
    await insertPo({ client_id, notes });
    const text = await (await exported(`format=csv&client_id=${client_id}`, token)).text();
    for (const cell of text.split(/[,;\t\r\n]/)) expect(cell).not.toMatch(/^[\s"]*[=+@-]/);
    expect(parse(text)[0]?.notes?.replaceAll("'", "")).toBe(notes);
  });

  it("is what Accept asks for, unless format says otherwise", async () => {
    const { token } = await signIn();
    const client = `client_id=${await insertClient()}`;
    const typeOf = async (query: string, accept: string) => {
      const response = await call(`/po/list?${query}`, { token, headers: { Accept: accept } });
      expect([response.status, response.headers.get("Vary")]).toEqual([200, "Accept"]);
      await response.arrayBuffer();
      return response.headers.get("Content-Type");
    };
    const [csv, json] = ["text/csv; charset=utf-8", "application/json"];
    expect(await typeOf(client, "text/csv")).toBe(csv);
    expect(await typeOf(client, "text/csv;q=0.9, application/json;q=0.5")).toBe(csv);
    for (const accept of ["*/*", "application/json", "application/json, text/csv;q=0.5", "image/png", ""]) {
      expect([accept, await typeOf(client, accept)]).toEqual([accept, json]);
    }
    expect(await typeOf(`${client}&format=json`, "text/csv")).toBe(json);
    expect(await typeOf(`${client}&format=csv`, "application/json")).toBe(csv);
  });

  it("has nothing that a spreadsheet would run", async () => {
    const { token } = await signIn();
    const dangerous = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", '=HYPERLINK("http://x","y")', "-2+3,=x"];
    const client_id = await insertClient({ name: `=cmd|' /C calc'!A0 ${crypto.randomUUID()}` });
    for (const [n, notes] of dangerous.entries())
      await insertPo({ client_id, notes, po_number: `=${n}`, store_id: notes });
    const rows = parse(await (await exported(`format=csv&client_id=${client_id}&sort=created_at`, token)).text());
    expect(rows.map((row) => row.notes?.[0])).toEqual(dangerous.map(() => "'"));
    expect(rows.map((row) => row.notes?.replaceAll("'", ""))).toEqual(dangerous);
    for (const row of rows) {
      expect(Object.values(row).filter((field) => /^[=+@\t\r＝-]/.test(field))).toEqual([]);
    }
  });

  it("begins with a byte order mark when asked, and not otherwise", async () => {
    const { token } = await signIn();
    const start = async (query: string) =>
      [...new Uint8Array(await (await exported(`format=csv&${query}`, token)).arrayBuffer())].slice(0, 5);
    const id = [...new TextEncoder().encode("id,cl")];
    expect(await start("bom=true&q=nothing like it")).toEqual([0xef, 0xbb, 0xbf, ...id.slice(0, 2)]);
    expect(await start("bom=false&q=nothing like it")).toEqual(id);
    expect(await start("q=nothing like it")).toEqual(id);
  });

  it("keeps the filters and the order of the list", async () => {
    const { token } = await signIn();
    const client_id = await insertClient();
    const add = (status: string, po_value: string) => insertPo({ client_id, status, po_value });
    const [a, b, c] = [await add("active", "2"), await add("pending", "3"), await add("active", "1")];
    const ids = async (query: string) =>
      parse(await (await exported(`format=csv&client_id=${client_id}&${query}`, token)).text()).map((row) =>
        Number(row.id),
      );
    expect(await ids("status=active")).toEqual([c, a]);
    expect(await ids("sort=po_value")).toEqual([c, a, b]);
    expect(await ids("status=completed")).toEqual([]);
  });

  it("takes a round trip for each 200 POs, and has each once while others are added", async () => {
    await freshDatabase();
    const { token } = await signIn();
    const client_id = await insertClient();
    const add = (count: number) =>
      sql(`INSERT INTO "Finances".client_po (client_id) SELECT $1 FROM generate_series(1, $2::int)`, [
        client_id,
        count,
      ]);
    await add(950);
    let ids: string[] = [];
    const trips = await roundTrips(async () => {
      ids = parse(await (await exported("format=csv", token)).text()).map((row) => row.id ?? "");
    });
    expect([trips, ids.length, new Set(ids).size]).toEqual([5, 950, 950]);

    const response = await exported("format=csv", token);
    await add(300);
    const met = parse(await response.text()).map((row) => row.id ?? "");
    expect(new Set(met).size).toBe(met.length);
    expect(met).toEqual(expect.arrayContaining(ids));
    // An exact multiple of the page is not followed by an empty line.
    await sql(`DELETE FROM "Finances".client_po WHERE id > (SELECT min(id) + 399 FROM "Finances".client_po)`);
    expect(parse(await (await exported("format=csv", token)).text())).toHaveLength(400);
  });

  it("breaks off where the session ends in the middle of it, so that nobody takes it for whole", async () => {
    await freshDatabase();
    const { token, sessionId } = await signIn();
    const client_id = await insertClient();
    await sql(`INSERT INTO "Finances".client_po (client_id) SELECT $1 FROM generate_series(1, 3000)`, [client_id]);
    const response = await exported("format=csv", token);
    await sql(`UPDATE "Finances".refresh_session SET revoked_at = now() WHERE id = $1`, [sessionId]);
    await expect(response.text()).rejects.toThrow();
  });

  it("is a problem where it cannot begin", async () => {
    const { token } = await signIn();
    await problem(await call("/po/list?format=csv", {}), "unauthorized");
    for (const [query, pointer] of [
      ["format=csv&limit=10", "/limit"],
      ["format=csv&include=total", "/include"],
      ["format=csv&expand=vendor", "/expand"],
      ["format=csv&cursor=x", "/cursor"],
      ["format=xlsx", "/format"],
      ["format=csv&bom=1", "/bom"],
      ["format=csv&q=a", "/q"],
      ["format=csv&unheard_of=1", "/unheard_of"],
    ]) {
      const { errors } = await problem(await call(`/po/list?${query}`, { token }), "validation-failed").catch(
        (error) => {
          throw new Error(`${query}: ${error}`);
        },
      );
      expect(errors?.map((error) => error.pointer)).toEqual([pointer]);
    }
  });
});
