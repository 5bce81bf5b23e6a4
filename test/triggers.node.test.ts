import fc from "fast-check";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { describeServers, refusal, row, rows } from "./support/node/database.ts";
import { insertOneOfEach, tablesWithRows } from "./support/node/rows.ts";

/** n / d for n >= 0, half away from zero, in integers only. */
const rounded = (n: bigint, d: bigint) => (n + d / 2n) / d;
const decimal = (units: bigint, scale: number) => {
  const digits = String(units < 0n ? -units : units).padStart(scale + 1, "0");
  return `${units < 0n ? "-" : ""}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
};
/** What numeric(15,2) cannot hold any more. */
const tooMuch = 10n ** 15n;
/** Of every length up to `digits`: most uniform ones would overflow when multiplied. */
const units = (digits: number, min = 0n) =>
  fc
    .tuple(fc.integer({ min: 1, max: digits }), fc.bigInt({ min: 0n, max: 10n ** BigInt(digits) - 1n }))
    .map(([length, n]) => n % 10n ** BigInt(length))
    .filter((n) => n >= min);
const gstRate = fc.oneof(fc.constantFrom(0n, 500n, 1200n, 1800n, 2800n), fc.bigInt({ min: 0n, max: 10_000n }));

const derived = "po_value, subtotal, total_tax, cgst, sgst, igst, receivable_amount, line_item_count";

describeServers("totals", (server) => {
  let sql: pg.Client;
  let client: unknown;
  beforeAll(async () => {
    sql = await server.connect(await server.database());
    client = (await row(sql, `INSERT INTO "Finances".client (name) VALUES ('Acme') RETURNING id`)).id;
  });
  const newPo = async (columns: Record<string, unknown> = {}) => {
    const names = ["client_id", ...Object.keys(columns)];
    const values = [client, ...Object.values(columns)];
    const inserted = await row(
      sql,
      `INSERT INTO "Finances".client_po (${names.join(", ")}) VALUES (${values.map((_, at) => `$${at + 1}`).join(", ")}) RETURNING id`,
      values,
    );
    return Number(inserted.id);
  };
  const po = (id: number) => row(sql, `SELECT ${derived} FROM "Finances".client_po WHERE id = $1`, [id]);
  const version = async (id: number) =>
    row(sql, `SELECT version, extract(epoch FROM updated_at) AS updated_at FROM "Finances".client_po WHERE id = $1`, [
      id,
    ]);
  const setPo = (id: number, assignments: string, ...values: unknown[]) =>
    sql.query(`UPDATE "Finances".client_po SET ${assignments} WHERE id = $1`, [id, ...values]);
  /** A line worth `total` with 18 % GST. */
  const newLine = async (poId: number, total: string, rate: string | null = "18") =>
    Number(
      (
        await row(
          sql,
          `INSERT INTO "Finances".client_po_line_item (client_po_id, item_name, total_price, gst_rate) VALUES ($1, 'Desk', $2, $3) RETURNING id`,
          [poId, total, rate],
        )
      ).id,
    );
  const setLine = (id: number, assignments: string) =>
    sql.query(`UPDATE "Finances".client_po_line_item SET ${assignments} WHERE id = $1`, [id]);
  const line = (id: number) =>
    row(
      sql,
      `SELECT quantity, unit_price, total_price, rate, gst_rate, gst_amount, gross_amount, version FROM "Finances".client_po_line_item WHERE id = $1`,
      [id],
    );
  const dropLine = (id: number) => sql.query(`DELETE FROM "Finances".client_po_line_item WHERE id = $1`, [id]);

  describe("a line", () => {
    it("has the amounts that integer arithmetic gives, for any quantity, unit price and rate", async () => {
      const poId = await newPo();
      await sql.query("BEGIN");
      await fc.assert(
        fc.asyncProperty(units(15, 1n), units(15), gstRate, async (quantity, price, rate) => {
          const total = rounded(quantity * price, 10n ** 5n);
          const gst = rounded(total * rate, 10n ** 4n);
          await sql.query("SAVEPOINT one");
          const inserted = row(
            sql,
            `INSERT INTO "Finances".client_po_line_item (client_po_id, item_name, quantity, unit_price, gst_rate)
             VALUES ($1, 'x', $2, $3, $4) RETURNING total_price, gst_amount, gross_amount, rate`,
            [poId, decimal(quantity, 3), decimal(price, 4), decimal(rate, 2)],
          );
          if (total + gst >= tooMuch) expect((await refusal(inserted)).code).toBe("22003");
          else {
            expect(await inserted).toEqual({
              total_price: decimal(total, 2),
              gst_amount: decimal(gst, 2),
              gross_amount: decimal(total + gst, 2),
              rate: decimal(price, 4),
            });
          }
          await sql.query("ROLLBACK TO one");
        }),
        { numRuns: 200 },
      );
      await sql.query("ROLLBACK");
    });

    it("has the GST that integer arithmetic gives, for any total and rate", async () => {
      const poId = await newPo();
      await sql.query("BEGIN");
      await fc.assert(
        fc.asyncProperty(units(15), gstRate, async (total, rate) => {
          const gst = rounded(total * rate, 10n ** 4n);
          fc.pre(total + gst < tooMuch);
          await sql.query("SAVEPOINT one");
          const inserted = await row(
            sql,
            `INSERT INTO "Finances".client_po_line_item (client_po_id, item_name, total_price, gst_rate)
             VALUES ($1, 'x', $2, $3) RETURNING total_price, gst_amount, gross_amount`,
            [poId, decimal(total, 2), decimal(rate, 2)],
          );
          expect(inserted).toEqual({
            total_price: decimal(total, 2),
            gst_amount: decimal(gst, 2),
            gross_amount: decimal(total + gst, 2),
          });
          await sql.query("ROLLBACK TO one");
        }),
        { numRuns: 200 },
      );
      await sql.query("ROLLBACK");
    });

    // Divided by 100 and then rounded, 15 digits of a total leave four places for the quotient: rounded twice.
    it("rounds the GST of a very large total once", async () => {
      const id = await newLine(await newPo(), "6000000000000.69", "18.11");
      expect((await line(id)).gst_amount, "exactly 1086600000000.124959").toBe("1086600000000.12");
      await setLine(id, "total_price = 7100000000000.50, gst_rate = 18.99");
      expect((await line(id)).gst_amount, "exactly 1348290000000.094950").toBe("1348290000000.09");
    });

    it.each([
      ["neither price", "quantity = 1", "client_po_line_item_one_price"],
      ["a unit price without a quantity", "unit_price = 1", "client_po_line_item_quantity_needed"],
      [
        "a total that is not quantity x unit price",
        "quantity = 2, unit_price = 3, total_price = 7",
        "client_po_line_item_one_price",
      ],
      ["a negative total", "total_price = -0.01", "client_po_line_item_total_price_not_negative"],
      ["a negative unit price", "quantity = 1, unit_price = -0.001", "client_po_line_item_unit_price_not_negative"],
      ["a quantity of zero", "quantity = 0, unit_price = 1", "client_po_line_item_quantity_positive"],
      ["a rate over 100", "total_price = 1, gst_rate = 100.01", "client_po_line_item_gst_rate_range"],
      ["a negative rate", "total_price = 0.01, gst_rate = -1", "client_po_line_item_gst_rate_range"],
    ])("refuses %s", async (_, assignments, constraint) => {
      const pairs = assignments.split(", ").map((pair) => pair.split(" = "));
      const refused = await refusal(
        sql.query(
          `INSERT INTO "Finances".client_po_line_item (client_po_id, item_name, ${pairs.map(([name]) => name).join(", ")})
           VALUES ($1, 'x', ${pairs.map(([, value]) => value).join(", ")})`,
          [await newPo()],
        ),
      );
      expect(refused).toMatchObject({ code: "23514", constraint, table: "client_po_line_item" });
    });

    it("without a rate has 0 % and 0.00", async () => {
      expect(await line(await newLine(await newPo(), "10", null))).toMatchObject({
        gst_rate: "0.00",
        gst_amount: "0.00",
      });
    });

    it("is priced by the unit or as a whole: a new total takes the unit price's place, and the other way round", async () => {
      const id = await newLine(await newPo(), "10");
      await setLine(id, "quantity = 3, unit_price = 33.335");
      expect(await line(id)).toMatchObject({
        total_price: "100.01",
        gst_amount: "18.00",
        gross_amount: "118.01",
        rate: "33.3350",
      });
      await setLine(id, "quantity = 4");
      expect(await line(id)).toMatchObject({ total_price: "133.34", unit_price: "33.3350" });
      await setLine(id, "total_price = 50");
      expect(await line(id)).toMatchObject({ total_price: "50.00", unit_price: null, rate: null, gst_amount: "9.00" });
      await setLine(id, "gst_rate = NULL");
      expect(await line(id)).toMatchObject({ gst_rate: "0.00", gst_amount: "0.00" });
      await setLine(id, "gst_amount = 5");
      expect(await line(id)).toMatchObject({ gst_amount: "0.00" });
    });

    it("imported with GST but no rate stays as it is until a rate is given", async () => {
      const { id } = await row(
        sql,
        `INSERT INTO "Finances".client_po_line_item (client_po_id, item_name, quantity, unit_price, total_price, gst_amount)
         VALUES ($1, 'x', 2, 50, 100, 17.99) RETURNING id`,
        [await newPo()],
      );
      const imported = { gst_rate: null, gst_amount: "17.99", gross_amount: "117.99" };
      expect(await line(Number(id))).toMatchObject(imported);
      for (const change of ["quantity = 3", "unit_price = 51", "total_price = 99", "unit_price = NULL"]) {
        expect(await refusal(setLine(Number(id), change))).toMatchObject({
          constraint: "client_po_line_item_gst_rate_needed",
        });
      }
      await setLine(Number(id), "item_name = 'y'");
      expect(await line(Number(id))).toMatchObject(imported);
      await setLine(Number(id), "quantity = 3, gst_rate = 18");
      expect(await line(Number(id))).toMatchObject({ gst_rate: "18.00", gst_amount: "27.00", total_price: "150.00" });
    });
  });

  describe("a PO", () => {
    it("that never had lines keeps the value it is given, without a breakdown", async () => {
      const id = await newPo({ po_value: "100.10" });
      const none = { subtotal: null, total_tax: null, cgst: null, sgst: null, igst: null, line_item_count: 0 };
      expect(await po(id)).toEqual({ ...none, po_value: "100.10", receivable_amount: "100.10" });
      await setPo(id, "po_value = 90");
      expect(await po(id)).toEqual({ ...none, po_value: "90.00", receivable_amount: "90.00" });
      expect(await po(await newPo())).toEqual({ ...none, po_value: null, receivable_amount: null });
      const forged = await newPo({ subtotal: 1, total_tax: 2, cgst: 3, sgst: 4, igst: 5, line_item_count: 6 });
      expect(await po(forged)).toEqual({ ...none, po_value: null, receivable_amount: null });
    });

    it("with lines has their sums; without its last line 0.00; and may then be given a value again", async () => {
      const id = await newPo({ po_value: "7" });
      const [first, second] = [await newLine(id, "100"), await newLine(id, "0.05")];
      expect(await po(id)).toMatchObject({
        subtotal: "100.05",
        total_tax: "18.01",
        po_value: "118.06",
        line_item_count: 2,
      });
      await dropLine(first);
      expect(await po(id)).toMatchObject({ subtotal: "0.05", total_tax: "0.01", po_value: "0.06", line_item_count: 1 });
      await dropLine(second);
      expect(await po(id)).toMatchObject({ subtotal: "0.00", total_tax: "0.00", po_value: "0.00", line_item_count: 0 });
      await setPo(id, "po_value = 5");
      expect(await po(id)).toMatchObject({
        subtotal: null,
        total_tax: null,
        po_value: "5.00",
        receivable_amount: "5.00",
      });
    });

    it("refuses what follows from its lines to be written", async () => {
      const id = await newPo();
      await newLine(id, "100");
      const before = await po(id);
      expect(await refusal(setPo(id, "po_value = 1"))).toMatchObject({
        code: "23514",
        constraint: "client_po_value_from_lines",
      });
      expect(await refusal(setPo(id, "po_value = NULL"))).toMatchObject({ constraint: "client_po_value_from_lines" });
      for (const column of ["subtotal", "total_tax", "cgst", "sgst", "igst", "line_item_count"]) {
        expect(await refusal(setPo(id, `${column} = 3`))).toMatchObject({ constraint: "client_po_derived_amounts" });
      }
      await setPo(id, "po_value = po_value, subtotal = subtotal");
      expect(await po(id)).toEqual(before);
    });

    it.each([
      ["27AAAAA0000A1Z5", "27BBBBB0000B1Z5", { cgst: "0.01", sgst: "0.00", igst: null }],
      ["27AAAAA0000A1Z5", "29BBBBB0000B1Z5", { cgst: null, sgst: null, igst: "0.01" }],
      ["2", "27BBBBB0000B1Z5", { cgst: null, sgst: null, igst: null }],
      ["27AAAAA0000A1Z5", "x7", { cgst: null, sgst: null, igst: null }],
      ["२७", "२७", { cgst: null, sgst: null, igst: null }],
      [null, "27", { cgst: null, sgst: null, igst: null }],
    ])("of %s for %s splits a tax of one paisa into %j", async (seller, buyer, split) => {
      const id = await newPo({ vendor_gstin: seller, bill_to_gstin: buyer });
      await newLine(id, "0.05");
      expect(await po(id)).toMatchObject({ total_tax: "0.01", ...split });
    });

    it("splits anew when a GSTIN changes", async () => {
      const id = await newPo({ vendor_gstin: "27A", bill_to_gstin: "27B" });
      await newLine(id, "100.27");
      expect(await po(id)).toMatchObject({ total_tax: "18.05", cgst: "9.03", sgst: "9.02", igst: null });
      await setPo(id, "bill_to_gstin = '29B'");
      expect(await po(id)).toMatchObject({ cgst: null, sgst: null, igst: "18.05" });
      await setPo(id, "bill_to_gstin = NULL");
      expect(await po(id)).toMatchObject({ cgst: null, sgst: null, igst: null });
    });

    it("moves the receivable amount by the difference of its value; an explicit one wins", async () => {
      const id = await newPo({ po_value: "100", receivable_amount: "-40" });
      expect(await po(id)).toMatchObject({ receivable_amount: "-40.00" });
      const receivable = async () => (await po(id)).receivable_amount;
      await setPo(id, "po_value = 130");
      expect(await receivable()).toBe("-10.00");
      await setPo(id, "po_value = 150, receivable_amount = -10");
      expect(await receivable(), "given, equal to the old one").toBe("-10.00");
      await setPo(id, "po_value = 160");
      expect(await receivable(), "not given any more").toBe("0.00");
      await setPo(id, "receivable_amount = 70");
      await newLine(id, "100");
      expect(await receivable(), "160 became 118").toBe("28.00");
      await setPo(id, "receivable_amount = NULL");
      expect(await receivable(), "null is its default").toBe("118.00");
    });

    it("tells a given receivable row by row", async () => {
      const ids = [await newPo({ po_value: "10" }), await newPo({ po_value: "20" })];
      await sql.query(
        `UPDATE "Finances".client_po SET po_value = po_value + 5, receivable_amount = receivable_amount WHERE id = ANY ($1)`,
        [ids],
      );
      expect(await po(ids[0] ?? 0)).toMatchObject({ po_value: "15.00", receivable_amount: "10.00" });
      await sql.query(`UPDATE "Finances".client_po SET po_value = po_value + 5 WHERE id = ANY ($1)`, [ids]);
      expect(await po(ids[0] ?? 0)).toMatchObject({ po_value: "20.00", receivable_amount: "15.00" });
      expect(await po(ids[1] ?? 0)).toMatchObject({ po_value: "30.00", receivable_amount: "25.00" });
    });

    it("moves the receivable whatever settings a session has", async () => {
      const id = await newPo({ po_value: "10" });
      await sql.query("SET nexgen.receivable_given = 'yes'");
      await newLine(id, "100", "0");
      await sql.query("RESET nexgen.receivable_given");
      expect(await po(id)).toMatchObject({ po_value: "100.00", receivable_amount: "100.00" });
    });

    it("takes 2,000 lines and no more", async () => {
      const id = await newPo();
      const add = (count: number) =>
        sql.query(
          `INSERT INTO "Finances".client_po_line_item (client_po_id, item_name, total_price)
           SELECT $1, 'x', 0.01 FROM generate_series(1, $2::integer)`,
          [id, count],
        );
      await add(2000);
      expect(await po(id)).toMatchObject({ line_item_count: 2000, po_value: "20.00" });
      expect(await refusal(add(1))).toMatchObject({ constraint: "client_po_line_item_limit" });
      const other = await newLine(await newPo(), "1");
      expect(await refusal(setLine(other, `client_po_id = ${id}`))).toMatchObject({
        constraint: "client_po_line_item_limit",
      });
    });

    it("goes with its lines", async () => {
      const id = await newPo();
      const gone = await newLine(id, "1");
      await sql.query(`DELETE FROM "Finances".client_po WHERE id = $1`, [id]);
      await expect(line(gone)).rejects.toThrow("no row");
    });

    it("agrees with a model after any changes of lines and heads", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 10 }), async (changes) => {
          const ids = [await newPo(), await newPo()];
          const model = ids.map(() => ({
            lines: new Map<number, { total: bigint; gst: bigint }>(),
            had: false,
            value: 0n,
            receivable: 0n,
          }));
          for (const { at, kind, total, rate } of changes) {
            const [id, head, other] = [ids[at], model[at], model[1 - at]];
            if (id === undefined || !head || !other) throw new Error("two POs");
            const [picked] = head.lines.keys();
            const amounts = { total, gst: rounded(total * rate, 10_000n) };
            if (kind === "add") head.lines.set(await newLine(id, decimal(total, 2), decimal(rate, 2)), amounts);
            else if (kind === "receivable") {
              await setPo(id, "receivable_amount = $2", decimal(total, 2));
              // Not given a value yet, it has no receivable to keep apart.
              head.receivable = total;
            } else if (picked === undefined) continue;
            else if (kind === "change") {
              await setLine(picked, `total_price = ${decimal(total, 2)}, gst_rate = ${decimal(rate, 2)}`);
              head.lines.set(picked, amounts);
            } else if (kind === "move") {
              await setLine(picked, `client_po_id = ${ids[1 - at]}`);
              other.lines.set(picked, head.lines.get(picked) ?? amounts);
              head.lines.delete(picked);
            } else {
              await dropLine(picked);
              head.lines.delete(picked);
            }
            for (const one of model) {
              const value = [...one.lines.values()].reduce((sum, { total, gst }) => sum + total + gst, 0n);
              one.had ||= one.lines.size > 0;
              one.receivable += value - one.value;
              one.value = value;
            }
          }
          for (const [at, one] of model.entries()) {
            const { po_value, receivable_amount, line_item_count } = await po(ids[at] ?? 0);
            expect(line_item_count).toBe(one.lines.size);
            expect(po_value).toBe(one.had ? decimal(one.value, 2) : null);
            if (one.had) expect(receivable_amount).toBe(decimal(one.receivable, 2));
          }
        }),
        { numRuns: 40 },
      );
    });
  });

  describe("versions", () => {
    it("rise by one for one statement on 500 lines, and for a line that is renamed", async () => {
      const id = await newPo();
      const before = await version(id);
      await sql.query(
        `INSERT INTO "Finances".client_po_line_item (client_po_id, item_name, total_price) SELECT $1, 'x', n FROM generate_series(1, 500) n`,
        [id],
      );
      const filled = await version(id);
      expect(filled.version).toBe(Number(before.version) + 1);
      expect(Number(filled.updated_at)).toBeGreaterThan(Number(before.updated_at));
      await sql.query(
        `UPDATE "Finances".client_po_line_item SET item_name = 'y', total_price = total_price + 1 WHERE client_po_id = $1`,
        [id],
      );
      expect((await version(id)).version).toBe(Number(before.version) + 2);
      await sql.query(`UPDATE "Finances".client_po_line_item SET item_name = 'z' WHERE client_po_id = $1`, [id]);
      expect((await version(id)).version, "no amount moved").toBe(Number(before.version) + 3);
      await sql.query(`DELETE FROM "Finances".client_po_line_item WHERE client_po_id = $1`, [id]);
      expect((await version(id)).version).toBe(Number(before.version) + 4);
    });

    it("stay where nothing changes, and are nobody's to write", async () => {
      const id = await newPo({ po_value: "1" });
      const lineId = await newLine(id, "1");
      const before = [await version(id), await line(lineId)];
      await setPo(id, "status = status, version = 99, updated_at = '2000-01-01'");
      await setPo(id, "version = NULL");
      await setLine(lineId, "item_name = item_name, total_price = 1.00, version = 99");
      await sql.query(`UPDATE "Finances".client_po_line_item SET item_name = 'x' WHERE false`);
      expect([await version(id), await line(lineId)]).toEqual(before);
      await setLine(lineId, "item_name = 'Chair'");
      expect((await line(lineId)).version).toBe(2);
    });

    it.each(["client", "vendor", "user"])("of %s rise with a change only", async (table) => {
      const own = await server.connect(await server.database());
      await insertOneOfEach(own);
      const set = async (assignment: string) => {
        await own.query(`UPDATE "Finances"."${table}" SET ${assignment}`);
        return row(own, `SELECT version, updated_at > created_at AS later FROM "Finances"."${table}"`);
      };
      const name = table === "user" ? "username" : "name";
      expect(await set(`${name} = ${name}, version = 7, updated_at = now() + interval '1 day'`)).toEqual({
        version: 1,
        later: false,
      });
      expect(await set(`${name} = 'other'`)).toEqual({ version: 2, later: true });
    });
  });

  it("hold when a line would get another id", async () => {
    const [id, other] = [await newPo(), await newPo()];
    const lineId = await newLine(id, "100", "0");
    const moved = setLine(lineId, `id = id + 1000000, total_price = 7, client_po_id = ${other}`);
    expect((await refusal(moved)).message).toMatch(/id/);
    expect((await po(id)).po_value).toBe("100.00");
  });

  it("hold when tables would be truncated", async () => {
    for (const table of ["client_po_line_item", "client_po CASCADE", "client CASCADE"]) {
      expect(await refusal(sql.query(`TRUNCATE "Finances".${table}`))).toMatchObject({ code: "NX405" });
    }
  });

  it("hold when a line is inserted over another", async () => {
    const id = await newPo();
    const lineId = await newLine(id, "100", "0");
    await sql.query(
      `INSERT INTO "Finances".client_po_line_item (id, client_po_id, item_name, quantity, unit_price) VALUES ($1, $2, 'x', 2, 3.5)
       ON CONFLICT (id) DO UPDATE SET quantity = excluded.quantity, unit_price = excluded.unit_price`,
      [lineId, id],
    );
    expect(await po(id)).toMatchObject({ po_value: "7.00", line_item_count: 1 });
  });

  it("and no numeric column of any table take NaN", async () => {
    const own = await server.connect(await server.database());
    await insertOneOfEach(own);
    const columns = await rows(
      own,
      `SELECT c.relname AS table, a.attname AS column, a.attgenerated <> '' AS generated
       FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
       WHERE c.relnamespace = '"Finances"'::regnamespace AND c.relkind = 'r' AND a.atttypid = 'numeric'::regtype`,
    );
    expect(columns.length).toBeGreaterThan(30);
    for (const { table, column, generated } of columns) {
      expect(tablesWithRows).toContain(table);
      const { code } = await refusal(own.query(`UPDATE "Finances"."${table}" SET "${column}" = 'NaN'`));
      expect(code, `${table}.${column}`).toBe(generated ? "428C9" : "23514");
    }
  });
});

const change = fc.record({
  at: fc.constantFrom(0, 1),
  kind: fc.constantFrom("add", "add", "change", "move", "drop", "receivable"),
  total: units(9),
  rate: gstRate,
});
