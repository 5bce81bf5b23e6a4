import type { Context, MiddlewareHandler } from "hono";
import { Busy } from "./busy.ts";
import type { AppEnv } from "./env.ts";
import { Problem, unavailable } from "./problem.ts";
import { addressOf, userOf } from "./rate-limit.ts";

/** What strangers may send is small: a mebibyte of JSON takes half a second to read exactly. */
const mostBytes = (path: string) => (/^\/auth\//.test(path) ? 64 * 1024 : 1024 * 1024);

/** Whoever sends his body when he likes would hold his token open beyond its end. */
const patienceMilliseconds = 30_000;

/** An isolate has 128 MB for everybody: so much of it may be bodies that are on their way, and so much of one sender. */
const room = 64 * 1024 * 1024;
const roomOfOne = 8 * 1024 * 1024;
const reserved = new Map<string, number>();
let reservedInAll = 0;

async function withRoom<T>(sender: string, bytes: number, work: () => Promise<T>): Promise<T> {
  const own = reserved.get(sender) ?? 0;
  if (own + bytes > roomOfOne || reservedInAll + bytes > room)
    throw new Busy("Too much is being sent at once. Try again.");
  reserved.set(sender, own + bytes);
  reservedInAll += bytes;
  try {
    return await work();
  } finally {
    const left = (reserved.get(sender) ?? 0) - bytes;
    if (left > 0) reserved.set(sender, left);
    else reserved.delete(sender);
    reservedInAll -= bytes;
  }
}

/**
 * Bounds the body. It is read when a handler asks for it, which is behind the check of the token: a body of unknown length
 * would wait in memory until then.
 */
export const boundedBody: MiddlewareHandler<AppEnv> = async function boundedBody(c, next) {
  const most = mostBytes(c.req.path);
  const length = c.req.header("Content-Length");
  if (Number(length ?? 0) > most) throw tooLarge(most);
  let reading: Promise<ArrayBuffer> | undefined;
  c.req.arrayBuffer = () => {
    reading ??= read(c, most);
    return reading;
  };
  await next();
};

async function read(c: Context<AppEnv>, most: number): Promise<ArrayBuffer> {
  const { body, headers } = c.req.raw;
  if (body === null) return new ArrayBuffer();
  const length = headers.has("Transfer-Encoding") ? null : headers.get("Content-Length");
  const caller = c.get("caller");
  const began = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    return await withRoom(caller ? userOf(caller) : addressOf(c), length === null ? most : Number(length), () =>
      Promise.race([
        // A length that is told is kept to.
        length === null ? bytesOf(body, most) : c.req.raw.arrayBuffer(),
        new Promise<never>((_, reject) => {
          timer = setTimeout(() => reject(malformed("The body did not come within 30 s.")), patienceMilliseconds);
        }),
      ]),
    );
  } catch (error) {
    // A validator that asked for JSON calls every failure a fault of the JSON.
    c.set("bodyFault", faultOf(error));
    throw c.get("bodyFault");
  } finally {
    clearTimeout(timer);
    c.get("timing").bodyMilliseconds = performance.now() - began;
  }
}

/** In steps that are full before we hear of them: a sender that cuts its body into bytes costs no more than others. */
const stepBytes = 16 * 1024;

async function bytesOf(body: ReadableStream<Uint8Array>, most: number): Promise<ArrayBuffer> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const reader = body.getReader({ mode: "byob" });
  for (let size = 0; ; ) {
    const { done, value } = await reader.readAtLeast(stepBytes, new Uint8Array(stepBytes));
    size += value?.byteLength ?? 0;
    if (size > most) throw tooLarge(most);
    if (value) parts.push(value as Uint8Array<ArrayBuffer>);
    if (done) return new Blob(parts).arrayBuffer();
  }
}

const tooLarge = (most: number) => new Problem("body-too-large", `A body may have ${most} bytes here.`);
const malformed = (detail: string) => new Problem("malformed-request", detail);

function faultOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof Busy) return unavailable(error.message, { cause: error });
  return malformed("The body broke off.");
}
