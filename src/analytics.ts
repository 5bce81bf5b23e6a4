/** What stands where in a point of Analytics Engine, in order: `blob1` … and `double1` …. Columns are only ever added. */
export const blobs = ["event", "method", "route", "outcome", "problem", "environment", "colo"] as const;
export const doubles = ["ms", "db_ms", "round_trips", "status"] as const;

type Point = { event: "request" | "cron"; route: string; outcome: string } & {
  [name in "method" | "problem" | "colo"]?: string | undefined;
} & { [name in (typeof doubles)[number]]?: number };

/** 96 bytes is the most for an index, 5120 for all the blobs of a point. */
const longestText = 96;

/** Counts a request or a scheduled run in the dataset of this environment; `route` is what is sampled by. */
export function recordPoint(env: Env, point: Point): void {
  const named: Record<string, string | number | undefined> = { ...point, environment: env.ENVIRONMENT };
  try {
    env.ANALYTICS.writeDataPoint({
      indexes: [point.route.slice(0, longestText)],
      blobs: blobs.map((name) => String(named[name] ?? "").slice(0, longestText)),
      doubles: doubles.map((name) => Number(named[name] ?? 0)),
    });
  } catch {
    // A point that is lost must not cost anybody an answer.
  }
}
