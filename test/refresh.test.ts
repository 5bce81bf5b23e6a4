import { env } from "cloudflare:workers";
import { base64url, decodeJwt } from "jose";
import { afterEach, describe, expect, it } from "vitest";
import { Tokens } from "../src/auth/contract.ts";
import { insertAccount, logIn } from "./support/accounts.ts";
import { call, roundTrips, sql } from "./support/api.ts";
import { problem } from "./support/problem.ts";

const refresh = (refresh_token: unknown) => call("/auth/refresh", { method: "POST", body: { refresh_token } });

async function tokensOf(response: Response): Promise<Tokens> {
  expect(response.status).toBe(200);
  return Tokens.parse(await response.json());
}

interface Started extends Tokens {
  sessionId: string;
}

/** A log-in of a new account. */
async function start(): Promise<Started> {
  const { username } = await insertAccount();
  const tokens = await tokensOf(await logIn(username, "secret"));
  return { ...tokens, sessionId: String(decodeJwt(tokens.access_token).sid) };
}

const next = async (token: string) => (await tokensOf(await refresh(token))).refresh_token;

const session = async (id: string) =>
  (
    await sql(
      `SELECT encode(token_hash, 'hex') AS hash, encode(previous_token_hash, 'hex') AS previous, revoked_at IS NULL AS live,
              expires_at, to_jsonb(s) AS row FROM "Finances".refresh_session s WHERE id = $1`,
      [id],
    )
  )[0];

/** The same session, rotated so much earlier. */
const rotatedEarlier = (id: string, seconds: number) =>
  sql(`UPDATE "Finances".refresh_session SET rotated_at = rotated_at - make_interval(secs => $2::int) WHERE id = $1`, [
    id,
    seconds,
  ]);

const sha256 = async (text: string) =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))).toHex();

const challenge = 'Bearer realm="nexgen-finance", error="invalid_token"';
async function refused(token: unknown): Promise<unknown> {
  const response = await refresh(token);
  expect(response.headers.get("WWW-Authenticate")).toBe(challenge);
  const { instance: _, ...body } = await problem(response, "unauthorized");
  return body;
}

