import { setTimeout as sleep } from "node:timers/promises";
import type { components } from "../../docs/openapi.d.ts";

export type Schemas = components["schemas"];

/** What a check found wrong, for the person who reads the report. */
export class Failed extends Error {}

/** The server gave no answer at all. */
class Unreachable extends Failed {}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
}

interface Options {
  /** Sent as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
  /** Instead of the session's own; null: none. */
  token?: string | null;
}

export type Method = "GET" | "POST" | "PATCH" | "DELETE" | "OPTIONS";

/** A running API as one user has it. */
export interface Api {
  url: URL;
  /** The access token of the session, once there is one. */
  token: string | undefined;
  send(method: Method, path: string, options?: Options): Promise<Answer>;
  /** What `send` answers, parsed; throws Failed for any other status than `status`. */
  expect<Body>(status: number, method: Method, path: string, options?: Options): Promise<Body>;
  /** Makes something, once, even if the first answer is lost. */
  create<Body>(path: string, body: unknown): Promise<Body>;
}

/** Longer than any answer but a backup's may take: the checklist alerts at 5 s. */
const patienceMilliseconds = 15_000;

export function connect(url: URL): Api {
  const api: Api = {
    url,
    token: undefined,
    async send(method, path, { body, headers = {}, token = api.token } = {}) {
      try {
        const answer = await fetch(new URL(path, url), {
          method,
          headers: {
            ...(body !== undefined && { "Content-Type": "application/json" }),
            ...(token && { Authorization: `Bearer ${token}` }),
            ...headers,
          },
          ...(body !== undefined && { body: JSON.stringify(body) }),
          // Credentials go where they were meant to go.
          redirect: "manual",
          signal: AbortSignal.timeout(patienceMilliseconds),
        });
        return { status: answer.status, headers: answer.headers, text: await answer.text() };
      } catch (error) {
        throw new Unreachable(`${url.origin} cannot be reached: ${reasonOf(error)}`, { cause: error });
      }
    },
    async expect(status, method, path, options) {
      const answer = await api.send(method, path, options);
      if (answer.status !== status)
        throw new Failed(`${method} ${path} answered ${described(answer)}${status < 300 ? "" : `, not ${status}`}`);
      return parsed(answer, `${method} ${path}`);
    },
    async create(path, body) {
      const key = { "Idempotency-Key": crypto.randomUUID() };
      try {
        return await api.expect(201, "POST", path, { body, headers: key });
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error;
        await sleep(1000);
        return api.expect(201, "POST", path, { body, headers: key });
      }
    },
  };
  return api;
}

/** Every entry of a list, page by page; `complete` is false when there are more than `most`. */
export async function walk<Entry>(api: Api, path: string, most: number): Promise<{ data: Entry[]; complete: boolean }> {
  const data: Entry[] = [];
  for (let cursor: string | null = null; ; ) {
    const query: string = `?limit=200${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`;
    const page: { data: Entry[]; next_cursor: string | null } = await api.expect(200, "GET", path + query);
    data.push(...page.data);
    cursor = page.next_cursor;
    if (cursor === null || data.length >= most) return { data, complete: cursor === null };
  }
}

function parsed<Body>({ text }: Answer, what: string): Body {
  try {
    return (text === "" ? undefined : JSON.parse(text)) as Body;
  } catch (error) {
    throw new Failed(`${what} answered something else than JSON: is this the API?`, { cause: error });
  }
}

/** A status with what a problem says about it (RFC 9457). Of any other body nothing is repeated. */
export function described({ status, headers, text }: Answer): string {
  if (!headers.get("Content-Type")?.startsWith("application/problem+json")) return String(status);
  const { title, detail, errors } = JSON.parse(text) as Schemas["Problem"];
  const [first] = errors ?? [];
  return `${status} ${title}${detail ? `: ${detail}` : ""}${first ? ` (${first.pointer} ${first.detail})` : ""}`;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer in ${patienceMilliseconds / 1000} s`;
  const { cause } = error;
  if (cause instanceof AggregateError && cause.message === "") return cause.errors.map(reasonOf).join("; ");
  return cause instanceof Error ? cause.message : error.message;
}
