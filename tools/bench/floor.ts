import { neon, neonConfig } from "@neondatabase/serverless";
import { answer, type Send } from "./answer.ts";
import type { Plan } from "./operations.ts";

/** A bare Worker: the same statements through the same driver, and nothing else. It is what the Worker is measured against. */
interface FloorEnv {
  DATABASE_URL: string;
  PLAN: string;
}

// As src/db/client.ts has it.
neonConfig.fetchEndpoint = (host, port) => `http://${host}:${port}/sql`;
const types = { getTypeParser: () => (value: string) => value };

let prepared: { plan: Plan; send: Send } | undefined;

function prepare(env: FloorEnv) {
  const sql = neon(env.DATABASE_URL);
  const send: Send = (step, params) =>
    sql.transaction(
      step.statements.map((template) => sql.query(template.text, params(template), { types })),
      step.readOnly
        ? { isolationLevel: "RepeatableRead", readOnly: true }
        : { isolationLevel: "ReadCommitted", readOnly: false },
    ) as ReturnType<Send>;
  return { plan: JSON.parse(env.PLAN) as Plan, send };
}

export default {
  async fetch(request: Request, env: FloorEnv): Promise<Response> {
    prepared ??= prepare(env);
    const body = request.method === "POST" ? await request.text() : "";
    const text = await answer(prepared.plan, prepared.send, new URL(request.url).pathname, body);
    return new Response(text, { headers: { "Content-Type": "application/json" } });
  },
};
