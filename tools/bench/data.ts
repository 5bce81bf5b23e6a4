import { createHash, randomBytes, randomUUID } from "node:crypto";
import pg from "pg";
import { hashPassword } from "../../src/auth/password.ts";
import { seedDemo } from "../seed.ts";

export const sets = ["small", "large"] as const;
export type DataSet = (typeof sets)[number];

/** What the load knows of a data set: whom to be and what to ask for. */
export interface Subjects {
  caller: { userId: number; sessionId: string; tokenVersion: number };
  /** POs that are read, 10 lines each. */
  read: { first: number; last: number };
  /** POs that get lines. */
  written: { first: number; last: number };
  clientId: number;
  usernames: string[];
  password: string;
  /** Refresh tokens that are valid, one session each. */
  refreshTokens: string[];
}

/** The least that the Worker's settings allow: log-ins of a bench are to be many, not slow. */
export const bcryptCost = 10;

/** POs of one more client, 10 lines each: the lines that a bench adds spread over them. */
const benchPos = 1000;
const largePos = 200_000;
const linesEach = 10;

const lines = (pos: string) => `
  INSERT INTO client_po_line_item (client_po_id, item_name, hsn_code, unit, quantity, unit_price, total_price, gst_rate, gst_amount, created_at, updated_at)
  SELECT po.id, 'Gypsum partition, 100 mm, type ' || n, '6809', 'sqft', priced.quantity, priced.unit_price, priced.total, 18,
    round(priced.total * 0.18, 2), po.created_at, po.created_at
  FROM (${pos}) po CROSS JOIN generate_series(1, ${linesEach}) n,
    LATERAL (SELECT 1 + po.id % 50 + n AS quantity, 20 + n * 3.25 AS unit_price) line,
    LATERAL (SELECT line.quantity, line.unit_price, round(line.quantity * line.unit_price, 2) AS total) priced
  ORDER BY po.id, n`;

/** What the triggers, which are off for speed, would have derived. */
const totals = (pos: string) => `
  UPDATE client_po po SET subtotal = sums.net, total_tax = sums.tax, po_value = sums.net + sums.tax, line_item_count = sums.lines
  FROM (SELECT client_po_id, sum(total_price) AS net, sum(gst_amount) AS tax, count(*) AS lines FROM client_po_line_item
        WHERE client_po_id IN (SELECT id FROM (${pos}) po) GROUP BY client_po_id) sums
  WHERE po.id = sums.client_po_id`;

/**
 * 200 clients, 2,000 vendors, 200,000 POs with 2,000,000 lines, skewed as real ones are: one client has half of the POs,
 * one of its stores 5,000.
 */
const large = `
  INSERT INTO client (name, bundle_by_store) SELECT 'Client ' || n, n % 2 = 1 FROM generate_series(1, 200) n;
  INSERT INTO vendor (name) SELECT 'Vendor ' || md5(n::text) FROM generate_series(1, 2000) n;
  INSERT INTO client_po (client_id, po_number, store_id, vendor_id, po_date, status, notes, created_at, updated_at)
  SELECT CASE WHEN n % 2 = 0 THEN big.id ELSE big.id + 1 + n % 199 END, 'N-' || n,
    CASE WHEN n % 40 = 0 THEN 'BIG' WHEN n % 7 = 0 THEN NULL ELSE 'S-' || n / 4 % 20000 END,
    (SELECT min(id) FROM vendor) + n % 2000, date '2020-01-01' + n / 100,
    CASE WHEN n % 4 = 0 THEN 'completed' WHEN n % 100 = 1 THEN 'cancelled' WHEN n % 3 = 0 THEN 'active' ELSE 'pending' END,
    CASE WHEN n % 3 = 0 THEN 'Drawing ' || md5(n::text) END,
    timestamptz '2020-01-01' + n * interval '10 minutes', timestamptz '2020-01-01' + n * interval '10 minutes'
  FROM generate_series(1, ${largePos}) n, (SELECT id FROM client WHERE name = 'Client 1') big;
  ${lines("SELECT id, created_at FROM client_po WHERE po_number LIKE 'N-%'")};
  ${totals("SELECT id FROM client_po WHERE po_number LIKE 'N-%'")};`;

const bench = `
  INSERT INTO client (name, bundle_by_store) VALUES ('Bench', true);
  INSERT INTO client_po (client_id, po_number, store_id, created_at, updated_at)
  SELECT client.id, 'B-' || n, 'B-' || n / 3, timestamptz '2019-01-01' + n * interval '1 minute', timestamptz '2019-01-01'
  FROM client, generate_series(1, ${benchPos}) n WHERE client.name = 'Bench';
  ${lines("SELECT id, created_at FROM client_po WHERE po_number LIKE 'B-%'")};
  ${totals("SELECT id FROM client_po WHERE po_number LIKE 'B-%'")};`;

const filled = ["client", "vendor", "client_po", "client_po_line_item"];

