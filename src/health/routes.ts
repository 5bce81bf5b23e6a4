import { createRoute, z } from "@hono/zod-openapi";
import migrationJournal from "../../drizzle/meta/_journal.json" with { type: "json" };
import packageJson from "../../package.json" with { type: "json" };
import { backupFaults, backupState } from "../backup/state.ts";
import { bucketBytes } from "../backup/store.ts";
import { createDb } from "../db/client.ts";
import { feature, guarded, json, noQuery, open } from "../openapi.ts";
import { problems, unavailable } from "../problem.ts";
import { type Check, DetailedHealth } from "./contract.ts";
import { type Connections, databaseState, pingDatabase } from "./queries.ts";

const Health = z
  .strictObject({
    status: z.literal("ok").openapi({ example: "ok" }),
    database: z.enum(["up", "not-checked"]).openapi({ example: "up" }),
    version: z.string().max(50).openapi({ example: packageJson.version }),
  })
  .openapi("Health");

/** A monitor wants a clear no sooner than a late yes. */
const patienceMilliseconds = 2500;

/** The newest migration that this code was made for. */
const expectedMigration = Math.max(...migrationJournal.entries.map((entry) => entry.when));

/** Beyond this part of them the next ones may be refused. */
const connectionsShare = 0.9;
/** What keeps a transaction open for longer than 15 minutes has forgotten it: it holds up vacuum, and perhaps others. */
const oldTransactionSeconds = 15 * 60;

/** A backup reads for as long as it takes, and its own checks watch it. */
function oldTransaction(connections: Connections[]): string | undefined {
  const old = connections.find(
    ({ role, transactionSeconds }) => role !== "nexgen_backup" && Number(transactionSeconds) > oldTransactionSeconds,
  );
  return old && `A transaction of ${old.role} is ${Math.round(Number(old.transactionSeconds) / 60)} minutes old.`;
}

const detailedProblems = problems(401, 403, 422);

export const healthRoutes = feature()
  .openapi(
    createRoute({
      ...open,
      method: "get",
      path: "/health",
      operationId: "checkHealth",
      tags: ["health"],
      summary: "Whether the service and its database answer",
      request: {
        query: z.strictObject({
          probe: z
            .enum(["live"])
            .optional()
            .openapi({ example: "live", description: "Leave the database alone, so that it may sleep" }),
        }),
      },
      responses: { 200: json(Health, "All is well"), ...problems(422) },
    }),
    async (c) => {
      const { probe } = c.req.valid("query");
      if (probe !== "live") {
        const db = createDb(c.var.settings.databaseUrl, c.var.timing, { patience: patienceMilliseconds });
        await pingDatabase(db).catch((cause: unknown) => {
          throw unavailable("The database does not answer.", { cause });
        });
      }
      return c.json(
        {
          status: "ok" as const,
          database: probe === "live" ? ("not-checked" as const) : ("up" as const),
          version: packageJson.version,
        },
        200,
      );
    },
  )
  .openapi(
    createRoute({
      ...guarded("admin"),
      method: "get",
      path: "/health/detailed",
      operationId: "checkHealthInDetail",
      tags: ["health"],
      summary: "Whether the database is migrated and the backups are good",
      request: { query: noQuery },
      responses: {
        200: json(DetailedHealth, "All is well"),
        ...detailedProblems,
        503: {
          description: "Something is failing; or: the service is not available right now",
          content: { "application/json": { schema: DetailedHealth }, ...detailedProblems[503].content },
        },
      },
    }),
    async (c) => {
      const { bytes, migrations, newestMigration, mostConnections, connections, largestTables } = await databaseState(
        c.var.db,
      );
      // Without R2 the rest is all the more worth knowing.
      const bucket = await Promise.all([backupState(c.env.BACKUPS), bucketBytes(c.env.BACKUPS)]).then(
        ([state, size]) => ({ ...state, size, faults: backupFaults(state, Date.now()) }),
        (cause: unknown) => ({ fault: `The bucket of the backups does not answer: ${cause}`.slice(0, 1000) }),
      );
      const known = "faults" in bucket ? bucket : undefined;
      const used = connections.reduce((sum, { count }) => sum + count, 0);
      const ages = connections.flatMap(({ transactionSeconds }) => transactionSeconds ?? []);
      const check = (name: Check["name"], fault: string | undefined): Check =>
        fault === undefined ? { name, status: "ok" } : { name, status: "failing", detail: fault };
      const checks = [
        check(
          "migrations",
          newestMigration < expectedMigration ? "The database is behind: npm run db:migrate." : undefined,
        ),
        check(
          "connections",
          used > mostConnections * connectionsShare
            ? `${used} of ${mostConnections} connections are in use.`
            : undefined,
        ),
        check("transactions", oldTransaction(connections)),
        check("bucket", "fault" in bucket ? bucket.fault : undefined),
        ...(known
          ? [
              check("backup_age", known.faults.find(({ kind }) => kind === "backup-stale")?.text),
              check(
                "backup_run",
                known.faults.find(({ kind }) => kind === "backup-died" || kind === "backup-failed")?.text,
              ),
            ]
          : []),
      ];
      const { newest, run, lastFailure } = known ?? {};
      const failing = checks.some(({ status }) => status === "failing");
      return c.json(
        {
          status: failing ? ("failing" as const) : ("ok" as const),
          version: packageJson.version,
          checks,
          database: {
            bytes,
            migrations,
            largest_tables: largestTables,
            connections: {
              used,
              limit: mostConnections,
              by_role: connections.map(({ role, state, count }) => ({ role, state, count })),
            },
            longest_transaction_seconds: ages.length > 0 ? Math.max(...ages) : null,
          },
          bucket: { bytes: known?.size ?? null },
          backup: {
            newest_id: newest?.id ?? null,
            age_seconds: newest ? Math.floor((Date.now() - Date.parse(newest.started_at)) / 1000) : null,
            running_since: run && !run.died ? run.run.started_at : null,
            last_failure: lastFailure ? { at: lastFailure.at, reason: lastFailure.reason } : null,
          },
        },
        failing ? 503 : 200,
      );
    },
  );
