import { expect, it, vi } from "vitest";
import { createDb } from "../src/db/client.ts";
import { call, signIn, sql } from "./support/api.ts";
import { database } from "./support/database.ts";
import { problem } from "./support/problem.ts";
import { insertClient } from "./support/rows.ts";

it("cuts a statement off that takes more than five seconds: 503 with Retry-After, and nothing is written", async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  const { token } = await signIn("editor");
  const client_id = await insertClient();
  // Somebody holds the table until all have been answered, and whoever comes waits.
  const held = createDb(database.ownerUrl)
    .write(
      { text: `LOCK TABLE "Finances".client_po IN ACCESS EXCLUSIVE MODE`, params: [] },
      { text: "SELECT pg_sleep(60)", params: [] },
    )
    .catch(() => {
      // It is cancelled below.
    });
  await vi.waitFor(async () => {
    const locks = await sql(
      `SELECT FROM pg_locks WHERE relation = '"Finances".client_po'::regclass AND mode = 'AccessExclusiveLock' AND granted`,
    );
    expect(locks).toHaveLength(1);
  });
  const answers = await Promise.all([
    call("/po/list", { token }),
    call("/po", { method: "POST", token, body: { client_id, po_number: "SLOW" } }),
  ]);
  for (const response of answers) {
    expect(response.headers.get("Retry-After")).toBe("5");
    const { detail } = await problem(response, "unavailable");
    expect(detail).toBe("The database did not answer in time. Try again.");
  }
  await sql(
    `SELECT pg_cancel_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND query = 'SELECT pg_sleep(60)' AND state = 'active'`,
  );
  await held;
  expect(await sql(`SELECT FROM "Finances".client_po`)).toEqual([]);
  expect((await call("/po/list", { token })).status).toBe(200);
});
