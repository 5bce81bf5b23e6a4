import { base64url } from "jose";
import type { SigningKey } from "../env.ts";

/**
 * A refresh token is the id of its session (16 bytes), 256 secret bits and a tag (16 bytes), in base64url. The tag, an
 * HMAC-SHA-256 with a signing key, tells a token of long ago from a made-up one: only the first may end its session. To
 * rotate needs no key: the token that is valid is known by its stored SHA-256, whatever key it was made under.
 */
const shape = /^[A-Za-z0-9_-]{86}$/;
const secretAt = 16;
const tagAt = 48;
const tokenBytes = 64;

export interface RefreshToken {
  sessionId: string;
  /** SHA-256 of the token, in hex: what the database keeps. */
  hash: string;
  /** Whether one of the keys made it. */
  genuine: boolean;
  /** Its successor under each key, the one of the key that signs first; the others find what was given before a rotation. */
  successors: { token: string; hash: string }[];
}

/** Begins a session. */
export async function newRefreshToken(
  keys: readonly [SigningKey, ...SigningKey[]],
  sessionId: string,
): Promise<{ token: string; hash: string }> {
  return seal(keys[0], sessionBytes(sessionId), crypto.getRandomValues(new Uint8Array(tagAt - secretAt)));
}

/** Reads a token; undefined for text that is none. It may still be made up, or over: the database knows. */
export async function readRefreshToken(keys: readonly SigningKey[], token: string): Promise<RefreshToken | undefined> {
  if (!shape.test(token)) return undefined;
  const bytes = base64url.decode(token);
  // The last character has bits to spare: what does not encode back is another text for the same bytes.
  if (base64url.encode(bytes) !== token) return undefined;
  const session = bytes.subarray(0, secretAt);
  const body = bytes.subarray(0, tagAt);
  const tags = await Promise.all(keys.map((key) => tagOf(key, body)));
  const successors = keys.map(async (key) => seal(key, session, await mac(key, "refresh successor\n", bytes)));
  return {
    sessionId: sessionOf(session),
    hash: await sha256(token),
    genuine: tags.includes(base64url.encode(bytes.subarray(tagAt))),
    successors: await Promise.all(successors),
  };
}

async function seal(key: SigningKey, session: Uint8Array, secret: Uint8Array) {
  const bytes = new Uint8Array(tokenBytes);
  bytes.set(session);
  bytes.set(secret, secretAt);
  bytes.set(base64url.decode(await tagOf(key, bytes.subarray(0, tagAt))), tagAt);
  const token = base64url.encode(bytes);
  return { token, hash: await sha256(token) };
}

const tagOf = async (key: SigningKey, body: Uint8Array) =>
  base64url.encode((await mac(key, "refresh tag\n", body)).subarray(0, tokenBytes - tagAt));

/** The keys also sign access tokens and cursors, whose messages begin otherwise: what is made for one is nothing to another. */
async function mac({ key }: SigningKey, domain: string, message: Uint8Array): Promise<Uint8Array> {
  const prefix = new TextEncoder().encode(domain);
  const whole = new Uint8Array(prefix.length + message.length);
  whole.set(prefix);
  whole.set(message, prefix.length);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, whole));
}

const sha256 = async (token: string) =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token))).toHex();
const sessionBytes = (id: string) => Uint8Array.fromHex(id.replaceAll("-", ""));
const sessionOf = (bytes: Uint8Array) => bytes.toHex().replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
