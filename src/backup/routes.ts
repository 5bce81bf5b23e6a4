import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { AppEnv } from "../env.ts";
import { log } from "../log.ts";
import { feature, guarded, json, noQuery } from "../openapi.ts";
import { openWalk, pageQuery } from "../page.ts";
import { Problem, ProblemBody, problemBody, problems } from "../problem.ts";
import { Backup, BackupPage, BackupProgress } from "./contract.ts";
import { describeBackup, listBackups } from "./list.ts";
import { AlreadyRunning, type Lock, takeLock } from "./lock.ts";
import { prune } from "./nightly.ts";
import { reasonOf, runUnder } from "./run.ts";

/** The backups are in R2; the guard of the caller's session is in the database. */
const checkSession = (c: Context<AppEnv>) => c.var.db.read();

const newlineJson = "application/x-ndjson";

export const backupRoutes = feature()
  .openapi(
    createRoute({
      ...guarded("admin"),
      method: "get",
      path: "/ops/backups",
      operationId: "listBackups",
      tags: ["ops"],
      summary: "List the backups, newest first",
      request: { query: z.strictObject(pageQuery) },
      responses: { 200: json(BackupPage, "One page of backups"), ...problems(400, 401, 403, 422) },
    }),
    async (c) => {
      const { limit, cursor } = c.req.valid("query");
      const walk = await openWalk(c, "backups", cursor);
      await checkSession(c);
      const [before] = walk.position ?? [];
      const rest = (await listBackups(c.env.BACKUPS)).filter(({ id }) => before === undefined || id < before);
      const data = rest.slice(0, limit);
      const last = rest.length > limit ? data.at(-1) : undefined;
      return c.json({ data, next_cursor: last ? await walk.seal([last.id]) : null }, 200);
    },
  )
  .openapi(
    createRoute({
      ...guarded("admin"),
      method: "post",
      path: "/ops/backups",
      operationId: "makeBackup",
      tags: ["ops"],
      summary: "Make a backup now, which takes the place of today's",
      description:
        "Answers at once and then, line by line, where it is; stay connected until the last line. That is the backup, proven " +
        "by reading it back, or a problem: the status cannot tell any more.",
      request: { query: noQuery },
      responses: {
        200: {
          description: "One JSON value a line: the progress, then the backup or a problem",
          content: { [newlineJson]: { schema: z.union([BackupProgress, Backup, ProblemBody]).openapi("BackupLine") } },
        },
        ...problems(401, 403, 409, 422),
      },
    }),
    async (c) => {
      await checkSession(c);
      const lock = await takeLock(c.env.BACKUPS).catch((error: unknown) => {
        throw error instanceof AlreadyRunning ? new Problem("conflict", `${error.message}.`) : error;
      });
      // The library has no type for an answer of lines.
      return c.body(linesOf(c, lock), 200, { "Content-Type": newlineJson }) as never;
    },
  );

/** A run whose client is gone ends 30 seconds later in any case: better to end it in order before. */
const graceMilliseconds = 20_000;

function linesOf(c: Context<AppEnv>, lock: Lock): ReadableStream<Uint8Array> {
  const bucket = c.env.BACKUPS;
  const source = { bucket, databaseUrl: c.var.settings.backupDatabaseUrl };
  const encoder = new TextEncoder();
  let goneSince: number | undefined;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      const say = (line: unknown) => {
        if (goneSince === undefined) controller.enqueue(encoder.encode(`${JSON.stringify(line)}\n`));
        else if (Date.now() - goneSince > graceMilliseconds) throw new Error("the client went away");
      };
      const run = runUnder(lock, source, say, () => prune(bucket))
        .then((made) => describeBackup(bucket, made))
        .catch((error: unknown) => {
          if (goneSince === undefined) c.set("failure", { problem: "backup-failed", cause: error });
          // The request's own line is written already.
          else log(c.env, "error", "backup", { request_id: c.var.requestId, reason: reasonOf(error) });
          return problemBody(new Problem("backup-failed", reasonOf(error)), c.var.requestId);
        })
        .then((last) => {
          if (goneSince !== undefined) return;
          say(last);
          controller.close();
        });
      c.executionCtx.waitUntil(run);
    },
    cancel() {
      goneSince = Date.now();
    },
  });
}
