import { z } from "@hono/zod-openapi";

declare const shape: unique symbol;
/** JSON text of a `T`, made by Postgres and answered as it is. */
export type Json<T> = string & { readonly [shape]: T };

/**
 * What values look like on the wire: decimals as strings (never a JSON number on the way out, so that no client rounds
 * them), instants in RFC 3339 UTC with microseconds, ids as JSON integers.
 */
const decimal = (digits: number, scale: number, example: string, description: string) =>
  z
    .string()
    .regex(new RegExp(`^-?\\d{1,${digits - scale}}\\.\\d{${scale}}$`))
    .openapi({ example, description });

export const Amount = decimal(15, 2, "301740.00", "INR, two decimals");
export const UnitPrice = decimal(15, 4, "2550.0000", "INR, four decimals");
export const Quantity = decimal(15, 3, "12.500", "Three decimals");
export const Percent = decimal(5, 2, "18.00", "Percent, two decimals");

export const Instant = z
  .string()
  .regex(/^\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  .openapi({ format: "date-time", example: "2026-01-29T01:47:55.145925Z", description: "UTC, microseconds" });
export const Day = z
  .string()
  .regex(/^\d{4,6}-\d\d-\d\d$/)
  .openapi({ format: "date", example: "2026-01-29" });
export const Id = z.int().positive().openapi({ example: 138 });
export const Version = z
  .int()
  .positive()
  .openapi({ example: 1, description: "Counts the row's changes; two equal versions are the same row" });

/** A row of a list, as text from the database: see `text()` for what comes in. */
export const Text = (maxLength: number, example: string) => z.string().max(maxLength).openapi({ example });

// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is the character that is looked for
const unstorable = /\u0000|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/** Text that comes in: bounded, without NUL and lone surrogates, which Postgres cannot store. */
export const text = (maxLength: number, example: string, minLength = 0) =>
  z
    .string()
    .min(minLength)
    .max(maxLength)
    .refine((value) => !unstorable.test(value), "must not contain NUL characters or lone surrogates")
    .openapi({ example });

/** An id in a path. Anything but a positive integer that JSON can carry is an id that does not exist: 404. */
export const pathId = (name: string) =>
  z
    .string()
    .regex(/^[1-9]\d{0,15}$/)
    .transform(Number)
    .refine(Number.isSafeInteger)
    .openapi({ param: { name, in: "path" }, type: "integer", format: "int64", minimum: 1, example: 138 });

/** A filter by id in a query. */
export const queryId = (name: string, description: string) =>
  z
    .string()
    .regex(/^[1-9]\d{0,15}$/, "must be a positive integer")
    .transform(Number)
    .refine(Number.isSafeInteger, "is out of range")
    .optional()
    .openapi({ param: { name, in: "query" }, type: "integer", format: "int64", minimum: 1, example: 2, description });
