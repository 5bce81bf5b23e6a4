import type { Account } from "../account.ts";
import { type Api, Failed, type Schemas } from "./api.ts";

/** The headings of the hosting checklist that can be answered from outside, and what has to follow. */
export type Section = "API Testing" | "Functional Testing" | "Data Integrity" | "Security" | "Afterwards";

export interface Check {
  section: Section;
  name: string;
  /** The check without whose success this one makes no sense. */
  needs?: string;
  /** Left out with --read-only. */
  writes?: true;
  /** Done after an interrupt as well. */
  always?: true;
  /** Throws Failed or NotRun; what it returns is said beside the name. */
  run(run: Run): Promise<string>;
}

/** A check that cannot be made here, and where its answer is. */
export class NotRun extends Error {}

export interface Options {
  readOnly: boolean;
  /** Rows per table; `orphans` are the rows that GET /ops/orphans lists as kept. */
  expected: Map<string, number>;
  /** An origin that must be let in. */
  origin: string | undefined;
  rateLimit: boolean;
}

/** One walk through the checks, and what it found on its way. */
export interface Run extends Options {
  api: Api;
  account: Account;
  tokens: Schemas["Tokens"] | undefined;
  /** The rows of every table before this run wrote any. */
  countsBefore(): Promise<Schemas["Counts"]>;
  /** What the writing checks work on, made when it is asked for first. */
  made(): Promise<Made>;
  /** Paths of what this run made and has not removed, oldest first. */
  written: string[];
}

export interface Made {
  client: Schemas["Client"];
  vendor: Schemas["Vendor"];
  order: Schemas["PurchaseOrderWithLines"];
  /** As the order was made: for a second one of the same store. */
  newOrder: Schemas["NewPurchaseOrder"];
}

export const counts = (api: Api) => api.expect<Schemas["Counts"]>(200, "GET", "/ops/counts");

export function newRun(api: Api, account: Account, options: Options): Run {
  let before: Promise<Schemas["Counts"]> | undefined;
  let made: Promise<Made> | undefined;
  const run: Run = {
    ...options,
    api,
    account,
    tokens: undefined,
    written: [],
    countsBefore() {
      before ??= counts(api);
      return before;
    },
    made() {
      made ??= make(run);
      return made;
    },
  };
  return run;
}

async function make(run: Run): Promise<Made> {
  await run.countsBefore();
  const mark = `${new Date().toISOString().slice(0, 19)}Z ${crypto.randomUUID().slice(0, 8)}`;
  const { api } = run;
  const client = await api.create<Schemas["Client"]>("/client", {
    name: `Smoke test ${mark}`,
    bundle_by_store: true,
  });
  run.written.push(`/client/${client.id}`);
  const vendor = await api.create<Schemas["Vendor"]>("/vendor", { name: `Smoke test ${mark}` });
  run.written.push(`/vendor/${vendor.id}`);
  const newOrder: Schemas["NewPurchaseOrder"] = {
    client_id: client.id,
    vendor_id: vendor.id,
    po_number: `SMOKE ${mark}`,
    store_id: `SMOKE ${mark}`,
    vendor_gstin: "27ABCDE1234F1Z5",
    bill_to_gstin: "27ABCDE1234F1Z5",
    line_items: [{ item_name: "Smoke test", quantity: "2", unit_price: "18250.50", gst_rate: "18" }],
  };
  const order = await makeOrder(run, newOrder);
  return { client, vendor, order, newOrder };
}

export async function makeOrder(run: Run, order: Schemas["NewPurchaseOrder"]) {
  const made = await run.api.create<Schemas["PurchaseOrderWithLines"]>("/po", order);
  run.written.push(`/po/${made.id}`);
  return made;
}

/** Throws Failed unless `actual` has the fields of `expected` with these values. */
export function same<Fields extends object>(what: string, actual: Fields, expected: Partial<Fields>): void {
  for (const [field, value] of Object.entries(expected)) {
    const found = actual[field as keyof Fields];
    if (found !== value) throw new Failed(`${what} has ${field} ${show(found)}, not ${show(value)}`);
  }
}

const show = (value: unknown) => JSON.stringify(value) ?? "missing";

export function assert(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Failed(otherwise);
}
