import pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { describeServers, row, rows } from "./support/node/database.ts";

const writers = 30;
const rounds = 3;

/** Scatters: neighbouring salts pick unrelated things. */
const pick = (salt: number, of: number) => ((Math.imul(salt, 2654435761) >>> 0) >>> 9) % of;

describeServers("totals under concurrent writers", (server) => {
  let database: string;
  let sql: pg.Client;
  let connections: pg.Client[];
  beforeAll(async () => {
    database = await server.database();
    sql = await server.connect(database);
    // Only a superuser may; a second per deadlock is PostgreSQL's default.
    await server.superuser("ALTER ROLE nexgen_owner SET deadlock_timeout = '10ms'");
    connections = await Promise.all(Array.from({ length: writers }, () => server.connect(database)));
    await sql.query(`INSERT INTO "Finances".client (id, name) VALUES (1, 'Acme')`);
  });

  const newPos = async (count: number) => {
    const made = await rows(
      sql,
      `INSERT INTO "Finances".client_po (client_id, vendor_gstin, bill_to_gstin)
       SELECT 1, '27', '27' FROM generate_series(1, $1::integer) RETURNING id`,
      [count],
    );
    const ids = made.map(({ id }) => Number(id));
    for (const id of ids) await sql.query(add(id, id));
    return ids;
  };

  const add = (po: number, salt: number) =>
    `INSERT INTO "Finances".client_po_line_item (client_po_id, item_name, quantity, unit_price, gst_rate)
     SELECT ${po}, 'x', n, ${salt % 97}.0375, 18 FROM generate_series(1, 3) n`;
  const some = (po: number, salt: number) =>
    `id IN (SELECT id FROM "Finances".client_po_line_item WHERE client_po_id = ${po} ORDER BY md5(id::text || '${salt}') LIMIT 2)`;
  const change = (po: number, salt: number) =>
    `UPDATE "Finances".client_po_line_item SET quantity = quantity + 0.125, gst_rate = ${salt % 29} WHERE ${some(po, salt)}`;
  const drop = (po: number, salt: number) => `DELETE FROM "Finances".client_po_line_item WHERE ${some(po, salt)}`;
  const move = (po: number, salt: number, target: number) =>
    `UPDATE "Finances".client_po_line_item SET client_po_id = ${target} WHERE ${some(po, salt)}`;
  const statement = (pos: number[], salt: number) => {
    const of = (one: number) => pos[pick(salt + one, pos.length)] ?? 0;
    const [po, target] = [of(1), of(2)];
    const all = [add(po, salt), change(po, salt), drop(po, salt), move(po, salt, target), add(target, salt)];
    return all[pick(salt, all.length)] ?? "";
  };

  /** What each PO says, beside what its lines say. */
  const expectExact = async (pos: number[]) => {
    const differing = await rows(
      sql,
      `SELECT po.* FROM "Finances".client_po po CROSS JOIN LATERAL (
         SELECT count(*) AS lines, coalesce(sum(total_price), 0) AS net, coalesce(sum(gst_amount), 0) AS tax, coalesce(sum(gross_amount), 0) AS gross
         FROM "Finances".client_po_line_item line WHERE line.client_po_id = po.id
       ) sums
       WHERE po.id = ANY ($1) AND (po.line_item_count, po.subtotal, po.total_tax, po.po_value, po.receivable_amount, po.cgst + po.sgst)
         IS DISTINCT FROM (sums.lines::integer, sums.net, sums.tax, sums.gross, sums.gross, sums.tax)`,
      [pos],
    );
    expect(differing).toEqual([]);
    const { lines } = await row(
      sql,
      `SELECT sum(line_item_count)::integer AS lines FROM "Finances".client_po WHERE id = ANY ($1)`,
      [pos],
    );
    expect(lines, "something is left to compare").toBeGreaterThan(0);
  };

  /** The SQLSTATEs that transactions were rolled back with. */
  const run = async (transaction: (connection: pg.Client, salt: number) => Promise<unknown>) => {
    const failed: string[] = [];
    await Promise.all(
      connections.map(async (connection, writer) => {
        for (let round = 0; round < rounds; round++) {
          try {
            await connection.query("BEGIN");
            await transaction(connection, writer * rounds + round + 1);
            await connection.query("COMMIT");
          } catch (error) {
            if (!(error instanceof pg.DatabaseError)) throw error;
            failed.push(error.code ?? error.message);
            await connection.query("ROLLBACK");
          }
        }
      }),
    );
    return failed;
  };

  describe("that lock the PO first", () => {
    it.each([1, 5])("are exact on %i POs, without one deadlock", async (count) => {
      const pos = await newPos(count);
      const failed = await run(async (connection, salt) => {
        await connection.query(`SELECT FROM "Finances".client_po WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE`, [
          pos,
        ]);
        await connection.query(statement(pos, salt));
        await connection.query(statement(pos, salt + 1));
      });
      expect(failed).toEqual([]);
      await expectExact(pos);
    });

    it("each its own two POs, are exact without one deadlock", async () => {
      const pos = await newPos(6);
      const failed = await run(async (connection, salt) => {
        const two = [pos[pick(salt, 6)] ?? 0, pos[pick(salt + 99, 6)] ?? 0];
        await connection.query(`SELECT FROM "Finances".client_po WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE`, [
          two,
        ]);
        await connection.query(statement(two, salt));
        await connection.query(statement(two, salt + 2));
      });
      expect(failed).toEqual([]);
      await expectExact(pos);
    });
  });

  // The foreign key's share of the PO and the lock of the totals must not shut each other out.
  it("that add lines in one statement and lock nothing are exact, without one deadlock", async () => {
    const pos = await newPos(2);
    const failed = await run((connection, salt) => connection.query(add(pos[salt % 2] ?? 0, salt)));
    expect(failed).toEqual([]);
    await expectExact(pos);
  });

  it("that lock nothing may be rolled back, and are exact", async () => {
    const pos = await newPos(4);
    const failed = await run(async (connection, salt) => {
      await connection.query(statement(pos, salt));
      await connection.query(statement(pos, salt * 3 + 1));
    });
    expect(failed.filter((code) => code !== "40P01")).toEqual([]);
    expect(failed.length, "some are done").toBeLessThan(writers * rounds - 10);
    await expectExact(pos);
  });

  it("under repeatable read are exact: who would sum an old snapshot is rolled back", async () => {
    const pos = await newPos(2);
    const failed = await run(async (connection, salt) => {
      await connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
      await connection.query(`SELECT count(*) FROM "Finances".client_po_line_item`);
      await connection.query(add(pos[salt % 2] ?? 0, salt));
    });
    expect(failed.filter((code) => code !== "40001" && code !== "40P01")).toEqual([]);
    await expectExact(pos);
  });
});
