import { z } from "@hono/zod-openapi";
import { NeonDbError } from "@neondatabase/serverless";
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { Busy } from "./busy.ts";
import { constraints } from "./constraints.ts";
import type { AppEnv } from "./env.ts";

/** Every kind of error there is: the last segment of `type`, its status and its title. Never renamed, never reused. */
export const kinds = {
  "malformed-request": { status: 400, title: "The request cannot be read" },
  "invalid-cursor": { status: 400, title: "The cursor is not one of this list" },
  unauthorized: { status: 401, title: "A valid access token is needed" },
  "wrong-credentials": { status: 401, title: "Username or password is wrong" },
  forbidden: { status: 403, title: "The role does not allow this" },
  "not-found": { status: 404, title: "There is no such thing" },
  "method-not-allowed": { status: 405, title: "The method does not exist here" },
  "not-acceptable": { status: 406, title: "The answer does not exist in this form" },
  conflict: { status: 409, title: "The request is in conflict with what is stored" },
  "precondition-failed": { status: 412, title: "It was changed since it was read" },
  "body-too-large": { status: 413, title: "The request body is too large" },
  "unsupported-media-type": { status: 415, title: "The media type of the body is not supported" },
  "validation-failed": { status: 422, title: "The request does not validate" },
  "too-many-requests": { status: 429, title: "Too many requests" },
  "backup-failed": { status: 500, title: "The backup failed" },
  internal: { status: 500, title: "Something went wrong on our side" },
  unavailable: { status: 503, title: "The service is not available right now" },
  maintenance: { status: 503, title: "The service is closed for maintenance" },
} as const satisfies Record<string, { status: ContentfulStatusCode; title: string }>;

export type ProblemKind = keyof typeof kinds;

/** What is wrong with one part of a request; `pointer` is an RFC 6901 JSON pointer into the part that `in` names. */
export interface FieldError {
  in: "body" | "query" | "path" | "header";
  pointer: string;
  detail: string;
}

/** The one error of this program (RFC 9457). Routes and middleware throw it, `renderProblem` answers it. */
export class Problem extends Error {
  readonly kind: ProblemKind;
  readonly detail: string | undefined;
  readonly errors: FieldError[] | undefined;
  readonly headers: Record<string, string>;

  constructor(
    kind: ProblemKind,
    detail?: string,
    more: { errors?: FieldError[]; headers?: Record<string, string>; cause?: unknown } = {},
  ) {
    super(detail ?? kinds[kind].title, { cause: more.cause });
    this.kind = kind;
    this.detail = detail;
    this.errors = more.errors;
    this.headers = more.headers ?? {};
  }
}

export const ProblemBody = z
  .strictObject({
    type: z
      .string()
      .max(100)
      .openapi({ example: "/problems/not-found", description: "The kind, a page that explains it" }),
    title: z.string().max(200).openapi({ example: kinds["not-found"].title }),
    status: z.int().openapi({ example: 404 }),
    detail: z.string().max(2000).optional().openapi({ example: "There is no client 42." }),
    instance: z.string().max(200).openapi({ example: "urn:request:5e0f3a9c-63f4-4d0e-a8c9-0d6f7a1f2b3c" }),
    errors: z
      .array(
        z.strictObject({
          in: z.enum(["body", "query", "path", "header"]).openapi({ example: "query" }),
          pointer: z.string().max(500).openapi({ example: "/limit", description: "RFC 6901" }),
          detail: z.string().max(500).openapi({ example: "must be at most 200" }),
        }),
      )
      .max(100)
      .optional(),
  })
  .openapi("Problem");

/** What the driver's endpoint says of rows that are more than it carries at once. */
const tooLargeAnswer = /response is too large/i;

/** What a failure of the database means (SQLSTATE of `NeonDbError`); undefined: our own mistake, a 500. */
function databaseProblem(error: NeonDbError): Problem | undefined {
  const more = { cause: error };
  if (tooLargeAnswer.test(error.message)) {
    const detail = "asks for more than one answer can carry: take a smaller one";
    return new Problem("validation-failed", undefined, {
      errors: [{ in: "query", pointer: "/limit", detail }],
      ...more,
    });
  }
  switch (error.code) {
    case "NX401":
      return unauthorized("The session is over: log in again.", more);
    case "NX403":
      return new Problem("forbidden", undefined, more);
    case "NX409":
      return new Problem(
        "conflict",
        "The first request with this Idempotency-Key is still at work: send it again then.",
        {
          headers: { "Retry-After": "1" },
          ...more,
        },
      );
    case "NX422":
      return new Problem("validation-failed", undefined, {
        errors: [
          {
            in: "header",
            pointer: "/Idempotency-Key",
            detail: "stands for another request (method, path or body): a new request takes a new key",
          },
        ],
        ...more,
      });
    case "NX208":
    case "40001":
    case "40P01":
    case "55P03":
    case "57014":
    case "57P01":
    case "57P02":
    case "57P03":
    case "53300":
    case "08000":
    case "08001":
    case "08003":
    case "08004":
    case "08006":
    // It lets nobody in: another password, another name. The operator is at it, or will be.
    case "28P01":
    case "28000":
    case "3D000":
      return unavailable("The database did not answer in time. Try again.", more);
    case undefined:
      // No SQLSTATE: the endpoint itself did not answer as it should, perhaps after the database had done it all.
      return unavailable(
        "The database did not answer. If this was a write it may have been done: send it again with the same Idempotency-Key, or look first.",
        more,
      );
  }
  // An amount that adds up to more than its column holds.
  if (error.code === "22003") {
    const detail = "the amounts add up to more than 9999999999999.99";
    return new Problem("validation-failed", undefined, { errors: [{ in: "body", pointer: "", detail }], ...more });
  }
  // A row that somebody began to refer to while it was being deleted; from PostgreSQL 18 on 23001 where the key says RESTRICT.
  if (error.code === "23001" || (error.code === "23503" && /still referenced/.test(error.detail ?? ""))) {
    return new Problem("conflict", `It is in use by ${error.table}.`, more);
  }
  const name = error.constraint ?? "";
  const meaning = Object.hasOwn(constraints, name) ? constraints[name] : undefined;
  if (!meaning) return undefined;
  const errors: FieldError[] = [{ in: "body", pointer: meaning.pointer, detail: meaning.detail }];
  return new Problem(meaning.kind, undefined, { errors, ...more });
}

