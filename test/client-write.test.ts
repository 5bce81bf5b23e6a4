import { describe, expect, it } from "vitest";
import { Client } from "../src/client/contract.ts";
import { call, read, signIn, sql } from "./support/api.ts";
import { problem } from "./support/problem.ts";
import { insert, insertClient, insertPo } from "./support/rows.ts";
import { audited, create, patch, remove, whileUncommitted } from "./support/write.ts";

const newName = () => `Client ${crypto.randomUUID()}`;

describe("POST /client", () => {
  it("creates a client, which does not bundle by store unless told to", async () => {
    const { token } = await signIn("editor");
    const name = newName();
    expect(await create(Client, "/client", { name }, token)).toMatchObject({
      name,
      bundle_by_store: false,
      version: 1,
    });
    const bundling = await create(Client, "/client", { name: newName(), bundle_by_store: true }, token);
    expect(bundling.bundle_by_store).toBe(true);
  });

  it.each(["औषधालय", 'D\'Souza & "Söhne" \\ {$1} %s', "line\u2028separator", "😀😀", "x".repeat(200)])(
    "keeps the name as it is: %s",
    async (part) => {
      const { token } = await signIn("editor");
      const name = `${crypto.randomUUID()} ${part}`;
      expect((await create(Client, "/client", { name }, token)).name).toBe(name);
    },
  );

  it("takes blanks from the ends of a name, of every kind", async () => {
    const { token } = await signIn("editor");
    const name = newName();
    expect((await create(Client, "/client", { name: `\u00a0\t ${name}\u2003\r\n` }, token)).name).toBe(name);
  });

  it.each(["\u200b", "\u00ad", "\u2060", "\u202e", "\u3164", "\u2800"])(
    "refuses a name with a character that nobody sees, %j, and so a second one that looks like the first",
    async (character) => {
      const { token } = await signIn("editor");
      const response = await call("/client", { method: "POST", token, body: { name: `Bor${character}ealis` } });
      const { errors } = await problem(response, "validation-failed");
      expect(errors).toEqual([{ in: "body", pointer: "/name", detail: expect.stringContaining("invisible") }]);
    },
  );

  it("takes the joiners that Indian scripts write with", async () => {
    const { token } = await signIn("editor");
    const name = `र\u094d\u200dय क\u094d\u200cष ${crypto.randomUUID()}`;
    expect((await create(Client, "/client", { name }, token)).name).toBe(name);
  });

  it("refuses a name that is taken, whatever the case and the blanks, and writes nothing", async () => {
    const { token } = await signIn("editor");
    const name = `Énorme ${crypto.randomUUID()}`;
    await create(Client, "/client", { name }, token);
    for (const taken of [name, name.toUpperCase(), ` ${name.toLowerCase()} `]) {
      const response = await call("/client", { method: "POST", token, body: { name: taken } });
      const { errors } = await problem(response, "conflict");
      expect(errors).toEqual([{ in: "body", pointer: "/name", detail: expect.stringContaining("of this name") }]);
    }
    const [row] = await sql(`SELECT count(*) FROM "Finances".client WHERE lower(name) = lower($1)`, [name]);
    expect(row?.count).toBe("1");
  });

  it("makes one of ten clients of one name that are created at once", async () => {
    const { token } = await signIn("editor");
    const name = newName();
    const all = await Promise.all(
      Array.from({ length: 10 }, () => call("/client", { method: "POST", token, body: { name } })),
    );
    expect(all.map((response) => response.status).toSorted()).toEqual([201, ...Array(9).fill(409)]);
  });

  it("is in the audit log with its caller", async () => {
    const { token, id } = await signIn("editor");
    const response = await call("/client", { method: "POST", token, body: { name: newName() } });
    const client = Client.parse(await response.json());
    expect(await audited(response, id)).toEqual([`insert client ${client.id}`]);
  });
});

