import { env, exports } from "cloudflare:workers";
import { SignJWT } from "jose";
import type { z } from "zod";
import { createDb, type Row } from "../../src/db/client.ts";
import { database } from "./database.ts";

interface Call {
  method?: string;
  token?: string | undefined;
  /** Sent as JSON; text as it is. */
  body?: unknown;
  /** Sent as it is, without a media type. */
  bytes?: Uint8Array | ReadableStream<Uint8Array>;
  headers?: Record<string, string>;
}

/** A request through the Worker's front door. */
export async function call(
  path: string,
  { method = "GET", token, body, bytes, headers = {} }: Call = {},
): Promise<Response> {
  const response = await exports.default.fetch(`https://api.test${path}`, {
    method,
    redirect: "manual",
    headers: {
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      ...(body !== undefined && { "Content-Type": "application/json" }),
      // An address of its own for each call, a /64 apart, so that no limit counts the tests together.
      "CF-Connecting-IP": `2001:db8:${crypto.randomUUID().slice(0, 4)}:${crypto.randomUUID().slice(0, 4)}::1`,
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    ...(bytes !== undefined && { body: bytes }),
  });
  // Read to its end, for what it tells of goes on until then.
  if (response.headers.get("Content-Type") !== "application/x-ndjson") return response;
  return new Response(await response.text(), response);
}

/** The body of a successful read, parsed with the strict contract: a leaked column fails. */
export async function read<Schema extends z.ZodType>(
  schema: Schema,
  path: string,
  token: string,
): Promise<z.infer<Schema>> {
  const response = await call(path, { token });
  if (response.status !== 200) throw new Error(`GET ${path} answered ${response.status}: ${await response.text()}`);
  return schema.parse(await response.json());
}

/** One statement as the database's owner, whose writes the API must cope with. It takes the time that it takes. */
export async function sql(text: string, params: unknown[] = []): Promise<Row[]> {
  const [rows = []] = await createDb(database.ownerUrl, undefined, { patience: 60_000 }).write({ text, params });
  return rows;
}

/** Database round trips that `work` made. */
export async function roundTrips(work: () => Promise<unknown>): Promise<number> {
  const count = async () => Number(await (await fetch(database.roundTripsUrl)).text());
  const before = await count();
  await work();
  return (await count()) - before;
}

export interface TestUser {
  id: number;
  sessionId: string;
  token: string;
}

/** A user with a session and an access token; no bcrypt, only log-in tests pay for that. */
export async function signIn(role: "viewer" | "editor" | "admin" = "viewer"): Promise<TestUser> {
  const name = `${role}-${crypto.randomUUID()}`;
  const anyHash = `$2b$12$${"a".repeat(53)}`;
  const [user] = await sql(
    `INSERT INTO "Finances"."user" (username, email, password_hash, role) VALUES ($1, $2, $3, $4) RETURNING id`,
    [name, `${name}@example.com`, anyHash, role],
  );
  const id = Number(user?.id);
  const [session] = await sql(
    `INSERT INTO "Finances".refresh_session (user_id, token_hash, expires_at)
     VALUES ($1, sha256(gen_random_uuid()::text::bytea), now() + interval '1 day') RETURNING id`,
    [id],
  );
  const sessionId = String(session?.id);
  return { id, sessionId, token: await token({ sub: String(id), sid: sessionId }) };
}

/** An access token as the Worker signs them, or as an attacker would like to. */
export async function token(
  claims: Record<string, unknown>,
  {
    header = {},
    key,
    issuedAt = 0,
    expiresAt = 3600,
  }: { header?: Record<string, string>; key?: string; issuedAt?: number; expiresAt?: number } = {},
): Promise<string> {
  const [first] = JSON.parse(env.JWT_KEYS) as { kid: string; key: string }[];
  const now = Math.floor(Date.now() / 1000);
  const secret = Uint8Array.from(atob((key ?? first?.key ?? "").replaceAll("-", "+").replaceAll("_", "/")), (c) =>
    c.charCodeAt(0),
  );
  return new SignJWT({ iss: "nexgen-finance", aud: "nexgen-finance-api", token_version: 1, ...claims })
    .setProtectedHeader({ alg: "HS256", typ: "at+jwt", kid: first?.kid ?? "", ...header })
    .setIssuedAt(now + issuedAt)
    .setExpirationTime(now + expiresAt)
    .sign(secret);
}
