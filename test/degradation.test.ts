import { env } from "cloudflare:workers";
import { expect, it, vi } from "vitest";
import { call, signIn, sql } from "./support/api.ts";
import { problem } from "./support/problem.ts";

const noAnswer =
  "The database did not answer. If this was a write it may have been done: send it again with the same Idempotency-Key, or look first.";

/** Does `work` while the database's endpoint has this fault; requests keep the one that they began with. */
async function whileDatabase<T>(fault: string, work: () => Promise<T>): Promise<T> {
  const url = env.DATABASE_URL;
  const failing = new URL(url);
  failing.port = new URL(env.TEST_CONTROL_URL).port;
  failing.searchParams.set("application_name", fault);
  Object.assign(env, { DATABASE_URL: failing.href });
  try {
    return await work();
  } finally {
    Object.assign(env, { DATABASE_URL: url });
  }
}
const quietly = () => vi.spyOn(console, "error").mockImplementation(() => {});

it.each(["never-answers", "stalls"])(
  "gives up on a database that %s: /health first, then every request, 503 with Retry-After",
  async (fault) => {
    quietly();
    const { token } = await signIn("editor");
    const order: string[] = [];
    const named = (name: string, answer: Promise<Response>) =>
      answer.then((response) => {
        order.push(name);
        return response;
      });
    const answers = await whileDatabase(fault, () =>
      Promise.all([
        named("read", call("/client", { token })),
        named("write", call("/client", { method: "POST", token, body: { name: fault } })),
        named("health", call("/health")),
      ]),
    );
    expect(order[0]).toBe("health");
    for (const response of answers) expect(response.headers.get("Retry-After")).toBe("5");
    const details = await Promise.all(answers.map(async (response) => (await problem(response, "unavailable")).detail));
    expect(details).toEqual([noAnswer, noAnswer, "The database does not answer."]);
    expect((await call("/health")).status).toBe(200);
    expect((await call("/client", { token })).status).toBe(200);
  },
);

it("says the same of an answer that breaks off, which is no fault of the code", async () => {
  quietly();
  const { token } = await signIn();
  const response = await whileDatabase("breaks-off", () => call("/client", { token }));
  expect((await problem(response, "unavailable")).detail).toBe(noAnswer);
});

it("does a write once whose answer was lost, when it is sent again with its Idempotency-Key", async () => {
  quietly();
  const { token } = await signIn("editor");
  const write = () =>
    call("/client", {
      method: "POST",
      token,
      body: { name: "Lost and found" },
      headers: { "Idempotency-Key": "lost-and-found" },
    });
  await problem(await whileDatabase("loses-the-answer", write), "unavailable");
  const again = await write();
  expect(again.status).toBe(201);
  expect(again.headers.get("Idempotent-Replayed")).toBe("true");
  expect(await sql(`SELECT FROM "Finances".client WHERE name = 'Lost and found'`)).toHaveLength(1);
});

it("serves everything but the backups while R2 is down", async () => {
  quietly();
  const { token } = await signIn("admin");
  const bucket = env.BACKUPS;
  const down = new Proxy(bucket, {
    get: () => () => {
      throw new Error("We encountered an internal error. Please try again. (10001)");
    },
  });
  Object.assign(env, { BACKUPS: down });
  try {
    const made = await call("/client", { method: "POST", token, body: { name: "Without R2" } });
    expect(made.status).toBe(201);
    for (const path of ["/health", "/client", "/po/list", "/po/aggregated/by-store", "/ops/counts", "/docs"])
      expect((await call(path, { token })).status, path).toBe(200);
    const detailed = await call("/health/detailed", { token });
    expect(detailed.status).toBe(503);
    const { checks, database, bucket: size } = (await detailed.json()) as Record<string, Record<string, unknown>[]>;
    expect(checks?.filter(({ status }) => status === "failing")).toEqual([
      { name: "bucket", status: "failing", detail: expect.stringContaining("(10001)") },
    ]);
    expect([database, size]).toEqual([expect.objectContaining({ bytes: expect.any(Number) }), { bytes: null }]);
    // That it is down indeed.
    expect((await call("/ops/backups", { token })).status).toBe(500);
  } finally {
    Object.assign(env, { BACKUPS: bucket });
  }
});
