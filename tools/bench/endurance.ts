import { type DataSet, violations } from "./data.ts";
import type { LoadResult } from "./load.ts";
import { type Bundles, type Field, Loader, prepareField } from "./measure.ts";
import { residentBytes } from "./processes.ts";
import type { Stage } from "./stage.ts";

interface Endured {
  seconds: number;
  requests_per_second: number;
  /** How many answers had each status; 0: none came. */
  statuses: Record<string, number>;
  p50_ms: number;
  p99_ms: number;
  /** Resident memory of workerd before, at its most, and 5 s afterwards. */
  memory_bytes: { before: number; peak: number; after: number };
  faults: string[];
}

export interface EnduranceReport {
  set: DataSet;
  /** Every operation at once. */
  mixed: Endured & { operations: Record<string, number>; violations: string[] };
  /** 1,000 clients at once before four connections to the database. */
  crowd: Endured & { clients: number; pool: number; p50_before_ms: number; p50_after_ms: number };
}

/** Connections of each operation in the mixed load: as many readers as the bench has, and half as many writers. */
const mix = { po: 8, list: 4, "by-store": 2, "add-line": 4, "create-po": 2, refresh: 4, "log-in": 1 };
const crowdClients = 1000;
const crowdPool = 4;

/** Loads a data set with everything at once, then with a crowd, and looks at what is left. */
export async function endure(
  stage: Stage,
  set: DataSet,
  bundles: Bundles,
  directory: string,
  seconds: number,
  say: (line: string) => void,
  interrupted: AbortSignal,
): Promise<EnduranceReport> {
  const load = loading(interrupted);
  const field = await prepareField(stage, set, bundles, directory);
  let mixed: EnduranceReport["mixed"];
  try {
    say(`  everything at once for ${seconds} s`);
    const operations: Record<string, number> = {};
    const done = await watched(field, async () => {
      const all = Object.entries(mix).map(async ([operation, connections], place) => {
        const result = await load(field, operation, { connections, seconds, sessionsFrom: place * 50 });
        operations[operation] = result.requests / result.seconds;
        return result;
      });
      return Promise.all(all);
    });
    mixed = { ...done, operations, violations: await violations(stage.url("nexgen_owner", field.database)) };
  } finally {
    await field.stop();
  }

  const crowded = await prepareField(stage, set, bundles, directory, { poolSize: crowdPool });
  try {
    say(`  ${crowdClients} clients at once, ${crowdPool} connections`);
    const usual = () => load(crowded, "po", { connections: 4, seconds: Math.min(seconds, 3), sessionsFrom: 0 });
    await usual();
    const before = await usual();
    const done = await watched(crowded, async () => [
      await load(crowded, "by-store", { connections: crowdClients, seconds: seconds / 2, sessionsFrom: 0 }),
      await load(crowded, "add-line", { connections: crowdClients, seconds: seconds / 2, sessionsFrom: 0 }),
    ]);
    const after = await usual();
    const broken = await violations(stage.url("nexgen_owner", crowded.database));
    mixed.violations.push(...broken);
    return {
      set,
      mixed,
      crowd: {
        ...done,
        clients: crowdClients,
        pool: crowdPool,
        p50_before_ms: before.p50,
        p50_after_ms: after.p50,
        faults: [...done.faults, ...faultsOf(after)],
      },
    };
  } finally {
    await crowded.stop();
  }
}

/** Loads run side by side, so that each has a process of its own. */
const loading =
  (interrupted: AbortSignal) =>
  async (
    field: Field,
    operation: string,
    how: { connections: number; seconds: number; sessionsFrom: number },
  ): Promise<LoadResult> => {
    const loader = new Loader(interrupted);
    try {
      const { subjects, accessToken } = field;
      const { port } = field.servers.worker;
      return await loader.run({ port, kind: "api", operation, subjects, accessToken, seed: 1, tolerant: true, ...how });
    } finally {
      loader.stop();
    }
  };

/** Whatever is neither a success nor 503 with Retry-After. */
function faultsOf(result: LoadResult): string[] {
  const odd = Object.entries(result.statuses).filter(([status]) => !/^(2\d\d|503)$/.test(status));
  const unexplained = result.unexplained > 0 ? [`${result.unexplained} answers 503 without Retry-After`] : [];
  return [...odd.map(([status, count]) => `${count} answers ${status}: ${result.firstFault}`), ...unexplained];
}

async function watched(field: Field, work: () => Promise<LoadResult[]>): Promise<Endured> {
  const { pid } = field.servers.worker;
  const before = residentBytes(pid);
  let peak = before;
  const watch = setInterval(() => {
    peak = Math.max(peak, residentBytes(pid));
  }, 100);
  const results = await work().finally(() => clearInterval(watch));
  await new Promise((resolve) => setTimeout(resolve, 5000));
  const statuses: Record<string, number> = {};
  for (const result of results)
    for (const [status, count] of Object.entries(result.statuses)) statuses[status] = (statuses[status] ?? 0) + count;
  const seconds = Math.max(...results.map((result) => result.seconds));
  const requests = results.reduce((sum, result) => sum + result.requests, 0);
  return {
    seconds,
    requests_per_second: requests / seconds,
    statuses,
    p50_ms: Math.max(...results.map(({ p50 }) => p50)),
    p99_ms: Math.max(...results.map(({ p99 }) => p99)),
    memory_bytes: { before, peak, after: residentBytes(pid) },
    faults: results.flatMap(faultsOf),
  };
}
