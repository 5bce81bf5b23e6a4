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

/** How many keys stand in `text`, which is JSON: every string that a colon follows. */
function keysWritten(text: string): number {
  let keys = 0;
  for (let start = text.indexOf('"'); start >= 0; ) {
    let end = start;
    let slashes: number;
    do {
      end = text.indexOf('"', end + 1);
      slashes = 0;
      while (text[end - 1 - slashes] === "\\") slashes++;
    } while (slashes % 2 === 1);
    let next = end + 1;
    while (/[ \t\r\n]/.test(text[next] ?? "")) next++;
    if (text[next] === ":") keys++;
    start = text.indexOf('"', next);
  }
  return keys;
}

/** How many keys the objects in `value` have. Nesting may be deeper than a call stack. */
function keysRead(value: unknown): number {
  let keys = 0;
  const rest = [value];
  while (rest.length > 0) {
    const next = rest.pop();
    if (typeof next !== "object" || next === null || next instanceof InexactNumber) continue;
    const values: unknown[] = Object.values(next);
    if (!Array.isArray(next)) keys += values.length;
    for (const each of values) rest.push(each);
  }
  return keys;
}

/**
 * JSON.parse, but a number that would be rounded becomes an InexactNumber. Throws a SyntaxError for what is not JSON, and
 * for a key that an object has twice (RFC 7493, section 2.3): whoever checked the request before may have read the other.
 */
export function parseExactly(text: string): unknown {
  // The third argument of a reviver is younger than its type.
  const reviver = suspicious.test(text) ? (keepInexact as Parameters<typeof JSON.parse>[1]) : undefined;
  const value: unknown = JSON.parse(text, reviver);
  if (keysWritten(text) !== keysRead(value)) throw new SyntaxError("a key is there twice");
  return value;
}

// RFC 8259, section 8.1: JSON is UTF-8. Anything else would be stored as U+FFFD in silence.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/** Reads the request's JSON exactly, so that no digit of an amount is lost before it is looked at. */
export const exactJson: MiddlewareHandler = async function exactJson(c, next) {
  c.req.json = async <T>() => parseExactly(utf8.decode(await c.req.arrayBuffer())) as T;
  await next();
};
