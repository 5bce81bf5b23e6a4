import type { MiddlewareHandler } from "hono";

/** A JSON number that a double cannot hold as it was written; decimals read `source`, everything else refuses it. */
export class InexactNumber {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
}

/** No column takes as many, and what follows takes quadratic time on a megabyte of them. */
const mostCharacters = 50;

/** Whether a double prints as what was written, but for zeros that mean nothing. */
function isExact(value: number, source: string): boolean {
  if (source.length > mostCharacters) return false;
  const [mantissa = "", exponent] = source.split(/e/i);
  if (exponent !== undefined) {
    // A double has 15 digits to give, and becomes zero below its range.
    const fits = mantissa.replace(/\D/g, "").length <= 15 && (value !== 0 || !/[1-9]/.test(mantissa));
    return fits && Number.isSafeInteger(value);
  }
  const digits = source.includes(".") ? source.replace(/\.?0+$/, "") : source;
  return String(value) === digits || (value === 0 && /^-?0$/.test(digits));
}

// Shorter numbers without an exponent always survive.
const suspicious = /[\d.]{16}|\de/i;

type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown;
const keepInexact: Reviver = (_key, value, { source }) =>
  typeof value === "number" && source !== undefined && !isExact(value, source) ? new InexactNumber(source) : value;

/** JSON.parse, but a number that would be rounded becomes an InexactNumber. Throws a SyntaxError for what is not JSON. */
export const parseExactly = (text: string): unknown =>
  // The third argument of a reviver is younger than its type.
  suspicious.test(text) ? JSON.parse(text, keepInexact as Parameters<typeof JSON.parse>[1]) : JSON.parse(text);

// RFC 8259, section 8.1: JSON is UTF-8. Anything else would be stored as U+FFFD in silence.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/** Reads the request's JSON exactly, so that no digit of an amount is lost before it is looked at. */
export const exactJson: MiddlewareHandler = async function exactJson(c, next) {
  c.req.json = async <T>() => parseExactly(utf8.decode(await c.req.arrayBuffer())) as T;
  await next();
};
