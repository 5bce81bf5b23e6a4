import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import bcrypt from "bcryptjs";
import { base64url, decodeJwt, decodeProtectedHeader, jwtVerify } from "jose";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { app } from "../src/app.ts";
import { Tokens, User } from "../src/auth/contract.ts";
import { inTurn } from "../src/auth/password.ts";
import { updatePassword } from "../src/auth/queries.ts";
import { createDb } from "../src/db/client.ts";
import { call, read, roundTrips, signIn, sql, token } from "./support/api.ts";
import { database } from "./support/database.ts";
import { problem } from "./support/problem.ts";
import { insert } from "./support/rows.ts";

// Made by libxcrypt, so that not only bcryptjs agrees with itself.
const salt = "Wb1hKqAdT0y9vN5sJ3rLeu";
const secretHash = `$2b$04$${salt}C5fv0lnjEKEoPyvJ6uYqfNKDOoNTr4.`;
const foreignHashes: [name: string, password: string, hash: string][] = [
  ["$2b$ at cost 12", "hunter2hunter2", `$2b$12$${salt}nCQMvIJrJn6C8xnenhwtXu2OEZ1MfHO`],
  ["$2b$", "secret", secretHash],
  ["$2a$", "monkey", `$2a$04$${salt}l1jqN1X6L8kv7VkJHL5zbOwRFdzesyK`],
  ["$2y$", "monkey", `$2y$04$${salt}l1jqN1X6L8kv7VkJHL5zbOwRFdzesyK`],
  ["another script", "पासवर्ड", `$2b$04$${salt}IoZ/s8FE1adSW6jBZBDvkIaGqEE0C9y`],
  ["more than 72 bytes", `${"x".repeat(72)}tail`, `$2b$04$${salt}ynMacMKmRUjANmSrd028ynP5jhG0ws6`],
  ["72 bytes cut within their characters", "é".repeat(40), `$2b$04$${salt}/ZU6aDyTOlL7OlNCHWX60WJGaPG6gge`],
];

interface Account {
  id: number;
  username: string;
  password: string;
}

/** A user with the password `secret`, unless told otherwise. */
async function account(values: Record<string, string | number | boolean> = {}, password = "secret"): Promise<Account> {
  const username = String(values.username ?? `user-${crypto.randomUUID()}`);
  const email = `${crypto.randomUUID()}@example.com`;
  const id = await insert("user", { username, email, password_hash: secretHash, ...values });
  return { id, username, password };
}

const logIn = (credentials: unknown, headers: Record<string, string> = {}) =>
  call("/auth/login", { method: "POST", body: credentials, headers });

async function tokensOf({ username, password }: Account, headers: Record<string, string> = {}): Promise<Tokens> {
  const response = await logIn({ username, password }, headers);
  expect(response.status).toBe(200);
  return Tokens.parse(await response.json());
}

