import { describe, expect, it } from "vitest";
import { Vendor } from "../src/vendor/contract.ts";
import { call, read, signIn, sql } from "./support/api.ts";
import { freshDatabase } from "./support/database.ts";
import { problem } from "./support/problem.ts";
import { insert, insertPo, insertVendor } from "./support/rows.ts";
import { audited, create, patch, remove, whileUncommitted } from "./support/write.ts";

const everything = {
  name: "D'Souza & Sons",
  contact_person: "Maria D'Souza",
  email: "accounts@dsouza.example",
  phone: "+91 98200 00000",
  address: "3 Mill Road\nPune",
  gstin: "27ABCDE1234F1Z5",
  payment_terms: "30 days",
  status: "inactive",
};
const nullable = ["contact_person", "email", "phone", "address", "gstin", "payment_terms"] as const;

describe("POST /vendor", () => {
  it("creates a vendor with all that is given", async () => {
    const { token } = await signIn("editor");
    expect(await create(Vendor, "/vendor", everything, token)).toMatchObject({ ...everything, version: 1 });
  });

  it("needs a name alone: the rest is null, and the vendor active", async () => {
    const { token } = await signIn("editor");
    const nulls = Object.fromEntries(nullable.map((field) => [field, null]));
    const expected = { name: "Bolts", status: "active", ...nulls };
    expect(await create(Vendor, "/vendor", { name: "Bolts" }, token)).toMatchObject(expected);
    expect(await create(Vendor, "/vendor", { name: "Bolts", ...nulls }, token)).toMatchObject(expected);
  });

  it("allows two of one name, and of one GSTIN", async () => {
    const { token } = await signIn("editor");
    const one = await create(Vendor, "/vendor", everything, token);
    const two = await create(Vendor, "/vendor", everything, token);
    expect(two.id).not.toBe(one.id);
  });

  it("is in the audit log with its caller", async () => {
    const { token, id } = await signIn("editor");
    const response = await call("/vendor", { method: "POST", token, body: everything });
    const vendor = Vendor.parse(await response.json());
    expect(await audited(response, id)).toEqual([`insert vendor ${vendor.id}`]);
  });
});

describe("PATCH /vendor/{vendor_id}", () => {
  it("changes one field and leaves the others", async () => {
    const { token } = await signIn("editor");
    let vendor = await create(Vendor, "/vendor", everything, token);
    const changes = {
      name: "Bolts",
      contact_person: "Asha",
      email: "a@b.example",
      phone: "1",
      address: "",
      gstin: "29ABCDE1234F1Z5",
      payment_terms: "none",
      status: "active",
    };
    for (const [field, value] of Object.entries(changes)) {
      const changed = await patch(Vendor, `/vendor/${vendor.id}`, { [field]: value }, token);
      expect(changed).toEqual({
        ...vendor,
        [field]: value,
        version: vendor.version + 1,
        updated_at: changed.updated_at,
      });
      vendor = changed;
    }
  });

  it.each(nullable)("clears %s with null, and does nothing more", async (field) => {
    const { token } = await signIn("editor");
    const before = await create(Vendor, "/vendor", everything, token);
    const after = await patch(Vendor, `/vendor/${before.id}`, { [field]: null }, token, "application/merge-patch+json");
    expect(after).toEqual({ ...before, [field]: null, version: 2, updated_at: after.updated_at });
  });

  it.each(["name", "status"])("does not clear %s", async (field) => {
    const { token } = await signIn("editor");
    const vendor = await insertVendor();
    const response = await call(`/vendor/${vendor}`, { method: "PATCH", token, body: { [field]: null } });
    expect((await problem(response, "validation-failed")).errors).toMatchObject([{ pointer: `/${field}` }]);
  });

  it("changes nothing when it says nothing, or what is there", async () => {
    const { token } = await signIn("editor");
    const before = await create(Vendor, "/vendor", everything, token);
    expect(await patch(Vendor, `/vendor/${before.id}`, {}, token)).toEqual(before);
    expect(await patch(Vendor, `/vendor/${before.id}`, everything, token)).toEqual(before);
  });

  it("is in the audit log with its caller", async () => {
    const { token, id } = await signIn("editor");
    const vendor = await insertVendor();
    const response = await call(`/vendor/${vendor}`, { method: "PATCH", token, body: everything });
    expect(await audited(response, id)).toEqual([`update vendor ${vendor}`]);
  });
});

describe("DELETE /vendor/{vendor_id}", () => {
  it("deletes a vendor that nothing refers to", async () => {
    const { token, id } = await signIn("admin");
    const vendor = await insertVendor();
    const response = await remove(`/vendor/${vendor}`, token);
    expect(await audited(response, id)).toEqual([`delete vendor ${vendor}`]);
  });

  it("names every table that refers to it, and how often, and deletes nothing", async () => {
    const { token, id } = await signIn("admin");
    const vendor = await insertVendor();
    await insertPo({ vendor_id: vendor });
    const order = await insert("vendor_order", { vendor_id: vendor, po_number: "V-1" });
    await insert("vendor_payment", { vendor_id: vendor });
    await insert("vendor_payment", { vendor_id: vendor, vendor_order_id: order });
    const response = await call(`/vendor/${vendor}`, { method: "DELETE", token });
    expect((await problem(response, "conflict")).detail).toBe(
      `The vendor ${vendor} cannot be deleted: it is in use by client_po (1), vendor_order (1), vendor_payment (2).`,
    );
    expect(await audited(response, id)).toEqual([]);
    expect(await read(Vendor, `/vendor/${vendor}`, token)).toMatchObject({ version: 1 });
  });

  it.concurrent.each<[table: string, columns: string]>([
    ["client_po", `(client_id, vendor_id) SELECT id, $1 FROM "Finances".client LIMIT 1`],
    ["vendor_order", "(vendor_id, po_number) VALUES ($1, 'V-1')"],
    ["vendor_payment", "(vendor_id) VALUES ($1)"],
  ])("is in conflict with a row of %s that appears in that moment", async (table, columns) => {
    const { token } = await signIn("admin");
    await insertPo();
    const vendor = await insertVendor();
    const response = await whileUncommitted(`INSERT INTO "Finances".${table} ${columns}`, [vendor], () =>
      call(`/vendor/${vendor}`, { method: "DELETE", token }),
    );
    expect((await problem(response, "conflict")).detail).toBe(`It is in use by ${table}.`);
    expect((await call(`/vendor/${vendor}`, { token })).status).toBe(200);
  });

  it("says what is in its way also when that goes in the same moment", async () => {
    await freshDatabase();
    const { token } = await signIn("admin");
    const vendor = await insertVendor();
    const payment = await insert("vendor_payment", { vendor_id: vendor });
    // Time for the payment to go, between the look at it and the answer.
    await sql(`CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$`);
    await sql(
      `CREATE TRIGGER slow BEFORE DELETE ON "Finances".vendor FOR EACH STATEMENT EXECUTE FUNCTION public.slow()`,
    );
    const deleting = call(`/vendor/${vendor}`, { method: "DELETE", token });
    await new Promise((resolve) => setTimeout(resolve, 200));
    await sql(`DELETE FROM "Finances".vendor_payment WHERE id = $1`, [payment]);
    expect((await problem(await deleting, "conflict")).detail).toBe(
      `The vendor ${vendor} cannot be deleted: it is in use by vendor_payment (1).`,
    );
    expect((await call(`/vendor/${vendor}`, { method: "DELETE", token })).status).toBe(204);
  });
});
