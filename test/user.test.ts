import bcrypt from "bcryptjs";
import { describe, expect, it, vi } from "vitest";
import { User } from "../src/auth/contract.ts";
import { Account, AccountPage } from "../src/user/contract.ts";
import { insertAccount, logIn } from "./support/accounts.ts";
import { call, read, roundTrips, signIn, sql, type TestUser } from "./support/api.ts";
import { freshDatabase } from "./support/database.ts";
import { itIsAList, itIsSorted, missingIds } from "./support/lists.ts";
import { problem } from "./support/problem.ts";
import { whileUncommitted } from "./support/write.ts";

const password = "seven brown boats at noon";
const worksWith = async (accessToken: string) => (await call("/auth/me", { token: accessToken })).status === 200;
const create = (admin: TestUser, body: unknown) => call("/user", { method: "POST", token: admin.token, body });
const update = (admin: TestUser, id: number | string, body: unknown) =>
  call(`/user/${id}`, { method: "PATCH", token: admin.token, body });

/** A body for an account that is not there yet. */
function newAccount(values: Record<string, unknown> = {}) {
  const username = `new-${crypto.randomUUID()}`;
  return { username, email: `${username}@example.com`, password, role: "viewer", ...values };
}

const stored = async (id: number) =>
  (await sql(`SELECT password_hash, token_version, role, disabled FROM "Finances"."user" WHERE id = $1`, [id]))[0];

describe("GET /user", () => {
  itIsAList(
    AccountPage,
    "by id",
    async () => ({ path: "/user", add: async () => (await insertAccount()).id }),
    "admin",
  );
  describe("sorted", () => {
    const open = async () => {
      await freshDatabase();
      return { path: "/user", add: async () => (await insertAccount()).id };
    };
    itIsSorted(AccountPage, { id: (row) => row.id, username: (row) => row.username }, open, "admin");
  });
});

describe("POST /user", () => {
  it("creates an account that can log in, and says where it is", async () => {
    const admin = await signIn("admin");
    const given = newAccount({ role: "editor" });
    let response = new Response();
    const trips = await roundTrips(async () => {
      response = await create(admin, given);
    });
    expect([response.status, trips]).toEqual([201, 2]);
    const account = Account.parse(await response.json());
    expect(account).toMatchObject({
      username: given.username,
      email: given.email,
      role: "editor",
      disabled: false,
      failed_logins: 0,
      blocked_until: null,
      version: 1,
    });
    expect(account.password_changed_at).toBe(account.created_at);
    expect(response.headers.get("Location")).toBe(`/user/${account.id}`);
    expect(await read(Account, `/user/${account.id}`, admin.token)).toEqual(account);
    expect((await stored(account.id))?.password_hash).toMatch(/^\$2b\$10\$/);
    expect((await logIn(given.username, password)).status).toBe(200);
    const [entry] = await sql(
      `SELECT user_id, changes::text FROM "Finances".audit_log WHERE table_name = 'user' AND row_id = $1 AND action = 'insert'`,
      [String(account.id)],
    );
    expect(entry?.user_id).toBe(String(admin.id));
    expect(entry?.changes).not.toContain("$2b$");
  });

  it("does no work for a password of somebody who may not create accounts, or whose session is over", async () => {
    const hash = vi.spyOn(bcrypt, "hash");
    const body = { username: "new", email: "new@example.com", password: "kx8 fq2 vr7!", role: "viewer" };
    const editor = await signIn("editor");
    await problem(await call("/user", { method: "POST", token: editor.token, body }), "forbidden");
    const admin = await signIn("admin");
    await call("/auth/logout", { method: "POST", token: admin.token });
    await problem(await call("/user", { method: "POST", token: admin.token, body }), "unauthorized");
    expect(hash).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });

  it("refuses a username and an e-mail address that are taken, and points at which", async () => {
    const admin = await signIn("admin");
    const taken = await insertAccount();
    for (const [changes, pointer] of [
      [{ username: taken.username }, "/username"],
      // Log-in tells case apart; two accounts that look alike are one too many all the same.
      [{ username: taken.username.toUpperCase() }, "/username"],
      [{ email: taken.email.toUpperCase() }, "/email"],
    ] as const) {
      const { errors } = await problem(await create(admin, newAccount(changes)), "conflict");
      expect(errors).toEqual([{ in: "body", pointer, detail: expect.any(String) }]);
    }
  });

  it.each<[string, Record<string, unknown>, string]>([
    ["no username", { username: undefined }, "/username"],
    ["an empty username", { username: "" }, "/username"],
    ["a username with a blank at its end", { username: "asha " }, "/username"],
    ["a username of blanks", { username: "  " }, "/username"],
    ["a username with an escape character", { username: "asha\u001b[31m" }, "/username"],
    ["a username of two lines", { username: "asha\nadmin" }, "/username"],
    ["a username with a line separator", { username: "asha\u2028admin" }, "/username"],
    ["a username that turns the direction of text", { username: "asha\u202enimda" }, "/username"],
    ["a username with a character that has no width", { username: "as\u200bha" }, "/username"],
    ["a username with a letter that nobody sees", { username: "as\u3164ha" }, "/username"],
    ["a username with a dotless pattern", { username: "as\u2800ha" }, "/username"],
    ["a username with another blank", { username: "as\u00a0ha" }, "/username"],
    ["a username with a letter in two parts", { username: "andre\u0301" }, "/username"],
    ["a username of 256 characters", { username: "a".repeat(256) }, "/username"],
    ["no e-mail address", { email: undefined }, "/email"],
    ["an e-mail address that is none", { email: "asha" }, "/email"],
    ["no role", { role: undefined }, "/role"],
    ["an unknown role", { role: "owner" }, "/role"],
    ["no password", { password: undefined }, "/password"],
    ["a short password", { password: "seven boats" }, "/password"],
    ["a long password", { password: `${"é".repeat(36)}x` }, "/password"],
    ["a common password", { password: "qwerty123456" }, "/password"],
    ["the username as the password", { username: "asha.the.admin", password: "Asha.The.Admin" }, "/password"],
    ["the e-mail address as the password", { email: "a@example.com", password: "a@example.com" }, "/password"],
    ["an unknown field", { token_version: 1 }, "/token_version"],
    ["a disabled account", { disabled: true }, "/disabled"],
    ["a hash", { password_hash: `$2b$12$${"a".repeat(53)}` }, "/password_hash"],
  ])("refuses %s and points at it", async (_case, changes, pointer) => {
    const admin = await signIn("admin");
    const trips = await roundTrips(async () => {
      const { errors } = await problem(await create(admin, newAccount(changes)), "validation-failed");
      expect(errors?.map((error) => error.pointer)).toEqual([pointer]);
    });
    expect(trips).toBe(0);
  });
});

