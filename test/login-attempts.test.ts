import bcrypt from "bcryptjs";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Account } from "../src/user/contract.ts";
import { insertAccount, logIn, secretHash } from "./support/accounts.ts";
import { call, read, roundTrips, signIn, sql, token } from "./support/api.ts";
import { problem } from "./support/problem.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

let addresses = 0;
const newAddress = () => `198.51.${addresses >> 8}.${addresses++ & 255}`;

/** Lets time go by for an account: for its counts, everything that happened is so much longer ago. */
const wait = (username: string, seconds: number) =>
  sql(
    `UPDATE "Finances".login_attempt SET last_failed_at = last_failed_at - make_interval(secs => $2::int),
       blocked_until = blocked_until - make_interval(secs => $2::int) WHERE username = $1`,
    [username, seconds],
  );

/** No password matches, at once: where nothing but the counting is looked at. */
const workless = () => vi.spyOn(bcrypt, "compare").mockImplementation(async () => false);

const fail = (username: string, address: string) => logIn(username, "wrong!", address);

/** Fails so often, expecting to be let through to the comparison each time. */
async function failTimes(times: number, username: string, address: () => string): Promise<void> {
  for (let failed = 0; failed < times; failed++) {
    await problem(await fail(username, address()), "wrong-credentials");
  }
}

/** Seconds that the answer says to wait; 0 when it is none of a block. */
async function blockOf(response: Response): Promise<number> {
  if (response.status !== 429) return 0;
  const seconds = Number(response.headers.get("Retry-After"));
  expect(Number.isInteger(seconds) && seconds > 0).toBe(true);
  expect((await problem(response, "too-many-requests")).detail).toContain(`${seconds} seconds`);
  return seconds;
}

const counted = (username: string) =>
  sql(`SELECT address, failures FROM "Finances".login_attempt WHERE username = $1 ORDER BY address`, [username]);

/** Blocks begin at a second, as in production: a machine that stalls for longer is given another try. */
const again = { retry: 3 };

