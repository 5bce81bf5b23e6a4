import { env } from "cloudflare:workers";
import fc from "fast-check";
import { beforeAll, expect, it } from "vitest";
import type { ProblemKind } from "../../src/problem.ts";
import { insertAccount } from "./accounts.ts";
import { call, signIn, sql, type TestUser } from "./api.ts";
import { asDocumented, faults, isObject } from "./documented.ts";
import { anyPlan, faultyPlans, garbles, operationOf, type Plan, plans, type Role, ranks } from "./fuzz-plans.ts";
import { Known, Raw, write } from "./json-values.ts";
import { bodyFor, type JsonSchema, makeBackup, type Operation, operations, titled } from "./operations.ts";
import { problem } from "./problem.ts";
import { insertLine, insertPo, references } from "./rows.ts";
import { expectMoneyToAddUp } from "./totals.ts";

/** A request as it was sent; a failure shows it, so that it can be sent again. */
interface Sent {
  method: string;
  path: string;
  caller: Role;
  headers: Record<string, string>;
  body: string | undefined;
  /** Whether the body has a key twice, which no schema can tell. */
  repeats: boolean;
}

/** A parameter's text as a value of its schema's type. */
function parameterValue({ type }: JsonSchema, text: string): unknown {
  if (type === "integer") return /^-?\d+$/.test(text) ? Number(text) : text;
  return type === "array" ? text.split(",") : text;
}

/** Whether the document allows the request, whoever sends it. */
function conforms(operation: Operation, { path, headers, body, repeats }: Sent): boolean {
  const url = new URL(path, "https://api.test");
  const pattern = new RegExp(`^${operation.path.replace(/\{(\w+)\}/g, "(?<$1>[^/]*)")}$`);
  const inPath = Object.entries(pattern.exec(url.pathname)?.groups ?? {});
  const given = [...inPath, ...url.searchParams];
  for (const [name, text] of given) {
    const parameter = operation.parameters?.find((each) => each.name === name);
    if (!parameter || given.filter(([other]) => other === name).length > 1) return false;
    if (faults(parameter.schema, parameterValue(parameter.schema, text)).length > 0) return false;
  }
  const content = operation.requestBody?.content;
  if (!content) return true;
  const documented = content[headers["Content-Type"]?.split(";")[0] ?? ""];
  if (!documented || body === undefined || repeats) return false;
  try {
    return faults(documented.schema, JSON.parse(body.replace(/^\ufeff/, ""))).length === 0;
  } catch {
    return false;
  }
}

/** Sends plans, holds every answer against the document, and keeps what it saw. */
class Fuzz {
  /** How often each operation answered what. */
  readonly answers = new Map<string, Map<number, number>>();
  /** The requests that were refused: none of them may have written. */
  private readonly refused: string[] = [];
  private readonly rows: Record<string, number[]> = {};
  private readonly lines: { po_id: number; line_item_id: number }[] = [];
  /** Pages to go on from, by operation. */
  private readonly pages: Record<string, string[]> = {};
  private readonly callers: Partial<Record<Role, { user: TestUser; calls: number }>> = {};

  /** Some row for a field, now and then a new one, so that there are always some that nothing refers to. */
  private async row(field: string, index: number): Promise<number> {
    const kind = field === "parent_po_id" ? "po_id" : field;
    this.rows[kind] ??= [];
    const list = this.rows[kind];
    if (list.length < 3 || index % 4 === 0) {
      const make = kind === "user_id" ? async () => (await insertAccount()).id : references[kind];
      if (!make) throw new Error(`no row for ${field}: add one to references`);
      const made = await make();
      list.push(made);
      return made;
    }
    return list[index % list.length] ?? 0;
  }

  private async line(index: number) {
    if (this.lines.length < 3) {
      const po_id = await insertPo();
      this.lines.push({ po_id, line_item_id: await insertLine(po_id) });
    }
    return this.lines[index % this.lines.length] ?? { po_id: 0, line_item_id: 0 };
  }

  /** A caller of the role; of its own where the operation ends sessions. */
  private async caller(role: Role, operation: Operation): Promise<TestUser | undefined> {
    if (role === "none") return undefined;
    if (operation.path.startsWith("/auth") && operation.method !== "GET") return signIn(role);
    const known = this.callers[role];
    // A minute's limit counts each user.
    if (known && known.calls++ < 500) return known.user;
    const user = await signIn(role);
    this.callers[role] = { user, calls: 1 };
    return user;
  }

