import { describe, expect, it } from "vitest";
import { call, roundTrips, signIn, sql } from "./support/api.ts";
import { freshDatabase } from "./support/database.ts";
import { bodyFor, fill, type Operation, operations, rows, successOf, titled } from "./support/operations.ts";
import { problem } from "./support/problem.ts";
import { insertClient, insertPo } from "./support/rows.ts";
import { whileUncommitted } from "./support/write.ts";

const repeatable = operations.filter((operation) =>
  operation.parameters?.some((each) => each.in === "header" && each.name === "Idempotency-Key"),
);
const newKey = () => crypto.randomUUID();
const post = (path: string, token: string | undefined, key: string, body: unknown) =>
  call(path, { method: "POST", token, body, headers: { "Idempotency-Key": key } });
const isReplay = (response: Response) => response.headers.get("Idempotent-Replayed") === "true";
const entries = async () => (await sql(`SELECT max(id) AS newest FROM "Finances".audit_log`))[0]?.newest;

/** A request of its own that the operation takes. */
async function request(operation: Operation) {
  const ids = await rows();
  const user = await signIn("editor");
  return { path: fill(operation.path, ids), body: await bodyFor(operation, ids), ...user };
}

it("is documented on every POST but those about accounts, sessions and operations", () => {
  const posts = operations.filter(({ method, path }) => method === "POST" && !/^\/(auth|user|ops)\b/.test(path));
  expect(posts.length).toBeGreaterThan(3);
  expect(repeatable).toEqual(posts);
});

describe.each(titled(repeatable))("%s with an Idempotency-Key", (_title, operation) => {
  it("is done once, in one round trip, and answers the same again in two", async () => {
    const { path, body, token } = await request(operation);
    const key = newKey();
    const answers: Response[] = [];
    for (const trips of [1, 2, 2]) {
      const before = await entries();
      expect(await roundTrips(async () => answers.push(await post(path, token, key, body)))).toBe(trips);
      expect((await entries()) === before).toBe(trips === 2);
    }
    const told = await Promise.all(
      answers.map(async (response) => ({
        status: response.status,
        body: await response.text(),
        location: response.headers.get("Location"),
        etag: response.headers.get("ETag"),
        type: response.headers.get("Content-Type"),
      })),
    );
    expect(told[0]?.status).toBe(successOf(operation));
    expect(told[1]).toEqual(told[0]);
    expect(told[2]).toEqual(told[0]);
    expect(answers.map(isReplay)).toEqual([false, true, true]);
    // Each is a request of its own, whatever it answers.
    expect(new Set(answers.map((response) => response.headers.get("X-Request-Id"))).size).toBe(3);
  });

  it("refuses the key for another body, and what it stood for is still answered", async () => {
    const { path, body, token } = await request(operation);
    const key = newKey();
    expect((await post(path, token, key, body)).status).toBe(successOf(operation));
    // One more blank is another body too: what was sent is compared, not what it means.
    const { errors } = await problem(await post(path, token, key, `${JSON.stringify(body)} `), "validation-failed");
    expect(errors).toMatchObject([{ in: "header", pointer: "/Idempotency-Key" }]);
    expect(isReplay(await post(path, token, key, body))).toBe(true);
  });

  it("keeps nothing of what was refused", async () => {
    const { path, body, token } = await request(operation);
    const key = newKey();
    await problem(await post(path, token, key, { unheard_of: 1 }), "validation-failed");
    const response = await post(path, token, key, body);
    expect([response.status, isReplay(response)]).toEqual([successOf(operation), false]);
  });

  it("answers again only to who may do it", async () => {
    const { path, body, token, id } = await request(operation);
    const key = newKey();
    expect((await post(path, token, key, body)).status).toBe(successOf(operation));
    await sql(`UPDATE "Finances"."user" SET role = 'viewer' WHERE id = $1`, [id]);
    await problem(await post(path, token, key, body), "forbidden");
    await sql(`UPDATE "Finances".refresh_session SET revoked_at = now() WHERE user_id = $1`, [id]);
    await problem(await post(path, token, key, body), "unauthorized");
    await problem(await post(path, undefined, key, body), "unauthorized");
  });

  it.each(["", "a b", "x".repeat(256), "a\tb"])("refuses the key '%s'", async (key) => {
    const { path, body, token } = await request(operation);
    const { errors } = await problem(await post(path, token, key, body), "validation-failed");
    expect(errors).toMatchObject([{ in: "header", pointer: "/Idempotency-Key" }]);
  });
});

const newVendor = (name: string = crypto.randomUUID()) => ({ name });
const vendorsNamed = async (name: string) =>
  Number((await sql(`SELECT count(*) AS n FROM "Finances".vendor WHERE name = $1`, [name]))[0]?.n);

