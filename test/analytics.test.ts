import { createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import monitoring from "../docs/monitoring.md?raw";
import worker from "../src/index.ts";
import { logIn } from "./support/accounts.ts";
import { call, signIn, sql } from "./support/api.ts";
import { insertClient, insertPo } from "./support/rows.ts";

const dataset = env.ANALYTICS;
let points: Record<string, string | number>[] = [];

/** Cloudflare's side of the binding: what it would refuse, throws; a point is answered as its SQL names it. */
const receiver: AnalyticsEngineDataset = {
  writeDataPoint({ indexes = [], blobs = [], doubles = [] } = {}) {
    const bytes = (text: unknown) => new TextEncoder().encode(String(text)).length;
    if (indexes.length !== 1 || bytes(indexes[0]) > 96) throw new TypeError("one index of 96 bytes");
    if (blobs.length > 20 || blobs.reduce<number>((sum, blob) => sum + bytes(blob), 0) > 5120)
      throw new TypeError("blobs");
    if (doubles.length > 20 || !doubles.every(Number.isFinite)) throw new TypeError("doubles");
    points.push({
      index1: String(indexes[0]),
      ...Object.fromEntries(blobs.map((blob, i) => [`blob${i + 1}`, String(blob)])),
      ...Object.fromEntries(doubles.map((double, i) => [`double${i + 1}`, double])),
    });
  },
};

/** The columns as docs/monitoring.md names them. */
const columns = Object.fromEntries(
  [...monitoring.matchAll(/^\| `((?:blob|double|index)\d)` \| `(\w+)` \|/gm)].map(([, column = "", name = ""]) => [
    column,
    name,
  ]),
);
const named = () =>
  points.map((point) => Object.fromEntries(Object.entries(point).map(([column, value]) => [columns[column], value])));

beforeEach(() => {
  points = [];
  Object.assign(env, { ANALYTICS: receiver });
});
afterEach(() => {
  Object.assign(env, { ANALYTICS: dataset });
  vi.restoreAllMocks();
});

describe("a point in Analytics Engine", () => {
  it("is written for every request, with the columns of docs/monitoring.md", async () => {
    const { token } = await signIn();
    const id = await insertPo({ client_id: await insertClient() });
    expect((await call(`/po/${id}`, { token })).status).toBe(200);
    expect(named()).toEqual([
      {
        sampling_key: "/po/{po_id}",
        event: "request",
        method: "GET",
        route: "/po/{po_id}",
        outcome: "2xx",
        problem: "",
        environment: "development",
        colo: expect.any(String),
        ms: expect.any(Number),
        db_ms: expect.any(Number),
        round_trips: 1,
        status: 200,
      },
    ]);
    expect(points[0]?.double2).toBeGreaterThan(0);
  });

  it("says what was refused, and counts a path of nobody's under one name", async () => {
    await logIn("nobody", "guess");
    await call(`/${"x".repeat(500)}`, { method: "PROPFIND" });
    expect(named()).toMatchObject([
      { route: "/auth/login", outcome: "4xx", problem: "wrong-credentials", status: 401, round_trips: 1 },
      { route: "(none)", outcome: "4xx", problem: "not-found", status: 404, round_trips: 0 },
    ]);
    expect(JSON.stringify(points)).not.toMatch(/nobody|guess|xxx/);
  });

  it("is written for a failure of ours and for a stream, when it has ended", async () => {
    const { token } = await signIn();
    const csv = await call("/po/list", { token, headers: { Accept: "text/csv" } });
    await csv.text();
    vi.spyOn(console, "error").mockImplementation(() => {});
    await sql(`REVOKE SELECT ON "Finances".client FROM nexgen_api`);
    await call("/client", { token });
    await sql(`GRANT SELECT ON "Finances".client TO nexgen_api`);
    expect(named()).toMatchObject([
      { route: "/po/list", outcome: "2xx", status: 200 },
      { route: "/client", outcome: "5xx", problem: "internal", status: 500 },
    ]);
  });

  it("is written for every run of a cron, well or not", async () => {
    await worker.scheduled(createScheduledController({ cron: "30 * * * *" }), env);
    vi.spyOn(console, "error").mockImplementation(() => {});
    await expect(worker.scheduled(createScheduledController({ cron: "1 1 1 1 1" }), env)).rejects.toThrow();
    expect(named()).toMatchObject([
      { event: "cron", route: "30 * * * *", sampling_key: "30 * * * *", outcome: "ok", status: 0 },
      { event: "cron", route: "1 1 1 1 1", outcome: "failed" },
    ]);
  });

  it("that is refused costs nobody an answer", async () => {
    Object.assign(env, {
      ANALYTICS: {
        writeDataPoint() {
          throw new TypeError("too many points");
        },
      },
    });
    expect((await call("/health?probe=live")).status).toBe(200);
    Reflect.deleteProperty(env, "ANALYTICS");
    expect((await call("/health?probe=live")).status).toBe(200);
  });
});

describe("the dashboard's queries", () => {
  const queries = [...monitoring.matchAll(/^```sql dashboard\n(.*?)^```$/gms)].map(([, text = ""]) => text);

  it("read the dataset of production, weigh what was sampled, and name the columns as they are", () => {
    expect(queries.length).toBeGreaterThanOrEqual(5);
    for (const query of queries) {
      expect(query).toContain("FROM nexgen_finance_production");
      expect(query).toContain("_sample_interval");
      expect(query).not.toMatch(/\bcount\(|\bavg\(|\bquantile\(/i);
      // A column that is selected as it is keeps its name.
      for (const [, column = "", alias] of query.matchAll(/\b((?:blob|double|index)\d+) AS (\w+)/g))
        expect(alias, query).toBe(columns[column]);
      for (const [column] of query.matchAll(/\b(?:blob|double|index)\d+\b/g)) expect(columns).toHaveProperty(column);
    }
  });
});
