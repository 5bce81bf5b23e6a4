import { limitDepth, pythonToJson } from "./python.ts";
import { errorAt, LegacyFileError } from "./source.ts";

/** A `'…'` with `''` for a quote and backslashes as they are. `start` is after the opening quote, `end` after the closing. */
export function sqlText(text: string, start: number, within: string): { value: string; end: number } {
  let value = "";
  let from = start;
  for (;;) {
    const quote = text.indexOf("'", from);
    if (quote === -1) throw errorAt(text, text.length, within, "expected the closing ' of a string");
    if (text[quote + 1] !== "'") return { value: value + text.slice(from, quote), end: quote + 1 };
    value += text.slice(from, quote + 1);
    from = quote + 2;
  }
}

const endsValue = /[ \t\n]*[,)]/y;

function isFollowedBySeparator(text: string, end: number): boolean {
  endsValue.lastIndex = end;
  return endsValue.test(text);
}

/**
 * A quoted value of a jsonb column as JSON text. The legacy wrote objects and arrays as Python's repr with the inner
 * quotes undoubled, and strings as plain SQL text without their JSON quotes; real JSON in a SQL string is taken too.
 * `start` is after the opening quote, `end` after the closing. Throws LegacyFileError.
 */
export function jsonbText(text: string, start: number, within: string): { value: string; end: number } {
  const first = text[start];
  if (first !== "{" && first !== "[") {
    const string = sqlText(text, start, within);
    return { value: JSON.stringify(string.value), end: string.end };
  }
  try {
    const python = pythonToJson(text, start, within);
    if (text[python.end] !== "'" || !isFollowedBySeparator(text, python.end + 1)) {
      throw errorAt(text, python.end, within, "expected ' and then , or ) after a Python literal");
    }
    const json = python.unlikePython ? realJson(text, start, within) : undefined;
    return json ?? { value: python.json, end: python.end + 1 };
  } catch (error) {
    if (!(error instanceof LegacyFileError)) throw error;
    const other = realJson(text, start, within) ?? bracketedString(text, start, within);
    if (other === undefined) throw error;
    return other;
  }
}

function properlyEnded(text: string, start: number, within: string) {
  try {
    const string = sqlText(text, start, within);
    return isFollowedBySeparator(text, string.end) ? string : undefined;
  } catch (error) {
    if (error instanceof LegacyFileError) return undefined;
    throw error;
  }
}

function realJson(text: string, start: number, within: string): { value: string; end: number } | undefined {
  const string = properlyEnded(text, start, within);
  if (string === undefined) return undefined;
  try {
    JSON.parse(string.value);
  } catch {
    return undefined;
  }
  let depth = 0;
  for (const [token] of string.value.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]]/gs)) {
    if (token === "{" || token === "[") depth += 1;
    if (token === "}" || token === "]") depth -= 1;
    if (depth > limitDepth) throw errorAt(text, start, within, `nested deeper than ${limitDepth} levels`);
  }
  return string;
}

/** A jsonb string such as `[draft] 2nd floor`. One that also ends in the bracket is more likely a damaged document. */
function bracketedString(text: string, start: number, within: string): { value: string; end: number } | undefined {
  const string = properlyEnded(text, start, within);
  if (string === undefined || string.value.trimEnd().endsWith(text[start] === "{" ? "}" : "]")) return undefined;
  return { value: JSON.stringify(string.value), end: string.end };
}
