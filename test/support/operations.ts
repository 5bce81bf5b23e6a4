import { base64url } from "jose";
import { call, signIn, sql, type TestUser } from "./api.ts";
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

export type Ids = Record<string, number | string>;

/** Ids for a path that nobody gets to look for. */
export const anyIds: Ids = {
  client_id: 1,
  vendor_id: 1,
  po_id: 1,
  line_item_id: 1,
  user_id: 1,
  id: "5e0f3a9c-63f4-4d0e-a8c9-0d6f7a1f2b3c",
};

/** Rows of their own for the ids in paths. */
export async function rows(): Promise<Ids> {
  const client_id = await insertClient({ bundle_by_store: true });
  const vendor_id = await insertVendor();
  const po_id = await insertPo({ client_id, vendor_id, store_id: "S", po_value: "1.00", po_date: "2026-01-29" });
  await insertPo({ client_id, store_id: "S" });
  const line_item_id = await insertLine(po_id, { quantity: "1", unit_price: "10", total_price: null, gst_rate: "18" });
  const user = await signIn();
  return { client_id, vendor_id, po_id, line_item_id, user_id: user.id, id: user.sessionId };
}

/** The same, with nothing that refers to the row that the operation deletes. */
async function rowsFor(operation: Operation): Promise<Ids> {
  const ids = await rows();
  if (operation.operationId === "checkHealthInDetail") await makeBackup();
  if (operation.operationId === "deleteClient") return { ...ids, client_id: await insertClient() };
  if (operation.operationId === "deleteVendor") return { ...ids, vendor_id: await insertVendor() };
  return ids;
}

let backup: Promise<unknown> | undefined;
/** All is well only where there is a backup. */
export function makeBackup(): Promise<unknown> {
  backup ??= signIn("admin").then(({ token }) => call("/ops/backups", { method: "POST", token }));
  return backup;
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
const longPassword = "seven brown boats at noon";
const bodies: Record<string, (ids: Ids) => unknown> = {
  createClient: () => ({ name: `Client ${crypto.randomUUID()}` }),
  updateClient: () => ({ bundle_by_store: false }),
  createVendor: () => ({ name: "Vendor" }),
  updateVendor: () => ({ phone: "1" }),
  createPurchaseOrder: ({ client_id }) => ({ client_id, line_items: [line] }),
  updatePurchaseOrder: () => ({ notes: "Changed" }),
  setPurchaseOrderStatus: () => ({ status: "active", reason: "Approved" }),
  createLineItems: () => line,
  updateLineItem: () => ({ quantity: 3 }),
  createAccount: () => {
    const username = crypto.randomUUID();
    return { username, email: `${username}@example.com`, password: longPassword, role: "viewer" };
  },
  updateAccount: () => ({ role: "editor" }),
};

/** The body of an operation that is about whoever calls it: `caller`, or somebody new where no token is needed. */
const ownBodies: Record<string, (caller: TestUser) => Promise<unknown>> = {
  logIn: async (caller) => ({ username: await giveSecret(caller), password: "secret" }),
  changePassword: async (caller) => {
    await giveSecret(caller);
    return { current_password: "secret", new_password: longPassword };
  },
  refreshTokens: async ({ sessionId }) => {
    // Any text of this form is taken if its hash is the session's.
    const bytes = crypto.getRandomValues(new Uint8Array(64));
    bytes.set(Uint8Array.fromHex(sessionId.replaceAll("-", "")));
    const refresh_token = base64url.encode(bytes);
    await sql(`UPDATE "Finances".refresh_session SET token_hash = sha256($1::bytea) WHERE id = $2`, [
      refresh_token,
      sessionId,
    ]);
    return { refresh_token };
  },
};

/** Gives the user the password `secret`, answers the username. */
async function giveSecret(user: TestUser): Promise<string> {
  const [row] = await sql(`UPDATE "Finances"."user" SET password_hash = $2 WHERE id = $1 RETURNING username`, [
    user.id,
    "$2b$04$Wb1hKqAdT0y9vN5sJ3rLeuC5fv0lnjEKEoPyvJ6uYqfNKDOoNTr4.",
  ]);
  return String(row?.username);
}

/** A body that the operation takes. */
export async function bodyFor(operation: Operation, ids: Ids, caller?: TestUser): Promise<unknown> {
  if (!operation.requestBody) return undefined;
  const own = ownBodies[operation.operationId];
  if (own) return own(caller ?? (await signIn()));
  const body = bodies[operation.operationId];
  if (!body) throw new Error(`no body for ${operation.operationId}: add one to bodies`);
  return body(ids);
}

/** What the operation answers when all is well. */
export const successOf = (operation: Operation): number =>
  Number(Object.keys(operation.responses).find((status) => status.startsWith("2")));

/** A request that the operation takes but for the caller's role, ready to send; `token` stands in for a good one. */
export async function prepared(operation: Operation, role = operation["x-required-role"]) {
  const caller = role === "none" ? undefined : await signIn(role);
  const ids = await rowsFor(operation);
  // One's own sessions are the only ones.
  const path = fill(operation.path, caller ? { ...ids, id: caller.sessionId } : ids);
  const body = await bodyFor(operation, ids, caller);
  return { path, caller, call: { method: operation.method, token: caller?.token, body } };
}

/** Calls the operation so that it succeeds. */
export async function succeed(operation: Operation, query = ""): Promise<Response> {
  const request = await prepared(operation);
  return call(`${request.path}${query}`, request.call);
}
