import { connect, type Socket } from "node:net";
import type { Subjects } from "./data.ts";
import { type Ask, type Operation, operations, type Visitor } from "./operations.ts";

/** What a load is asked to do. */
export interface Load {
  port: number;
  /** How it is asked: as this API or, in short paths, as the floor and the peer. */
  kind: "api" | "bare";
  operation: string;
  subjects: Subjects;
  accessToken: string;
  seconds: number;
  /** Another number than the operation's own. */
  connections?: number;
  /** Which of the subjects' sessions it uses; a session's refresh token is one server's at a time. */
  sessionsFrom: number;
  seed: number;
  /** Go on after an answer that is no success: it may be meant. */
  tolerant?: boolean;
}

export interface LoadResult {
  requests: number;
  seconds: number;
  p50: number;
  p99: number;
  /** Of the answers, with their headers. */
  bytes: number;
  /** How many answers had each status; 0: no answer. */
  statuses: Record<string, number>;
  /** The first answer that was no success. */
  firstFault?: string;
  /** 503 answers without Retry-After. */
  unexplained: number;
}

// xorshift: the same requests in every round, from the same seed.
function randomFrom(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

const visitors = new Map<string, Visitor>();
/** A session's refresh token goes on from load to load. */
function visitorOf(subjects: Subjects, session: number): Visitor {
  const refreshToken = subjects.refreshTokens[session % subjects.refreshTokens.length] ?? "";
  const known = visitors.get(refreshToken);
  if (known) return known;
  const made = { refreshToken };
  visitors.set(refreshToken, made);
  return made;
}

function requestText({ method, path, id, body }: Ask, load: Load): string {
  const place = load.kind === "api" ? path : `/${load.operation}/${id ?? 0}`;
  const content =
    body === undefined ? "" : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
  return `${method} ${place} HTTP/1.1\r\nHost: 127.0.0.1:${load.port}\r\nAuthorization: Bearer ${load.accessToken}\r\n${content}\r\n${body ?? ""}`;
}

/** Answers of one connection, which asks again when it has one. */
class Line {
  private readonly socket: Socket;
  private chunks: Buffer[] = [];
  private length = 0;
  private expected = -1;
  private head = "";
  private settle: { done(answer: Answer): void; failed(error: Error): void } | undefined;

  constructor(port: number) {
    this.socket = connect({ host: "127.0.0.1", port, noDelay: true });
    this.socket.on("data", (chunk) => this.take(chunk));
    const end = (error?: Error) => {
      const waiting = this.settle;
      this.settle = undefined;
      waiting?.failed(error ?? new Error("the connection was closed"));
    };
    this.socket.on("error", end);
    this.socket.on("close", () => end());
  }

  ask(text: string): Promise<Answer> {
    return new Promise((done, failed) => {
      this.settle = { done, failed };
      this.socket.write(text);
    });
  }

  close() {
    this.socket.destroy();
  }

  private take(chunk: Buffer) {
    this.chunks.push(chunk);
    this.length += chunk.length;
    if (this.expected < 0) {
      const all = this.chunks.length === 1 ? chunk : Buffer.concat(this.chunks);
      this.chunks = [all];
      const end = all.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.head = all.toString("latin1", 0, end);
      const length = /\r\ncontent-length: (\d+)/i.exec(this.head)?.[1];
      // What has no length ends with an empty chunk.
      this.expected = length === undefined ? Number.POSITIVE_INFINITY : end + 4 + Number(length);
    }
    if (this.expected === Number.POSITIVE_INFINITY) {
      const tail = Buffer.concat(this.chunks);
      this.chunks = [tail];
      if (
        !tail.toString("latin1", Math.max(0, tail.length - 7)).endsWith("\r\n0\r\n\r\n") &&
        !/^HTTP\/1.1 (204|304)/.test(this.head)
      )
        return;
    } else if (this.length < this.expected) return;
    const bytes = this.length;
    const head = this.head;
    const all = this.chunks;
    const waiting = this.settle;
    this.chunks = [];
    this.length = 0;
    this.expected = -1;
    this.settle = undefined;
    waiting?.done({
      status: Number(head.slice(9, 12)),
      bytes,
      head,
      body: () =>
        Buffer.concat(all)
          .toString("utf8")
          .slice(head.length + 4),
    });
  }
}

interface Answer {
  status: number;
  bytes: number;
  head: string;
  body(): string;
}

/** Asks without a pause on every connection until the time is over. */
export async function run(load: Load): Promise<LoadResult> {
  const operation = operations.find(({ name }) => name === load.operation.split(",")[0]) as Operation;
  const times: number[] = [];
  const statuses: Record<string, number> = {};
  const result = { bytes: 0, unexplained: 0, firstFault: undefined as string | undefined };
  const started = performance.now();
  const until = started + load.seconds * 1000;
  let ended = started;

  async function connection(index: number) {
    const random = randomFrom(load.seed * 1000 + index * 7919 + 17);
    const visitor = visitorOf(load.subjects, load.sessionsFrom + index);
    let line: Line | undefined;
    while (performance.now() < until) {
      line ??= new Line(load.port);
      const text = requestText(operation.ask(load.subjects, random, visitor), load);
      const asked = performance.now();
      try {
        const answer = await line.ask(text);
        ended = performance.now();
        statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
        result.bytes += answer.bytes;
        if (answer.status >= 300) {
          result.firstFault ??= `${answer.status} ${answer.body().slice(0, 500)}`;
          if (answer.status === 503 && !/\r\nretry-after:/i.test(answer.head)) result.unexplained += 1;
          if (!load.tolerant) break;
          continue;
        }
        times.push(ended - asked);
        operation.answered?.(visitor, answer.body());
      } catch (error) {
        statuses[0] = (statuses[0] ?? 0) + 1;
        result.firstFault ??= String(error);
        line.close();
        line = undefined;
        if (!load.tolerant) break;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    line?.close();
  }

  await Promise.all(Array.from({ length: load.connections ?? operation.connections }, (_, index) => connection(index)));
  times.sort((a, b) => a - b);
  const at = (part: number) => times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? Number.NaN;
  return {
    requests: times.length,
    seconds: (ended - started) / 1000,
    p50: at(0.5),
    p99: at(0.99),
    bytes: result.bytes,
    statuses,
    unexplained: result.unexplained,
    ...(result.firstFault === undefined ? {} : { firstFault: result.firstFault }),
  };
}

if (import.meta.main) {
  process.on("message", (load: Load) => void run(load).then((result) => process.send?.(result)));
  process.once("disconnect", () => process.exit(0));
}
