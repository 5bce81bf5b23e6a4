import { sql } from "drizzle-orm";
import { type Db, prepare, type Row, type Statement } from "../db/client.ts";
import { instant, json, plain } from "../db/json.ts";
import { userFields } from "../db/user.ts";
import type { Json } from "../wire.ts";
import type { Session, User } from "./contract.ts";

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

const credentialFields = sql`u.id, u.username, u.email, u.password_hash, u.disabled`;

export interface Account {
  userId: number;
  username: string;
  email: string;
  passwordHash: string;
  disabled: boolean;
}

export interface Attempt {
  /** Seconds to wait before the next attempt: then nothing was counted, and nothing is answered. */
  blocked: number;
  account: Account | undefined;
}

function attemptOf(counted: Row | undefined, row: Row | undefined): Attempt {
  const blocked = Number(counted?.wait ?? 0);
  if (blocked > 0 || !row) return { blocked, account: undefined };
  return {
    blocked,
    account: {
      userId: Number(row.id),
      username: String(row.username),
      email: String(row.email),
      passwordHash: String(row.password_hash),
      disabled: row.disabled === "t",
    },
  };
}

const count = prepare<"username" | "address">(
  () => sql`SELECT "Finances".count_log_in(${sql.placeholder("username")}, ${sql.placeholder("address")}) AS wait`,
);
const credentials = prepare<"username">(
  () => sql`SELECT ${credentialFields} FROM "Finances"."user" u WHERE u.username = ${sql.placeholder("username")}`,
);

/** Counts a log-in, by exact username, and answers what to compare it with. */
export async function beginLogIn(db: Db, username: string, address: string | null): Promise<Attempt> {
  const [counted, rows] = await db.write(count({ username, address }), credentials({ username }));
  return attemptOf(counted?.[0], rows?.[0]);
}

const countOwn = prepare<"user" | "address">(
  () => sql`SELECT "Finances".count_log_in(u.username, ${sql.placeholder("address")}) AS wait
    FROM "Finances"."user" u WHERE u.id = ${sql.placeholder("user")}`,
);
const ownCredentials = prepare<"user">(
  () => sql`SELECT ${credentialFields} FROM "Finances"."user" u WHERE u.id = ${sql.placeholder("user")}`,
);

/** The same for a signed-in user whose password is asked for once more. */
export async function beginPasswordCheck(db: Db, user: number, address: string | null): Promise<Attempt> {
  const [counted, rows] = await db.write(countOwn({ user, address }), ownCredentials({ user }));
  return attemptOf(counted?.[0], rows?.[0]);
}

const forget = prepare<"username" | "address">(
  () => sql`SELECT "Finances".forget_log_ins(${sql.placeholder("username")}, ${sql.placeholder("address")})`,
);

/** After a password that was right: the failures from its source count no more. */
export async function forgetLogIns(db: Db, username: string, address: string | null): Promise<void> {
  await db.write(forget({ username, address }));
}

/** More are not looked at: then it is an attack in any case. */
const mostFailures = 10_000;
const failures = prepare(
  () => sql`SELECT count(*) AS pairs, count(DISTINCT recent.username) AS accounts, count(DISTINCT recent.address) AS sources
    FROM (
      SELECT username, address FROM "Finances".login_attempt
      -- '' is the account's own row.
      WHERE last_failed_at > now() - interval '1 hour' AND address <> ''
      ORDER BY last_failed_at DESC LIMIT ${sql.raw(String(mostFailures))}
    ) recent`,
);

/**
 * The pairs of account (there or not) and address that failed to log in within the last hour, and have not succeeded since:
 * many from one address try many accounts, many of one account are guessed at from many addresses.
 */
export async function failedLogIns(db: Db): Promise<{ pairs: number; accounts: number; sources: number }> {
  const [rows] = await db.read(failures({}));
  const { pairs, accounts, sources } = rows?.[0] ?? {};
  return { pairs: Number(pairs), accounts: Number(accounts), sources: Number(sources) };
}

const addSession = prepare<"session" | "user" | "hash" | "compared" | "seconds" | "address" | "agent" | "request">(
  () => sql`WITH added AS (
    INSERT INTO "Finances".refresh_session (id, user_id, token_hash, expires_at, address, user_agent)
    SELECT ${sql.placeholder("session")}, u.id, decode(${sql.placeholder("hash")}, 'hex'),
           now() + make_interval(secs => ${sql.placeholder("seconds")}::double precision), ${sql.placeholder("address")}, ${sql.placeholder("agent")}
    FROM "Finances"."user" u
    WHERE u.id = ${sql.placeholder("user")} AND NOT u.disabled AND u.password_hash = ${sql.placeholder("compared")}
    -- Whoever changes the account in this moment goes first, or finds this session and ends it.
    FOR NO KEY UPDATE OF u
    RETURNING user_id
  )
  SELECT u.token_version, "Finances".forget_log_ins(u.username, ${sql.placeholder("address")}),
         set_config('nexgen.actor', u.id::text, true), set_config('nexgen.request_id', ${sql.placeholder("request")}, true)
  FROM "Finances"."user" u JOIN added ON added.user_id = u.id`,
);

