import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PurchaseOrderWithLines as Po } from "../src/po/contract.ts";
import { call, read, signIn } from "./support/api.ts";
import { problem } from "./support/problem.ts";
import { insertClient } from "./support/rows.ts";
import {
  body,
  decimal,
  type Gstin,
  gstins,
  lineAnswer,
  newLines,
  type Priced,
  poAnswer,
  quantities,
  rates,
  spellings,
  sums,
  totalPrices,
  unitPrices,
} from "./support/totals.ts";
import { create } from "./support/write.ts";

const tooMuch = { errors: [{ in: "body", pointer: "", detail: "the amounts add up to more than 9999999999999.99" }] };

describe("amounts", () => {
  it("follow from any quantity, price, total and rate, to the paisa, or are refused when they do not fit", async () => {
    const { token } = await signIn("editor");
    const client_id = await insertClient();
    const outcomes = new Set<number>();
    await fc.assert(
      fc.asyncProperty(
        fc.array(newLines, { minLength: 1, maxLength: 6 }),
        fc.constantFrom(...gstins),
        fc.constantFrom(...gstins),
        spellings,
        async (lines, vendor_gstin, bill_to_gstin, spelling) => {
          const items = lines.map((line) => body(line, spelling, { item_name: "Shelf" }));
          const head = JSON.stringify({ client_id, vendor_gstin, bill_to_gstin }).slice(0, -1);
          const given = `${head},"line_items":[${items.join(",")}]}`;
          const expected = sums(lines);
          outcomes.add(expected ? 201 : 422);
          if (!expected) {
            const response = await call("/po", { method: "POST", token, body: given });
            expect(await problem(response, "validation-failed")).toMatchObject(tooMuch);
            return;
          }
          const po = await create(Po, "/po", given, token);
          expect(po.line_items).toMatchObject(lines.map(lineAnswer));
          expect(po).toMatchObject({
            ...poAnswer(lines, vendor_gstin, bill_to_gstin),
            receivable_amount: decimal(expected.value, 2),
          });
        },
      ),
      { numRuns: 100 },
    );
    // Both happen often; a run without either would prove less than it says.
    expect(outcomes).toEqual(new Set([201, 422]));
  }, 30_000);

  type Step =
    | { do: "add"; lines: Priced[] }
    | { do: "change"; at: number; fields: Partial<Priced> }
    | { do: "delete"; at: number }
    | { do: "move states"; vendor: Gstin; billTo: Gstin }
    | { do: "receive"; amount: bigint };
  const at = fc.nat(1000);
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ do: fc.constant("add" as const), lines: fc.array(newLines, { minLength: 1, maxLength: 3 }) }),
    fc.record({
      do: fc.constant("change" as const),
      at,
      fields: fc.oneof(
        fc.record({ quantity: quantities }),
        fc.record({ unit_price: unitPrices }),
        fc.record({ quantity: quantities, unit_price: unitPrices }),
        fc.record({ total_price: totalPrices }),
        fc.record({ total_price: totalPrices, quantity: fc.option(quantities) }),
        fc.record({ gst_rate: rates }),
        fc.record({ unit_price: fc.constant(null) }),
        fc.record({ gst_rate: fc.constant(null) }),
      ),
    }),
    fc.record({ do: fc.constant("delete" as const), at }),
    fc.record({
      do: fc.constant("move states" as const),
      vendor: fc.constantFrom(...gstins),
      billTo: fc.constantFrom(...gstins),
    }),
    fc.record({ do: fc.constant("receive" as const), amount: fc.bigInt({ min: -(10n ** 12n), max: 10n ** 12n }) }),
  );

  it("stay right through any sequence of changes", async () => {
    const { token } = await signIn("editor");
    const client_id = await insertClient();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 12 }), spellings, async (steps, spelling) => {
        const { id } = await create(
          Po,
          "/po",
          { client_id, line_items: [{ item_name: "First", total_price: 1 }] },
          token,
        );
        const path = `/po/${id}`;
        let lines: Priced[] = [{ quantity: null, unit_price: null, total_price: 100n, gst_rate: 0n }];
        let ids = (await read(Po, path, token)).line_items.map((line) => line.id);
        let states: [Gstin, Gstin] = [null, null];
        let receivable = 100n;
        for (const each of steps) {
          const index = "at" in each ? each.at % Math.max(lines.length, 1) : 0;
          const old = lines[index];
          let next = lines;
          let response: Response;
          let needsQuantity = false;
          if (each.do === "add") {
            const items = each.lines.map((line) => body(line, spelling, { item_name: "Shelf" }));
            response = await call(`${path}/line-items`, { method: "POST", token, body: `[${items.join(",")}]` });
            next = [...lines, ...each.lines];
          } else if (each.do === "move states") {
            states = [each.vendor, each.billTo];
            const gstin = { vendor_gstin: each.vendor, bill_to_gstin: each.billTo };
            response = await call(path, { method: "PATCH", token, body: gstin });
          } else if (each.do === "receive") {
            receivable = each.amount;
            response = await call(path, {
              method: "PATCH",
              token,
              body: { receivable_amount: decimal(each.amount, 2) },
            });
          } else if (!old) {
            continue;
          } else if (each.do === "delete") {
            response = await call(`${path}/line-items/${ids[index]}`, { method: "DELETE", token });
            next = lines.toSpliced(index, 1);
            ids = ids.toSpliced(index, 1);
          } else {
            const given = body(each.fields, spelling);
            response = await call(`${path}/line-items/${ids[index]}`, { method: "PATCH", token, body: given });
            const changed = { ...old, ...each.fields };
            // A total takes the unit price's place, and a unit price that goes leaves its total.
            if (each.fields.total_price !== undefined) changed.unit_price = null;
            else if (changed.unit_price === null && old.unit_price !== null)
              changed.total_price = sums([old])?.subtotal ?? null;
            needsQuantity = changed.unit_price !== null && changed.quantity === null;
            next = lines.with(index, changed);
          }
          const moved = receivable + (sums(next)?.value ?? 0n) - (sums(lines)?.value ?? 0n);
          const fits = !needsQuantity && sums(next) !== undefined && moved < 10n ** 15n && moved > -(10n ** 15n);
          expect({ step: each, status: response.status < 300 }).toEqual({ step: each, status: fits });
          if (fits) {
            receivable = moved;
            lines = next;
          } else {
            const { errors } = await problem(response, "validation-failed");
            expect(errors).toMatchObject([{ pointer: needsQuantity ? "/quantity" : "" }]);
          }
          const po = await read(Po, path, token);
          expect(po.line_items).toMatchObject(lines.map(lineAnswer));
          expect(po).toMatchObject({ ...poAnswer(lines, ...states), receivable_amount: decimal(receivable, 2) });
          ids = po.line_items.map((line) => line.id);
        }
      }),
      { numRuns: 20 },
    );
  }, 60_000);
});
