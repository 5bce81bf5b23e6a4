import bcrypt from "bcryptjs";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type Session, SessionPage, Tokens } from "../src/auth/contract.ts";
import { insertAccount, logIn, secretHash } from "./support/accounts.ts";
import { call, read, signIn, sql, type TestUser, token } from "./support/api.ts";
import { freshDatabase } from "./support/database.ts";
import { missingIds } from "./support/lists.ts";
import { problem } from "./support/problem.ts";
import { walk } from "./support/rows.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const worksWith = async (accessToken: string) => (await call("/auth/me", { token: accessToken })).status === 200;

/** One more session of the user. */
async function another(user: TestUser, created = "now()"): Promise<TestUser> {
  const [row] = await sql(
    `INSERT INTO "Finances".refresh_session (user_id, token_hash, created_at, expires_at)
     VALUES ($1, sha256(gen_random_uuid()::text::bytea), ${created}, now() + interval '1 day') RETURNING id`,
    [user.id],
  );
  const sessionId = String(row?.id);
  return { ...user, sessionId, token: await token({ sub: String(user.id), sid: sessionId }) };
}

describe("POST /auth/logout", () => {
  it("ends the session's access and refresh tokens at once, and no other session", async () => {
    const { username } = await insertAccount();
    const [one, two] = [
      Tokens.parse(await (await logIn(username, "secret")).json()),
      Tokens.parse(await (await logIn(username, "secret")).json()),
    ];
    const response = await call("/auth/logout", { method: "POST", token: one.access_token });
    expect([response.status, await response.text()]).toEqual([204, ""]);
    expect(await worksWith(one.access_token)).toBe(false);
    const refresh = (refresh_token: string) => call("/auth/refresh", { method: "POST", body: { refresh_token } });
    await problem(await refresh(one.refresh_token), "unauthorized");
    await problem(await call("/auth/logout", { method: "POST", token: one.access_token }), "unauthorized");
    expect(await worksWith(two.access_token)).toBe(true);
    expect((await refresh(two.refresh_token)).status).toBe(200);
  });
});

describe("GET /auth/sessions", () => {
  it("answers where and when each began, when it was used last and which is this one", async () => {
    const { username } = await insertAccount();
    const headers = { "CF-Connecting-IP": "203.0.113.7", "User-Agent": "Firefox" };
    const body = { username, password: "secret" };
    const first = Tokens.parse(await (await call("/auth/login", { method: "POST", body, headers })).json());
    const second = Tokens.parse(await (await logIn(username, "secret")).json());
    await call("/auth/refresh", { method: "POST", body: { refresh_token: first.refresh_token } });
    const { data, next_cursor } = await read(SessionPage, "/auth/sessions", second.access_token);
    expect(next_cursor).toBeNull();
    expect(data.map((each) => each.current)).toEqual([true, false]);
    const [, old] = data;
    expect(old).toMatchObject({ address: "203.0.113.7", user_agent: "Firefox" });
    expect(Date.parse(old?.last_used_at ?? "")).toBeGreaterThan(Date.parse(old?.created_at ?? ""));
    const days = (Date.parse(old?.expires_at ?? "") - Date.parse(old?.created_at ?? "")) / 86_400_000;
    expect(days).toBeCloseTo(30, 4);
    const mine = await read(SessionPage, "/auth/sessions", first.access_token);
    expect(mine.data.map((each) => each.current)).toEqual([false, true]);
  });

  it("has one's own alone, and none that is over", async () => {
    const user = await signIn();
    const stranger = await signIn("admin");
    const [revoked, expired, live] = [await another(user), await another(user), await another(user)];
    await sql(`UPDATE "Finances".refresh_session SET revoked_at = now() WHERE id = $1`, [revoked.sessionId]);
    await sql(`UPDATE "Finances".refresh_session SET expires_at = now() WHERE id = $1`, [expired.sessionId]);
    const ids = async (who: TestUser) =>
      (await read(SessionPage, "/auth/sessions", who.token)).data.map((each) => each.id);
    expect((await ids(user)).toSorted()).toEqual([user.sessionId, live.sessionId].toSorted());
    expect(await ids(stranger)).toEqual([stranger.sessionId]);
  });

  it.each([1, 2, 3, 200])("is walked to its end in pages of %i, newest first, while sessions begin", async (limit) => {
    const user = await signIn();
    const there = [user.sessionId];
    // Two of the same moment: the id decides.
    for (const hours of [1, 2, 2, 3]) {
      there.push((await another(user, `date_trunc('hour', now()) - interval '${hours} hours'`)).sessionId);
    }
    const pages = await walk(SessionPage, `/auth/sessions?limit=${limit}`, user.token, () => another(user));
    for (const page of pages.slice(0, -1)) expect(page.data).toHaveLength(limit);
    const found: Session[] = pages.flatMap((page) => page.data);
    expect(found.map((each) => each.id).toSorted()).toEqual(there.toSorted());
    const order = found.map((each) => `${each.created_at} ${each.id}`);
    expect(order).toEqual(order.toSorted().toReversed());
  });

  it("refuses a cursor of another list, and a query that is none", async () => {
    const user = await signIn();
    await another(user);
    const { next_cursor } = await read(SessionPage, "/auth/sessions?limit=1", user.token);
    await problem(await call(`/client?cursor=${next_cursor}`, { token: user.token }), "invalid-cursor");
    await problem(await call("/auth/sessions?cursor=x", { token: user.token }), "invalid-cursor");
    await problem(await call("/auth/sessions?limit=0", { token: user.token }), "validation-failed");
  });

  it("says nothing of tokens", async () => {
    const user = await signIn();
    const text = await (await call("/auth/sessions", { token: user.token })).text();
    expect(text).not.toMatch(/token|hash|\\x/);
  });
});

