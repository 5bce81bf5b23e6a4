/** The largest backup that is read: it is held in memory whole. */
export const limitBytes = 32 * 1024 * 1024;

/** A backup that cannot be read: the message says where (line and column, 1-based) and what was expected. */
export class LegacyFileError extends Error {
  override name = "LegacyFileError";
}

/** Line and column (1-based, in characters) of an offset. Reads from the start: for error messages only. */
export function position(text: string, offset: number): { line: number; column: number } {
  let line = 1;
  let start = 0;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", at + 1)) {
    line += 1;
    start = at + 1;
  }
  return { line, column: [...text.slice(start, offset)].length + 1 };
}

/** An error at an offset; at the end of the text it says that the file was cut off. */
export function errorAt(text: string, offset: number, within: string, problem: string): LegacyFileError {
  const { line, column } = position(text, offset);
  if (offset >= text.length) {
    return new LegacyFileError(
      `the file ends in the middle of ${within} at line ${line}, column ${column}: ${problem}`,
    );
  }
  return new LegacyFileError(`line ${line}, column ${column}, in ${within}: ${problem}`);
}

/**
 * The text of a backup: at most 32 MB of UTF-8, without its byte order mark. A file whose lines end in CRLF was written
 * in Windows' text mode, which put a CR before every LF, those inside values too: it is taken away again.
 * In a file with LF endings a CRLF inside a value is data. Throws LegacyFileError.
 */
export function decode(bytes: Uint8Array): string {
  if (bytes.length > limitBytes) {
    throw new LegacyFileError(`the file has ${bytes.length} bytes: at most ${limitBytes} (32 MB) are read`);
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new LegacyFileError(`not UTF-8: an invalid sequence starts at byte offset ${invalidOffset(bytes)}`);
  }
  const nul = text.indexOf("\0");
  if (nul !== -1) throw errorAt(text, nul, "the file", "a NUL character: this is not a text file in UTF-8");
  const firstBreak = text.indexOf("\n");
  return firstBreak > 0 && text[firstBreak - 1] === "\r" ? text.replaceAll("\r\n", "\n") : text;
}

/** Where the first invalid sequence starts: a search for the longest prefix that decodes. */
function invalidOffset(bytes: Uint8Array): number {
  const decodes = (length: number) => {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, length), {
        stream: true,
      });
    } catch {
      return undefined;
    }
  };
  let good = 0;
  let bad = bytes.length + 1;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (decodes(middle) === undefined) bad = middle;
    else good = middle;
  }
  // A started sequence at the prefix's end is not in the decoded text yet: that is the one which is invalid.
  return new TextEncoder().encode(decodes(good)).length;
}