describe("PATCH /client/{client_id}", () => {
  it.each(["application/json", "application/merge-patch+json", "application/json; charset=utf-8"])(
    "merges a body of %s",
    async (type) => {
      const { token } = await signIn("editor");
      const before = await create(Client, "/client", { name: newName() }, token);
      const after = await patch(Client, `/client/${before.id}`, { bundle_by_store: true }, token, type);
      expect(after).toEqual({ ...before, bundle_by_store: true, version: 2, updated_at: after.updated_at });
      expect(after.updated_at > before.updated_at).toBe(true);
      const name = newName();
      expect(await patch(Client, `/client/${before.id}`, { name }, token, type)).toMatchObject({
        name,
        bundle_by_store: true,
        version: 3,
      });
    },
  );

  it.each(["nothing", "what is there"])("changes nothing when it says %s", async (what) => {
    const { token, id } = await signIn("editor");
    const before = await create(Client, "/client", { name: newName() }, token);
    const body = what === "nothing" ? {} : { name: before.name, bundle_by_store: false };
    expect(await patch(Client, `/client/${before.id}`, body, token)).toEqual(before);
    const response = await call(`/client/${before.id}`, { method: "PATCH", token, body });
    expect(await audited(response, id)).toEqual([]);
  });

  it("may change the case of the client's own name, and not take another's", async () => {
    const { token } = await signIn("editor");
    const [one, two] = [newName(), newName()];
    const client = await create(Client, "/client", { name: one }, token);
    await create(Client, "/client", { name: two }, token);
    const upper = await patch(Client, `/client/${client.id}`, { name: one.toUpperCase() }, token);
    expect(upper.name).toBe(one.toUpperCase());
    const response = await call(`/client/${client.id}`, {
      method: "PATCH",
      token,
      body: { name: two, bundle_by_store: true },
    });
    expect((await problem(response, "conflict")).errors).toMatchObject([{ in: "body", pointer: "/name" }]);
    expect(await read(Client, `/client/${client.id}`, token)).toEqual(upper);
  });

  it("does not clear what must be there", async () => {
    const { token } = await signIn("editor");
    const before = await create(Client, "/client", { name: newName() }, token);
    for (const field of ["name", "bundle_by_store"]) {
      const response = await call(`/client/${before.id}`, { method: "PATCH", token, body: { [field]: null } });
      expect((await problem(response, "validation-failed")).errors).toMatchObject([{ pointer: `/${field}` }]);
    }
    expect(await read(Client, `/client/${before.id}`, token)).toEqual(before);
  });

  it("is in the audit log with its caller", async () => {
    const { token, id } = await signIn("editor");
    const client = await insertClient();
    const body = { bundle_by_store: true };
    const response = await call(`/client/${client}`, { method: "PATCH", token, body });
    expect(await audited(response, id)).toEqual([`update client ${client}`]);
  });
});

describe("DELETE /client/{client_id}", () => {
  it("deletes a client that nothing refers to", async () => {
    const { token, id } = await signIn("admin");
    const client = await insertClient();
    const response = await remove(`/client/${client}`, token);
    expect(await audited(response, id)).toEqual([`delete client ${client}`]);
  });

  it("names every table that refers to it, and how often, and deletes nothing", async () => {
    const { token, id } = await signIn("admin");
    const client = await insertClient();
    await insertPo({ client_id: client });
    await insertPo({ client_id: client });
    await insert("client_payment", { client_id: client });
    await insert("billing_po", { client_id: client, po_number: crypto.randomUUID() });
    for (const name of ["A", "B", "C"]) await insert("project", { client_id: client, name });
    const response = await call(`/client/${client}`, { method: "DELETE", token });
    expect((await problem(response, "conflict")).detail).toBe(
      `The client ${client} cannot be deleted: it is in use by client_po (2), client_payment (1), billing_po (1), project (3).`,
    );
    expect(await audited(response, id)).toEqual([]);
    expect((await call(`/client/${client}`, { token })).status).toBe(200);
  });

  it.concurrent.each<[table: string, columns: string]>([
    ["client_po", "(client_id) VALUES ($1)"],
    ["client_payment", "(client_id) VALUES ($1)"],
    ["billing_po", "(client_id, po_number) VALUES ($1, gen_random_uuid()::text)"],
    ["project", "(client_id, name) VALUES ($1, 'Fit-out')"],
  ])("is in conflict with a row of %s that appears in that moment", async (table, columns) => {
    const { token } = await signIn("admin");
    const client = await insertClient();
    const response = await whileUncommitted(`INSERT INTO "Finances".${table} ${columns}`, [client], () =>
      call(`/client/${client}`, { method: "DELETE", token }),
    );
    expect((await problem(response, "conflict")).detail).toBe(`It is in use by ${table}.`);
    expect((await call(`/client/${client}`, { token })).status).toBe(200);
  });

  it("happens once when ten ask for it at once", async () => {
    const { token } = await signIn("admin");
    const client = await insertClient();
    const all = await Promise.all(
      Array.from({ length: 10 }, () => call(`/client/${client}`, { method: "DELETE", token })),
    );
    expect(all.map((response) => response.status).toSorted()).toEqual([204, ...Array(9).fill(404)]);
  });
});