describe("sessions that are over by their age", () => {
  it("are cleared away by log-ins, at most ten at once; what has ended early stays until then", async () => {
    await freshDatabase();
    const { id, username } = await insertAccount();
    const add = (count: number, expires: string, revoked: string) =>
      sql(
        `INSERT INTO "Finances".refresh_session (user_id, token_hash, expires_at, revoked_at)
         SELECT $1, sha256(gen_random_uuid()::text::bytea), now() + $3::interval, ${revoked} FROM generate_series(1, $2)`,
        [id, count, expires],
      );
    await add(12, "-1 second", "NULL");
    await add(2, "-1 day", "now()");
    await add(1, "1 minute", "now()");
    const left = async () =>
      (
        await sql(
          `SELECT count(*) FILTER (WHERE expires_at < now()) AS old, count(*) AS all FROM "Finances".refresh_session`,
        )
      )[0];
    expect(await left()).toEqual({ old: "14", all: "15" });
    expect((await logIn(username, "secret")).status).toBe(200);
    expect(await left()).toEqual({ old: "4", all: "6" });
    expect((await logIn(username, "secret")).status).toBe(200);
    expect(await left()).toEqual({ old: "0", all: "3" });
  });
});

describe("DELETE /auth/sessions/{id}", () => {
  const end = (user: TestUser, id: string) => call(`/auth/sessions/${id}`, { method: "DELETE", token: user.token });

  it("ends that session of one's own at once", async () => {
    const user = await signIn();
    const other = await another(user);
    const response = await end(user, other.sessionId);
    expect([response.status, await response.text()]).toEqual([204, ""]);
    expect([await worksWith(user.token), await worksWith(other.token)]).toEqual([true, false]);
    expect((await end(user, user.sessionId)).status).toBe(204);
    expect(await worksWith(user.token)).toBe(false);
  });

  it("does not find another user's, an unknown one, one that is over, or what is no id, whoever asks", async () => {
    const [admin, stranger] = [await signIn("admin"), await signIn()];
    const over = await another(admin);
    expect((await end(admin, over.sessionId)).status).toBe(204);
    for (const id of [stranger.sessionId, crypto.randomUUID(), over.sessionId, ...missingIds]) {
      await problem(await end(admin, id), "not-found");
    }
    await problem(await end(admin, admin.sessionId.toUpperCase()), "not-found");
    expect(await worksWith(stranger.token)).toBe(true);
  });
});