describe("an Idempotency-Key", () => {
  it("makes one PO of 100 identical requests at once, which all learn of it in the end", async () => {
    const { token } = await signIn("editor");
    const client_id = await insertClient();
    const line = { item_name: "Door", quantity: 1, unit_price: "10", gst_rate: 18 };
    const body = { client_id, po_number: "ONE", line_items: [line, line] };
    const key = newKey();
    const send = async () => {
      for (;;) {
        const response = await post("/po", token, key, body);
        if (response.status !== 409) return response;
        expect(response.headers.get("Retry-After")).toBe("1");
        await problem(response, "conflict");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const responses = await Promise.all(Array.from({ length: 100 }, send));
    expect(responses.filter((response) => response.status === 201 && !isReplay(response))).toHaveLength(1);
    expect(responses.filter(isReplay)).toHaveLength(99);
    expect(new Set(responses.map((response) => response.headers.get("Location"))).size).toBe(1);
    expect(new Set(await Promise.all(responses.map((response) => response.text()))).size).toBe(1);
    const pos = await sql(`SELECT po_value FROM "Finances".client_po WHERE client_id = $1`, [client_id]);
    expect(pos).toEqual([{ po_value: "23.60" }]);
  });

  it("is answered 409 at once while its first request is at work", async () => {
    const { token } = await signIn("editor");
    const path = `/po/${await insertPo()}/line-items`;
    const [key, body] = [newKey(), { item_name: "Door", total_price: "1" }];
    const po = path.split("/")[2];
    await whileUncommitted(`UPDATE "Finances".client_po SET notes = 'x' WHERE id = $1`, [po], async () => {
      const first = post(path, token, key, body);
      await new Promise((resolve) => setTimeout(resolve, 100));
      let done = false;
      const finished = first.then((response) => {
        done = true;
        return response.status;
      });
      await problem(await post(path, token, key, body), "conflict");
      expect(done).toBe(false);
      expect(await finished).toBe(201);
    });
    expect(isReplay(await post(path, token, key, body))).toBe(true);
  });

  it("is its user's own, and stands for one path", async () => {
    const [one, two] = [await signIn("editor"), await signIn("editor")];
    const [key, body] = [newKey(), newVendor()];
    for (const { token } of [one, two]) expect(isReplay(await post("/vendor", token, key, body))).toBe(false);
    expect(await vendorsNamed(body.name)).toBe(2);
    await problem(await post("/client", one.token, key, body), "validation-failed");
  });

  it("does nothing where it is not sent: two requests are two", async () => {
    const { token } = await signIn("editor");
    const body = newVendor();
    for (const _ of [1, 2]) expect((await call("/vendor", { method: "POST", token, body })).status).toBe(201);
    expect(await vendorsNamed(body.name)).toBe(2);
  });

  it("is free again after 24 hours, not before", async () => {
    const { token, id } = await signIn("editor");
    const [key, body] = [newKey(), newVendor()];
    const age = (interval: string) =>
      sql(`UPDATE "Finances".idempotency_key SET created_at = now() - $2::interval WHERE user_id = $1`, [id, interval]);
    expect(isReplay(await post("/vendor", token, key, body))).toBe(false);
    await age("23 hours 59 minutes");
    expect(isReplay(await post("/vendor", token, key, body))).toBe(true);
    await age("24 hours 1 second");
    expect(isReplay(await post("/vendor", token, key, body))).toBe(false);
    expect(await vendorsNamed(body.name)).toBe(2);
    // And has its full time from then on.
    expect(isReplay(await post("/vendor", token, key, body))).toBe(true);
  });

  it("is free after a conflict, and after a 404 that wrote nothing", async () => {
    const { token } = await signIn("editor");
    const name = crypto.randomUUID();
    const taken = await insertClient({ name });
    const key = newKey();
    await problem(await post("/client", token, key, { name }), "conflict");
    await sql(`UPDATE "Finances".client SET name = name || ' (old)' WHERE id = $1`, [taken]);
    expect((await post("/client", token, key, { name })).status).toBe(201);

    const [other, line] = [newKey(), { item_name: "Door", total_price: "1" }];
    await problem(await post("/po/900000000/line-items", token, other, line), "not-found");
    await insertPo({ id: 900000000 });
    const response = await post("/po/900000000/line-items", token, other, line);
    expect([response.status, isReplay(response)]).toEqual([201, false]);
  });

  it("keeps no answer of a request that failed on our side", async () => {
    await freshDatabase();
    const { token } = await signIn("editor");
    const [key, body] = [newKey(), newVendor()];
    await sql(`CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken'; END $$`);
    await sql(`CREATE TRIGGER fail AFTER INSERT ON "Finances".vendor FOR EACH ROW EXECUTE FUNCTION public.fail()`);
    await problem(await post("/vendor", token, key, body), "internal");
    await sql(`DROP TRIGGER fail ON "Finances".vendor`);
    const response = await post("/vendor", token, key, body);
    expect([response.status, isReplay(response)]).toEqual([201, false]);
  });

  it("is forgotten by the purge when it is free again, and not before", async () => {
    await freshDatabase();
    const { token } = await signIn("editor");
    const [old, young] = [newKey(), newKey()];
    for (const key of [old, young]) expect((await post("/vendor", token, key, newVendor())).status).toBe(201);
    await sql(`UPDATE "Finances".idempotency_key SET created_at = now() - interval '25 hours' WHERE key = $1`, [old]);
    expect(await sql(`SELECT "Finances".purge_idempotency_keys() AS purged`)).toEqual([{ purged: "1" }]);
    expect(await sql(`SELECT key FROM "Finances".idempotency_key`)).toEqual([{ key: young }]);
  });
});
