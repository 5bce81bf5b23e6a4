import { describe, expect, it } from "vitest";
import { exposedHeaders } from "../src/exposed-headers.ts";
import { call, signIn } from "./support/api.ts";
import { guardedOperations, operations, prepared, successOf, titled } from "./support/operations.ts";
import { insertClient } from "./support/rows.ts";

const timing = /^db;dur=(\d+\.\d);desc="round trips: (\d+)", total;dur=(\d+\.\d)$/;

describe("Server-Timing", () => {
  it.each(titled(guardedOperations))("says what the database and all of it took: %s", async (_title, operation) => {
    const { path, call: request } = await prepared(operation);
    const response = await call(path, request);
    expect(response.status).toBe(successOf(operation));
    await response.arrayBuffer();
    const [, db, trips, total] = timing.exec(response.headers.get("Server-Timing") ?? "") ?? [];
    // Before the work of a password: what it is compared with, or whether the caller may make an account at all.
    expect(Number(trips)).toBe(["changePassword", "createAccount"].includes(operation.operationId) ? 2 : 1);
    expect(Number(db)).toBeGreaterThan(0);
    expect(Number(total)).toBeGreaterThanOrEqual(Number(db));
  });

  it("counts the second round trip of a repeated request", async () => {
    const { token } = await signIn("editor");
    const headers = { "Idempotency-Key": crypto.randomUUID() };
    const send = () => call("/client", { method: "POST", token, headers, body: { name: headers["Idempotency-Key"] } });
    await (await send()).arrayBuffer();
    const again = await send();
    // One that was refused, and one that read the answer.
    expect(again.headers.get("Server-Timing")).toMatch(/round trips: 2"/);
    await again.arrayBuffer();
  });

  it("tells a stranger nothing", async () => {
    const body = { username: "nobody", password: "wrong" };
    for (const response of [
      await call("/auth/login", { method: "POST", body }),
      await call("/client"),
      await call("/client", { token: "x" }),
      await call("/health"),
    ]) {
      expect(response.headers.get("Server-Timing")).toBeNull();
      await response.arrayBuffer();
    }
  });
});

describe("the headers that other origins may read", () => {
  it("are all that the document names, and those that errors and every answer carry", async () => {
    const documented = operations.flatMap(({ responses }) =>
      Object.values(responses).flatMap((answer) => Object.keys((answer as { headers?: object }).headers ?? {})),
    );
    // Vary is the cache's.
    const needed = new Set([
      ...documented,
      "X-Request-Id",
      "Server-Timing",
      "Retry-After",
      "WWW-Authenticate",
      "Allow",
    ]);
    needed.delete("Vary");
    expect(exposedHeaders).toEqual(expect.arrayContaining([...needed]));
    expect(documented).toEqual(expect.arrayContaining(["ETag", "Location", "Idempotent-Replayed"]));
    expect(exposedHeaders.map((name) => name.toLowerCase())).toEqual(
      [...new Set(exposedHeaders.map((name) => name.toLowerCase()))].toSorted(),
    );
  });
});

describe("HEAD", () => {
  it("answers what GET does but for the body, row, list and export alike", async () => {
    const { token } = await signIn();
    const id = await insertClient();
    for (const path of [`/client/${id}`, "/client", "/po/list", "/po/list?format=csv", "/client/900000000", "/nope"]) {
      const [get, head] = [await call(path, { token }), await call(path, { token, method: "HEAD" })];
      expect([path, head.status, await head.text()]).toEqual([path, get.status, ""]);
      for (const name of ["Content-Type", "ETag", "Vary", "Content-Disposition", "Cache-Control"]) {
        expect([path, name, head.headers.get(name)]).toEqual([path, name, get.headers.get(name)]);
      }
      await get.arrayBuffer();
    }
  });
});