describe("POST /auth/password", () => {
  const current_password = "secret";
  const new_password = "seven brown boats at noon";
  const change = (user: TestUser, body: unknown) => call("/auth/password", { method: "POST", token: user.token, body });

  /** A signed-in user with the password `secret`. */
  async function signInWithSecret(): Promise<TestUser & { username: string; email: string }> {
    const user = await signIn();
    const [row] = await sql(`UPDATE "Finances"."user" SET password_hash = $2 WHERE id = $1 RETURNING username, email`, [
      user.id,
      secretHash,
    ]);
    return { ...user, username: String(row?.username), email: String(row?.email) };
  }
  const stored = async (id: number) =>
    (
      await sql(
        `SELECT password_hash, token_version, password_changed_at > now() - interval '1 minute' AS just_changed
         FROM "Finances"."user" WHERE id = $1`,
        [id],
      )
    )[0];

  it("changes the password and ends every other session; this one goes on with its refresh token", async () => {
    const { id, username } = await insertAccount();
    const [here, there] = [
      Tokens.parse(await (await logIn(username, "secret")).json()),
      Tokens.parse(await (await logIn(username, "secret")).json()),
    ];
    const response = await call("/auth/password", {
      method: "POST",
      token: here.access_token,
      body: { current_password, new_password },
    });
    expect([response.status, await response.text()]).toEqual([204, ""]);
    expect(await stored(id)).toMatchObject({ token_version: "2", just_changed: "t" });
    expect((await stored(id))?.password_hash).toMatch(/^\$2b\$10\$/);

    const refresh = (refresh_token: string) => call("/auth/refresh", { method: "POST", body: { refresh_token } });
    for (const { access_token } of [here, there]) expect(await worksWith(access_token)).toBe(false);
    await problem(await refresh(there.refresh_token), "unauthorized");
    const renewed = Tokens.parse(await (await refresh(here.refresh_token)).json());
    expect(await worksWith(renewed.access_token)).toBe(true);
    await problem(await logIn(username, "secret"), "wrong-credentials");
    expect((await logIn(username, new_password)).status).toBe(200);

    const log = await sql(
      `SELECT user_id, changes::text FROM "Finances".audit_log WHERE table_name = 'user' AND row_id = $1 ORDER BY id DESC LIMIT 1`,
      [String(id)],
    );
    expect(log[0]?.user_id).toBe(String(id));
    expect(log[0]?.changes).toContain('"password": "changed"');
    expect(log[0]?.changes).not.toContain("$2b$");
  });

  it("points at a current password that is wrong, and changes nothing", async () => {
    const user = await signInWithSecret();
    const other = await another(user);
    const { errors } = await problem(
      await change(user, { current_password: "wrong!", new_password }),
      "validation-failed",
    );
    expect(errors).toEqual([{ in: "body", pointer: "/current_password", detail: "is not the current password" }]);
    expect(await stored(user.id)).toMatchObject({ password_hash: secretHash, token_version: "1" });
    for (const each of [user, other]) expect(await worksWith(each.token)).toBe(true);
  });

  it.each<[string, (user: { username: string; email: string }) => string, RegExp]>([
    ["eleven characters", () => "seven boats", /at least 12/],
    ["73 bytes", () => "x1".repeat(36).concat("y"), /at most 72 bytes/],
    ["the username", ({ username }) => username, /username/],
    ["the username, but for its case", ({ username }) => ` ${username.toUpperCase()} `, /username/],
    ["the username again and a few signs", ({ username }) => `${username}-26!`, /username/],
    ["the e-mail address", ({ email }) => email, /e-mail/],
    ["a common one", () => "1qaz2wsx3edc", /everybody/],
    ["a common one of digits", () => "112233445566", /everybody/],
    ["a common one, but for its case", () => "QwertyUiop123", /everybody/],
    ["a common one with a year and a sign", () => "!Password2026!", /everybody/],
    ["a common one twice", () => "dragondragon", /everybody/],
    ["this service's own words", () => "NexGen Finance-ERP 26!", /everybody/],
    ["the same few characters", () => "abcabcabcabcabca", /everybody/],
    ["a common one in disguise", () => "P@$$w0rd-2026", /everybody/],
    ["a common one in disguise twice", () => "p@ssw0rdp@ssw0rd", /everybody/],
    ["this service's own words in disguise", () => "N3xg3n-F1nance26", /everybody/],
    ["a role and digits", () => "viewer-123456", /everybody/],
    ["a common one in wide letters", () => "ｐａｓｓｗｏｒｄ１２３４", /everybody/],
    ["a common one twice and a digit", () => "welcomewelcome1", /everybody/],
    ["one character and another", () => "aaaaaaaaaaab", /everybody/],
    ["a sequence of letters", () => "abcdefghijkl", /everybody/],
    ["a sequence there and back", () => "9876543345678", /everybody/],
  ])("refuses a new password that is %s, and points at it", async (_case, passwordOf, why) => {
    const user = await signInWithSecret();
    const { errors } = await problem(
      await change(user, { current_password, new_password: passwordOf(user) }),
      "validation-failed",
    );
    expect(errors).toEqual([{ in: "body", pointer: "/new_password", detail: expect.stringMatching(why) }]);
    expect(await stored(user.id)).toMatchObject({ password_hash: secretHash });
  });

  it.each([
    ["12 characters", "kx8 fq2 vr7!"],
    ["12 characters of four bytes, 48 in all", "🙂🙃😉😌😍🥰😘😗😙😚😋😛"],
    [
      "72 bytes",
      "y".repeat(3).concat("seven brown boats at noon and five grey gulls at dawn on a quiet lake ").slice(0, 72),
    ],
    ["words that begin with a common one", "dragon fruit for breakfast"],
    ["words of which one is this service's own", "finance for otters"],
  ])("takes a new password of %s", async (_case, password) => {
    const user = await signInWithSecret();
    expect((await change(user, { current_password, new_password: password })).status).toBe(204);
    expect(await bcrypt.compare(password, String((await stored(user.id))?.password_hash))).toBe(true);
  });

  it("counts a right current password for no failure, also where the new one is refused", async () => {
    const user = await signInWithSecret();
    await problem(await change(user, { current_password: "wrong!", new_password }), "validation-failed");
    await problem(await change(user, { current_password, new_password: user.username }), "validation-failed");
    const counted = await sql(`SELECT max(failures) AS most FROM "Finances".login_attempt WHERE username = $1`, [
      user.username,
    ]);
    expect(counted).toEqual([{ most: "1" }]);
  });

  it("refuses the current password as the new one", async () => {
    const user = await signInWithSecret();
    const { errors } = await problem(
      await change(user, { current_password: new_password, new_password }),
      "validation-failed",
    );
    expect(errors?.map((error) => error.pointer)).toEqual(["/new_password"]);
  });

  it("changes nothing when the password was changed while it was compared", async () => {
    const user = await signInWithSecret();
    const changed = `$2b$12$${"a".repeat(53)}`;
    const compare = bcrypt.compare.bind(bcrypt);
    vi.spyOn(bcrypt, "compare").mockImplementation(async (password: string, hash: string) => {
      await sql(`UPDATE "Finances"."user" SET password_hash = $2 WHERE id = $1`, [user.id, changed]);
      return compare(password, hash);
    });
    await problem(await change(user, { current_password, new_password }), "validation-failed");
    expect((await stored(user.id))?.password_hash).toBe(changed);
  });

  it("changes nothing when the session ends while the password is compared", async () => {
    const user = await signInWithSecret();
    const compare = bcrypt.compare.bind(bcrypt);
    vi.spyOn(bcrypt, "compare").mockImplementation(async (password: string, hash: string) => {
      await sql(`UPDATE "Finances".refresh_session SET revoked_at = now() WHERE id = $1`, [user.sessionId]);
      return compare(password, hash);
    });
    await problem(await change(user, { current_password, new_password }), "unauthorized");
    expect((await stored(user.id))?.password_hash).toBe(secretHash);
  });
});