describe("GET /user/{user_id}", () => {
  it("answers the account, and no password in any form", async () => {
    const admin = await signIn("admin");
    const { id, username } = await insertAccount();
    expect(await read(Account, `/user/${id}`, admin.token)).toMatchObject({ id, username });
    for (const path of [`/user/${id}`, "/user"]) {
      const text = await (await call(path, { token: admin.token })).text();
      expect(text.replaceAll('"password_changed_at"', "")).not.toMatch(/password|hash|\$2[aby]\$|token/);
    }
  });

  it("finds nothing for what is no id, nor does PATCH", async () => {
    const admin = await signIn("admin");
    for (const id of [...missingIds, "2147483647", "2147483648"]) {
      await problem(await call(`/user/${id}`, { token: admin.token }), "not-found");
      await problem(await update(admin, id, { role: "viewer" }), "not-found");
      await problem(await update(admin, id, { password }), "not-found");
    }
  });
});

describe("PATCH /user/{user_id}", () => {
  it.each<[string, Record<string, unknown>, string]>([
    ["a role", { role: "admin" }, "role"],
    ["disabled", { disabled: true }, "disabled"],
    ["a password", { password }, "password_changed_at"],
    ["all of them", { role: "editor", disabled: true, password }, "role"],
  ])("of %s ends the account's sessions at once", async (_case, changes, field) => {
    const [admin, user] = [await signIn("admin"), await signIn()];
    const before = await read(Account, `/user/${user.id}`, admin.token);
    const response = await update(admin, user.id, changes);
    expect(response.status).toBe(200);
    const after = Account.parse(await response.json());
    const { password: _, ...visible } = changes;
    expect(after).toMatchObject({ ...visible, version: 2 });
    expect(after[field as keyof Account]).not.toEqual(before[field as keyof Account]);
    expect((await stored(user.id))?.token_version).toBe("2");
    const live = `SELECT id FROM "Finances".refresh_session WHERE user_id = $1 AND revoked_at IS NULL`;
    expect(await sql(live, [user.id])).toEqual([]);
    expect([await worksWith(user.token), await worksWith(admin.token)]).toEqual([false, true]);
  });

  it("resets a password: the old one is worth nothing, the new one opens", async () => {
    const admin = await signIn("admin");
    const { id, username } = await insertAccount();
    expect((await update(admin, id, { password })).status).toBe(200);
    await problem(await logIn(username, "secret"), "wrong-credentials");
    expect((await logIn(username, password)).status).toBe(200);
    expect(await bcrypt.compare(password, String((await stored(id))?.password_hash))).toBe(true);
  });

  it("lets a disabled account in again", async () => {
    const admin = await signIn("admin");
    const { id, username } = await insertAccount({ disabled: true });
    await problem(await logIn(username, "secret"), "wrong-credentials");
    expect((await update(admin, id, { disabled: false })).status).toBe(200);
    expect((await logIn(username, "secret")).status).toBe(200);
  });

  it("that changes nothing ends no session", async () => {
    const [admin, user] = [await signIn("admin"), await signIn()];
    for (const changes of [{}, { role: "viewer" }, { disabled: false }, { role: "viewer", disabled: false }]) {
      const response = await update(admin, user.id, changes);
      expect(Account.parse(await response.json())).toMatchObject({ id: user.id, version: 1 });
    }
    expect(await worksWith(user.token)).toBe(true);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ["a username", { username: "x" }, "/username"],
    ["an e-mail address", { email: "x@example.com" }, "/email"],
    ["an unknown role", { role: "owner" }, "/role"],
    ["null as role", { role: null }, "/role"],
    ["a text as disabled", { disabled: "yes" }, "/disabled"],
    ["a short password", { password: "seven boats" }, "/password"],
    ["a common password", { password: "password12345" }, "/password"],
  ])("refuses %s and points at it", async (_case, changes, pointer) => {
    const [admin, user] = [await signIn("admin"), await signIn()];
    const { errors } = await problem(await update(admin, user.id, changes), "validation-failed");
    expect(errors?.map((error) => error.pointer)).toEqual([pointer]);
    expect(await worksWith(user.token)).toBe(true);
  });

  it("is not done by an admin who was disabled while it waited for whoever did that", async () => {
    const [admin] = [await signIn("admin"), await signIn("admin")];
    const response = await whileUncommitted(
      `UPDATE "Finances"."user" SET disabled = true, token_version = token_version + 1 WHERE id = $1`,
      [admin.id],
      () => update(admin, admin.id, { disabled: false, role: "admin" }),
    );
    await problem(response, "unauthorized");
    expect((await stored(admin.id))?.disabled).toBe("t");
  });

  it("refuses the account's own names as its password", async () => {
    const admin = await signIn("admin");
    const { id, username, email } = await insertAccount();
    for (const name of [username, email.toUpperCase()]) {
      const { errors } = await problem(await update(admin, id, { password: name }), "validation-failed");
      expect(errors?.map((error) => error.pointer)).toEqual(["/password"]);
    }
  });
});

