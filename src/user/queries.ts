import { sql } from "drizzle-orm";
import { type Db, prepare } from "../db/client.ts";
import { instant, json } from "../db/json.ts";
import { prepareOrders } from "../db/order.ts";
import { userFields } from "../db/user.ts";
import type { Json } from "../wire.ts";
import { type Account, type AccountSort, accountSorts } from "./contract.ts";

/** An account with what the log-in counts of it: see `count_log_in`. */
const fields = sql`${userFields},
  coalesce((SELECT a.failures FROM "Finances".login_attempt a
    WHERE a.username = "Finances".log_in_name(u.username) AND a.address = '' AND a.last_failed_at > now() - interval '24 hours'), 0) AS failed_logins,
  (SELECT ${instant("max(a.blocked_until)", "blocked_until")} FROM "Finances".login_attempt a
    WHERE a.username = "Finances".log_in_name(u.username) AND a.blocked_until > now()) AS blocked_until`;

const one = prepare<"id">(
  () =>
    sql`SELECT ${json}, item.username, item.email FROM (SELECT ${fields} FROM "Finances"."user" u WHERE u.id = ${sql.placeholder("id")}::bigint) item`,
);

const page = prepareOrders<AccountSort, "limit">(
  accountSorts,
  { id: [sql`u.id`, sql`bigint`], username: [sql`u.username`, sql`text`] },
  sql`u.id`,
  ({ key, by, restOrAll }) => sql`SELECT ${json}, u.key, u.id FROM (
    SELECT u.*, ${key} AS key FROM "Finances"."user" u WHERE ${restOrAll} ORDER BY ${by} LIMIT ${sql.placeholder("limit")}
  ) u CROSS JOIN LATERAL (SELECT ${fields}) item ORDER BY ${by}`,
);

export interface Found {
  json: Json<Account>;
  username: string;
  email: string;
}

export async function findAccount(db: Db, id: number): Promise<Found | undefined> {
  const [rows] = await db.read(one({ id }));
  return rows?.[0] as Found | undefined;
}

/** The accounts after `place`. */
export async function listAccounts(db: Db, sort: AccountSort, place: string[] | undefined, limit: number) {
  const [rows = []] = await db.read(page(sort, place, { limit }));
  return rows as { json: Json<Account>; key: string; id: string }[];
}

const nothing = prepare(() => sql`SELECT`);

/** Fails as every batch of the caller would. */
export async function checkGuard(db: Db): Promise<void> {
  await db.read(nothing({}));
}

const add = prepare<"username" | "email" | "hash" | "role">(
  () => sql`WITH u AS (
    INSERT INTO "Finances"."user" (username, email, password_hash, role, password_changed_at)
    VALUES (${sql.placeholder("username")}, ${sql.placeholder("email")}, ${sql.placeholder("hash")}, ${sql.placeholder("role")}, now())
    RETURNING *
  ) SELECT ${json}, item.id FROM (SELECT ${fields} FROM u) item`,
);

export async function insertAccount(
  db: Db,
  given: { username: string; email: string; hash: string; role: string },
): Promise<{ json: Json<Account>; id: string }> {
  const [rows] = await db.write(add(given));
  return rows?.[0] as { json: Json<Account>; id: string };
}

// Whoever changes accounts waits here for whoever changes an admin: the next statement sees what they left.
const lockAdmins = prepare<"id">(
  () => sql`SELECT u.id FROM "Finances"."user" u
    WHERE (u.role = 'admin' AND NOT u.disabled) OR u.id = ${sql.placeholder("id")}::bigint ORDER BY u.id FOR NO KEY UPDATE`,
);

const change = prepare<"id" | "role" | "disabled" | "hash">(
  () => sql`WITH given AS (
    SELECT u.id, coalesce(${sql.placeholder("role")}, u.role) AS role, coalesce(${sql.placeholder("disabled")}::boolean, u.disabled) AS disabled,
           coalesce(${sql.placeholder("hash")}, u.password_hash) AS password_hash,
           u.role = 'admin' AND NOT u.disabled AND NOT EXISTS (
             SELECT FROM "Finances"."user" other WHERE other.id <> u.id AND other.role = 'admin' AND NOT other.disabled
           ) AS only_admin
    FROM "Finances"."user" u WHERE u.id = ${sql.placeholder("id")}::bigint
  ),
  refused AS (SELECT only_admin AND (role <> 'admin' OR disabled) AS refused FROM given),
  changed AS (
    UPDATE "Finances"."user" u SET role = given.role, disabled = given.disabled, password_hash = given.password_hash,
      password_changed_at = CASE WHEN u.password_hash = given.password_hash THEN u.password_changed_at ELSE now() END,
      token_version = u.token_version + 1
    FROM given, refused
    WHERE u.id = given.id AND NOT refused
      AND (u.role, u.disabled, u.password_hash) IS DISTINCT FROM (given.role, given.disabled, given.password_hash)
    RETURNING u.id
  ),
  ended AS (
    UPDATE "Finances".refresh_session s SET revoked_at = now() FROM changed WHERE s.user_id = changed.id AND s.revoked_at IS NULL
  )
  SELECT refused FROM refused`,
);

/**
 * Changes an account; whatever changes ends all of its sessions. `last-admin`: nothing was changed, as nobody else would be
 * left to manage accounts. Undefined: there is no such account.
 */
export async function updateAccount(
  db: Db,
  id: number,
  given: { role?: string | undefined; disabled?: boolean | undefined; hash?: string | undefined },
): Promise<Json<Account> | "last-admin" | undefined> {
  const { role = null, disabled = null, hash = null } = given;
  // Whoever waited for the lock may have been disabled by whoever had it.
  const results = await db.write(lockAdmins({ id }), ...db.guard, change({ id, role, disabled, hash }), one({ id }));
  const [answers, rows] = results.slice(-2);
  if (answers?.[0]?.refused === "t") return "last-admin";
  return rows?.[0]?.json as Json<Account> | undefined;
}
