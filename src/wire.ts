import { z } from "@hono/zod-openapi";
import { InexactNumber } from "./exact-json.ts";

declare const shape: unique symbol;
/** JSON text of a `T`, made by Postgres and answered as it is. */
export type Json<T> = string & { readonly [shape]: T };
/** A row with the version that it is. */
export interface Versioned<T> {
  json: Json<T>;
  version: string;
}

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
    .openapi({
      param: { name, in: "path" },
      type: "integer",
      format: "int64",
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      example: 138,
    });

/** The same for ids that are UUIDs. */
export const pathUuid = (name: string) =>
  z
    .string()
    .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/)
    .openapi({ param: { name, in: "path" }, format: "uuid", example: "5e0f3a9c-63f4-4d0e-a8c9-0d6f7a1f2b3c" });

/** A filter by id in a query. */
export const queryId = (name: string, description: string) =>
  z
    .string()
    .regex(/^[1-9]\d{0,15}$/, "must be a positive integer")
    .transform(Number)
    .refine(Number.isSafeInteger, "is out of range")
    .optional()
    .openapi({
      param: { name, in: "query" },
      type: "integer",
      format: "int64",
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      example: 2,
      description,
    });

/** A query parameter that names several of `values`, with commas between. */
export const severalOf = <const Value extends string>(
  values: readonly Value[],
  example: NoInfer<Value>[],
  description: string,
) =>
  z
    .string()
    .max(100)
    .transform((value) => value.split(","))
    .pipe(z.array(z.enum(values)).max(values.length))
    .default([])
    .openapi({
      type: "array",
      items: { type: "string", enum: [...values] },
      maxItems: values.length,
      param: { style: "form", explode: false },
      example,
      description,
    });

const notDecimal = 'must be a decimal number such as "1234.50", without an exponent';

/**
 * A decimal that comes in, as a string or a JSON number, exactly: more digits than the column has are refused, never
 * rounded. Comes out as text for Postgres.
 */
export const decimalInput = (
  digits: number,
  scale: number,
  example: string,
  sign: "any" | "not negative" | "positive" = "any",
) =>
  z
    .union([z.string().max(50), z.number(), z.instanceof(InexactNumber)], notDecimal)
    .transform((value, context) => {
      const text = value instanceof InexactNumber ? value.source : String(value);
      const [, minus, whole = "", fraction = ""] = /^(-?)0*(\d+)(?:\.(\d+))?$/.exec(text) ?? [];
      const fault =
        whole === ""
          ? notDecimal
          : whole.length > digits - scale || fraction.length > scale
            ? `must have at most ${digits - scale} digits before the point and ${scale} after it`
            : sign !== "any" && minus
              ? "must not be negative"
              : sign === "positive" && !/[1-9]/.test(text)
                ? "must be greater than zero"
                : undefined;
      if (fault) {
        context.addIssue({ code: "custom", message: fault });
        return z.NEVER;
      }
      return text;
    })
    .openapi({
      type: ["string", "number"],
      pattern: `^${sign === "any" ? "-?" : ""}0*\\d{1,${digits - scale}}(\\.\\d{1,${scale}})?$`,
      ...(sign === "not negative" && { minimum: 0 }),
      ...(sign === "positive" && { exclusiveMinimum: 0 }),
      example,
    });

/** The same or null. Its type in the document is written by hand, and would not say so by itself. */
export const orNull = <Schema extends z.ZodType>(schema: Schema, ...types: ("string" | "number")[]) =>
  schema.nullable().openapi({ type: [...types, "null"] });
export const decimalOrNull = <Schema extends z.ZodType>(schema: Schema) => orNull(schema, "string", "number");

export const amountInput = (example: string, sign?: "not negative") => decimalInput(15, 2, example, sign);
export const unitPriceInput = (example: string) => decimalInput(15, 4, example, "not negative");
export const quantityInput = (example: string) => decimalInput(15, 3, example, "positive");
export const percentInput = decimalInput(5, 2, "18.00", "not negative")
  .refine(
    // Compared as text: no float near an amount, and the digits are bounded already.
    (percent) => /^0*(\d{1,2}(\.\d+)?|100(\.0+)?)$/.test(percent),
    "must be from 0 to 100",
  )
  .openapi({ pattern: "^0*(\\d{1,2}(\\.\\d{1,2})?|100(\\.0{1,2})?)$", maximum: 100 });

/** A reference to another row in a body. */
export const idInput = (example: number) => z.int().positive().openapi({ maximum: Number.MAX_SAFE_INTEGER, example });

/** A day of the calendar that exists, from 1900 on. */
export const dayInput = z
  .string()
  .regex(/^(19|[2-9]\d)\d\d-\d\d-\d\d$/, { error: "must be a date such as 2026-01-29, from 1900 on", abort: true })
  .refine((day) => {
    const date = new Date(`${day}T00:00:00Z`);
    return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day);
  }, "does not exist in the calendar")
  .openapi({ format: "date", example: "2026-01-29" });

const clock = /^([01]\d|2[0-3])(:[0-5]\d){2}(\.\d{1,6})?(Z|[+-](0\d|1[0-4]):[0-5]\d)$/;

/** A moment that comes in a query, to the microsecond at most. */
export const instantInput = (name: string, description: string) =>
  z
    .string()
    .max(40)
    .refine((value) => {
      const [day = "", time = ""] = [value.slice(0, 10), value.slice(11)];
      return value[10] === "T" && dayInput.safeParse(day).success && clock.test(time);
    }, "must be an instant such as 2026-01-29T01:47:55Z (a + is sent as %2B)")
    .optional()
    .openapi({ param: { name, in: "query" }, format: "date-time", example: "2026-01-29T01:47:55Z", description });

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const control = /[\u0001-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;

/**
 * Longer text. Of the control characters it may have tab and line breaks: the others take six bytes in JSON, and a page of
 * 200 rows must fit into the 10 MB of an answer of the database.
 */
export const prose = (maxLength: number, example: string) =>
  text(maxLength, example)
    .refine((value) => !control.test(value), "must not contain control characters")
    .openapi({ example });

// Nobody sees them: two names could look like one. Indian scripts write with the joiners (U+200C, U+200D), so these stay.
const invisible = /(?![\u200c\u200d])[\p{Cf}\p{DI}]|\u2800/u;

/**
 * Text that must say something, seen: blanks at its ends go, and something must be left. Of the control characters it may
 * have tab and line breaks.
 */
export const name = (maxLength: number, example: string) =>
  text(maxLength, example)
    .refine((value) => !control.test(value), "must not contain control characters")
    .refine((value) => !invisible.test(value), "must not contain invisible characters")
    .transform((value) => value.trim())
    .pipe(z.string().min(1, "must not be empty"))
    .openapi({ type: "string", minLength: 1, maxLength, example });

/** 15 characters: state code, PAN, entity, a letter or digit, check character. The format alone is checked. */
export const gstinInput = z
  .string()
  .regex(/^[0-9]{2}[A-Z]{5}[0-9]{4}[A-Z][0-9A-Z]{3}$/, "must be a GSTIN of 15 characters such as 27ABCDE1234F1Z5")
  .openapi({ example: "27ABCDE1234F1Z5" });
