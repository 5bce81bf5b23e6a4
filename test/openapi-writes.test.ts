import { describe, expect, it } from "vitest";
import { call, roundTrips, signIn, sql } from "./support/api.ts";
import { faults, isObject, resolve } from "./support/documented.ts";
import { fill, type JsonSchema, type Operation, operations, rows, successOf, titled } from "./support/operations.ts";
import { problem } from "./support/problem.ts";
import { insertClient, insertPo, insertVendor, references } from "./support/rows.ts";
import { audited } from "./support/write.ts";

// Accounts, sessions and backups have tests of their own.
const writes = operations.filter(({ method, path }) => method !== "GET" && !/^\/(auth|user|ops)\b/.test(path));
const withBody = writes.filter((operation) => operation.requestBody);

/** A value made of the schema's examples. */
function exampleOf(given: JsonSchema): unknown {
  const schema = resolve(given);
  if ("example" in schema) return schema.example;
  if (isObject(schema.properties)) {
    return Object.fromEntries(
      Object.entries(schema.properties).map(([name, property]) => [name, exampleOf(property as JsonSchema)]),
    );
  }
  if (isObject(schema.items)) return [exampleOf(schema.items)];
  throw new Error(`no example: ${JSON.stringify(given)}`);
}

/** All that a documented body may look like: its own example, one of each form, and one with every field it has. */
function examplesOf(given: JsonSchema): unknown[] {
  const schema = resolve(given);
  const forms = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(forms)) return forms.flatMap((form) => examplesOf(form as JsonSchema));
  if (isObject(schema.items)) return examplesOf(schema.items).map((item) => [item, item]);
  const all = exampleOf({ properties: schema.properties });
  return "example" in schema ? [schema.example, all] : [all];
}

/** An example that can be sent: references lead somewhere, names are new, and a line or a PO has one kind of price. */
async function sendable(example: unknown, whole: boolean): Promise<unknown> {
  if (Array.isArray(example)) return Promise.all(example.map((item) => sendable(item, whole)));
  if (!isObject(example)) return example;
  const body: Record<string, unknown> = { ...example };
  for (const [field, make] of Object.entries(references))
    if (typeof body[field] === "number") body[field] = await make();
  for (const field of ["name", "po_number"]) if (field in body) body[field] = `${body[field]} ${crypto.randomUUID()}`;
  if ("unit_price" in body && "total_price" in body) delete body[whole ? "unit_price" : "total_price"];
  if ("line_items" in body && "po_value" in body) {
    delete body[whole ? "line_items" : "po_value"];
    if (!whole) body.line_items = await sendable(body.line_items, whole);
  }
  return body;
}

const role = (operation: Operation) => {
  const least = operation["x-required-role"];
  if (least === "none") throw new Error("open to anybody");
  return least;
};

/** Sends what the operation takes, with rows of its own. */
async function succeed(operation: Operation): Promise<{ response: Response; userId: number }> {
  const { token, id } = await signIn(role(operation));
  const [ids, free] = [await rows(), { client_id: await insertClient(), vendor_id: await insertVendor() }];
  const path = fill(operation.path, /^delete(Client|Vendor)$/.test(operation.operationId) ? free : ids);
  const schema = operation.requestBody?.content["application/json"]?.schema;
  const body = schema && (await sendable(examplesOf(schema)[0], false));
  return { response: await call(path, { method: operation.method, token, body }), userId: id };
}

