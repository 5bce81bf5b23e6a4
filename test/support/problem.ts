import { expect } from "vitest";
import type { z } from "zod";
import { kinds, ProblemBody, type ProblemKind } from "../../src/problem.ts";

/** Asserts that the answer is that problem, in the one shape that every error has, and gives its body back. */
export async function problem(response: Response, kind: ProblemKind): Promise<z.infer<typeof ProblemBody>> {
  const body = await response.text();
  expect({ status: response.status, body }).toEqual({ status: kinds[kind].status, body: expect.any(String) });
  expect(response.headers.get("Content-Type")).toBe("application/problem+json");
  expect(response.headers.get("Cache-Control")).toBe("no-store");
  const parsed = ProblemBody.parse(JSON.parse(body));
  expect(parsed).toMatchObject({
    type: `/problems/${kind}`,
    title: kinds[kind].title,
    status: kinds[kind].status,
    instance: `urn:request:${response.headers.get("X-Request-Id")}`,
  });
  expect(body).not.toMatch(/SELECT|INSERT|Finances|client_po_line_item|SQLSTATE|InexactNumber|\bat .*\.[jt]s:\d/);
  return parsed;
}
