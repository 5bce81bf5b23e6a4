import { sql } from "drizzle-orm";
import { type Db, prepare, type Statement } from "../db/client.ts";
import { instant, json, plain } from "../db/json.ts";
import type { Json } from "../wire.ts";
import type { User } from "./contract.ts";

const fields = sql`${plain("u.id", "u.username", "u.email", "u.role", "u.disabled")}, ${instant("u.created_at")},
  ${instant("u.updated_at")}, ${instant("u.password_changed_at")}, u.version`;

const guardStatement = prepare<"session" | "user" | "tokenVersion" | "role" | "request">(
  () => sql`SELECT "Finances".guard(${sql.placeholder("session")}, ${sql.placeholder("user")},
    ${sql.placeholder("tokenVersion")}, ${sql.placeholder("role")}, ${sql.placeholder("request")})`,
);

/** First statement of a batch: raises NX401 or NX403, else names the actor for the audit log. */
export const guard = (
  caller: { userId: number; sessionId: string; tokenVersion: number },
  role: string,
  requestId: string,
): Statement =>
  guardStatement({
    session: caller.sessionId,
    user: caller.userId,
    tokenVersion: caller.tokenVersion,
    role,
    request: requestId,
  });

const credentials = prepare<"username">(
  () => sql`SELECT u.id, u.password_hash, u.token_version, u.disabled
    FROM "Finances"."user" u WHERE u.username = ${sql.placeholder("username")}`,
);

/** What a log-in is compared with, by exact username. */
export async function findCredentials(db: Db, username: string) {
  const [rows] = await db.read(credentials({ username }));
  const row = rows?.[0];
  if (!row) return undefined;
  return {
    userId: Number(row.id),
    passwordHash: String(row.password_hash),
    tokenVersion: Number(row.token_version),
    disabled: row.disabled === "t",
  };
}

const addSession = prepare<"session" | "user" | "hash" | "compared" | "seconds" | "address" | "agent">(
  () => sql`WITH added AS (
    INSERT INTO "Finances".refresh_session (id, user_id, token_hash, expires_at, address, user_agent)
    SELECT ${sql.placeholder("session")}, u.id, decode(${sql.placeholder("hash")}, 'hex'),
           now() + make_interval(secs => ${sql.placeholder("seconds")}::double precision), ${sql.placeholder("address")}, ${sql.placeholder("agent")}
    FROM "Finances"."user" u
    WHERE u.id = ${sql.placeholder("user")} AND NOT u.disabled AND u.password_hash = ${sql.placeholder("compared")}
    RETURNING user_id
  )
  SELECT ${json} FROM (SELECT ${fields} FROM "Finances"."user" u JOIN added ON added.user_id = u.id) item`,
);

/**
 * Opens a session for the user whose hash was compared, and answers the user; undefined when the account was disabled or
 * its password changed since.
 */
export async function insertSession(
  db: Db,
  session: {
    id: string;
    userId: number;
    tokenHash: string;
    comparedHash: string;
    seconds: number;
    address: string | null;
    userAgent: string | null;
  },
): Promise<Json<User> | undefined> {
  const [rows] = await db.write(
    addSession({
      session: session.id,
      user: session.userId,
      hash: session.tokenHash,
      compared: session.comparedHash,
      seconds: session.seconds,
      address: session.address,
      agent: session.userAgent,
    }),
  );
  return rows?.[0]?.json as Json<User> | undefined;
}

const one = prepare<"id">(
  () => sql`SELECT ${json} FROM (SELECT ${fields} FROM "Finances"."user" u WHERE u.id = ${sql.placeholder("id")}) item`,
);

export async function findUser(db: Db, id: number): Promise<Json<User> | undefined> {
  const [rows] = await db.read(one({ id }));
  return rows?.[0]?.json as Json<User> | undefined;
}
