import { describe, expect, it } from "vitest";
import { call, roundTrips } from "./support/api.ts";
import {
  anyIds,
  fill,
  guardedOperations,
  operations,
  prepared,
  rows,
  successOf,
  titled,
  tokenFor,
} from "./support/operations.ts";

/**
 * Before the work of a password: what it must be compared with, or whether the caller may make an account at all. And a
 * snapshot has a connection of its own.
 */
const oneMore = ["changePassword", "createAccount", "makeBackup"];

describe("a request", () => {
  const others = guardedOperations.filter(({ operationId }) => !oneMore.includes(operationId));
  it.each(titled(others))("makes one database round trip: %s", async (_title, operation) => {
    const { path, call: request } = await prepared(operation);
    const trips = await roundTrips(async () => {
      expect((await call(path, request)).status).toBe(successOf(operation));
    });
    expect(trips).toBe(1);
  });

  it("makes one also with everything included", async () => {
    const operation = operations.find((each) => each.operationId === "listBundles");
    if (!operation) throw new Error("there is no listBundles");
    const { client_id } = await rows();
    const token = await tokenFor(operation);
    const path = `${operation.path}?client_id=${client_id}&include=line_items,summary`;
    const trips = await roundTrips(async () => {
      expect((await call(path, { token })).status).toBe(200);
    });
    expect(trips).toBe(1);
  });
});

describe("a request about a password, a token or a backup", () => {
  it.each([
    ["logIn", 2],
    ["changePassword", 2],
    ["createAccount", 2],
    ["refreshTokens", 1],
    ["makeBackup", 2],
  ])("makes as few as it can: %s", async (id, expected) => {
    const operation = operations.find((each) => each.operationId === id);
    if (!operation) throw new Error(`there is no ${id}`);
    const { path, call: request } = await prepared(operation);
    const trips = await roundTrips(async () => {
      expect((await call(path, request)).status).toBe(successOf(operation));
    });
    expect(trips).toBe(expected);
  });
});

describe("what needs no database", () => {
  it.each([
    ["/docs", 200],
    ["/docs/scalar.js", 200],
    ["/openapi.json", 200],
    ["/problems/not-found", 200],
    ["/problems/nope", 404],
    ["/health?probe=live", 200],
    ["/nope", 404],
    ["/", 302],
  ])("makes none: %s", async (path, status) => {
    const trips = await roundTrips(async () => {
      const response = await call(path);
      expect(response.status).toBe(status);
      await response.arrayBuffer();
    });
    expect(trips).toBe(0);
  });

  it.each(titled(guardedOperations))("makes none without a token: %s", async (_title, operation) => {
    const path = fill(operation.path, anyIds);
    const trips = await roundTrips(async () => {
      expect((await call(path, { method: operation.method })).status).toBe(401);
    });
    expect(trips).toBe(0);
  });

  it.each(titled(operations))("makes none for a method that is not there: %s", async (_title, operation) => {
    const path = fill(operation.path, anyIds);
    const trips = await roundTrips(async () => {
      expect((await call(path, { method: "PUT" })).status).toBe(405);
    });
    expect(trips).toBe(0);
  });
});
