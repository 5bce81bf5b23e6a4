import type { DataSet, Subjects } from "./data.ts";

/** One request, as the Worker knows it. */
export interface Ask {
  method: "GET" | "POST";
  path: string;
  /** The row that it is about, for the floor and the peer, whose paths are `/OPERATION/ID`. */
  id?: number;
  body?: string;
}

/** One connection's memory between its requests. */
export interface Visitor {
  refreshToken: string;
}

export interface Operation {
  name: string;
  title: string;
  kind: "read" | "write";
  /** Requests under way at once. */
  connections: number;
  ask(subjects: Subjects, random: () => number, visitor: Visitor): Ask;
  /** Looks at an answer that the next request depends on. */
  answered?(visitor: Visitor, answer: string): void;
}

const between = ({ first, last }: { first: number; last: number }, random: () => number) =>
  first + Math.floor(random() * (last - first + 1));

const line = (n: number) => ({
  item_name: `LED track light, 30 W, 3000 K, type ${n}`,
  hsn_code: "9405",
  unit: "nos",
  quantity: `${1 + (n % 40)}.500`,
  unit_price: "1685.2500",
  gst_rate: "18.00",
});
const linesOfNewPo = Array.from({ length: 20 }, (_, n) => line(n));

/** What is measured. */
export const operations: readonly Operation[] = [
  {
    name: "po",
    title: "One PO with its 10 lines",
    kind: "read",
    connections: 16,
    ask(subjects, random) {
      const id = between(subjects.read, random);
      return { method: "GET", path: `/po/${id}`, id };
    },
  },
  {
    name: "list",
    title: "List of 50 POs",
    kind: "read",
    connections: 16,
    ask: () => ({ method: "GET", path: "/po/list" }),
  },
  {
    name: "by-store",
    title: "By-store page of 50",
    kind: "read",
    connections: 16,
    ask: () => ({ method: "GET", path: "/po/aggregated/by-store" }),
  },
  {
    name: "add-line",
    title: "Add a line to a PO",
    kind: "write",
    connections: 16,
    ask(subjects, random) {
      const id = between(subjects.written, random);
      return { method: "POST", path: `/po/${id}/line-items`, id, body: JSON.stringify(line(id)) };
    },
  },
  {
    name: "create-po",
    title: "Create a PO with 20 lines",
    kind: "write",
    connections: 16,
    ask: ({ clientId }) => ({
      method: "POST",
      path: "/po",
      body: JSON.stringify({
        client_id: clientId,
        status: "pending",
        po_type: "standard",
        notes: "Drawing R3",
        line_items: linesOfNewPo,
      }),
    }),
  },
  {
    name: "log-in",
    title: "Log in",
    kind: "write",
    connections: 2,
    ask({ usernames, password }, random) {
      const username = usernames[Math.floor(random() * usernames.length)];
      return { method: "POST", path: "/auth/login", body: JSON.stringify({ username, password }) };
    },
  },
  {
    name: "refresh",
    title: "Refresh the tokens",
    kind: "write",
    connections: 16,
    ask: (_subjects, _random, { refreshToken }) => ({
      method: "POST",
      path: "/auth/refresh",
      body: JSON.stringify({ refresh_token: refreshToken }),
    }),
    answered(visitor, answer) {
      visitor.refreshToken = (JSON.parse(answer) as { refresh_token: string }).refresh_token;
    },
  },
];

/** A statement whose parameters are values or, as `{"given": NAME}`, what a request brings. */
export interface Template {
  text: string;
  params: (null | string | number | boolean | { given: string })[];
}

/** One transaction of the Worker: its statements, the guard included where there is one. */
export interface Step {
  readOnly: boolean;
  statements: Template[];
}

/** What the Worker asks of the database for each operation, by the operation's name and, for a log-in, its second step. */
export type Plan = Record<string, Step>;

interface Statement {
  text: string;
  params: unknown[];
}
type Note = Record<"read" | "write", (...statements: Statement[]) => Promise<[]>>;

