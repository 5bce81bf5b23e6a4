import { errorAt } from "./source.ts";

/** Deeper nesting than any document of the legacy; PostgreSQL and JSON readers recurse, so depth must be bounded. */
export const limitDepth = 500;

const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9A-Za-z_.])/y;
const word = /[+-]?[A-Za-z_][A-Za-z_0-9]*/y;
const blank = /[ \t\r\n]*/y;
const hex = /^[0-9A-Fa-f]+$/;
const octal = /[0-7]{1,3}/y;
const plainIn = { "'": /[^'\\\n]*/y, '"': /[^"\\\n]*/y };
const wanted = {
  value: "a Python value",
  "first value": "a Python value or ]",
  key: "a string as key",
  "first key": "a string as key or }",
  colon: ":",
  comma: ", or a closing bracket",
};
const keywords = new Map([
  ["True", "true"],
  ["False", "false"],
  ["None", "null"],
]);
const escapes = new Map(
  Object.entries({
    "\\": "\\",
    "'": "'",
    '"': '"',
    n: "\n",
    r: "\r",
    t: "\t",
    a: "\x07",
    b: "\b",
    f: "\f",
    v: "\v",
  }),
);
const hexDigits = new Map([
  ["x", 2],
  ["u", 4],
  ["U", 8],
]);

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/**
 * Turns the Python repr of a dict or list that starts at `start` into JSON text; `end` is the offset after its last
 * bracket. Numbers keep their digits. `unlikePython`: it holds a string that repr would have quoted otherwise.
 * inf and nan have no JSON and throw, as does everything that json.loads never makes (tuples, sets, bytes).
 */
export function pythonToJson(
  text: string,
  start: number,
  within: string,
): { json: string; end: number; unlikePython: boolean } {
  const json: string[] = [];
  const open: ("{" | "[")[] = [];
  let unlikePython = false;
  let at = start;
  let expected: keyof typeof wanted = "value";

  const fail = (problem: string, offset = at): never => {
    throw errorAt(text, offset, within, problem);
  };

  for (;;) {
    at += match(blank, text, at)?.length ?? 0;
    const character = text[at];
    const wantsValue = expected === "value" || expected === "first value";
    const wantsKey = expected === "key" || expected === "first key";
    if (character === undefined) {
      fail(`expected ${wanted[expected]}`);
    } else if (wantsValue && (character === "{" || character === "[")) {
      if (open.length === limitDepth) fail(`nested deeper than ${limitDepth} levels`);
      open.push(character);
      json.push(character);
      expected = character === "{" ? "first key" : "first value";
      at += 1;
    } else if (
      (character === "}" && open.at(-1) === "{" && (expected === "first key" || expected === "comma")) ||
      (character === "]" && open.at(-1) === "[" && (expected === "first value" || expected === "comma"))
    ) {
      open.pop();
      json.push(character);
      at += 1;
      if (open.length === 0) return { json: json.join(""), end: at, unlikePython };
      expected = "comma";
    } else if (expected === "comma" && character === ",") {
      json.push(",");
      expected = open.at(-1) === "{" ? "key" : "value";
      at += 1;
    } else if (expected === "colon" && character === ":") {
      json.push(":");
      expected = "value";
      at += 1;
    } else if ((wantsValue || wantsKey) && (character === "'" || character === '"')) {
      const string = pythonString(text, at, within);
      // repr uses double quotes for a string that has a single one and no double one.
      if (character === '"' && !string.value.includes("'")) unlikePython = true;
      json.push(JSON.stringify(string.value));
      at = string.end;
      if (wantsKey) expected = "colon";
      else expected = "comma";
    } else if (wantsValue) {
      const digits = match(number, text, at);
      const name = digits === undefined ? match(word, text, at) : undefined;
      const value = digits ?? keywords.get(name ?? "");
      if (value === undefined) {
        if (/^[+-]?(?:inf|nan)/i.test(name ?? "")) fail(`${name} is no JSON value: jsonb cannot hold it`);
        fail(`expected ${wanted[expected]}, found ${JSON.stringify(name ?? character)}`);
      } else {
        json.push(value);
        at += (digits ?? name ?? "").length;
        expected = "comma";
      }
    } else {
      fail(`expected ${wanted[expected]}, found ${JSON.stringify(character)}`);
    }
  }
}

/** A Python string literal with its escapes undone; `start` is its opening quote, `end` the offset after the closing. */
function pythonString(text: string, start: number, within: string): { value: string; end: number } {
  const quote = text[start] === "'" ? "'" : '"';
  const parts: string[] = [];
  let at = start + 1;
  for (;;) {
    const plain = match(plainIn[quote], text, at) ?? "";
    parts.push(plain);
    at += plain.length;
    if (text[at] === quote) break;
    if (text[at] !== "\\") throw errorAt(text, at, within, `expected the closing ${quote} of a Python string`);
    const escaped = pythonEscape(text, at, within);
    parts.push(escaped.value);
    at = escaped.end;
  }
  const value = parts.join("");
  if (value.includes("\0") || !value.isWellFormed()) {
    throw errorAt(text, start, within, "a string with a NUL or half a surrogate pair: jsonb cannot hold it");
  }
  return { value, end: at + 1 };
}

function pythonEscape(text: string, at: number, within: string): { value: string; end: number } {
  const letter = text[at + 1] ?? "";
  const simple = escapes.get(letter);
  if (simple !== undefined) return { value: simple, end: at + 2 };
  const octalDigits = match(octal, text, at + 1);
  if (octalDigits !== undefined) {
    return { value: String.fromCodePoint(Number.parseInt(octalDigits, 8)), end: at + 1 + octalDigits.length };
  }
  const length = hexDigits.get(letter);
  const end = at + 2 + (length ?? 0);
  if (end > text.length || letter === "") throw errorAt(text, text.length, within, "expected the rest of an escape");
  const digits = text.slice(at + 2, end);
  const code = Number.parseInt(digits, 16);
  if (length === undefined || !hex.test(digits) || code > 0x10ffff) {
    throw errorAt(text, at, within, `${JSON.stringify(text.slice(at, end))} is no escape that Python's repr writes`);
  }
  return { value: String.fromCodePoint(code), end };
}