describe.each(titled(withBody))("the document on %s", (_title, operation) => {
  const content = operation.requestBody?.content ?? {};

  it("names the media types that it takes", () => {
    const types =
      operation.method === "PATCH" ? ["application/json", "application/merge-patch+json"] : ["application/json"];
    expect(Object.keys(content)).toEqual(types);
    expect(operation.requestBody?.required).toBe(true);
  });

  it.each(Object.entries(content))(
    "has examples that can be sent as %s, and describes the answers",
    async (type, { schema }) => {
      const { token } = await signIn(role(operation));
      const examples = examplesOf(schema);
      expect(examples.length).toBeGreaterThan(0);
      for (const example of examples) {
        for (const whole of [false, true]) {
          const body = await sendable(example, whole);
          expect([body, faults(schema, body)]).toEqual([body, []]);
          // A PO with lines takes no po_value.
          const bare = operation.operationId === "updatePurchaseOrder" ? { po_id: await insertPo() } : {};
          const path = fill(operation.path, { ...(await rows()), ...bare });
          const response = await call(path, {
            method: operation.method,
            token,
            body,
            headers: { "Content-Type": type },
          });
          const answer: unknown = await response.json();
          const status = successOf(operation);
          expect([body, response.status, answer]).toEqual([body, status, answer]);
          const answered = operation.responses[status]?.content?.["application/json"]?.schema ?? {};
          expect(faults(answered, answer)).toEqual([]);
          expect(faults(answered, { ...(answer as object), unheard_of: 1 })).not.toEqual([]);
          expect(response.headers.has("Location")).toBe(status === 201);
          if (status === 201) expect(operation.responses[201]).toHaveProperty("headers.Location.required", true);
        }
      }
    },
  );

  it("has an example for every field, and describes what is refused", async () => {
    const { token } = await signIn(role(operation));
    const path = fill(operation.path, await rows());
    const response = await call(path, { method: operation.method, token, body: { unheard_of: 1 } });
    const documented = operation.responses[422]?.content?.["application/problem+json"]?.schema ?? {};
    expect(faults(documented, await response.clone().json())).toEqual([]);
    await problem(response, "validation-failed");
    expect(faults(content["application/json"]?.schema ?? {}, { unheard_of: 1 })).not.toEqual([]);
  });
});

describe.each(titled(writes))("%s", (_title, operation) => {
  it("documents every answer that may come", () => {
    const expected = ["401", "403", "422", "429", "500", "503"];
    const done = operation.operationId === "setPurchaseOrderStatus" ? "200" : "201";
    expected.push({ POST: done, PATCH: "200", DELETE: "204" }[operation.method] ?? "");
    if (operation.path.includes("{")) expected.push("404");
    if (operation.requestBody) expected.push("400", "413", "415");
    expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(expected));
    if (operation.method === "DELETE") expect(operation.responses[204]).not.toHaveProperty("content");
  });

  it("makes one database round trip", async () => {
    const { token } = await signIn(role(operation));
    const ids = await rows();
    const schema = operation.requestBody?.content["application/json"]?.schema;
    const body = schema && (await sendable(examplesOf(schema)[0], false));
    const trips = await roundTrips(async () => {
      const response = await call(fill(operation.path, ids), { method: operation.method, token, body });
      expect(response.status).toBeLessThan(500);
    });
    expect(trips).toBe(1);
  });

  it("is written into the audit log with the caller and the request", async () => {
    const { response, userId } = await succeed(operation);
    expect(response.status).toBeLessThan(300);
    expect((await audited(response, userId)).length).toBeGreaterThan(0);
  });

  it("is refused to every lower role and without a token, and then writes nothing", async () => {
    const ids = await rows();
    const path = fill(operation.path, ids);
    const schema = operation.requestBody?.content["application/json"]?.schema;
    const body = schema && (await sendable(examplesOf(schema)[0], false));
    const state = () =>
      sql(
        `SELECT (SELECT max(id) FROM "Finances".audit_log) AS entries, (SELECT count(*) FROM "Finances".client_po) AS pos`,
      );
    const ranks = ["viewer", "editor", "admin"] as const;
    for (const lower of ranks.slice(0, ranks.indexOf(role(operation)))) {
      const { token } = await signIn(lower);
      const mark = await state();
      await problem(await call(path, { method: operation.method, token, body }), "forbidden");
      // PATCH without a change writes nothing, but is not for everybody either.
      if (operation.method === "PATCH")
        await problem(await call(path, { method: "PATCH", token, body: {} }), "forbidden");
      expect(await state()).toEqual(mark);
    }
    const mark = await state();
    await problem(await call(path, { method: operation.method, body }), "unauthorized");
    expect(await state()).toEqual(mark);
  });

  it("is for the role that the design gives it", () => {
    const admins = ["deleteClient", "deleteVendor", "deletePurchaseOrder"];
    expect(role(operation)).toBe(admins.includes(operation.operationId) ? "admin" : "editor");
  });
});
