import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { breakingChanges } from "../tools/breaking.ts";

interface Schema {
  properties: Record<string, Record<string, unknown>>;
  required: string[];
}
interface Document {
  info: { version: string };
  paths: Record<string, Record<string, { parameters: Record<string, unknown>[]; responses: Record<string, unknown> }>>;
  components: { schemas: Record<string, Schema> };
}
const committed = readFileSync(new URL("../docs/openapi.json", import.meta.url), "utf8");

/** The committed document after `change`. */
function changed(change: (document: Document) => void): string {
  const document = JSON.parse(committed) as Document;
  change(document);
  return JSON.stringify(document);
}
const schema = (document: Document, name: string): Schema => {
  const found = document.components.schemas[name];
  if (!found) throw new Error(`there is no ${name}`);
  return found;
};
const operation = (document: Document, path: string, method: string) => {
  const found = document.paths[path]?.[method];
  if (!found) throw new Error(`there is no ${method} ${path}`);
  return found;
};

const breaking: [name: string, change: (document: Document) => void][] = [
  ["a path goes", ({ paths }) => delete paths["/po/deleted"]],
  ["an operation goes", ({ paths }) => delete paths["/client/{client_id}"]?.patch],
  [
    "a field of an answer goes",
    (document) => {
      const client = schema(document, "Client");
      delete client.properties.bundle_by_store;
      client.required = client.required.filter((name) => name !== "bundle_by_store");
    },
  ],
  ["a field of a body is asked for", (document) => schema(document, "NewVendor").required.push("phone")],
  [
    "a field of an answer gets another type",
    (document) => {
      schema(document, "Client").properties.id = { type: "string", maxLength: 20 };
    },
  ],
  [
    "a parameter is asked for",
    (document) => {
      const { parameters } = operation(document, "/vendor", "get");
      Object.assign(parameters.find((each) => each.name === "q") ?? {}, { required: true });
    },
  ],
  [
    "a parameter goes",
    (document) => {
      const list = operation(document, "/po/list", "get");
      list.parameters = list.parameters.filter((each) => each.name !== "status");
    },
  ],
];

it.each(breaking)("is breaking: %s", (_name, change) => {
  expect(breakingChanges(committed, changed(change))).not.toEqual([]);
});

it.each(breaking.slice(0, 1))("is for a new version: %s", (_name, change) => {
  const [major = 0, minor = 0, patch = 0] = (JSON.parse(committed) as Document).info.version.split(".").map(Number);
  const withVersion = (version: string) =>
    changed((document) => {
      change(document);
      document.info.version = version;
    });
  expect(breakingChanges(committed, withVersion(`${major}.${minor}.${patch + 1}`))).not.toEqual([]);
  expect(breakingChanges(committed, withVersion(`${major + 1}.0.0`))).toEqual([]);
  // Before 1.0.0 the second number says so, later it does not.
  const next = breakingChanges(committed, withVersion(`${major}.${minor + 1}.0`));
  expect(next.length === 0).toBe(major === 0);
});

it.each<[name: string, change: (document: Document) => void]>([
  ["nothing", () => {}],
  [
    "a new field of an answer",
    (document) => {
      schema(document, "Client").properties.nickname = { type: "string", maxLength: 20 };
    },
  ],
  ["another version", (document) => Object.assign(document.info, { version: "9.0.0" })],
  [
    "a new parameter that may be left out",
    (document) => {
      operation(document, "/vendor", "get").parameters.push({ name: "more", in: "query", schema: { type: "string" } });
    },
  ],
])("is not breaking: %s", (_name, change) => {
  expect(breakingChanges(committed, changed(change))).toEqual([]);
});