describe("POST /auth/refresh", () => {
  it("answers what a log-in does, for the same session and user, in one round trip", async () => {
    const first = await start();
    let second: Tokens | undefined;
    const trips = await roundTrips(async () => {
      second = await tokensOf(await refresh(first.refresh_token));
    });
    expect(trips).toBe(1);
    expect(second).toMatchObject({ token_type: "bearer", expires_in: 3600, user: first.user });
    expect(second?.refresh_token).toMatch(/^[\w-]{86}$/);
    expect(second?.refresh_token).not.toBe(first.refresh_token);
    expect(decodeJwt(second?.access_token ?? "")).toMatchObject({ sid: first.sessionId, sub: String(first.user.id) });
    for (const { access_token } of [first, second ?? first]) {
      expect((await call("/auth/me", { token: access_token })).status).toBe(200);
    }
  });

  it("goes on with each new token, and the session ends when it would have", async () => {
    const { sessionId, refresh_token } = await start();
    const ends = (await session(sessionId))?.expires_at;
    let token = refresh_token;
    const seen = new Set([token]);
    for (let times = 0; times < 5; times++) {
      token = await next(token);
      seen.add(token);
    }
    expect(seen.size).toBe(6);
    expect((await session(sessionId))?.expires_at).toBe(ends);
  });

  it("stores hashes alone", async () => {
    const { sessionId, refresh_token } = await start();
    const second = await next(refresh_token);
    const stored = await session(sessionId);
    expect(stored).toMatchObject({ hash: await sha256(second), previous: await sha256(refresh_token) });
    for (const token of [refresh_token, second]) {
      expect(stored?.row).not.toContain(token);
      expect(stored?.row).not.toContain(base64url.decode(token).toHex().slice(32, 96));
    }
  });

  it("gives a token whose answer was lost the same successor again, for 30 seconds", async () => {
    const { sessionId, refresh_token } = await start();
    const second = await next(refresh_token);
    expect(await next(refresh_token)).toBe(second);
    await rotatedEarlier(sessionId, 25);
    expect(await next(refresh_token)).toBe(second);
    // Repeats do not prolong it.
    await rotatedEarlier(sessionId, 6);
    await refused(refresh_token);
  });

  it("gives 20 at once one successor, and the session stays one", async () => {
    const { sessionId, refresh_token, user } = await start();
    const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(refresh_token)));
    const successors = await Promise.all(answers.map(async (answer) => (await tokensOf(answer)).refresh_token));
    expect(new Set(successors).size).toBe(1);
    const rows = await sql(`SELECT id FROM "Finances".refresh_session WHERE user_id = $1`, [user.id]);
    expect(rows).toEqual([{ id: sessionId }]);
    expect(await session(sessionId)).toMatchObject({ live: "t", hash: await sha256(successors[0] ?? "") });
    await next(successors[0] ?? "");
  });

  it("ends the session of a token that comes back after the grace, for whoever has it", async () => {
    const { sessionId, refresh_token, access_token } = await start();
    const second = await tokensOf(await refresh(refresh_token));
    await rotatedEarlier(sessionId, 31);
    await refused(refresh_token);
    expect((await session(sessionId))?.live).toBe("f");
    await refused(second.refresh_token);
    for (const token of [access_token, second.access_token]) {
      await problem(await call("/auth/me", { token }), "unauthorized");
    }
  });

  it("ends the session of a token that is older than the one before, also within the grace", async () => {
    const { sessionId, refresh_token } = await start();
    const third = await next(await next(refresh_token));
    await refused(refresh_token);
    expect((await session(sessionId))?.live).toBe("f");
    await refused(third);
  });

  it("ends no other session of the user", async () => {
    const { username } = await insertAccount();
    const [one, two] = [
      await tokensOf(await logIn(username, "secret")),
      await tokensOf(await logIn(username, "secret")),
    ];
    await next(await next(one.refresh_token));
    await refused(one.refresh_token);
    await next(two.refresh_token);
  });

  it("lets nobody end a session who knows its id alone, or changes its token", async () => {
    const { sessionId, refresh_token } = await start();
    const bytes = base64url.decode(refresh_token);
    const changed = [0, 20, 47, 50, 63].map((at) => {
      const other = Uint8Array.from(bytes);
      other[at] = (other[at] ?? 0) ^ 1;
      return base64url.encode(other);
    });
    const madeUp = crypto.getRandomValues(new Uint8Array(64));
    madeUp.set(bytes.subarray(0, 16));
    for (const token of [...changed, base64url.encode(madeUp)]) await refused(token);
    expect((await session(sessionId))?.live).toBe("t");
    await next(refresh_token);
  });

  it.each([
    ["", 422],
    ["x", 401],
    ["a".repeat(86), 401],
    [`${"A".repeat(85)}=`, 401],
    ["é".repeat(86), 401],
    ["a".repeat(101), 422],
    [null, 422],
    [1, 422],
  ])("refuses %j without asking the database unless it must", async (token, status) => {
    const trips = await roundTrips(async () => {
      expect((await refresh(token)).status).toBe(status);
    });
    expect(trips).toBe(0);
  });

  it("gives one answer for an expired, a revoked, an unknown and a malformed token, and for a disabled user", async () => {
    const change = async (statement: string) => {
      const { refresh_token, sessionId, user } = await start();
      const id = statement.includes('"user"') ? user.id : sessionId;
      await sql(statement, [id]);
      return refresh_token;
    };
    const answers = [
      await refused(await change(`UPDATE "Finances".refresh_session SET expires_at = now() WHERE id = $1`)),
      await refused(await change(`UPDATE "Finances".refresh_session SET revoked_at = now() WHERE id = $1`)),
      await refused(await change(`DELETE FROM "Finances".refresh_session WHERE id = $1`)),
      await refused(await change(`UPDATE "Finances"."user" SET disabled = true WHERE id = $1`)),
      await refused(base64url.encode(crypto.getRandomValues(new Uint8Array(64)))),
      await refused("x"),
    ];
    for (const answer of answers) expect(answer).toEqual(answers[0]);
  });

  it("does not take an access token, nor is a refresh token one", async () => {
    const { access_token, refresh_token } = await start();
    expect((await refresh(access_token)).status).toBe(422);
    await problem(await call("/auth/me", { token: refresh_token }), "unauthorized");
  });

  it("answers tokens for the account as it is now", async () => {
    const { refresh_token, user, access_token } = await start();
    await sql(`UPDATE "Finances"."user" SET token_version = 5, role = 'admin' WHERE id = $1`, [user.id]);
    await problem(await call("/auth/me", { token: access_token }), "unauthorized");
    const now = await tokensOf(await refresh(refresh_token));
    expect(now.user.role).toBe("admin");
    expect((await call("/user", { token: now.access_token })).status).toBe(200);
  });

  it("is limited by address, as log-in is", async () => {
    const headers = { "CF-Connecting-IP": "192.0.2.77" };
    let limited: Response | undefined;
    // The minute of the local emulation may turn once while this runs.
    for (let sent = 0; sent < 401 && !limited; sent++) {
      const response = await call("/auth/refresh", { method: "POST", body: {}, headers });
      if (response.status === 429) limited = response;
    }
    expect(limited?.headers.get("RateLimit-Policy")).toBe('"sign-in";q=200;w=60');
  });
});

describe("a new signing key", () => {
  const keys = env.JWT_KEYS;
  const [old] = JSON.parse(keys) as [{ kid: string; key: string }];
  const fresh = { kid: "fresh", key: base64url.encode(crypto.getRandomValues(new Uint8Array(32))) };
  const use = (...list: { kid: string; key: string }[]) => Object.assign(env, { JWT_KEYS: JSON.stringify(list) });
  afterEach(() => {
    Object.assign(env, { JWT_KEYS: keys });
  });

  it("takes tokens of the old one on, also when that is gone", async () => {
    const [one, two] = [await start(), await start()];
    use(fresh, old);
    await next(await next(one.refresh_token));
    use(fresh);
    await next(await next(two.refresh_token));
  });

  it("changes no successor that was already given", async () => {
    const { sessionId, refresh_token } = await start();
    const second = await next(refresh_token);
    use(fresh, old);
    expect(await next(refresh_token)).toBe(second);
    expect((await session(sessionId))?.live).toBe("t");
    await next(second);
  });

  it("still knows a copied token of the old one, as long as that is there", async () => {
    const { sessionId, refresh_token } = await start();
    use(fresh, old);
    await next(await next(refresh_token));
    await refused(refresh_token);
    expect((await session(sessionId))?.live).toBe("f");
  });

  it("makes a lost answer that only the old one could repeat a refusal, not a theft", async () => {
    const { sessionId, refresh_token } = await start();
    const second = await next(refresh_token);
    use(fresh);
    await refused(refresh_token);
    expect((await session(sessionId))?.live).toBe("t");
    await next(second);
  });
});
