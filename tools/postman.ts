import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { root } from "./stack.ts";

type Json = { [name: string]: unknown };

interface Operation {
  method: string;
  path: string;
  operationId: string;
  tags: string[];
  description?: string;
  summary: string;
  "x-required-role": string;
  parameters?: { name: string; in: string; description?: string; schema: Json }[];
  requestBody?: { content: Record<string, { schema: Json }> };
  responses: Record<string, { content?: Json }>;
}

interface Document {
  info: { title: string; description: string };
  paths: Record<string, Record<string, Omit<Operation, "method" | "path">>>;
  components: { schemas: Record<string, Json> };
}

/** One request of the collection: an operation, and what its place in the run asks for besides the document's examples. */
interface Request {
  operation: string;
  /** For an operation that comes a second time. */
  name?: string;
  /** Makes the body that is sent of the one in the document; `{{names}}` of ids become numbers. */
  body?: (example: Json) => Json;
  /** The query and header parameters that are sent; the others are there to be ticked. */
  send?: Record<string, string>;
  /** Variables for a path's parameters, where they are not named alike. */
  path?: Record<string, string>;
  /** The variable with the token of the account that asks, where it is not the caller's own. */
  token?: string;
  /**
   * What later requests need of the answer: variable to expression over `answer`, its JSON, and `pm`. It is kept in the
   * environment, as it belongs to one server: elsewhere the same id is another row.
   */
  keep?: Record<string, string>;
  /** Lines of script before it, and after it. */
  before?: string[];
  after?: string[];
}

const etag = 'pm.response.headers.get("ETag")';
const newPassword = "seven brown boats at noon {{run}}";
const ownTokens = { access_token: "answer.access_token", refresh_token: "answer.refresh_token" };

