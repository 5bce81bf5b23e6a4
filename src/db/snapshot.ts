import { Client, type Connection } from "@neondatabase/serverless";
import { asText, isLoopback, type Row, useLocalEndpoint } from "./client.ts";

/**
 * How values are printed and names are qualified in a snapshot. Whoever compares a restored table's COPY text with a
 * manifest's checksum must have the same settings.
 */
export const snapshotSettings = `
  SET LOCAL search_path = '';
  SET LOCAL client_encoding = 'UTF8';
  SET LOCAL timezone = 'UTC';
  SET LOCAL datestyle = 'ISO, MDY';
  SET LOCAL intervalstyle = 'postgres';
  SET LOCAL extra_float_digits = 1;
  SET LOCAL bytea_output = 'hex';
  SET LOCAL xmloption = content;
  SET LOCAL quote_all_identifiers = off;
`;

/** COPY text of one page. Its memory is used again for a later page, so that an isolate's does not grow. */
export class CopyPage {
  /** That the COPY sent. */
  rows = 0;
  /** How many rows fit, when they did not all fit: then the rest is dropped, and the page is of no use. */
  fitting: number | undefined;
  private memory: Uint8Array;
  private length = 0;
  private readonly mostBytes: number;

  /** Grows to `mostBytes`; one row alone may be larger. */
  constructor(expectedBytes: number, mostBytes: number) {
    this.memory = new Uint8Array(expectedBytes);
    this.mostBytes = mostBytes;
  }

  get bytes(): Uint8Array {
    return this.memory.subarray(0, this.length);
  }

  clear(): void {
    this.rows = 0;
    this.fitting = undefined;
    this.length = 0;
  }

  /** A part of the row that `rows` counted last. */
  append(chunk: Uint8Array): void {
    if (this.fitting !== undefined) return;
    const needed = this.length + chunk.length;
    if (needed > this.mostBytes && this.rows > 1) {
      this.fitting = this.rows - 1;
      return;
    }
    if (needed > this.memory.length) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.memory.length));
      larger.set(this.bytes);
      this.memory = larger;
    }
    this.memory.set(chunk, this.length);
    this.length = needed;
  }
}

/** One read-only snapshot of a database, over one connection. */
export interface Snapshot {
  rows(text: string): Promise<Row[]>;
  /** Runs a `COPY … TO STDOUT` into `page`, whose former content goes. The driver knows no back-pressure: what does not fit is dropped. */
  copy(text: string, page: CopyPage): Promise<void>;
  end(): Promise<void>;
}

/** A lost connection may never say so; no page of a few megabytes takes this long. */
const patienceMilliseconds = 120_000;

/** Opens a snapshot of the database at `url`, which must be the direct host: the pooler keeps no session. */
export async function openSnapshot(url: string): Promise<Snapshot> {
  if (isLoopback(url)) useLocalEndpoint();
  const client = new Client(url);
  let lost: Error | undefined;
  // Without a listener a connection that breaks between two queries would end the isolate.
  client.on("error", (error: Error) => {
    lost = error;
  });
  const end = async () => {
    // A farewell on a connection that is gone would be an uncaught exception inside the driver.
    if (lost) client.connection.stream.destroy();
    else await within(client.end(), 5000).catch(() => {});
  };
  const run = async <T>(work: () => Promise<T>): Promise<T> => {
    if (lost) throw lost;
    return within(work(), patienceMilliseconds);
  };
  try {
    await run(() => client.connect());
    await run(() =>
      client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${snapshotSettings}
        SET LOCAL row_security = off;
        SET LOCAL statement_timeout = 0;
        SET LOCAL lock_timeout = '30s';
        SET LOCAL idle_in_transaction_session_timeout = '5min';`),
    );
  } catch (error) {
    client.connection.stream.destroy();
    throw error;
  }
  const rows = takeRows(client.connection.stream);
  return {
    rows: async (text) => (await run(() => client.query<Row>({ text, types: asText }))).rows,
    async copy(text, page) {
      page.clear();
      rows.page = page;
      await run(() => new Promise<void>((done, failed) => client.query(new CopyOut(text, done, failed))));
    },
    end,
  };
}

/** A COPY TO STDOUT as pg's client runs queries; the driver brings none of its own. `takeRows` has its rows. */
class CopyOut {
  private readonly text: string;
  private readonly done: () => void;
  private readonly failed: (error: Error) => void;

  constructor(text: string, done: () => void, failed: (error: Error) => void) {
    this.text = text;
    this.done = done;
    this.failed = failed;
  }

  submit(connection: Connection) {
    connection.query(this.text);
  }

  handleCommandComplete() {}

  handleReadyForQuery() {
    this.done();
  }

  handleError(error: Error) {
    this.failed(error);
  }
}

const headerBytes = 5;
const copyData = 0x64;

/**
 * Takes the rows of a COPY off the wire before the driver's parser, which makes three objects of each and would cost a
 * quarter of a backup's time. A message is a type byte, its length with these four bytes, and so much content; every other
 * one goes on to the parser, whole. Rows go to `page`.
 */
function takeRows(stream: Connection["stream"]): { page: CopyPage | undefined } {
  const taker: { page: CopyPage | undefined } = { page: undefined };
  const parsers = stream.listeners("data") as ((bytes: Uint8Array) => void)[];
  stream.removeAllListeners("data");
  const header = new Uint8Array(headerBytes);
  let headerLength = 0;
  /** Content of the present message that is still to come. */
  let left = 0;
  let other: Uint8Array | undefined;
  stream.on("data", (chunk: Uint8Array) => {
    // Plain bytes: a Buffer's own methods are slower.
    const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
    for (let at = 0; at < bytes.length; ) {
      if (headerLength < headerBytes) {
        header[headerLength++] = bytes[at++] ?? 0;
        if (headerLength < headerBytes) continue;
        const [type, a = 0, b = 0, c = 0, d = 0] = header;
        left = ((a << 24) | (b << 16) | (c << 8) | d) - 4;
        if (type === copyData && taker.page) {
          taker.page.rows += 1;
        } else {
          other = new Uint8Array(headerBytes + left);
          other.set(header);
        }
      }
      const content = bytes.subarray(at, at + left);
      if (other) other.set(content, other.length - left);
      else taker.page?.append(content);
      at += content.length;
      left -= content.length;
      if (left > 0) continue;
      headerLength = 0;
      if (!other) continue;
      // The parser wants the kind of Buffer that the driver uses.
      const message = (chunk.constructor as Uint8ArrayConstructor).from(other);
      other = undefined;
      for (const parse of parsers) parse(message);
    }
  });
  return taker;
}

async function within<T>(work: Promise<T>, milliseconds: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`the database gave no answer in ${milliseconds} ms`)), milliseconds);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