describe("failed log-ins from one address", again, () => {
  it.each(["a real", "an unknown"])(
    "are free five times, then each costs twice the time, up to 15 minutes: of %s user",
    async (kind) => {
      const username = kind === "a real" ? (await insertAccount()).username : crypto.randomUUID();
      const address = newAddress();
      workless();
      await failTimes(4, username, () => address);
      const waits = [];
      for (let more = 0; more < 13; more++) {
        await problem(await fail(username, address), "wrong-credentials");
        const seconds = await blockOf(await fail(username, address));
        waits.push(seconds);
        // What is left of a second is not worth a failure of this test.
        await wait(username, seconds);
      }
      expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    },
  );

  it("block the right password too, before anything is compared, in one round trip, and are not prolonged", async () => {
    const { username } = await insertAccount();
    const address = newAddress();
    await failTimes(5, username, () => address);
    await sql(`UPDATE "Finances".login_attempt SET blocked_until = now() + interval '100 s' WHERE username = $1`, [
      username,
    ]);
    const before = await counted(username);
    const compare = vi.spyOn(bcrypt, "compare");
    const trips = await roundTrips(async () => {
      expect(await blockOf(await logIn(username, "secret", address))).toBe(100);
    });
    expect(trips).toBe(1);
    expect(compare).not.toHaveBeenCalled();
    expect(await counted(username)).toEqual(before);
    await wait(username, 101);
    expect((await logIn(username, "secret", address)).status).toBe(200);
  });

  it("are counted also when they come at once", async () => {
    const { username } = await insertAccount();
    const address = newAddress();
    workless();
    const answers = await Promise.all(Array.from({ length: 20 }, () => fail(username, address)));
    const statuses = answers.map((answer) => answer.status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(5);
    expect(statuses.filter((status) => status === 429)).toHaveLength(15);
    expect(await counted(username)).toEqual([
      { address: "", failures: "5" },
      { address, failures: "5" },
    ]);
  });

  it("are counted one after the other, each knowing those before", async () => {
    const [username, address] = [crypto.randomUUID(), newAddress()];
    // Each transaction stays open for a while after it has counted.
    const count = () => sql(`SELECT "Finances".count_log_in($1, $2) AS wait, pg_sleep(0.1)`, [username, address]);
    const waits = (await Promise.all(Array.from({ length: 7 }, count))).map((rows) => Number(rows[0]?.wait));
    expect(waits.toSorted()).toEqual([0, 0, 0, 0, 0, 1, 1]);
    expect(await counted(username)).toEqual([
      { address: "", failures: "5" },
      { address, failures: "5" },
    ]);
  });

  it("are forgotten after a success from there, and no others", async () => {
    const { username } = await insertAccount();
    const [one, two] = [newAddress(), newAddress()];
    await failTimes(4, username, () => one);
    await failTimes(4, username, () => two);
    expect((await logIn(username, "secret", one)).status).toBe(200);
    expect(await counted(username)).toEqual([
      { address: "", failures: "4" },
      { address: two, failures: "4" },
    ]);
    await failTimes(5, username, () => one);
    await failTimes(1, username, () => two);
    expect(await blockOf(await fail(username, two))).toBe(1);
  });

  it("are not counted when they succeed", async () => {
    const { username } = await insertAccount();
    const address = newAddress();
    for (let times = 0; times < 7; times++) expect((await logIn(username, "secret", address)).status).toBe(200);
    expect(await counted(username)).toEqual([{ address: "", failures: "0" }]);
  });

  it("are forgiven 24 hours after the last one, and no sooner", async () => {
    const { username } = await insertAccount();
    const address = newAddress();
    await failTimes(5, username, () => address);
    await wait(username, 24 * 3600 - 60);
    await failTimes(1, username, () => address);
    expect(await blockOf(await fail(username, address))).toBe(2);
    await wait(username, 24 * 3600 + 60);
    await failTimes(5, username, () => address);
    expect(await blockOf(await fail(username, address))).toBe(1);
  });

  it("leave no rows for ever: attempts clear away what is forgiven", async () => {
    const old = `old-${crypto.randomUUID()}`;
    await sql(
      `INSERT INTO "Finances".login_attempt (username, address, failures, last_failed_at)
       SELECT $1, n::text, 1, now() - interval '25 hours' FROM generate_series(1, 15) n`,
      [old],
    );
    const { username } = await insertAccount();
    await failTimes(2, username, newAddress);
    expect(await counted(old)).toEqual([]);
  });

  it("are those of an IPv6 /64, which one attacker has whole", async () => {
    const { username } = await insertAccount();
    let host = 1;
    await failTimes(5, username, () => `2001:db8:1:2:3::${host++}`);
    expect(await blockOf(await fail(username, "2001:db8:1:2:ffff::1"))).toBe(1);
    await problem(await fail(username, "2001:db8:1:3::1"), "wrong-credentials");
  });

  it("are those of the address that Cloudflare saw, whatever other headers say", async () => {
    const { username } = await insertAccount();
    const seen = newAddress();
    workless();
    for (let attempt = 1; attempt <= 6; attempt++) {
      const claimed = newAddress();
      const response = await call("/auth/login", {
        method: "POST",
        body: { username, password: "wrong!" },
        headers: {
          "CF-Connecting-IP": seen,
          "X-Forwarded-For": claimed,
          "X-Real-IP": claimed,
          "True-Client-IP": claimed,
          Forwarded: `for=${claimed}`,
        },
      });
      expect(response.status).toBe(attempt <= 5 ? 401 : 429);
      await response.arrayBuffer();
    }
  });

  it("do not mix accounts whose names differ in case, and take any text for an address", async () => {
    const { username } = await insertAccount();
    for (const address of ["", "x:y", "::1%eth0", "'"]) {
      await failTimes(5, username, () => address);
      expect(await blockOf(await fail(username, address))).toBeGreaterThan(0);
      await problem(await fail(`${username.toUpperCase()}${address}`, address), "wrong-credentials");
      await sql(`DELETE FROM "Finances".login_attempt WHERE username = $1 AND address = ''`, [username]);
    }
  });
});

describe("failed log-ins from many addresses", again, () => {
  it.each(["a real", "an unknown"])("slow strangers down, by 30 seconds at most: of %s user", async (kind) => {
    const username = kind === "a real" ? (await insertAccount()).username : crypto.randomUUID();
    workless();
    await failTimes(9, username, newAddress);
    const waits = [];
    for (let more = 0; more < 7; more++) {
      await problem(await fail(username, newAddress()), "wrong-credentials");
      const seconds = await blockOf(await fail(username, newAddress()));
      waits.push(seconds);
      await wait(username, seconds);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 30, 30]);
  });

  it("never keep out an address that logged in within 30 days, whether or not that session is over", async () => {
    const { id, username } = await insertAccount();
    const [home, homeToo] = ["2001:db8:aaaa:1::1", "2001:db8:aaaa:1:9::9"];
    expect((await logIn(username, "secret", home)).status).toBe(200);
    await sql(`UPDATE "Finances".refresh_session SET revoked_at = now() WHERE user_id = $1`, [id]);
    await failTimes(10, username, newAddress);
    await sql(
      `UPDATE "Finances".login_attempt SET blocked_until = now() + interval '30 s' WHERE username = $1 AND address = ''`,
      [username],
    );
    expect(await blockOf(await logIn(username, "secret", newAddress()))).toBeGreaterThanOrEqual(25);
    for (const known of [home, homeToo]) expect((await logIn(username, "secret", known)).status).toBe(200);
    await sql(`UPDATE "Finances".refresh_session SET created_at = now() - interval '31 days' WHERE user_id = $1`, [id]);
    expect(await blockOf(await logIn(username, "secret", home))).toBeGreaterThanOrEqual(25);
  });

  it("do not let somebody in who is known to another account", async () => {
    const [one, other] = [await insertAccount(), await insertAccount()];
    const address = newAddress();
    expect((await logIn(other.username, "secret", address)).status).toBe(200);
    await failTimes(10, one.username, newAddress);
    expect(await blockOf(await logIn(one.username, "secret", address))).toBeGreaterThan(0);
  });

  it("leave a known address its own five failures", async () => {
    const { username } = await insertAccount();
    const home = newAddress();
    expect((await logIn(username, "secret", home)).status).toBe(200);
    await failTimes(10, username, newAddress);
    await failTimes(5, username, () => home);
    expect(await blockOf(await logIn(username, "secret", home))).toBeGreaterThan(0);
  });
});

