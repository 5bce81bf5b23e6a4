import { expect } from "vitest";
import type { z } from "zod";
import { createDb } from "../../src/db/client.ts";
import { call, read, sql } from "./api.ts";
import { database } from "./database.ts";

const answered = async (response: Response, status: number): Promise<string> => {
  const body = await response.text();
  expect({ status: response.status, body }).toEqual({ status, body: expect.any(String) });
  return body;
};

/** Creates something; its answer must be what a GET of its Location gives. Objects are sent as JSON, text as it is. */
export async function create<Schema extends z.ZodType>(
  schema: Schema,
  path: string,
  body: unknown,
  token: string,
): Promise<z.infer<Schema>> {
  const response = await call(path, { method: "POST", token, body });
  const made = schema.parse(JSON.parse(await answered(response, 201)));
  expect(await read(schema, response.headers.get("Location") ?? "", token)).toEqual(made);
  return made;
}

/** Changes something; its answer must be what a GET gives. */
export async function patch<Schema extends z.ZodType>(
  schema: Schema,
  path: string,
  body: unknown,
  token: string,
  type = "application/json",
): Promise<z.infer<Schema>> {
  const response = await call(path, { method: "PATCH", token, body, headers: { "Content-Type": type } });
  const changed = schema.parse(JSON.parse(await answered(response, 200)));
  expect(await read(schema, path, token)).toEqual(changed);
  return changed;
}

/** Deletes something, which must then be gone. */
export async function remove(path: string, token: string): Promise<Response> {
  const response = await call(path, { method: "DELETE", token });
  expect(await answered(response, 204)).toBe("");
  expect((await call(path, { token })).status).toBe(404);
  expect((await call(path, { method: "DELETE", token })).status).toBe(404);
  return response;
}

/** What the audit log has of one request, in its order: `action table row`. Each must name the caller. */
export async function audited(response: Response, userId: number): Promise<string[]> {
  const entries = await sql(
    `SELECT action || ' ' || table_name || ' ' || row_id AS entry, user_id, database_role
     FROM "Finances".audit_log WHERE request_id = $1 ORDER BY id`,
    [response.headers.get("X-Request-Id")],
  );
  for (const entry of entries) expect(entry).toMatchObject({ user_id: String(userId), database_role: "nexgen_api" });
  return entries.map((entry) => String(entry.entry));
}

/** Runs SQL as the owner in a transaction that is still open when `work` begins, and commits while it waits. */
export async function whileUncommitted<Result>(
  text: string,
  params: unknown[],
  work: () => Promise<Result>,
): Promise<Result> {
  const open = createDb(database.ownerUrl).write({ text, params }, { text: "SELECT pg_sleep(1)", params: [] });
  await new Promise((resolve) => setTimeout(resolve, 200));
  const [result] = await Promise.all([work(), open]);
  return result;
}