  private async prepare(plan: Plan): Promise<{ sent: Sent; token: string | undefined }> {
    const operation = operationOf(plan);
    const user = await this.caller(plan.caller, operation);
    let own: Record<string, unknown> | undefined;
    const look = async ({ field, index }: Known): Promise<unknown> => {
      if (field === "id") return user?.sessionId ?? crypto.randomUUID();
      if (field === "user_id" || field in references) return this.row(field, index);
      own ??= (await bodyFor(operation, {}, user)) as Record<string, unknown>;
      return own[field];
    };
    const { line_item_id: line } = plan.ids;
    const ofLine = line instanceof Known ? await this.line(line.index) : undefined;
    let path = operation.path;
    for (const [name, id] of Object.entries(plan.ids)) {
      const ofThis = ofLine && (name === "po_id" || name === "line_item_id") ? ofLine[name] : undefined;
      const text = id instanceof Known ? (ofThis ?? (await look(id))) : id;
      path = path.replace(`{${name}}`, () => String(text));
    }
    const query: string[] = [];
    for (const [name, value] of plan.query) {
      if (value instanceof Known && value.field === "cursor") {
        const pages = this.pages[operation.operationId] ?? [];
        const next = pages[value.index % Math.max(pages.length, 1)];
        if (next === undefined) continue;
        // A cursor goes on from its own list alone.
        path = next;
        query.length = 0;
        break;
      }
      const text = value instanceof Known ? await look(value) : value instanceof Raw ? value.text : value;
      query.push(`${encodeURIComponent(name)}=${encodeURIComponent(String(text))}`);
    }
    const text = plan.body === undefined ? undefined : await write(plan.body, look);
    const body = text === undefined ? undefined : garbles[plan.garble](text);
    return {
      sent: {
        method: operation.method,
        path: query.length > 0 ? `${path}?${query.join("&")}` : path,
        caller: plan.caller,
        headers: plan.headers,
        body,
        repeats: plan.garble === "repeat" && body !== text,
      },
      token: user?.token,
    };
  }

  /** Sends the request and holds its answer against the document. Throws what is wrong, with the request as it was sent. */
  async send(plan: Plan): Promise<number> {
    const { sent, token } = await this.prepare(plan);
    const response = await call(sent.path, { ...sent, token });
    const answered = response.clone();
    try {
      await this.check(operationOf(plan), sent, response);
    } catch (error) {
      const answer = `${response.status} ${await answered.text()}`.slice(0, 2000);
      const shown = JSON.stringify(sent);
      throw new Error(`${String(error)}\n\nsent: ${shown.slice(0, 4000)}\n\nanswered: ${answer}`, { cause: error });
    }
    const { operationId } = plan;
    const seen = this.answers.get(operationId) ?? new Map<number, number>();
    this.answers.set(operationId, seen.set(response.status, (seen.get(response.status) ?? 0) + 1));
    return response.status;
  }

  private async check(operation: Operation, sent: Sent, response: Response): Promise<void> {
    const { status } = response;
    expect(status).toBeLessThan(500);
    const body = await asDocumented(operation, response);
    const least = operation["x-required-role"];
    const authorized =
      least === "none" ||
      (sent.headers.Authorization === undefined && ranks.indexOf(sent.caller) >= ranks.indexOf(least));
    const allowed = conforms(operation, sent);
    if (status < 300) {
      expect({ authorized, allowed }).toEqual({ authorized: true, allowed: true });
      return this.learn(operation, sent, body);
    }
    // What the caller says that it has already.
    if (status === 304) return expect([authorized, sent.headers["If-None-Match"]]).toEqual([true, expect.any(String)]);
    this.refused.push(response.headers.get("X-Request-Id") ?? "");
    const { type, errors } = body as { type: string; errors?: unknown[] };
    await problem(response, type.replace("/problems/", "") as ProblemKind);
    // A refusal has its reason, and a 422 says what to mend.
    if (status === 422) expect(errors?.length).toBeGreaterThan(0);
    if (status === 403) expect(authorized).toBe(false);
    if (status === 401 && least !== "none") expect(authorized).toBe(false);
    if (authorized && allowed) {
      const may = [
        "not-found",
        "conflict",
        "precondition-failed",
        "validation-failed",
        "invalid-cursor",
        "wrong-credentials",
        "too-many-requests",
      ];
      expect(least === "none" ? [...may, "unauthorized"] : may).toContain(type.replace("/problems/", ""));
    }
  }

