import { call, sql } from "./api.ts";
import { insertClient } from "./rows.ts";

/** An export of several pages, of which the first piece is read. */
export async function halfReadExport(token: string): Promise<ReadableStreamDefaultReader<Uint8Array> | undefined> {
  const client_id = await insertClient();
  await sql(
    `INSERT INTO "Finances".client_po (client_id, notes) SELECT $1, repeat('x', 1000) FROM generate_series(1, 2000)`,
    [client_id],
  );
  const response = await call(`/po/list?client_id=${client_id}`, { token, headers: { Accept: "text/csv" } });
  const reader = response.body?.getReader();
  await reader?.read();
  return reader;
}

/** An export that breaks off by our fault: the table is gone before its next page. */
export async function brokenOffExport(token: string): Promise<void> {
  const reader = await halfReadExport(token);
  await sql(`ALTER TABLE "Finances".client_po RENAME TO elsewhere`);
  while (!(await reader?.read().catch(() => ({ done: true })))?.done);
  await sql(`ALTER TABLE "Finances".elsewhere RENAME TO client_po`);
}