describe("the current password", again, () => {
  it("is not guessed by a stolen access token either: it counts with the log-ins", async () => {
    const { id, username } = await insertAccount();
    const [session] = await sql(
      `INSERT INTO "Finances".refresh_session (user_id, token_hash, expires_at)
       VALUES ($1, sha256(gen_random_uuid()::text::bytea), now() + interval '1 day') RETURNING id`,
      [id],
    );
    const accessToken = await token({ sub: String(id), sid: String(session?.id) });
    const address = newAddress();
    const change = (current_password: string) =>
      call("/auth/password", {
        method: "POST",
        token: accessToken,
        body: { current_password, new_password: "seven brown boats at noon" },
        headers: { "CF-Connecting-IP": address },
      });
    await failTimes(2, username, () => address);
    for (let guess = 0; guess < 3; guess++) await problem(await change("wrong!"), "validation-failed");
    expect(await blockOf(await change("secret"))).toBe(1);
    expect(await blockOf(await logIn(username, "secret", address))).toBe(1);
    const [row] = await sql(`SELECT password_hash FROM "Finances"."user" WHERE id = $1`, [id]);
    expect(row?.password_hash).toBe(secretHash);
    await wait(username, 1);
    expect((await change("secret")).status).toBe(204);
    expect(await counted(username)).toEqual([{ address: "", failures: "0" }]);
  });
});

describe("an admin", again, () => {
  it("sees the failures of an account and until when it is blocked", async () => {
    const admin = await signIn("admin");
    const { id, username } = await insertAccount();
    const seen = () => read(Account, `/user/${id}`, admin.token);
    expect(await seen()).toMatchObject({ failed_logins: 0, blocked_until: null });
    const address = newAddress();
    await failTimes(4, username, () => address);
    await failTimes(1, username, newAddress);
    expect(await seen()).toMatchObject({ failed_logins: 5, blocked_until: null });
    await failTimes(1, username, () => address);
    await sql(`UPDATE "Finances".login_attempt SET blocked_until = '2126-01-01T00:00:00Z' WHERE username = $1`, [
      username,
    ]);
    expect(await seen()).toMatchObject({ failed_logins: 6, blocked_until: "2126-01-01T00:00:00.000000Z" });
    await sql(`UPDATE "Finances".login_attempt SET blocked_until = now() WHERE username = $1`, [username]);
    expect((await seen()).blocked_until).toBeNull();
    await wait(username, 24 * 3600 + 60);
    expect((await seen()).failed_logins).toBe(0);
  });
});

it("keep little of a long name that anybody may make up, and count as they do for any other", again, async () => {
  workless();
  const [made, address] = ["名".repeat(255), newAddress()];
  await failTimes(5, made, () => address);
  expect(await blockOf(await fail(made, address))).toBeGreaterThan(0);
  const [kept] = await sql(
    `SELECT max(octet_length(username)) AS bytes, count(*) AS rows FROM "Finances".login_attempt WHERE address = $1`,
    [address],
  );
  expect(kept).toEqual({ bytes: "64", rows: "1" });
  const username = `long-${"x".repeat(100)}-${crypto.randomUUID()}`;
  const { id } = await insertAccount({ username });
  await failTimes(2, username, newAddress);
  const admin = await signIn("admin");
  expect(await read(Account, `/user/${id}`, admin.token)).toMatchObject({ failed_logins: 2 });
  vi.restoreAllMocks();
  expect((await logIn(username, "secret", newAddress())).status).toBe(200);
});