const rehash = prepare<"user" | "compared" | "renewed">(
  () => sql`UPDATE "Finances"."user" u SET password_hash = ${sql.placeholder("renewed")}
    WHERE u.id = ${sql.placeholder("user")} AND NOT u.disabled AND u.password_hash = ${sql.placeholder("compared")}`,
);

/** Of one account: whoever has its password could open so many that ending them all takes too long. */
const mostSessions = 100;
const endOldest = prepare<"user">(
  () => sql`UPDATE "Finances".refresh_session s SET revoked_at = now()
    WHERE s.user_id = ${sql.placeholder("user")} AND s.revoked_at IS NULL AND (s.created_at, s.id) < (
      SELECT newest.created_at, newest.id FROM "Finances".refresh_session newest
      WHERE newest.user_id = ${sql.placeholder("user")} AND newest.revoked_at IS NULL
      ORDER BY newest.created_at DESC, newest.id DESC OFFSET ${sql.raw(String(mostSessions - 1))} LIMIT 1
    )`,
);

const clearExpired = prepare(() => sql`SELECT "Finances".clear_expired_sessions()`);

/**
 * Opens a session for the user whose hash was compared, forgets the failures before it, ends the user's oldest sessions when
 * they are too many, clears sessions of long ago away and, where `renewedHash` is given, puts it in the place of the compared
 * one. Undefined when the account was disabled or its password changed since.
 */
export async function insertSession(
  db: Db,
  session: {
    id: string;
    userId: number;
    tokenHash: string;
    comparedHash: string;
    renewedHash: string | undefined;
    seconds: number;
    address: string | null;
    userAgent: string | null;
    requestId: string;
  },
): Promise<{ user: Json<User>; tokenVersion: number } | undefined> {
  const { userId: user, comparedHash: compared, renewedHash: renewed } = session;
  const results = await db.write(
    addSession({
      session: session.id,
      user,
      hash: session.tokenHash,
      compared,
      seconds: session.seconds,
      address: session.address,
      agent: session.userAgent,
      request: session.requestId,
    }),
    ...(renewed === undefined ? [] : [rehash({ user, compared, renewed })]),
    endOldest({ user }),
    clearExpired({}),
    one({ id: user }),
  );
  const opened = results[0]?.[0];
  return opened && { user: results.at(-1)?.[0]?.json as Json<User>, tokenVersion: Number(opened.token_version) };
}

const rotate = prepare<"session" | "given" | "successors" | "genuine" | "grace">(
  // Each right-hand side reads the row as it is after the wait for a concurrent refresh of it: the second of two that come
  // at once finds the token as the previous one. So all of it is one UPDATE, and its WHERE holds for both.
  () => sql`WITH given AS (
    SELECT decode(${sql.placeholder("given")}, 'hex') AS hash, string_to_array(${sql.placeholder("successors")}, ',') AS successors
  ),
  rotated AS (
    UPDATE "Finances".refresh_session s SET
      token_hash = CASE WHEN s.token_hash = given.hash THEN decode(given.successors[1], 'hex') ELSE s.token_hash END,
      previous_token_hash = CASE WHEN s.token_hash = given.hash THEN given.hash ELSE s.previous_token_hash END,
      rotated_at = CASE WHEN s.token_hash = given.hash THEN clock_timestamp() ELSE s.rotated_at END,
      revoked_at = CASE WHEN s.token_hash = given.hash OR s.previous_token_hash = given.hash
        AND s.rotated_at > clock_timestamp() - make_interval(secs => ${sql.placeholder("grace")}::double precision)
        THEN NULL ELSE clock_timestamp() END
    FROM given, "Finances"."user" u
    WHERE s.id = ${sql.placeholder("session")} AND s.revoked_at IS NULL AND s.expires_at > now()
      AND u.id = s.user_id AND NOT u.disabled
      AND (s.token_hash = given.hash OR s.previous_token_hash = given.hash OR ${sql.placeholder("genuine")}::boolean)
    RETURNING s.user_id, array_position(given.successors, encode(s.token_hash, 'hex')) AS successor, s.revoked_at
  )
  SELECT ${json}, rotated.user_id, u.token_version, rotated.successor
  FROM rotated JOIN "Finances"."user" u ON u.id = rotated.user_id,
    LATERAL (SELECT ${userFields}) item
  WHERE rotated.revoked_at IS NULL AND rotated.successor IS NOT NULL`,
);

