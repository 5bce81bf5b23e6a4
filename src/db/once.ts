import { NeonDbError } from "@neondatabase/serverless";
import { sql } from "drizzle-orm";
import { type Db, prepare, type Row, type Statement } from "./client.ts";

/** What an idempotency key stands for. */
export interface Claim {
  key: string;
  method: string;
  path: string;
  /** SHA-256 of the body, as hexadecimal digits. */
  bodyHash: string;
}

const claiming = prepare<keyof Claim>(
  () => sql`SELECT "Finances".claim(${sql.placeholder("key")}, ${sql.placeholder("method")}, ${sql.placeholder("path")},
    decode(${sql.placeholder("bodyHash")}, 'hex'))`,
);

/** The same statement, whose rows are kept as the key's answer. None: nothing was done, and the key stays free. */
const keeping = ({ text, params }: Statement, key: string): Statement => ({
  text: `WITH answer AS MATERIALIZED (${text}),
    kept AS (
      UPDATE "Finances".idempotency_key SET answer = (SELECT json_agg(made)::text FROM answer made)
      WHERE user_id = current_setting('nexgen.actor')::integer AND key = $${params.length + 1}
    )
    SELECT * FROM answer`,
  params: [...params, key],
});

const answerOf = prepare<"key">(
  () => sql`SELECT answer FROM "Finances".idempotency_key
    WHERE user_id = current_setting('nexgen.actor')::integer AND key = ${sql.placeholder("key")}`,
);

/**
 * The database for a request that happens once, however often it is sent: what its write answered last is kept in the same
 * transaction. Sent again, nothing is written, that answer is read in a second round trip, and `replayed` is called. The
 * last statement of such a write is a SELECT of text and integers, and has rows only if the write was done.
 */
export function once(db: Db, claim: Claim, replayed: () => void): Db {
  return {
    guard: db.guard,
    read: db.read,
    async write(...statements) {
      const last = statements.at(-1);
      if (!last) return [];
      try {
        const [, ...results] = await db.write(
          claiming({ ...claim }),
          ...statements.slice(0, -1),
          keeping(last, claim.key),
        );
        return results;
      } catch (error) {
        if (!(error instanceof NeonDbError) || error.code !== "NX208") throw error;
        const [rows] = await db.read(answerOf({ key: claim.key }));
        const answer = rows?.[0]?.answer;
        // Purged in between: it is a new request by now, which the caller may send again.
        if (answer == null) throw error;
        replayed();
        return [...statements.slice(0, -1).map(() => []), (JSON.parse(answer) as object[]).map(asText)];
      }
    },
  };
}

const purge = prepare(() => sql`SELECT "Finances".purge_idempotency_keys() AS purged`);

/** Forgets the keys that are free again after 24 hours: 10,000 at a time, up to a million. */
export async function purgeIdempotencyKeys(db: Db): Promise<void> {
  for (let round = 0; round < 100; round++) {
    const [rows] = await db.write(purge({}));
    if (Number(rows?.[0]?.purged) < 10_000) return;
  }
}

/** A row as the driver would have given it. */
const asText = (row: object): Row =>
  Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value === null ? null : String(value)]));