/** One part of the body is not as it must be, which no schema can tell. */
export const invalidBody = (pointer: string, detail: string) =>
  new Problem("validation-failed", undefined, { errors: [{ in: "body", pointer, detail }] });

export const unauthorized = (detail: string, more: { cause?: unknown } = {}) =>
  // RFC 6750, section 3: a request without credentials gets no error code, any other the code invalid_token.
  new Problem("unauthorized", detail, {
    headers: { "WWW-Authenticate": 'Bearer realm="nexgen-finance", error="invalid_token"' },
    ...more,
  });

export const unavailable = (detail: string, more: { cause?: unknown } = {}) =>
  new Problem("unavailable", detail, { headers: { "Retry-After": "5" }, ...more });

export const maintenance = () =>
  new Problem("maintenance", "Nothing is read or written until it is over.", { headers: { "Retry-After": "300" } });

const httpKinds: Partial<Record<number, ProblemKind>> = {
  400: "malformed-request",
  413: "body-too-large",
  415: "unsupported-media-type",
};

function asProblem(error: unknown, bodyFault?: Problem): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof Busy) return unavailable(error.message, { cause: error });
  if (error instanceof NeonDbError) {
    const known = databaseProblem(error);
    if (known) return known;
  }
  // The validators throw these before any hook of ours sees the request.
  if (error instanceof HTTPException) {
    const kind = httpKinds[error.status];
    if (error.status === 400 && bodyFault) return bodyFault;
    if (kind) {
      const detail =
        error.status === 400 ? "The body is not valid JSON (RFC 8259), or has a key twice." : error.message;
      return new Problem(kind, detail, { cause: error });
    }
  }
  return new Problem("internal", undefined, { cause: error });
}

/** The error body of every failed request. The request's line in the log has the cause of a 5xx; the caller never sees it. */
export function renderProblem(error: unknown, c: Context<AppEnv>): Response {
  const problem = asProblem(error, c.var.bodyFault);
  c.set("failure", failureOf(problem));
  const body = problemBody(problem, c.var.requestId);
  return c.body(JSON.stringify(body), kinds[problem.kind].status, {
    ...problem.headers,
    "Content-Type": "application/problem+json",
  });
}

/** What the log says of a request that failed: which problem it was, and its cause when the fault is ours. */
export function failureOf(error: unknown): NonNullable<AppEnv["Variables"]["failure"]> {
  const problem = asProblem(error);
  // Maintenance is meant, and strangers alone can keep us busy: neither must hide what is not.
  const meant = problem.kind === "maintenance" || problem.cause instanceof Busy;
  const ours = kinds[problem.kind].status >= 500 && !meant;
  return { problem: problem.kind, cause: ours ? (problem.cause ?? problem) : undefined };
}

/** What a problem looks like to the caller. */
export function problemBody(problem: Problem, requestId: string): z.infer<typeof ProblemBody> {
  const { status, title } = kinds[problem.kind];
  return {
    type: `/problems/${problem.kind}`,
    title,
    status,
    ...(problem.detail !== undefined && { detail: problem.detail }),
    instance: `urn:request:${requestId}`,
    ...(problem.errors && { errors: problem.errors }),
  };
}

type ErrorStatus = 400 | 401 | 403 | 404 | 405 | 409 | 412 | 413 | 415 | 422;
/** What may come of any request. */
const always = [429, 500, 503] as const;

/** The error answers of an operation, for the OpenAPI document. */
export function problems<Status extends ErrorStatus>(...statuses: Status[]) {
  const answer = (status: number) => ({
    description: Object.values(kinds)
      .filter((kind) => kind.status === status)
      .map((kind) => kind.title)
      .join("; or: "),
    content: { "application/problem+json": { schema: ProblemBody } },
  });
  return Object.fromEntries([...statuses, ...always].map((status) => [status, answer(status)])) as Record<
    Status | (typeof always)[number],
    ReturnType<typeof answer>
  >;
}
