/** The file is not what a restore can use; says where and why. */
export class ScriptError extends Error {}

/** One piece of a backup's SQL text, in the order of the file. The data of a COPY are read before the next piece is. */
export type Piece =
  | { kind: "statement"; text: string; line: number }
  /** `table` without its schema and quotes; `rows` counts what has been read of `data`. */
  | { kind: "copy"; text: string; line: number; table: string; rows: number; data: AsyncIterable<Buffer> };

export const firstLine = "-- nexgen backup";
export const lastLine = "-- nexgen backup complete";
const terminator = Buffer.from("\n\\.\n");
const newline = 0x0a;
const limitBytes = 16 * 1024 * 1024;
const copyCommand = /^COPY (?:(?:"(?:[^"]|"")*"|[\w$]+)\.)?("(?:[^"]|"")*"|[\w$]+) .*FROM stdin;$/s;
const transaction = ["BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE"];

/**
 * Splits the SQL text of a backup into statements and COPY blocks, with a bounded piece of it in memory. Throws
 * ScriptError for a text that does not begin as a backup does, that ends in the middle of something, or that has what
 * no backup has: psql's own commands, or the control of a transaction that is the caller's.
 */
export async function* pieces(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Piece> {
  const source = new Source(bytes);
  const first = await source.line();
  if (first?.trim() !== firstLine)
    throw new ScriptError(`it does not begin with "${firstLine}": it is not a backup that this API has made`);
  for (;;) {
    const statement = await nextStatement(source);
    if (!statement) {
      if (source.last !== `${lastLine}\n`)
        throw new ScriptError(`it ends after line ${source.lines} without "${lastLine}": the rest is missing`);
      return;
    }
    const { text, line, verb } = statement;
    if (transaction.includes(verb)) throw new ScriptError(`line ${line} has "${text}": a restore is one transaction`);
    const name = copyCommand.exec(text)?.[1];
    if (name === undefined) {
      yield { kind: "statement", text, line };
      continue;
    }
    const table = name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
    const piece = { kind: "copy" as const, text, line, table, rows: 0 };
    const data = source.copyData(table, (rows) => {
      piece.rows += rows;
    });
    yield Object.assign(piece, { data });
  }
}

/** The next thing in SQL text that decides where a statement ends; names and numbers are taken whole. */
const token =
  /--.*|\/\*|[eE]'|'|"|\$(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$|[\w\x80-\uffff][\w$\x80-\uffff]*|[;()]/g;

const insideString = /'/g;
const insideName = /"/g;
const insideEscapes = /\\[\s\S]|''|'/g;
const insideComment = /\/\*|\*\//g;

async function nextStatement(source: Source): Promise<{ text: string; line: number; verb: string } | undefined> {
  const parts: string[] = [];
  let size = 0;
  let line = 0;
  let closing: RegExp | undefined; // Ends the string, quoted name or comment that the position is in.
  let comments = 0;
  let parentheses = 0;
  let words: string[] = []; // The first few: whether an SQL-standard function body may follow.
  let bodies = 0;
  for (;;) {
    const text = await source.line();
    if (text === undefined) {
      if (parts.length > 0) throw new ScriptError(`it ends in the middle of a statement, which begins in line ${line}`);
      return undefined;
    }
    if (parts.length === 0 && /^\s*(?:--.*\s*)?$/.test(text)) continue;
    if (parts.length === 0) {
      line = source.lines;
      if (text.startsWith("\\")) throw new ScriptError(`line ${line} has a command of psql's, which no backup has`);
    }
    parts.push(text);
    size += text.length;
    if (size > limitBytes) throw new ScriptError(`the statement in line ${line} does not end within 16 MiB`);
    for (let position = 0; position < text.length; ) {
      const search: RegExp = closing ?? token;
      search.lastIndex = position;
      const found = search.exec(text);
      if (!found) break;
      position = search.lastIndex;
      const [match] = found;
      if (closing === insideComment) {
        comments += match === "/*" ? 1 : -1;
        if (comments === 0) closing = undefined;
      } else if (closing) {
        // In E'…' a doubled quote or an escaped character goes on; everywhere else doubling closes and opens again.
        if (closing !== insideEscapes || match === "'") closing = undefined;
      } else if (match === "/*") {
        closing = insideComment;
        comments = 1;
      } else if (match.startsWith("--")) {
      } else if (match === "'") closing = insideString;
      else if (match === '"') closing = insideName;
      else if (match.startsWith("$")) closing = new RegExp(match.replaceAll("$", "\\$"), "g");
      else if (match.endsWith("'")) closing = insideEscapes;
      else if (match === "(") parentheses++;
      else if (match === ")") parentheses--;
      else if (match === ";") {
        if (parentheses > 0 || bodies > 0) continue;
        if (text.slice(position).trim() !== "")
          throw new ScriptError(`line ${source.lines} goes on after the end of a statement`);
        // Whatever comments stand before it.
        return { text: parts.join("").trim(), line, verb: words[0] ?? "" };
      } else {
        // BEGIN ATOMIC … END, in which semicolons end statements of the body.
        const word = match.toUpperCase();
        if (words.length < 4) words = [...words, word];
        const [create, or, replace] = words;
        const kind = or === "OR" && replace === "REPLACE" ? words[3] : or;
        if (create === "CREATE" && (kind === "FUNCTION" || kind === "PROCEDURE")) {
          if (word === "BEGIN" || (word === "CASE" && bodies > 0)) bodies++;
          else if (word === "END" && bodies > 0) bodies--;
        }
      }
    }
  }
}

/** Bytes as they are asked for: lines of SQL, then the data of a COPY. */
class Source {
  /** How many lines have been read, data included. */
  lines = 0;
  /** The last line of SQL that was read. */
  last = "";
  private readonly chunks: AsyncIterator<Uint8Array>;
  private pending: Buffer = Buffer.alloc(0);

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.chunks = bytes[Symbol.asyncIterator]();
  }

  /** The next line with its end; undefined at the end of the file. */
  async line(): Promise<string | undefined> {
    for (let searched = 0; ; ) {
      const end = this.pending.indexOf(newline, searched);
      if (end !== -1) return this.take(end + 1);
      searched = this.pending.length;
      if (searched > limitBytes) throw new ScriptError(`line ${this.lines + 1} has more than 16 MiB`);
      if (!(await this.more())) return searched === 0 ? undefined : this.take(searched);
    }
  }

  /** The lines of a COPY block up to its end mark, in pieces of any size. */
  async *copyData(table: string, onRows: (rows: number) => void): AsyncGenerator<Buffer> {
    // The end mark is a line of its own: it is looked for together with the line end before it, at first the command's.
    let skip = 1;
    this.pending = Buffer.concat([terminator.subarray(0, 1), this.pending]);
    for (;;) {
      const end = this.pending.indexOf(terminator);
      // What may be the beginning of the mark waits for the rest.
      const cut = end === -1 ? this.pending.length - markStart(this.pending) : end + 1;
      const data = this.pending.subarray(skip, Math.max(cut, skip));
      if (cut > 0) {
        this.pending = this.pending.subarray(end === -1 ? cut : end + terminator.length);
        skip = 0;
      }
      const rows = newlines(data);
      this.lines += rows;
      onRows(rows);
      if (data.length > 0) yield data;
      if (end !== -1) {
        this.lines += 1;
        return;
      }
      if (!(await this.more())) throw new ScriptError(`it ends in the middle of the data of ${table}`);
    }
  }

  private take(length: number): string {
    const text = this.pending.toString("utf8", 0, length);
    this.pending = this.pending.subarray(length);
    this.lines += 1;
    this.last = text;
    return text;
  }

  private async more(): Promise<boolean> {
    const { value, done } = await this.chunks.next();
    if (done) return false;
    const chunk = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    this.pending = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk]);
    return true;
  }
}

/** The length of the longest end of `data` that the end mark begins with. */
function markStart(data: Buffer): number {
  for (let length = Math.min(terminator.length - 1, data.length); length > 0; length--)
    if (data.subarray(data.length - length).equals(terminator.subarray(0, length))) return length;
  return 0;
}

function newlines(data: Buffer): number {
  let count = 0;
  for (let at = data.indexOf(newline); at !== -1; at = data.indexOf(newline, at + 1)) count++;
  return count;
}
