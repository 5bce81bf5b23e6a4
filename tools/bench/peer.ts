import { serve } from "@hono/node-server";
import { Hono } from "hono";
import pg from "pg";
import { answer, type Row, type Send } from "./answer.ts";
import type { Plan } from "./operations.ts";

/** A plain Node server with a connection pool, straight to the database: Hono, pg, the same statements. */
process.once("message", ({ databaseUrl, plan }: { databaseUrl: string; plan: Plan }) => {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 8,
    types: { getTypeParser: () => (value: string) => value },
  } as pg.PoolConfig);
  const send: Send = async (step, params) => {
    const client = await pool.connect();
    try {
      await client.query(
        step.readOnly ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" : "BEGIN ISOLATION LEVEL READ COMMITTED",
      );
      const results: Row[][] = [];
      for (const template of step.statements)
        results.push((await client.query<Row>(template.text, params(template))).rows);
      await client.query("COMMIT");
      client.release();
      return results;
    } catch (error) {
      client.release(true);
      throw error;
    }
  };
  const app = new Hono();
  app.all("*", async (c) => {
    const text = await answer(plan, send, c.req.path, c.req.method === "POST" ? await c.req.text() : "");
    return c.body(text, 200, { "Content-Type": "application/json" });
  });
  serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, ({ port }) => process.send?.({ port }));
});
// Whoever started it is gone.
process.once("disconnect", () => process.exit(0));
