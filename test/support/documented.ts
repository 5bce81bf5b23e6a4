import { type OutputUnit, Validator } from "@cfworker/json-schema";
import { expect } from "vitest";
import { document, type JsonSchema, type Operation } from "./operations.ts";

/** The validator would take an `id` in an example for a schema's own. */
const withoutExamples = (schema: unknown): JsonSchema =>
  JSON.parse(JSON.stringify(schema, (key, value: unknown) => (key === "example" ? undefined : value))) as JsonSchema;
const components = withoutExamples(document.components);
const validators = new WeakMap<JsonSchema, Validator>();

/** What of `value` is not as the schema of the document says. */
export function faults(schema: JsonSchema, value: unknown): OutputUnit[] {
  let validator = validators.get(schema);
  if (!validator) {
    // The references of the document begin at its root.
    validator = new Validator({ ...withoutExamples(schema), components }, "2020-12", false);
    validators.set(schema, validator);
  }
  return validator.validate(value).errors;
}

export const isObject = (value: unknown): value is JsonSchema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The schema itself, or the one that it refers to. */
export const resolve = (schema: JsonSchema): JsonSchema =>
  typeof schema.$ref === "string" ? (document.components.schemas[schema.$ref.split("/").at(-1) ?? ""] ?? {}) : schema;

/** Asserts that the answer is documented for its operation, and as documented; answers its body. */
export async function asDocumented(operation: Operation, response: Response): Promise<unknown> {
  const documented = operation.responses[response.status];
  if (!documented) throw new Error(`${operation.operationId} does not document ${response.status}`);
  const text = await response.clone().text();
  if (response.status === 204 || response.status === 304) {
    expect(text).toBe("");
    return undefined;
  }
  const type = response.headers.get("Content-Type")?.replace("; charset=utf-8", "") ?? "";
  const content = documented.content?.[type];
  if (!content) throw new Error(`${operation.operationId} does not document ${type} for ${response.status}`);
  // What its fields are is the export's own test.
  if (type === "text/csv") return undefined;
  const bodies = (type === "application/x-ndjson" ? text.trim().split("\n") : [text]).map(
    (each) => JSON.parse(each) as unknown,
  );
  for (const body of bodies) {
    expect(faults(content.schema, body)).toEqual([]);
    // A schema that takes anything would prove nothing.
    expect(faults(content.schema, { ...(body as object), unheard_of: 1 })).not.toEqual([]);
  }
  return bodies.at(-1);
}