beforeEach(() => {
  // Most hashes here are weaker still, and made anew at log-in.
  Object.assign(env, { BCRYPT_COST: "10" });
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe("POST /auth/login", () => {
  it.each(foreignHashes)("lets a legacy password in: %s", async (_case, password, password_hash) => {
    const user = await account({ password_hash }, password);
    expect((await tokensOf(user)).user.username).toBe(user.username);
    await problem(await logIn({ username: user.username, password: `X${password}` }), "wrong-credentials");
  });

  it("compares 72 bytes, as the legacy did", async () => {
    const [, password = "", password_hash = ""] = foreignHashes[5] ?? [];
    const user = await account({ password_hash }, password);
    await tokensOf({ ...user, password: `${"x".repeat(72)}another tail` });
    await problem(await logIn({ username: user.username, password: "x".repeat(71) }), "wrong-credentials");
  });

  it("takes passwords as they are: no trimming, no case, no normal form", async () => {
    const password = " Pässword\t";
    const user = await account({ password_hash: bcrypt.hashSync(password, 4) }, password);
    await tokensOf(user);
    for (const other of [password.trim(), password.toLowerCase(), password.normalize("NFD"), `${password} `]) {
      await problem(await logIn({ username: user.username, password: other }), "wrong-credentials");
    }
  });

  it("takes usernames exactly, e-mail addresses and other scripts among them", async () => {
    const mark = crypto.randomUUID();
    for (const username of [`Asha.${mark}@Example.com`, `आशा-${mark}`, ` ${mark} `, `x' OR '1'='1-${mark}`]) {
      const user = await account({ username });
      expect((await tokensOf(user)).user).toMatchObject({ id: user.id, username });
    }
    const others = [`asha.${mark}@example.com`, mark, `Asha.${mark}@Example.com `];
    for (const username of others) await problem(await logIn({ username, password: "secret" }), "wrong-credentials");
  });

  it("does not take the e-mail address of an account for its username", async () => {
    const email = `${crypto.randomUUID()}@example.com`;
    await account({ email });
    await problem(await logIn({ username: email, password: "secret" }), "wrong-credentials");
  });

  it("takes a username exactly, its case too", async () => {
    const mine = await account({ username: `a-${crypto.randomUUID()}` });
    expect((await tokensOf(mine)).user.id).toBe(mine.id);
    const { password } = mine;
    await problem(await logIn({ username: mine.username.toUpperCase(), password }), "wrong-credentials");
  });

  it("gives the same answer and does the same work for a wrong password, an unknown and a disabled user", async () => {
    Object.assign(env, { BCRYPT_COST: "12" });
    const password_hash = foreignHashes[0]?.[2] ?? "";
    const wrong = await account({ password_hash }, "hunter2hunter3");
    const disabled = await account({ password_hash, disabled: true }, "hunter2hunter2");
    const unknown = { username: `nobody-${crypto.randomUUID()}`, password: "hunter2hunter2" };
    const answers = [];
    for (const { username, password } of [wrong, disabled, unknown]) {
      const compare = vi.spyOn(bcrypt, "compare");
      let response = new Response();
      const trips = await roundTrips(async () => {
        response = await logIn({ username, password });
      });
      const headers = Object.fromEntries([...response.headers].filter(([name]) => name !== "x-request-id"));
      const { instance, ...body } = await problem(response, "wrong-credentials");
      expect(instance).toMatch(/^urn:request:/);
      // Cost 12 and a whole hash: of a shorter one bcryptjs would answer at once.
      const work = compare.mock.calls.map(([given, hash]) => [given, /^\$2b\$12\$[./A-Za-z0-9]{53}$/.test(hash)]);
      expect(work).toEqual([[password, true]]);
      compare.mockRestore();
      answers.push({ body, headers, trips });
    }
    expect(answers[0]?.trips).toBe(1);
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
  });

  it("does the same work also where the stored hash is weaker than those of today", async () => {
    Object.assign(env, { BCRYPT_COST: "12" });
    const user = await account({ password_hash: bcrypt.hashSync("secret", 10) });
    const compare = vi.spyOn(bcrypt, "compare");
    await problem(await logIn({ username: user.username, password: "wrong!" }), "wrong-credentials");
    const work = compare.mock.calls.map(([, hash]) => 2 ** bcrypt.getRounds(hash));
    expect(work.reduce((sum, each) => sum + each, 0)).toBe(2 ** 12);
  });

  it("works on one password at a time, so that other requests wait for one alone", async () => {
    const users = await Promise.all(Array.from({ length: 6 }, () => account()));
    let [now, most] = [0, 0];
    for (const work of ["compare", "hash"] as const) {
      const original = bcrypt[work].bind(bcrypt) as (...given: unknown[]) => Promise<never>;
      vi.spyOn(bcrypt, work).mockImplementation(async (...given: unknown[]) => {
        most = Math.max(most, ++now);
        await scheduler.wait(5);
        return original(...given).finally(() => now--);
      });
    }
    const answers = await Promise.all(users.map(({ username, password }) => logIn({ username, password })));
    expect(answers.map(({ status }) => status)).toEqual(users.map(() => 200));
    expect(most).toBe(1);
  });

  it("answers 503 with Retry-After to whom no turn comes, which is no failure of the account", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { username } = await account();
    const now = Date.now.bind(Date);
    let shift = 0;
    vi.spyOn(Date, "now").mockImplementation(() => now() + shift);
    const hold = () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      return {
        resolve,
        done: inTurn({ waitUntil() {} }, () => promise),
      };
    };
    let holder = hold();
    const waiting = logIn({ username, password: "secret" });
    await scheduler.wait(500);
    // One turn after the other, none of them long.
    for (let turn = 0; turn < 4; turn++) {
      shift += 2500;
      holder.resolve();
      await holder.done;
      holder = hold();
    }
    const response = await waiting;
    holder.resolve();
    expect(response.headers.get("Retry-After")).toBe("5");
    await problem(response, "unavailable");
    const counted = await sql(`SELECT failures FROM "Finances".login_attempt WHERE username = $1`, [username]);
    expect(counted).toEqual([]);
  });

  it("goes on after a turn that was lost with its request", async () => {
    const user = await account();
    const { promise: never } = Promise.withResolvers<void>();
    void inTurn({ waitUntil() {} }, () => never);
    const now = Date.now.bind(Date);
    vi.spyOn(Date, "now").mockImplementation(() => now() + 3100);
    expect((await logIn({ username: user.username, password: "secret" })).status).toBe(200);
  });

  it("finishes what it began with a password when its client has gone", async () => {
    const { username } = await account();
    const { token } = await signIn("admin");
    const name = crypto.randomUUID();
    const bodies: [string, object][] = [
      ["/auth/login", { username, password: "secret" }],
      ["/auth/password", { current_password: "wrong!", new_password: "kx8 fq2 vr7!" }],
      ["/user", { username: name, email: `${name}@example.com`, password: "kx8 fq2 vr7!", role: "viewer" }],
    ];
    for (const [path, body] of bodies) {
      const context = createExecutionContext();
      const kept = vi.spyOn(context, "waitUntil");
      const request = new Request(`https://api.test${path}`, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          Authorization: `Bearer ${token}`,
          "CF-Connecting-IP": "192.0.2.77",
        },
        body: JSON.stringify(body),
      });
      await (await app.fetch(request, env as unknown as Env, context)).arrayBuffer();
      expect([path, kept.mock.calls.length]).toEqual([path, 1]);
    }
  });

  it.each<[string, (user: Account, admin: string, session: string, hash: string) => Promise<unknown>, number]>([
    [
      "an admin resets the password",
      ({ id }, admin) => call(`/user/${id}`, { method: "PATCH", token: admin, body: { password: "kx8 fq2 vr7!" } }),
      0,
    ],
    [
      "an admin disables the account",
      ({ id }, admin) => call(`/user/${id}`, { method: "PATCH", token: admin, body: { disabled: true } }),
      0,
    ],
    [
      "its owner, whose session goes on, changes the password",
      ({ id }, _admin, sessionId, comparedHash) =>
        updatePassword(
          createDb(database.apiUrl),
          { userId: id, sessionId },
          { comparedHash, newHash: foreignHashes[0]?.[2] ?? "", address: null },
        ),
      1,
    ],
  ])("leaves no session that begins in the moment in which %s", async (_case, change, left) => {
    const password_hash = bcrypt.hashSync("secret", 10);
    const user = await account({ password_hash });
    const { token: admin } = await signIn("admin");
    const session = String(decodeJwt((await tokensOf(user)).access_token).sid);
    const waiting = (granted: boolean) =>
      vi.waitFor(async () => {
        const locks = await sql(
          `SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted = $1
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
          [granted],
        );
        expect(locks).toHaveLength(1);
      }, 10_000);
    const compare = bcrypt.compare.bind(bcrypt);
    let held: Promise<unknown> = Promise.resolve();
    vi.spyOn(bcrypt, "compare").mockImplementationOnce(async (password: string, hash: string) => {
      // The log-in waits for this at its end, when its session is written and not yet committed.
      held = createDb(database.ownerUrl).write(
        { text: "SELECT pg_advisory_xact_lock(hashtext('login_attempt'), hashtext($1))", params: [user.username] },
        { text: "SELECT pg_sleep(3)", params: [] },
      );
      await waiting(true);
      return compare(password, hash);
    });
    const logging = logIn({ username: user.username, password: "secret" });
    await waiting(false);
    const changing = change(user, admin, session, password_hash);
    const [loggedIn] = await Promise.all([logging, changing, held]);
    expect(loggedIn.status).toBe(200);
    const sessions = await sql(`SELECT id FROM "Finances".refresh_session WHERE user_id = $1 AND revoked_at IS NULL`, [
      user.id,
    ]);
    expect(sessions.map(({ id }) => id)).toEqual(left === 0 ? [] : [session]);
    const [now] = await sql(`SELECT token_version FROM "Finances"."user" WHERE id = $1`, [user.id]);
    expect(now).toEqual({ token_version: "2" });
  });

  it("gives an access token that is good when the role changes between the look-up and the session", async () => {
    const user = await account({ password_hash: bcrypt.hashSync("secret", 10) });
    const compare = bcrypt.compare.bind(bcrypt);
    vi.spyOn(bcrypt, "compare").mockImplementationOnce(async (password: string, hash: string) => {
      await sql(`UPDATE "Finances"."user" SET role = 'editor', token_version = token_version + 1 WHERE id = $1`, [
        user.id,
      ]);
      return compare(password, hash);
    });
    const { access_token, user: answered } = await tokensOf(user);
    expect(answered.role).toBe("editor");
    expect((await call("/auth/me", { token: access_token })).status).toBe(200);
  });

  it("ends the oldest sessions of an account that has more than a hundred", async () => {
    const user = await account({ password_hash: bcrypt.hashSync("secret", 10) });
    await sql(
      `INSERT INTO "Finances".refresh_session (user_id, token_hash, expires_at, created_at)
       SELECT $1, sha256(n::text::bytea), now() + interval '1 day', now() - n * interval '1 minute' FROM generate_series(1, 1000) n`,
      [user.id],
    );
    const { access_token } = await tokensOf(user);
    const [left] = await sql(
      `SELECT count(*) AS count, min(created_at) > now() - interval '100 minutes' AS newest
       FROM "Finances".refresh_session WHERE user_id = $1 AND revoked_at IS NULL`,
      [user.id],
    );
    expect(left).toEqual({ count: "100", newest: "t" });
    expect((await call("/auth/me", { token: access_token })).status).toBe(200);
  });

  it("challenges with a scheme, as every 401 must (RFC 9110, 15.5.2)", async () => {
    const response = await logIn({ username: crypto.randomUUID(), password: "secret" });
    expect(response.status).toBe(401);
    expect(response.headers.get("WWW-Authenticate")).toBe('Bearer realm="nexgen-finance"');
  });

  it("answers a bearer token, its life in seconds and the user, nothing else", async () => {
    const password_hash = bcrypt.hashSync("secret", 10);
    const user = await account({ role: "editor", created_at: "2026-01-29T07:17:55.145925+05:30", password_hash });
    const tokens = await tokensOf(user);
    expect(tokens).toEqual({
      access_token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
      token_type: "bearer",
      expires_in: 3600,
      refresh_token: expect.stringMatching(/^[\w-]{86}$/),
      user: {
        id: user.id,
        username: user.username,
        email: expect.stringContaining("@example.com"),
        role: "editor",
        disabled: false,
        created_at: "2026-01-29T01:47:55.145925Z",
        updated_at: expect.any(String),
        password_changed_at: null,
        version: 1,
      },
    });
  });

  it("signs the claims and the header of an access token", async () => {
    const user = await account({ token_version: 7 });
    const before = Math.floor(Date.now() / 1000);
    const { access_token } = await tokensOf(user);
    expect(decodeProtectedHeader(access_token)).toEqual({ alg: "HS256", typ: "at+jwt", kid: "test" });
    const { iat = 0, ...claims } = decodeJwt(access_token);
    const [session] = await sql(`SELECT id FROM "Finances".refresh_session WHERE user_id = $1`, [user.id]);
    expect(claims).toEqual({
      iss: "nexgen-finance",
      aud: "nexgen-finance-api",
      sub: String(user.id),
      sid: session?.id,
      token_version: 7,
      exp: iat + 3600,
    });
    expect(iat).toBeGreaterThanOrEqual(before);
    expect(iat).toBeLessThanOrEqual(Date.now() / 1000);
    const [{ key }] = JSON.parse(env.JWT_KEYS) as [{ key: string }];
    await jwtVerify(access_token, base64url.decode(key));
  });

  it("writes a session with the hash of the refresh token alone, where from and for how long", async () => {
    const user = await account();
    const headers = { "CF-Connecting-IP": "2001:db8::1", "User-Agent": "a".repeat(300) };
    const { refresh_token } = await tokensOf(user, headers);
    const rows = await sql(
      `SELECT to_jsonb(s) AS row, encode(token_hash, 'hex') AS hash, length(token_hash) AS bytes, address, user_agent,
              extract(epoch FROM expires_at - now()) AS seconds, revoked_at, previous_token_hash
       FROM "Finances".refresh_session s WHERE user_id = $1`,
      [user.id],
    );
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(refresh_token));
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({
      hash: new Uint8Array(digest).toHex(),
      bytes: "32",
      address: "2001:db8::1",
      user_agent: "a".repeat(200),
      revoked_at: null,
      previous_token_hash: null,
    });
    expect(rows[0]?.row).not.toContain(refresh_token);
    expect(Number(rows[0]?.seconds)).toBeGreaterThan(30 * 24 * 3600 - 60);
    expect(Number(rows[0]?.seconds)).toBeLessThanOrEqual(30 * 24 * 3600);
  });

  it("opens a session of its own at every log-in", async () => {
    const user = await account();
    const [one, two] = [await tokensOf(user), await tokensOf(user)];
    expect(one.refresh_token).not.toBe(two.refresh_token);
    expect(decodeJwt(one.access_token).sid).not.toBe(decodeJwt(two.access_token).sid);
    expect(await read(User, "/auth/me", one.access_token)).toEqual(await read(User, "/auth/me", two.access_token));
  });

  it("opens no session for a user who was disabled, or whose password was changed, while the password was compared", async () => {
    for (const change of ["disabled = true", `password_hash = '${foreignHashes[0]?.[2]}'`]) {
      const user = await account();
      const compare = bcrypt.compare.bind(bcrypt);
      vi.spyOn(bcrypt, "compare").mockImplementation(async (password: string, hash: string) => {
        await sql(`UPDATE "Finances"."user" SET ${change} WHERE id = $1`, [user.id]);
        return compare(password, hash);
      });
      const [before] = await sql(`SELECT password_hash FROM "Finances"."user" WHERE id = $1`, [user.id]);
      await problem(await logIn({ username: user.username, password: "secret" }), "wrong-credentials");
      vi.restoreAllMocks();
      expect(await sql(`SELECT id FROM "Finances".refresh_session WHERE user_id = $1`, [user.id])).toEqual([]);
      const [after] = await sql(`SELECT password_hash FROM "Finances"."user" WHERE id = $1`, [user.id]);
      // Nor is the hash that was compared made anew over the one of now.
      expect(after?.password_hash).toBe(change.startsWith("disabled") ? before?.password_hash : foreignHashes[0]?.[2]);
    }
  });

  it("leaves no session behind when it fails", async () => {
    const user = await account();
    await problem(await logIn({ username: user.username, password: "wrong!" }), "wrong-credentials");
    expect(await sql(`SELECT id FROM "Finances".refresh_session WHERE user_id = $1`, [user.id])).toEqual([]);
  });

  it("never says password or hash in an answer", async () => {
    const user = await account();
    const response = await logIn({ username: user.username, password: "secret" });
    const text = await response.text();
    expect(text.replaceAll('"password_changed_at"', "")).not.toMatch(/password|hash|\$2[aby]\$/);
  });

  it("ignores an Authorization header", async () => {
    const user = await account();
    await tokensOf(user, { Authorization: "Bearer garbage" });
  });

  it.each<[string, unknown, string[]]>([
    ["no username", { password: "secret" }, ["/username"]],
    ["no password", { username: "asha" }, ["/password"]],
    ["neither", {}, ["/password", "/username"]],
    ["an empty username", { username: "", password: "secret" }, ["/username"]],
    ["an empty password", { username: "asha", password: "" }, ["/password"]],
    ["a username of 256 characters", { username: "a".repeat(256), password: "secret" }, ["/username"]],
    ["a password of 1,025 characters", { username: "asha", password: "a".repeat(1025) }, ["/password"]],
    ["numbers", { username: 1, password: 2 }, ["/password", "/username"]],
    ["null", { username: null, password: "secret" }, ["/username"]],
    ["an array", { username: ["asha"], password: "secret" }, ["/username"]],
    ["a NUL", { username: "asha\0", password: "sec\0ret" }, ["/password", "/username"]],
    ["an unknown field", { username: "asha", password: "secret", role: "admin" }, ["/role"]],
    ["an array as body", [{ username: "asha", password: "secret" }], [""]],
    ["a string as body", '"secret"', [""]],
    ["null as body", "null", [""]],
  ])("refuses %s and points at it", async (_case, body, pointers) => {
    const trips = await roundTrips(async () => {
      const { errors } = await problem(await logIn(body), "validation-failed");
      expect(errors?.map((error) => error.pointer).toSorted()).toEqual(pointers);
      expect(errors?.every((error) => error.in === "body")).toBe(true);
    });
    expect(trips).toBe(0);
  });
});

describe("the hash of a password", () => {
  const stored = async (id: number) =>
    (
      await sql(
        `SELECT password_hash AS hash, token_version, password_changed_at, version FROM "Finances"."user" WHERE id = $1`,
        [id],
      )
    )[0];

  const strong = bcrypt.hashSync("secret", 10);
  it.each([
    ["weaker", secretHash],
    ["$2a$", `$2a${strong.slice(3)}`],
    ["$2y$", `$2y${strong.slice(3)}`],
  ])("is made anew at log-in when it is %s, which ends no session", async (_case, password_hash) => {
    const user = await account({ password_hash });
    const tokens = await tokensOf(user);
    const now = await stored(user.id);
    expect(now).toMatchObject({ token_version: "1", password_changed_at: null, version: String(tokens.user.version) });
    expect(now?.hash).toMatch(/^\$2b\$10\$/);
    expect(now?.hash).not.toBe(strong);
    expect((await call("/auth/me", { token: tokens.access_token })).status).toBe(200);
    await tokensOf(user);
    expect((await stored(user.id))?.hash).toBe(now?.hash);
    const log = await sql(
      `SELECT user_id, request_id, changes FROM "Finances".audit_log
       WHERE table_name = 'user' AND row_id = $1 AND action = 'update'`,
      [String(user.id)],
    );
    expect(log).toEqual([
      { user_id: String(user.id), request_id: expect.stringMatching(/./), changes: '{"password": "changed"}' },
    ]);
  });

  it.each([
    ["as strong", strong],
    ["stronger", bcrypt.hashSync("secret", 11)],
  ])("stays when it is %s", async (_case, password_hash) => {
    const user = await account({ password_hash });
    await tokensOf(user);
    expect(await stored(user.id)).toMatchObject({ hash: password_hash, version: "1" });
  });

  it("stays when the log-in fails", async () => {
    const user = await account();
    await problem(await logIn({ username: user.username, password: "wrong!" }), "wrong-credentials");
    expect((await stored(user.id))?.hash).toBe(secretHash);
  });

  it("still opens to a long password that the legacy cut, made anew", async () => {
    const [, password = "", password_hash = ""] = foreignHashes[5] ?? [];
    const user = await account({ password_hash }, password);
    await tokensOf(user);
    expect((await stored(user.id))?.hash).not.toBe(password_hash);
    await tokensOf(user);
  });

  it("costs what BCRYPT_COST says", async () => {
    Object.assign(env, { BCRYPT_COST: "11" });
    const user = await account();
    await tokensOf(user);
    expect((await stored(user.id))?.hash).toMatch(/^\$2b\$11\$/);
    const compare = vi.spyOn(bcrypt, "compare");
    await problem(await logIn({ username: crypto.randomUUID(), password: "secret" }), "wrong-credentials");
    expect(compare.mock.calls[0]?.[1]).toMatch(/^\$2b\$11\$/);
  });
});

describe("GET /auth/me", () => {
  it("answers the account that the token belongs to", async () => {
    const user = await signIn("admin");
    expect(await read(User, "/auth/me", user.token)).toMatchObject({ id: user.id, role: "admin", disabled: false });
  });

  it("answers when the password was changed last", async () => {
    const user = await signIn();
    await sql(`UPDATE "Finances"."user" SET password_changed_at = '2026-01-01T05:30:00.5+05:30' WHERE id = $1`, [
      user.id,
    ]);
    expect((await read(User, "/auth/me", user.token)).password_changed_at).toBe("2026-01-01T00:00:00.500000Z");
  });
});

/** A compact JWS with exactly this payload and header: libraries refuse to sign some of these. */
async function forge(
  payload: unknown,
  { header = {}, key, hash = "SHA-256" }: { header?: Record<string, unknown>; key?: string; hash?: string } = {},
): Promise<string> {
  const [first] = JSON.parse(env.JWT_KEYS) as [{ kid: string; key: string }];
  const hmac = { name: "HMAC", hash };
  const secret = await crypto.subtle.importKey("raw", base64url.decode(key ?? first.key), hmac, false, ["sign"]);
  const protectedHeader = JSON.stringify({ alg: "HS256", typ: "at+jwt", kid: first.kid, ...header });
  const body = typeof payload === "string" ? payload : JSON.stringify(payload);
  const signed = `${base64url.encode(protectedHeader)}.${base64url.encode(body)}`;
  const signature = await crypto.subtle.sign("HMAC", secret, new TextEncoder().encode(signed));
  return `${signed}.${base64url.encode(new Uint8Array(signature))}`;
}

async function claimsOf(user: { id: number; sessionId: string }): Promise<Record<string, unknown>> {
  const now = Math.floor(Date.now() / 1000);
  const owner = { iss: "nexgen-finance", aud: "nexgen-finance-api", sub: String(user.id), sid: user.sessionId };
  return { ...owner, token_version: 1, iat: now, exp: now + 3600 };
}

const expectedChallenge = 'Bearer realm="nexgen-finance", error="invalid_token"';

describe("the Authorization header", () => {
  it("may be missing, which is answered without an error code (RFC 6750, 3)", async () => {
    const response = await call("/auth/me");
    expect(response.headers.get("WWW-Authenticate")).toBe('Bearer realm="nexgen-finance"');
    await problem(response, "unauthorized");
    await problem(await call("/auth/me", { headers: { Authorization: "" } }), "unauthorized");
  });

  it.each(["Bearer", "bearer", "BEARER", "bEaReR"])("takes the scheme %s, whatever its case", async (scheme) => {
    const user = await signIn();
    expect((await call("/auth/me", { headers: { Authorization: `${scheme} ${user.token}` } })).status).toBe(200);
  });

  it.each<[string, (token: string) => string]>([
    ["the scheme alone", () => "Bearer"],
    ["the scheme and a space", () => "Bearer "],
    ["the token alone", (token) => token],
    ["another scheme", (token) => `Basic ${token}`],
    ["a scheme that only begins so", (token) => `Bearerer ${token}`],
    ["two tokens", (token) => `Bearer ${token} ${token}`],
    ["two tokens in a list", (token) => `Bearer ${token}, Bearer ${token}`],
    ["a quoted token", (token) => `Bearer "${token}"`],
    ["garbage", () => "Bearer garbage"],
    ["dots", () => "Bearer .."],
    ["four parts", (token) => `Bearer ${token}.x`],
    ["two parts", (token) => `Bearer ${token.slice(0, token.lastIndexOf("."))}`],
    ["no signature", (token) => `Bearer ${token.slice(0, token.lastIndexOf(".") + 1)}`],
    ["a padded token", (token) => `Bearer ${token}==`],
    ["characters that no token has", (token) => `Bearer ${token}%00`],
    ["a long one", () => `Bearer ${"a".repeat(10_000)}`],
  ])("is refused when it is %s", async (_case, authorization) => {
    const user = await signIn();
    const trips = await roundTrips(async () => {
      const response = await call("/auth/me", { headers: { Authorization: authorization(user.token) } });
      expect(response.headers.get("WWW-Authenticate")).toBe(expectedChallenge);
      await problem(response, "unauthorized");
    });
    expect(trips).toBe(0);
  });

  it("counts, not a token in the query or a cookie", async () => {
    const user = await signIn();
    await problem(await call("/auth/me", { headers: { Cookie: `access_token=${user.token}` } }), "unauthorized");
    await problem(await call(`/client?access_token=${user.token}`), "unauthorized");
  });
});

describe("an access token", () => {
  const refused = async (accessToken: string, trips: number) => {
    const made = await roundTrips(async () => {
      const response = await call("/auth/me", { token: accessToken });
      expect(response.headers.get("WWW-Authenticate")).toBe(expectedChallenge);
      await problem(response, "unauthorized");
    });
    expect(made).toBe(trips);
  };

  it("is taken when it is what the Worker signs", async () => {
    const user = await signIn();
    expect((await call("/auth/me", { token: await forge(await claimsOf(user)) })).status).toBe(200);
  });

  it("that was taken before is refused from the second in which it expires", async () => {
    const user = await signIn();
    const exp = Math.floor(Date.now() / 1000) + 60;
    const accessToken = await forge({ ...(await claimsOf(user)), exp });
    try {
      for (const at of [Date.now(), exp * 1000 - 1]) {
        vi.useFakeTimers({ toFake: ["Date"], now: at });
        expect((await call("/auth/me", { token: accessToken })).status).toBe(200);
      }
      vi.setSystemTime(exp * 1000);
      await refused(accessToken, 0);
    } finally {
      vi.useRealTimers();
    }
  });

  it("that was taken before is refused with another signature, and with other claims under its own", async () => {
    const user = await signIn();
    const [header = "", payload = "", signature = ""] = user.token.split(".");
    expect((await call("/auth/me", { token: user.token })).status).toBe(200);
    const altered = signature.startsWith("A") ? `B${signature.slice(1)}` : `A${signature.slice(1)}`;
    await refused([header, payload, altered].join("."), 0);
    const other = await forge({ ...(await claimsOf(user)), token_version: 2 });
    await refused([header, other.split(".")[1], signature].join("."), 0);
  });

  it.each<[string, Record<string, unknown>]>([
    ["expired", { iat: 1, exp: 2 }],
    ["just expired", { exp: Math.floor(Date.now() / 1000) - 1 }],
    ["that lives longer than any of ours", { iat: Math.floor(Date.now() / 1000) - 7200 }],
    ["of the future", { iat: Math.floor(Date.now() / 1000) + 600 }],
    ["not valid yet", { nbf: Math.floor(Date.now() / 1000) + 600 }],
    ["of another issuer", { iss: "https://evil.example" }],
    ["for another audience", { aud: "nexgen-finance" }],
    ["for other audiences", { aud: ["other", "another"] }],
    ["with a subject that is no user id", { sub: "1 OR 1=1" }],
    ["with a numeric subject", { sub: 1 }],
    ["with a subject beyond integer", { sub: "2147483648" }],
    ["with a session that is no UUID", { sid: "x" }],
    ["with a numeric session", { sid: 1 }],
    ["with a text as token version", { token_version: "1" }],
    ["with a fraction as token version", { token_version: 1.5 }],
    ["with a token version beyond integer", { token_version: 2 ** 31 }],
    ["without iss", { iss: undefined }],
    ["without aud", { aud: undefined }],
    ["without sub", { sub: undefined }],
    ["without sid", { sid: undefined }],
    ["without token_version", { token_version: undefined }],
    ["without iat", { iat: undefined }],
    ["without exp", { exp: undefined }],
    ["with null in its claims", { exp: null, iat: null }],
  ])("is refused before the database is asked: %s", async (_case, claims) => {
    const user = await signIn();
    await refused(await forge({ ...(await claimsOf(user)), ...claims }), 0);
  });

  it.each<[string, Record<string, unknown>]>([
    ["another typ", { typ: "JWT" }],
    ["no typ", { typ: undefined }],
    ["an unknown kid", { kid: "another" }],
    ["no kid", { kid: undefined }],
    ["a kid of the prototype", { kid: "__proto__" }],
    ["a critical extension", { crit: ["exp"], exp: 1 }],
  ])("is refused with %s in its header", async (_case, header) => {
    const user = await signIn();
    await refused(await forge(await claimsOf(user), { header }), 0);
  });

  it("is refused with the alg none, in any case, with and without a signature", async () => {
    const user = await signIn();
    const [, payload = "", signature = ""] = user.token.split(".");
    for (const alg of ["none", "None", "NONE", "nOnE", ""]) {
      const header = base64url.encode(JSON.stringify({ alg, typ: "at+jwt", kid: "test" }));
      await refused(`${header}.${payload}.`, 0);
      await refused(`${header}.${payload}.${signature}`, 0);
    }
  });

  it("is refused with another HMAC, however right the key", async () => {
    const user = await signIn();
    const claims = await claimsOf(user);
    await refused(await forge(claims, { header: { alg: "HS384" }, hash: "SHA-384" }), 0);
    await refused(await forge(claims, { header: { alg: "HS512" }, hash: "SHA-512" }), 0);
    await refused(await forge(claims, { header: { alg: "HS512" } }), 0);
  });

  it("is refused with another key, a changed payload, a changed signature, or a payload that is no object", async () => {
    const user = await signIn();
    const claims = await claimsOf(user);
    const other = base64url.encode(crypto.getRandomValues(new Uint8Array(32)));
    await refused(await forge(claims, { key: other }), 0);
    const [header = "", , signature = ""] = user.token.split(".");
    const admin = base64url.encode(JSON.stringify({ ...claims, sub: "1" }));
    await refused(`${header}.${admin}.${signature}`, 0);
    await refused(user.token.slice(0, -5) + (user.token.endsWith("AAAAA") ? "BBBBB" : "AAAAA"), 0);
    for (const payload of ["null", "[]", "1", '"x"', "not json"]) await refused(await forge(payload), 0);
  });

  it.each<[string, string]>([
    ["whose session was revoked", "UPDATE refresh_session SET revoked_at = now() WHERE user_id = $1"],
    ["whose session has expired", "UPDATE refresh_session SET expires_at = now() WHERE user_id = $1"],
    ["whose session is gone", "DELETE FROM refresh_session WHERE user_id = $1"],
    ["of a disabled user", `UPDATE "user" SET disabled = true WHERE id = $1`],
    ["of a user whose token version was raised", `UPDATE "user" SET token_version = 2 WHERE id = $1`],
    ["of a user who is gone", `DELETE FROM "user" WHERE id = $1`],
  ])("ends at once, in the round trip of the request: one %s", async (_case, change) => {
    const user = await signIn();
    expect((await call("/auth/me", { token: user.token })).status).toBe(200);
    await sql(change.replace(/(refresh_session|"user")/, '"Finances".$1'), [user.id]);
    await refused(user.token, 1);
  });

  it("is refused with another user's session, or for another user", async () => {
    const [mine, other] = [await signIn(), await signIn("admin")];
    await refused(await token({ sub: String(mine.id), sid: other.sessionId }), 1);
    await refused(await token({ sub: String(other.id), sid: mine.sessionId }), 1);
    await refused(await token({ sub: String(mine.id), sid: crypto.randomUUID() }), 1);
    await refused(await token({ sub: String(mine.id), sid: mine.sessionId, token_version: 2 }), 1);
  });

  it("carries no role: the one in the database counts at once", async () => {
    const user = await signIn("viewer");
    await sql(`UPDATE "Finances"."user" SET role = 'admin' WHERE id = $1`, [user.id]);
    expect((await read(User, "/auth/me", user.token)).role).toBe("admin");
  });
});

describe("JWT_KEYS", () => {
  const keys = env.JWT_KEYS;
  afterEach(() => {
    Object.assign(env, { JWT_KEYS: keys });
  });
  const [old] = JSON.parse(keys) as [{ kid: string; key: string }];
  const fresh = { kid: "fresh", key: base64url.encode(crypto.getRandomValues(new Uint8Array(32))) };

  it("rotates: the first key signs, the others verify, and a key that is gone does neither", async () => {
    const user = await account();
    const before = (await tokensOf(user)).access_token;
    const page = await call("/client?limit=1", { token: before });
    expect(page.status).toBe(200);

    Object.assign(env, { JWT_KEYS: JSON.stringify([fresh, old]) });
    const after = (await tokensOf(user)).access_token;
    expect(decodeProtectedHeader(after).kid).toBe("fresh");
    await jwtVerify(after, base64url.decode(fresh.key));
    for (const each of [before, after]) expect((await call("/auth/me", { token: each })).status).toBe(200);

    Object.assign(env, { JWT_KEYS: JSON.stringify([fresh]) });
    await problem(await call("/auth/me", { token: before }), "unauthorized");
    expect((await call("/auth/me", { token: after })).status).toBe(200);
  });

  it("is looked up by kid: the right key under another kid does not verify", async () => {
    const user = await signIn();
    Object.assign(env, {
      JWT_KEYS: JSON.stringify([
        { ...fresh, kid: old.kid },
        { ...old, kid: "old" },
      ]),
    });
    await problem(await call("/auth/me", { token: user.token }), "unauthorized");
  });

  it("keeps cursors of a key that no longer signs", async () => {
    const user = await signIn();
    await insert("client", { name: crypto.randomUUID() });
    await insert("client", { name: crypto.randomUUID() });
    const { next_cursor } = (await (await call("/client?limit=1", { token: user.token })).json()) as {
      next_cursor: string;
    };
    Object.assign(env, { JWT_KEYS: JSON.stringify([fresh, old]) });
    expect((await call(`/client?cursor=${next_cursor}`, { token: user.token })).status).toBe(200);
    Object.assign(env, { JWT_KEYS: JSON.stringify([fresh]) });
    const claims = await claimsOf(user);
    const renewed = await forge(claims);
    await problem(await call(`/client?cursor=${next_cursor}`, { token: renewed }), "invalid-cursor");
  });
});

describe("JWT_EXPIRY", () => {
  it("sets how long a token lives, and ends older ones that would live longer", async () => {
    const expiry = env.JWT_EXPIRY;
    try {
      Object.assign(env, { JWT_EXPIRY: "60" });
      const user = await account();
      const { access_token, expires_in } = await tokensOf(user);
      const { iat = 0, exp } = decodeJwt(access_token);
      expect([expires_in, exp]).toEqual([60, iat + 60]);
      const other = await signIn();
      const minutesOld = await token({ sub: String(other.id), sid: other.sessionId }, { issuedAt: -120 });
      await problem(await call("/auth/me", { token: minutesOld }), "unauthorized");
    } finally {
      Object.assign(env, { JWT_EXPIRY: expiry });
    }
  });
});