/**
 * Asks the Worker's own queries for their statements, with marks in the places of what a request brings: so the floor and
 * the peer send what the Worker sends today.
 */
export async function planOf(subjects: Subjects, set: DataSet): Promise<Plan> {
  // By computed names: the Worker's types are not those of Node's programs.
  const load = (path: string) => import(new URL(`../../src/${path}`, import.meta.url).href);
  const { guard, beginLogIn, insertSession, rotateSession } = await load("auth/queries.ts");
  const { findPo, insertPo } = await load("po/queries.ts");
  const { listPos } = await load("po/search.ts");
  const { PurchaseOrderQuery } = await load("po/list-query.ts");
  const { listBundles } = await load("po/bundles.ts");
  const { insertLineItems } = await load("line-item/queries.ts");

  const marks = new Map<string, string>();
  const mark = (name: string, value: string) => {
    marks.set(value, name);
    return value;
  };
  const id = Number(mark("id", "777000777001"));
  const list = [{ item_name: "777000777002" }];
  mark("list", JSON.stringify(list));
  const order = { notes: "777000777003" };
  mark("body", JSON.stringify(order));
  const request = mark("request", "777000777004");
  const username = mark("username", "777000777005");
  const session = mark("session", "777000777006");
  const user = Number(mark("user", "777000777007"));
  const hash = mark("hash", "777000777008");
  const compared = mark("compared", "777000777009");
  const successor = mark("successor", "777000777010");

  async function step(work: (db: Note) => Promise<unknown>, role?: string): Promise<Step> {
    let noted: Step | undefined;
    const note =
      (readOnly: boolean) =>
      async (...asked: Statement[]): Promise<[]> => {
        if (noted) throw new Error("an operation takes two round trips where the bench knows one");
        const first: Statement[] = role === undefined ? [] : [guard(subjects.caller, role, request)];
        const statements = [...first, ...asked].map(({ text, params }) => ({
          text,
          params: params.map((param) => {
            const given = marks.get(String(param));
            return given === undefined ? (param as string) : { given };
          }),
        }));
        noted = { readOnly, statements };
        return [];
      };
    await work({ read: note(true), write: note(false) });
    if (!noted) throw new Error("an operation asks nothing of the database");
    return noted;
  }

  const page = { after: undefined, limit: 51, withLines: false, withSummary: false, clientId: undefined };
  const begun = { id: session, userId: user, tokenHash: hash, comparedHash: compared, requestId: request };
  const origin = { renewedHash: undefined, seconds: 2_592_000, address: null, userAgent: null };
  const token = { sessionId: session, hash, successors: [successor], genuine: true, graceSeconds: 30 };
  const plan: Plan = {
    po: await step((db) => findPo(db, id), "viewer"),
    list: await step((db) => listPos(db, PurchaseOrderQuery.parse({}), undefined, 51), "viewer"),
    "by-store": await step((db) => listBundles(db, { ...page, sort: "-created_at" }), "viewer"),
    "add-line": await step((db) => insertLineItems(db, id, list), "editor"),
    "create-po": await step((db) => insertPo(db, order), "editor"),
    "log-in": await step((db) => beginLogIn(db, username, null)),
    "log-in, session": await step((db) => insertSession(db, { ...begun, ...origin })),
    refresh: await step((db) => rotateSession(db, token)),
  };
  // A peer of the old kind, which reads all and bundles in memory, is worth its time on much data alone.
  const patience = { text: "SET LOCAL statement_timeout = 0", params: [] };
  if (set === "large") plan["by-store, all"] = { readOnly: true, statements: [patience, { text: allPos, params: [] }] };
  return plan;
}

const allPos = `SELECT po.*, c.name AS client_name, c.bundle_by_store FROM "Finances".client_po po
  JOIN "Finances".client c ON c.id = po.client_id ORDER BY po.created_at DESC, po.id DESC`;
