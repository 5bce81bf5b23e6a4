import { stringify } from "csv-stringify/browser/esm/sync";
import type { Json } from "../wire.ts";
import { type ListedPurchaseOrder, PurchaseOrder } from "./contract.ts";

/** The fields of a PO and, for people, the names of its client and vendor. */
export const csvColumns = [...Object.keys(PurchaseOrder.shape), "client_name", "vendor_name"];

/** `-1.50` is a number here, and no formula. */
const amounts = ["po_value", "receivable_amount", "subtotal", "total_tax", "cgst", "sgst", "igst"];

/**
 * The pages as CSV (RFC 4180, UTF-8), each when the one before it was taken, so that an export of any size needs the memory
 * of one page. The first is read before anything is answered: what fails then is still a problem. Later the answer breaks
 * off, which no reader takes for its end.
 */
export async function csvStream(
  pages: AsyncGenerator<Json<ListedPurchaseOrder>[]>,
  withBom: boolean,
): Promise<ReadableStream<Uint8Array>> {
  const encoder = new TextEncoder();
  let page = await pages.next();
  let head = `${withBom ? "\ufeff" : ""}${csvColumns.join(",")}\r\n`;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (page.done) return controller.close();
      controller.enqueue(encoder.encode(head + csvOf(page.value)));
      head = "";
      page = await pages.next();
    },
    async cancel() {
      await pages.return(undefined);
    },
  });
}

/**
 * What some reader takes for the end of a record or a field, quoted or not, where the next one would begin a formula.
 */
const behindAnEnd = /([\r\n;\t]["\p{Zs}\u200b]*)(?=[=+@＝＋＠－-])/gu;

const csvOf = (page: Json<ListedPurchaseOrder>[]) =>
  stringify(
    page.map((json) => {
      const { client, vendor, ...po } = JSON.parse(json) as ListedPurchaseOrder;
      return { ...po, client_name: client?.name, vendor_name: vendor?.name };
    }),
    {
      columns: csvColumns,
      record_delimiter: "windows",
      quoted_match: /[\r\n;\t]/,
      // What a spreadsheet would run begins with a quote, and is text.
      escape_formulas: true,
      cast: {
        string: (value, { column }) =>
          amounts.includes(String(column)) ? { value, escape_formulas: false } : value.replace(behindAnEnd, "$1'"),
      },
    },
  );