  /** Keeps what later requests may refer to. */
  private learn(operation: Operation, sent: Sent, body: unknown): void {
    const path = sent.path.split("?")[0] ?? "";
    const kinds: Record<string, string> = {
      Client: "client_id",
      Vendor: "vendor_id",
      PurchaseOrder: "po_id",
      Account: "user_id",
    };
    const [, verb = "", what = ""] = /^([a-z]+)(\w+)$/.exec(operation.operationId) ?? [];
    const kind = kinds[what];
    const remove = <Row>(list: Row[] = [], gone: (row: Row) => boolean) => {
      const at = list.findIndex(gone);
      if (at >= 0) list.splice(at, 1);
    };
    if (verb === "delete" && kind) remove(this.rows[kind], (id) => path.endsWith(`/${id}`));
    if (operation.operationId === "deleteLineItem") remove(this.lines, (row) => path.endsWith(`/${row.line_item_id}`));
    if (!isObject(body)) return;
    if (verb === "create" && kind) this.rows[kind]?.push(Number(body.id));
    const added = [body.line_items, body.data, verb === "create" ? [body] : []].find(Array.isArray) ?? [];
    for (const row of added as Record<string, unknown>[]) {
      if (verb === "create" && "client_po_id" in row && this.lines.length < 200) {
        this.lines.push({ po_id: Number(row.client_po_id), line_item_id: Number(row.id) });
      }
    }
    if (typeof body.next_cursor === "string") {
      const url = new URL(sent.path, "https://api.test");
      url.searchParams.set("cursor", body.next_cursor);
      this.pages[operation.operationId] ??= [];
      const pages = this.pages[operation.operationId] ?? [];
      pages.unshift(`${url.pathname}${url.search}`);
      pages.splice(10);
    }
  }

  /** Asserts that no refused request has written anything: the audit log knows of none. */
  async expectNothingOfRefused(): Promise<void> {
    expect(this.refused.length).toBeGreaterThan(0);
    const written = await sql(
      `SELECT action, table_name, request_id FROM "Finances".audit_log WHERE request_id = ANY (string_to_array($1, ','))`,
      [this.refused.join(",")],
    );
    expect(written).toEqual([]);
  }
}

/** How many requests are on their way at once. */
const lanes = 4;

/**
 * Declares the fuzz of every operation: each fault that the document knows by itself, then `requests` at random. FUZZ_SEED
 * and FUZZ_RUNS repeat a run.
 */
export function itAnswersAsDocumented(requests: number): void {
  const seed = Number(env.FUZZ_SEED || Math.floor(Math.random() * 2 ** 31));
  const runs = Number(env.FUZZ_RUNS || requests);
  const fuzz = new Fuzz();
  beforeAll(async () => {
    await makeBackup();
  });
  const count = () =>
    [...fuzz.answers.values()].flatMap((seen) => [...seen.values()]).reduce((sum, each) => sum + each, 0);

  it.each(titled(operations))(
    "%s takes a request as documented, and refuses one that is not, fault by fault",
    async (_title, operation) => {
      for (const [spoiled, reached] of [
        ["nothing", (status: number) => status < 300],
        ["everything", (status: number) => status >= 400],
      ] as const) {
        const statuses: number[] = [];
        for (const plan of fc.sample(plans(operation, spoiled), { seed, numRuns: 20 })) {
          statuses.push(await fuzz.send(plan));
          if (statuses.some(reached)) break;
        }
        expect([spoiled, seed, statuses.some(reached), statuses]).toEqual([spoiled, seed, true, statuses]);
      }
      for (const plan of fc.sample(faultyPlans(operation), { seed, numRuns: 1 }).flat()) await fuzz.send(plan);
    },
  );

  it(
    "answers anything as documented",
    async () => {
      console.log(`FUZZ_SEED=${seed} FUZZ_RUNS=${runs}`);
      const property = fc.asyncProperty(anyPlan, async (plan) => {
        await fuzz.send(plan);
      });
      const results = await Promise.allSettled(
        Array.from({ length: lanes }, (_, lane) =>
          fc.assert(property, { seed: seed + lane, numRuns: Math.ceil(runs / lanes) }),
        ),
      );
      for (const result of results) if (result.status === "rejected") throw result.reason;
      const statuses = new Map<number, number>();
      for (const seen of fuzz.answers.values())
        for (const [status, times] of seen) statuses.set(status, (statuses.get(status) ?? 0) + times);
      console.log(count(), Object.fromEntries(statuses));
    },
    30_000 + runs * 30,
  );

  it("writes nothing that it refuses", () => fuzz.expectNothingOfRefused());

  it("leaves money that adds up", expectMoneyToAddUp);
}