/**
 * Rotates the token that is valid to the first of `successors`. The one before it answers the same for `graceSeconds`: its
 * answer was lost. Seen later, or older and `genuine`, it was copied: the session ends. Undefined: no new token.
 */
export async function rotateSession(
  db: Db,
  token: { sessionId: string; hash: string; successors: string[]; genuine: boolean; graceSeconds: number },
): Promise<{ user: Json<User>; userId: number; tokenVersion: number; successor: number } | undefined> {
  const [rows] = await db.write(
    rotate({
      session: token.sessionId,
      given: token.hash,
      successors: token.successors.join(","),
      genuine: token.genuine,
      grace: token.graceSeconds,
    }),
  );
  const row = rows?.[0];
  if (!row) return undefined;
  return {
    user: row.json as Json<User>,
    userId: Number(row.user_id),
    tokenVersion: Number(row.token_version),
    successor: Number(row.successor) - 1,
  };
}

const one = prepare<"id">(
  () =>
    sql`SELECT ${json} FROM (SELECT ${userFields} FROM "Finances"."user" u WHERE u.id = ${sql.placeholder("id")}) item`,
);

export async function findUser(db: Db, id: number): Promise<Json<User> | undefined> {
  const [rows] = await db.read(one({ id }));
  return rows?.[0]?.json as Json<User> | undefined;
}

const sessions = prepare<"user" | "current" | "at" | "id" | "limit">(
  () => sql`SELECT ${json}, item.created_at AS at, item.id FROM (
    SELECT s.id, ${instant("s.created_at")}, ${instant("s.rotated_at", "last_used_at")}, ${instant("s.expires_at")},
           ${plain("s.address", "s.user_agent")}, s.id = ${sql.placeholder("current")}::uuid AS current
    FROM "Finances".refresh_session s
    WHERE s.user_id = ${sql.placeholder("user")} AND s.revoked_at IS NULL AND s.expires_at > now()
      AND (${sql.placeholder("at")}::timestamptz IS NULL
        OR (s.created_at, s.id) < (${sql.placeholder("at")}::timestamptz, ${sql.placeholder("id")}::uuid))
    ORDER BY s.created_at DESC, s.id DESC LIMIT ${sql.placeholder("limit")}
  ) item`,
);

/** The user's sessions that are not over, older than `position` (created_at, id), newest first. */
export async function listSessions(
  db: Db,
  caller: { userId: number; sessionId: string },
  position: string[] | undefined,
  limit: number,
) {
  const [at = null, id = null] = position ?? [];
  const [rows = []] = await db.read(sessions({ user: caller.userId, current: caller.sessionId, at, id, limit }));
  return rows as { json: Json<Session>; at: string; id: string }[];
}

const end = prepare<"user" | "session">(
  () => sql`UPDATE "Finances".refresh_session s SET revoked_at = now()
    WHERE s.id = ${sql.placeholder("session")} AND s.user_id = ${sql.placeholder("user")}
      AND s.revoked_at IS NULL AND s.expires_at > now() RETURNING s.id`,
);

/** Ends a session of the user; false when there is none of this id that is not over. */
export async function endSession(db: Db, user: number, session: string): Promise<boolean> {
  const [rows] = await db.write(end({ user, session }));
  return rows?.length === 1;
}

// A log-in in this moment is waited for: the next statement sees its session.
const lockUser = prepare<"user">(
  () => sql`SELECT u.id FROM "Finances"."user" u WHERE u.id = ${sql.placeholder("user")} FOR NO KEY UPDATE`,
);

const changePassword = prepare<"user" | "session" | "compared" | "renewed" | "address">(
  () => sql`WITH changed AS (
    UPDATE "Finances"."user" u
    SET password_hash = ${sql.placeholder("renewed")}, password_changed_at = now(), token_version = u.token_version + 1
    WHERE u.id = ${sql.placeholder("user")} AND NOT u.disabled AND u.password_hash = ${sql.placeholder("compared")}
    RETURNING u.id, u.username
  ),
  ended AS (
    UPDATE "Finances".refresh_session s SET revoked_at = now() FROM changed
    WHERE s.user_id = changed.id AND s.id <> ${sql.placeholder("session")} AND s.revoked_at IS NULL
  )
  SELECT changed.id, "Finances".forget_log_ins(changed.username, ${sql.placeholder("address")}) FROM changed`,
);

/**
 * Gives the user whose hash was compared a new password and ends every session of the account but the caller's; false
 * when the password was changed since.
 */
export async function updatePassword(
  db: Db,
  caller: { userId: number; sessionId: string },
  change: { comparedHash: string; newHash: string; address: string | null },
): Promise<boolean> {
  const [, rows] = await db.write(
    lockUser({ user: caller.userId }),
    changePassword({
      user: caller.userId,
      session: caller.sessionId,
      compared: change.comparedHash,
      renewed: change.newHash,
      address: change.address,
    }),
  );
  return rows?.length === 1;
}