/** In the order of the run: everything is made before it is read, and gone in the end. */
const folders: { name: string; description: string; requests: Request[] }[] = [
  {
    name: "Health and log-in",
    description: "`Log in` keeps the tokens in the environment: every other request sends the access token.",
    requests: [
      { operation: "checkHealth" },
      {
        operation: "logIn",
        body: () => ({ username: "{{username}}", password: "{{password}}" }),
        before: [
          "// As JSON writes them, whatever characters they have.",
          'for (const name of ["username", "password"]) {',
          "  pm.variables.set(name, JSON.stringify(pm.environment.get(name)).slice(1, -1));",
          "}",
          "// For names that no other run has taken.",
          'pm.environment.set("run", Date.now().toString(36));',
        ],
        keep: ownTokens,
        after: [
          "// Nothing that follows can work without a token.",
          "if (pm.response.code !== 200) pm.execution.setNextRequest(null);",
        ],
      },
      { operation: "refreshTokens", body: () => ({ refresh_token: "{{refresh_token}}" }), keep: ownTokens },
      { operation: "findMe" },
      { operation: "listSessions" },
    ],
  },
  {
    name: "Clients",
    description: "Customer companies. A change may send the ETag that it is based on, and is refused when it is old.",
    requests: [
      {
        operation: "createClient",
        body: (example) => ({ ...example, name: `${example.name} {{run}}` }),
        send: { "Idempotency-Key": "{{$guid}}" },
        keep: { client_id: "answer.id" },
      },
      { operation: "listClients" },
      { operation: "findClient", keep: { client_etag: etag } },
      {
        operation: "updateClient",
        body: ({ bundle_by_store }) => ({ bundle_by_store }),
        send: { "If-Match": "{{client_etag}}" },
      },
    ],
  },
  {
    name: "Vendors",
    description: "Subcontractors and suppliers.",
    requests: [
      { operation: "createVendor", send: { "Idempotency-Key": "{{$guid}}" }, keep: { vendor_id: "answer.id" } },
      { operation: "listVendors", send: { q: "souza" } },
      { operation: "findVendor", keep: { vendor_etag: etag } },
      {
        operation: "updateVendor",
        body: ({ phone, payment_terms }) => ({ phone, payment_terms }),
        send: { "If-Match": "{{vendor_etag}}" },
      },
    ],
  },
  {
    name: "Purchase orders",
    description: "POs from clients, with the client and the vendor that were made before.",
    requests: [
      {
        operation: "createPurchaseOrder",
        // What this run has not made, and what follows from the lines.
        body: ({ project_id, parent_po_id, site_id, po_value, receivable_amount, ...example }) => ({
          ...example,
          client_id: "{{client_id}}",
          vendor_id: "{{vendor_id}}",
        }),
        send: { "Idempotency-Key": "{{$guid}}" },
        keep: { po_id: "answer.id" },
      },
      { operation: "listPurchaseOrders", send: { client_id: "{{client_id}}", include: "total" } },
      { operation: "listBundles", send: { client_id: "{{client_id}}", include: "summary" } },
      { operation: "findPurchaseOrder", keep: { po_etag: etag } },
      { operation: "updatePurchaseOrder", send: { "If-Match": "{{po_etag}}" } },
      { operation: "setPurchaseOrderStatus", send: { "Idempotency-Key": "{{$guid}}" } },
    ],
  },
  {
    name: "Line items",
    description: "Of the PO that was made before; its totals follow every change.",
    requests: [
      {
        operation: "createLineItems",
        send: { "Idempotency-Key": "{{$guid}}" },
        keep: { line_item_id: "answer.id" },
      },
      { operation: "listLineItems" },
      { operation: "findLineItem", keep: { line_item_etag: etag } },
      { operation: "updateLineItem", send: { "If-Match": "{{line_item_etag}}" } },
      { operation: "deleteLineItem" },
    ],
  },
  {
    name: "History and deletion",
    description: "Takes away what the folders before have made.",
    requests: [
      { operation: "listPurchaseOrderHistory" },
      { operation: "deletePurchaseOrder" },
      { operation: "listDeletedPurchaseOrders" },
      { operation: "deleteVendor" },
      { operation: "deleteClient" },
    ],
  },
  {
    name: "Accounts",
    description:
      "For admins. An account is never deleted, as the audit log names it: each run leaves one behind, disabled.",
    requests: [
      {
        operation: "createAccount",
        body: (example) => ({
          ...example,
          username: "postman-{{run}}",
          email: "postman-{{run}}@example.com",
          password: `${example.password} {{run}}`,
          role: "viewer",
        }),
        keep: { user_id: "answer.id" },
      },
      { operation: "listAccounts" },
      { operation: "findAccount" },
      {
        operation: "logIn",
        name: "Log in as the new account",
        body: () => ({ username: "postman-{{run}}", password: newPassword }),
        keep: { account_access_token: "answer.access_token", account_refresh_token: "answer.refresh_token" },
      },
      {
        operation: "changePassword",
        token: "account_access_token",
        body: () => ({ current_password: newPassword, new_password: "eight green boats at dawn {{run}}" }),
      },
      {
        operation: "refreshTokens",
        name: "Refresh the new account's tokens",
        body: () => ({ refresh_token: "{{account_refresh_token}}" }),
        keep: { account_access_token: "answer.access_token" },
      },
      {
        operation: "listSessions",
        name: "List the new account's sessions",
        token: "account_access_token",
        keep: { session_id: "answer.data[0].id" },
      },
      { operation: "endSession", token: "account_access_token", path: { id: "session_id" } },
      { operation: "updateAccount", body: () => ({ disabled: true }) },
    ],
  },
  {
    name: "Operation",
    description: "For admins: backups, row counts, what was written by whom.",
    requests: [
      {
        operation: "makeBackup",
        after: [
          'pm.test("ends with a good backup", () => {',
          '  pm.expect(JSON.parse(pm.response.text().trim().split("\\n").at(-1)).state).to.equal("good");',
          "});",
        ],
      },
      { operation: "listBackups" },
      { operation: "checkHealthInDetail" },
      { operation: "countRows" },
      { operation: "listOrphans" },
      { operation: "listAuditEntries", send: { table: "vendor", row_id: "{{vendor_id}}" } },
    ],
  },
  {
    name: "Log-out",
    description: "The tokens in the environment are worth nothing afterwards.",
    requests: [{ operation: "logOut" }],
  },
];

