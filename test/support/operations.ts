import { call, signIn, sql } from "./api.ts";
import { insertClient, insertLine, insertPo, insertVendor } from "./rows.ts";

export type JsonSchema = { [keyword: string]: unknown };

export interface Operation {
  method: string;
  path: string;
  operationId: string;
  summary?: string;
  tags?: string[];
  security?: Record<string, string[]>[];
  /** `none` for an operation that anybody may call. */
  "x-required-role": "none" | "viewer" | "editor" | "admin";
  parameters?: { name: string; in: string; required?: boolean; schema: JsonSchema }[];
  requestBody?: { required?: boolean; content: Record<string, { schema: JsonSchema }> };
  responses: Record<string, { description: string; content?: Record<string, { schema: JsonSchema }> }>;
}

export interface Document {
  openapi: string;
  info: { title: string; version: string; description: string };
  tags: { name: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, JsonSchema>; securitySchemes: Record<string, unknown> };
}

/** The OpenAPI document that the Worker answers, and its operations: what is documented is what is tested. */
export const document = (await (await call("/openapi.json")).json()) as Document;
export const operations: Operation[] = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ ...operation, path, method: method.toUpperCase() })),
);
export const guardedOperations = operations.filter((operation) => operation["x-required-role"] !== "none");
export const titled = (list: Operation[]): [string, Operation][] =>
  list.map((operation) => [`${operation.method} ${operation.path}`, operation]);

export type Ids = Record<string, number>;

/** Rows of their own for the ids in paths. */
export async function rows(): Promise<Ids> {
  const client_id = await insertClient({ bundle_by_store: true });
  const vendor_id = await insertVendor();
  const po_id = await insertPo({ client_id, vendor_id, store_id: "S", po_value: "1.00", po_date: "2026-01-29" });
  await insertPo({ client_id, store_id: "S" });
  const line_item_id = await insertLine(po_id, { quantity: "1", unit_price: "10", total_price: null, gst_rate: "18" });
  return { client_id, vendor_id, po_id, line_item_id };
}

/** The same, with nothing that refers to the row that the operation deletes. */
async function rowsFor(operation: Operation): Promise<Ids> {
  const ids = await rows();
  if (operation.operationId === "deleteClient") return { ...ids, client_id: await insertClient() };
  if (operation.operationId === "deleteVendor") return { ...ids, vendor_id: await insertVendor() };
  return ids;
}

/** The operation's path with ids in it. */
export const fill = (path: string, ids: Ids): string =>
  path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const id = ids[name];
    if (id === undefined) throw new Error(`no row for {${name}}: add one to rows()`);
    return String(id);
  });

/** An access token of a user with the role that the operation asks for. */
export const tokenFor = async (operation: Operation): Promise<string | undefined> => {
  const role = operation["x-required-role"];
  return role === "none" ? undefined : (await signIn(role)).token;
};

const line = { item_name: "Door", quantity: "2", unit_price: "10.50", gst_rate: 18 };
const bodies: Record<string, (ids: Ids) => unknown> = {
  createClient: () => ({ name: `Client ${crypto.randomUUID()}` }),
  updateClient: () => ({ bundle_by_store: false }),
  createVendor: () => ({ name: "Vendor" }),
  updateVendor: () => ({ phone: "1" }),
  createPurchaseOrder: ({ client_id }) => ({ client_id, line_items: [line] }),
  updatePurchaseOrder: () => ({ notes: "Changed" }),
  createLineItems: () => line,
  updateLineItem: () => ({ quantity: 3 }),
};

/** A body that the operation takes. */
export async function bodyFor(operation: Operation, ids: Ids): Promise<unknown> {
  if (!operation.requestBody) return undefined;
  const body = bodies[operation.operationId];
  if (body) return body(ids);
  if (operation.operationId !== "logIn") throw new Error(`no body for ${operation.operationId}: add one to bodies`);
  const user = await signIn();
  const [row] = await sql(
    // The password is `secret`.
    `UPDATE "Finances"."user" SET password_hash = '$2b$04$Wb1hKqAdT0y9vN5sJ3rLeuC5fv0lnjEKEoPyvJ6uYqfNKDOoNTr4.'
     WHERE id = $1 RETURNING username`,
    [user.id],
  );
  return { username: row?.username, password: "secret" };
}

/** What the operation answers when all is well. */
export const successOf = (operation: Operation): number =>
  Number(Object.keys(operation.responses).find((status) => status.startsWith("2")));

/** A request that the operation takes, ready to send; `token` stands in for a good one. */
export async function prepared(operation: Operation) {
  const [token, ids] = [await tokenFor(operation), await rowsFor(operation)];
  return {
    path: fill(operation.path, ids),
    call: { method: operation.method, token, body: await bodyFor(operation, ids) },
  };
}

/** Calls the operation so that it succeeds. */
export async function succeed(operation: Operation, query = ""): Promise<Response> {
  const request = await prepared(operation);
  return call(`${request.path}${query}`, request.call);
}
