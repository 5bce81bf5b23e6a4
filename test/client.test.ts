import { describe, expect, it } from "vitest";
import { Client, ClientPage } from "../src/client/contract.ts";
import { read, signIn } from "./support/api.ts";
import { freshDatabase } from "./support/database.ts";
import { itFindsNothingAt, itIsAList, itIsSorted } from "./support/lists.ts";
import { insertClient, walk } from "./support/rows.ts";

describe("GET /client/{client_id}", () => {
  it("answers the client, instants in UTC with microseconds", async () => {
    const { token } = await signIn();
    const id = await insertClient({
      name: "Borealis औषधालय 'x' \"y\" \\ \u2028 😀",
      bundle_by_store: true,
      created_at: "2026-01-29T07:17:55.145925+05:30",
      updated_at: "2026-02-01T00:00:00+05:30",
    });
    expect(await read(Client, `/client/${id}`, token)).toEqual({
      id,
      name: "Borealis औषधालय 'x' \"y\" \\ \u2028 😀",
      bundle_by_store: true,
      created_at: "2026-01-29T01:47:55.145925Z",
      updated_at: "2026-01-31T18:30:00.000000Z",
      version: 1,
    });
  });

  it("does not bundle by store unless told to", async () => {
    const { token } = await signIn();
    const id = await insertClient();
    expect(await read(Client, `/client/${id}`, token)).toMatchObject({ bundle_by_store: false });
  });

  itFindsNothingAt(async (id) => `/client/${id}`);
});

describe("GET /client", () => {
  itIsAList(ClientPage, "by id", async () => ({ path: "/client", add: () => insertClient() }));

  describe("sorted", () => {
    // Letters and digits alone, in both cases: every collation sorts those alike.
    const anyName = () =>
      crypto
        .randomUUID()
        .replaceAll("-", "")
        .replace(/[a-c]/g, (letter) => letter.toUpperCase());
    const open = async () => {
      await freshDatabase();
      return { path: "/client", add: () => insertClient({ name: anyName() }) };
    };
    itIsSorted(ClientPage, { id: (row) => row.id, name: (row) => row.name.toLowerCase() }, open);

    it("by names as long as can be", async () => {
      await freshDatabase();
      const { token } = await signIn();
      const names = ["\u0930", '"', "\\", "\u2028"].map((character) => character.repeat(255));
      for (const name of names) await insertClient({ name });
      const pages = await walk(ClientPage, "/client?sort=-name&limit=1", token);
      expect(pages.flatMap((page) => page.data.map((row) => row.name)).toSorted()).toEqual(names.toSorted());
    });
  });

  it("carries the fields of a single read", async () => {
    const { token } = await signIn();
    const id = await insertClient();
    const { data } = await read(ClientPage, "/client?limit=200", token);
    expect(data.find((row) => row.id === id)).toEqual(await read(Client, `/client/${id}`, token));
  });

  it("is empty when there is no client", async () => {
    await freshDatabase();
    const { token } = await signIn();
    expect(await read(ClientPage, "/client", token)).toEqual({ data: [], next_cursor: null });
  });
});