/** The Postman collection (format 2.1) of an OpenAPI document. Throws for an operation that has no place in the run. */
export function postmanCollection(document: Document) {
  const operations = new Map(
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, rest]) => [
        rest.operationId,
        { ...rest, path, method: method.toUpperCase() } as Operation,
      ]),
    ),
  );
  const requests = folders.flatMap((folder) => folder.requests);
  const placed = new Set(requests.map(({ operation }) => operation));
  const missing = [...operations.keys()].filter((id) => !placed.has(id));
  if (missing.length > 0) throw new Error(`tools/postman.ts has no place for ${missing.join(", ")}`);
  return {
    info: {
      // Imported again it is known by this, and replaces what was imported before.
      _postman_id: "6b0f2d5e-3c1a-4f7b-9a52-0e6f1d7c8b94",
      name: document.info.title,
      description: `${document.info.description}\n\nMade from docs/openapi.json: docs/postman.md says how to use it.`,
      schema: "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
    },
    auth: bearer("access_token"),
    item: folders.map(({ name, description, requests }) => ({
      name,
      description,
      item: requests.map((request) => {
        const operation = operations.get(request.operation);
        if (!operation) throw new Error(`tools/postman.ts: the document has no ${request.operation}`);
        return item(request, operation, document);
      }),
    })),
  };
}

const bearer = (variable: string) => ({
  type: "bearer",
  bearer: [{ key: "token", value: `{{${variable}}}`, type: "string" }],
});

function item(request: Request, operation: Operation, document: Document) {
  const { method, operationId, parameters = [], requestBody, responses } = operation;
  const role = operation["x-required-role"];
  const inPlace = (place: string) =>
    parameters
      .filter((parameter) => parameter.in === place)
      .map(({ name, description, schema }) => ({
        key: name,
        value: request.send?.[name] ?? String(exampleOf(schema, document)),
        ...(request.send?.[name] === undefined && { disabled: true }),
        ...(description !== undefined && { description }),
      }));
  const unknown = Object.keys(request.send ?? {}).filter((name) => !parameters.some((each) => each.name === name));
  if (unknown.length > 0) throw new Error(`tools/postman.ts: ${operationId} has no parameter ${unknown.join(", ")}`);
  const path = operation.path.slice(1).replaceAll(/\{(\w+)\}/g, ":$1");
  const query = inPlace("query");
  const sent = query.filter((parameter) => !parameter.disabled).map(({ key, value }) => `${key}=${value}`);
  const schema = requestBody?.content["application/json"]?.schema;
  const [status = "", success = {}] = Object.entries(responses).find(([code]) => code.startsWith("2")) ?? [];
  const [type] = Object.keys(success.content ?? {});
  const after = [
    ...Object.entries(request.keep ?? {}).map(
      ([variable, expression]) => `pm.environment.set("${variable}", ${expression});`,
    ),
    ...(request.after ?? []),
  ];
  return {
    name: request.name ?? words(operationId),
    event: [
      ...(request.before ? [script("prerequest", request.before)] : []),
      script("test", [
        `pm.test("answers ${status}", () => pm.response.to.have.status(${status}));`,
        ...(type === undefined
          ? []
          : [`pm.test("is ${type}", () => pm.response.to.have.header("Content-Type", "${type}"));`]),
        ...(after.some((line) => line.includes("answer.")) ? ["const answer = pm.response.json();"] : []),
        ...after,
      ]),
    ],
    request: {
      method,
      ...(role === "none" ? { auth: { type: "noauth" } } : request.token ? { auth: bearer(request.token) } : {}),
      description: [
        `${operation.summary}.`,
        ...(operation.description ? [operation.description] : []),
        role === "none" ? "Needs no token." : `Needs the role ${role}.`,
      ].join("\n\n"),
      header: [...(schema ? [{ key: "Content-Type", value: "application/json" }] : []), ...inPlace("header")],
      url: {
        raw: `{{base_url}}/${path}${sent.length > 0 ? `?${sent.join("&")}` : ""}`,
        host: ["{{base_url}}"],
        path: path.split("/"),
        ...(query.length > 0 && { query }),
        ...(path.includes(":") && {
          variable: [...path.matchAll(/:(\w+)/g)].map(([, key = ""]) => ({
            key,
            value: `{{${request.path?.[key] ?? key}}}`,
          })),
        }),
      },
      ...(schema && {
        body: {
          mode: "raw",
          raw: bodyText((request.body ?? ((example) => example))(exampleOf(schema, document) as Json)),
          options: { raw: { language: "json" } },
        },
      }),
    },
  };
}