/** Fills a migrated database that is empty, as its owner. Nothing of it is in the audit log. */
export async function fill(ownerUrl: string, set: DataSet): Promise<void> {
  await seedDemo(ownerUrl);
  const connection = new pg.Client({ connectionString: ownerUrl });
  await connection.connect();
  try {
    await connection.query(`SET search_path TO "Finances"; SET work_mem = '256MB'; SET maintenance_work_mem = '512MB'`);
    await connection.query("BEGIN");
    for (const table of filled) await connection.query(`ALTER TABLE ${table} DISABLE TRIGGER USER`);
    if (set === "large") await connection.query(large);
    await connection.query(bench);
    for (const table of filled) await connection.query(`ALTER TABLE ${table} ENABLE TRIGGER USER`);
    await connection.query("COMMIT");
    await connection.query(`VACUUM ANALYZE ${filled.join(", ")}`);
  } finally {
    await connection.end();
  }
}

const usersWanted = 200;
const sessionsWanted = 400;

/** Makes accounts and sessions of its own in a filled database, and looks up what there is. */
export async function prepareSubjects(ownerUrl: string): Promise<Subjects> {
  const connection = new pg.Client({ connectionString: ownerUrl });
  await connection.connect();
  try {
    await connection.query(`SET search_path TO "Finances"`);
    const run = randomBytes(4).toString("hex");
    const password = randomBytes(12).toString("base64url");
    const usernames = Array.from({ length: usersWanted }, (_, n) => `bench-${run}-${n}`);
    const { rows: users } = await connection.query<{ id: number; token_version: number }>(
      `INSERT INTO "user" (username, email, password_hash, role)
       SELECT name, name || '@bench.example', $2, 'editor' FROM unnest($1::text[]) name RETURNING id, token_version`,
      [usernames, await hashPassword(password, bcryptCost)],
    );
    const ids = users.map((user) => user.id);
    const sessions = Array.from({ length: sessionsWanted + 1 }, (_, n) => ({
      id: randomUUID(),
      user: ids[n % ids.length] ?? 0,
      secret: randomBytes(48),
    }));
    // The form of the Worker's own: 16 bytes of the session, then a secret, which the database knows by its hash.
    const tokens = sessions.map(({ id, secret }) =>
      Buffer.concat([Buffer.from(id.replaceAll("-", ""), "hex"), secret]).toString("base64url"),
    );
    await connection.query(
      `INSERT INTO refresh_session (id, user_id, token_hash, expires_at)
       SELECT id, user_id, decode(hash, 'hex'), now() + interval '1 day'
       FROM unnest($1::uuid[], $2::integer[], $3::text[]) AS given (id, user_id, hash)`,
      [
        sessions.map(({ id }) => id),
        sessions.map(({ user }) => user),
        tokens.map((token) => createHash("sha256").update(token).digest("hex")),
      ],
    );
    const range = async (numbers: string) => {
      const { rows } = await connection.query<{ first: string; last: string; client: string }>(
        `SELECT min(id) AS first, max(id) AS last, min(client_id) AS client FROM client_po WHERE po_number LIKE $1`,
        [numbers],
      );
      return { first: Number(rows[0]?.first), last: Number(rows[0]?.last), client: Number(rows[0]?.client) };
    };
    const written = await range("B-%");
    const many = await range("N-%");
    const [session] = sessions;
    const [user] = users;
    if (!session || !user) throw new Error("the bench has no session");
    await connection.query(`VACUUM ANALYZE "user", refresh_session`);
    return {
      caller: { userId: user.id, sessionId: session.id, tokenVersion: user.token_version },
      read: many.last > 0 ? many : written,
      written,
      clientId: written.client,
      usernames,
      password,
      refreshTokens: tokens.slice(1),
    };
  } finally {
    await connection.end();
  }
}

/** What is wrong in the database: amounts, sums and counts that are not what the lines say. None: []. */
export async function violations(ownerUrl: string): Promise<string[]> {
  const connection = new pg.Client({ connectionString: ownerUrl });
  await connection.connect();
  try {
    const { rows } = await connection.query<{ fault: string }>(`
      SELECT 'line ' || id || ': total_price is not quantity x unit_price' AS fault FROM "Finances".client_po_line_item
      WHERE unit_price IS NOT NULL AND total_price <> round(coalesce(quantity, 0) * unit_price, 2)
      UNION ALL
      SELECT 'line ' || id || ': gst_amount is not gst_rate of total_price' FROM "Finances".client_po_line_item
      WHERE gst_amount <> round(total_price * coalesce(gst_rate, 0) / 100, 2)
      UNION ALL
      SELECT 'PO ' || po.id || ': its totals are not those of its lines' FROM "Finances".client_po po
      JOIN (SELECT client_po_id, count(*) AS lines, sum(total_price) AS net, sum(gst_amount) AS tax
            FROM "Finances".client_po_line_item GROUP BY client_po_id) sums ON sums.client_po_id = po.id
      WHERE (po.line_item_count, po.subtotal, po.total_tax, po.po_value) IS DISTINCT FROM (sums.lines, sums.net, sums.tax, sums.net + sums.tax)
      UNION ALL
      SELECT 'PO ' || id || ': it counts lines and has none' FROM "Finances".client_po po
      WHERE line_item_count <> 0 AND NOT EXISTS (SELECT FROM "Finances".client_po_line_item line WHERE line.client_po_id = po.id)
      LIMIT 20`);
    return rows.map(({ fault }) => fault);
  } finally {
    await connection.end();
  }
}
