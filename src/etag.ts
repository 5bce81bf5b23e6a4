import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Deletion, Stale } from "./db/write.ts";
import { done, json, sendJson } from "./openapi.ts";
import { Problem } from "./problem.ts";
import type { Versioned } from "./wire.ts";

/**
 * Conditional requests (RFC 9110, section 13). A row's entity tag is its version: `"3"`. The edge weakens tags when it
 * compresses, and what was served weak is the same row: `W/"3"` counts as `"3"` in either condition.
 */
const etag = (version: string) => `"${version}"`;

// A tag has no blank and no comma outside of its quotes, so that there is one way only to read a list.
const list = /^(?:\*|(?:W\/)?"[!#-~]*"(?:[ \t]*,[ \t]*(?:W\/)?"[!#-~]*")*)$/;

/** The versions that a list of tags names; undefined for `*`: whichever it is. A tag that was never ours names none. */
const versionsOf = (tags: string): number[] | undefined =>
  tags === "*"
    ? undefined
    : [...tags.matchAll(/"([1-9]\d{0,9})"/g)].map(([, version]) => Number(version)).filter((each) => each < 2 ** 31);

/** The header of a write that may insist on the version that its caller has read. */
export const ifMatch = z.object({
  "If-Match": z
    .string()
    .max(2000)
    .regex(list, 'must be the ETag of an answer, such as "3" with its quotes, several with commas between, or *')
    .transform(versionsOf)
    .optional()
    .openapi({
      type: "string",
      pattern: list.source,
      example: '"3"',
      description: "Write only if the row still has this ETag; without it the fields that are sent are written anyway",
    }),
});

/** The header of a read whose caller keeps what was answered before. */
export const ifNoneMatch = z.object({
  "If-None-Match": z
    .string()
    .max(2000)
    .optional()
    .openapi({ example: '"3"', description: "The ETag of the answer that is kept: 304 while it is still the newest" }),
});

/** An answer with its ETag, for the document. */
export const tagged = <Schema extends z.ZodType>(schema: Schema, description: string) => ({
  ...json(schema, description),
  headers: {
    ETag: { description: "The row's version", required: true, schema: { type: "string" as const, example: '"3"' } },
  },
});

/** Nothing to say: the caller has it. */
export const unmodified = done("It has not changed: If-None-Match names what there is");

/** Answers a read: 304 when its caller has that version already, 404 with `missing` when there is no row. */
export function sendFound<T>(c: Context, row: Versioned<T> | undefined, missing: string) {
  if (row === undefined) throw new Problem("not-found", missing);
  const headers = { ETag: etag(row.version) };
  const known = c.req.header("If-None-Match");
  if (known !== undefined && list.test(known) && (versionsOf(known)?.includes(Number(row.version)) ?? true)) {
    return c.body(null, 304, headers);
  }
  return sendJson(c, row.json, 200, headers);
}

/** Answers an update: the row as it is now, 412 when it was not the version that If-Match named. */
export function sendChanged<T>(c: Context, row: Versioned<T> | Stale | undefined, missing: string) {
  if (row === undefined) throw new Problem("not-found", missing);
  if ("stale" in row) throw stale(row);
  return sendJson(c, row.json, 200, { ETag: etag(row.version) });
}

/** Answers a creation, with where the row is. */
export const sendCreated = <T>(c: Context, row: Versioned<T>, location: string) =>
  sendJson(c, row.json, 201, { Location: location, ETag: etag(row.version) });

/** Answers a deletion: 204, 404 for what is not there, 412 for another version, 409 for what is in use. */
export function sendDeletion(c: Context, what: string, deletion: Deletion, missing = `There is no ${what}.`) {
  if (deletion === "deleted") return c.body(null, 204);
  if (deletion === "missing") throw new Problem("not-found", missing);
  if ("stale" in deletion) throw stale(deletion);
  const users = Object.entries(deletion.inUse).map(([table, count]) => `${table} (${count})`);
  throw new Problem("conflict", `The ${what} cannot be deleted: it is in use by ${users.join(", ")}.`);
}

const stale = ({ stale: version }: Stale) =>
  new Problem("precondition-failed", `It is at version ${version} now: read it again, then decide.`, {
    headers: { ETag: etag(version) },
  });