const script = (listen: string, exec: string[]) => ({ listen, script: { type: "text/javascript", exec } });

/** `createClient` as "Create client". */
const words = (operationId: string) =>
  operationId
    .replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
    .replace(/^[a-z]/, (letter) => letter.toUpperCase());

/** JSON text; the variable of an id stands for a number, so without quotation marks. */
const bodyText = (body: Json) => JSON.stringify(body, undefined, 2).replaceAll(/"(\{\{\w+_id\}\})"/g, "$1");

/** What the document gives as an example of the schema, or what its parts give. */
function exampleOf(schema: Json, document: Document): unknown {
  if (typeof schema.$ref === "string") {
    const name = schema.$ref.split("/").at(-1) ?? "";
    return exampleOf(document.components.schemas[name] ?? {}, document);
  }
  if (schema.example !== undefined) return schema.example;
  const [first] = (schema.anyOf ?? schema.oneOf ?? []) as Json[];
  if (first) return exampleOf(first, document);
  if (schema.type === "array") return [exampleOf(schema.items as Json, document)];
  return Object.fromEntries(
    Object.entries(schema.properties as Record<string, Json>).map(([name, property]) => [
      name,
      exampleOf(property, document),
    ]),
  );
}

/** Where the API is; everything else is typed in by whoever uses it, or kept by the log-in. */
const environments = {
  local: { id: "0d4c3b1e-5a77-4c63-8f0e-1b9e6a2f7d11", base_url: "http://localhost:8787" },
  staging: { id: "0d4c3b1e-5a77-4c63-8f0e-1b9e6a2f7d22", base_url: "https://finance-api-staging.example.com" },
  production: { id: "0d4c3b1e-5a77-4c63-8f0e-1b9e6a2f7d33", base_url: "https://finance-api.example.com" },
};

const environment = (name: keyof typeof environments) => ({
  id: environments[name].id,
  name: `Nexgen Finance: ${name}`,
  values: [
    { key: "base_url", value: environments[name].base_url, type: "default", enabled: true },
    { key: "username", value: name === "local" ? "admin" : "", type: "default", enabled: true },
    ...["password", "access_token", "refresh_token"].map((key) => ({ key, value: "", type: "secret", enabled: true })),
  ],
  _postman_variable_scope: "environment",
});

/** The files in docs/postman, as they follow from the OpenAPI document; answers those that are old, or writes them. */
export function postmanIsCurrent(document: Document, write = false): string[] {
  const directory = join(root, "docs/postman");
  if (write) mkdirSync(directory, { recursive: true });
  const contents = {
    collection: postmanCollection(document),
    local: environment("local"),
    staging: environment("staging"),
    production: environment("production"),
  };
  return Object.entries(contents).flatMap(([name, content]) => {
    const file = join(directory, `${name}.json`);
    const current = `${JSON.stringify(content, undefined, 2)}\n`;
    if (write) writeFileSync(file, current);
    const committed = existsSync(file) ? readFileSync(file, "utf8") : "";
    return committed === current ? [] : [`${relative(root, file)} is old: npm run check -- --write`];
  });
}