describe("the last enabled admin", () => {
  const remaining = async () =>
    (await sql(`SELECT id FROM "Finances"."user" WHERE role = 'admin' AND NOT disabled`)).length;

  it("can neither be disabled nor lose the role, not even by himself, and keeps his session", async () => {
    await freshDatabase();
    const admin = await signIn("admin");
    const retired = await signIn("admin");
    await sql(`UPDATE "Finances"."user" SET disabled = true WHERE id = $1`, [retired.id]);
    for (const changes of [{ disabled: true }, { role: "editor" }, { role: "viewer", disabled: true, password }]) {
      await problem(await update(admin, admin.id, changes), "conflict");
    }
    expect(await read(User, "/auth/me", admin.token)).toMatchObject({ role: "admin", disabled: false, version: 1 });
    // What leaves him an admin is no matter.
    expect((await update(admin, admin.id, { role: "admin", disabled: false })).status).toBe(200);
    expect((await update(admin, retired.id, { role: "viewer" })).status).toBe(200);
    const other = await signIn("admin");
    expect((await update(other, admin.id, { disabled: true })).status).toBe(200);
    await problem(await update(other, other.id, { disabled: true }), "conflict");
    expect(await remaining()).toBe(1);
  });

  it("stays when admins disable and demote each other and themselves at once", async () => {
    for (let round = 0; round < 10; round++) {
      await freshDatabase();
      const admins = await Promise.all(Array.from({ length: 4 }, () => signIn("admin")));
      const changes = [{ disabled: true }, { role: "viewer" }];
      const answers = await Promise.all(
        admins.flatMap((admin, mine) =>
          admins.map((target, theirs) => update(admin, target.id, changes[(mine + theirs) % 2])),
        ),
      );
      for (const answer of answers) expect([200, 401, 403, 409]).toContain(answer.status);
      expect(await remaining()).toBeGreaterThanOrEqual(1);
    }
  });

  it("stays when two demote each other in one moment", async () => {
    for (let round = 0; round < 10; round++) {
      await freshDatabase();
      const [one, two] = [await signIn("admin"), await signIn("admin")];
      const answers = await Promise.all([
        update(one, two.id, { role: "viewer" }),
        update(two, one.id, { role: "viewer" }),
      ]);
      expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
      expect(await remaining()).toBe(1);
    }
  });
});
