import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { bcryptCost, type DataSet, prepareSubjects, type Subjects } from "./data.ts";
import type { Load, LoadResult } from "./load.ts";
import { type Operation, planOf } from "./operations.ts";
import { bundle, cpuOf, type Server, start, startServer, startWorker } from "./processes.ts";
import type { Stage } from "./stage.ts";

/** Who is measured: this Worker, the floor that it is measured against, and a plain Node server. */
export const targets = ["worker", "floor", "peer"] as const;
export type Target = (typeof targets)[number];

/** What one target did with one operation: medians over the rounds. */
export interface Measured {
  requests_per_second: number;
  p50_ms: number;
  p99_ms: number;
  /** CPU per request: of the server's process, of PostgreSQL, of the Neon endpoint, and of who asks. */
  server_cpu_ms: number;
  database_cpu_ms: number;
  endpoint_cpu_ms: number;
  loader_cpu_ms: number;
  /** Requests to the Neon endpoint per request; the peer has none. */
  round_trips: number;
  bytes: number;
}

export interface OperationReport {
  operation: string;
  title: string;
  kind: "read" | "write";
  set: DataSet;
  worker: Measured;
  floor: Measured;
  peer: Measured;
  /** Requests/s of the Worker by those of the floor and the peer: medians of the rounds' own ratios. */
  of_floor: number;
  of_peer: number;
  /** CPU of the floor, all four processes, by the Worker's: what `of_floor` is where nothing but work takes time. */
  of_floor_by_cpu: number;
  bar: number;
  /** Largest by smallest requests/s of the floor over the rounds. */
  noise: number;
  /** By-store on the large set: requests/s of the Worker by those of a peer that reads every PO. */
  of_reading_all?: number;
}

/** The least part of the floor's requests/s. */
export const bars = { read: 0.85, write: 0.8 } as const;

/** The servers of one data set. */
export interface Field {
  set: DataSet;
  database: string;
  subjects: Subjects;
  accessToken: string;
  /** The Worker's variables. */
  variables: Record<string, string>;
  servers: Record<Target, Server>;
  endpoint: Server;
  roundTrips(): Promise<number>;
  stop(): Promise<void>;
}

/** The bundles of the Worker and of the floor. */
export interface Bundles {
  worker: string;
  floor: string;
}

export async function makeBundles(directory: string): Promise<Bundles> {
  const [worker, floor] = await Promise.all([
    bundle(join(directory, "bundle-worker")),
    bundle(join(directory, "bundle-floor"), "tools/bench/floor.ts"),
  ]);
  return { worker, floor };
}

/** The variables of a Worker with a token key of its own. */
export const variablesOf = (databaseUrl: string, backupDatabaseUrl: string, key = randomBytes(32)) => ({
  ENVIRONMENT: "development",
  JWT_EXPIRY: "86400",
  BCRYPT_COST: String(bcryptCost),
  LOG_LEVEL: "info",
  CORS_ORIGINS: "",
  DATABASE_URL: databaseUrl,
  BACKUP_DATABASE_URL: backupDatabaseUrl,
  JWT_KEYS: JSON.stringify([{ kid: "bench", key: key.toString("base64url") }]),
});

/** A database's URL as it is behind the Neon endpoint. */
export function behind(endpoint: Server, url: string): string {
  const other = new URL(url);
  other.port = String(endpoint.port);
  return other.href;
}

/** Starts everything for a data set, on a copy of it. */
export async function prepareField(
  stage: Stage,
  set: DataSet,
  bundles: Bundles,
  directory: string,
  options: { poolSize?: number; inspectorPort?: number } = {},
): Promise<Field> {
  const database = await stage.copy(set);
  const subjects = await prepareSubjects(stage.url("nexgen_owner", database));
  const plan = await planOf(subjects, set);
  const upstream = { host: "127.0.0.1", port: stage.port };
  const endpoint = await startServer("endpoint.ts", { upstream, poolSize: options.poolSize ?? 8 });
  const key = randomBytes(32);
  const variables = variablesOf(
    behind(endpoint, stage.url("nexgen_api", database)),
    behind(endpoint, stage.url("nexgen_backup", database)),
    key,
  );
  const bucketDirectory = join(directory, "bucket", database);
  mkdirSync(bucketDirectory, { recursive: true });
  const worker = await startWorker({
    code: bundles.worker,
    variables,
    bucketDirectory,
    ...(options.inspectorPort === undefined ? {} : { inspectorPort: options.inspectorPort }),
  });
  const floor = await startWorker({
    code: bundles.floor,
    variables: { DATABASE_URL: variables.DATABASE_URL, PLAN: JSON.stringify(plan) },
  });
  const peer = await startServer("peer.ts", { databaseUrl: stage.url("nexgen_api", database), plan });
  return {
    set,
    database,
    subjects,
    accessToken: await accessTokenOf(subjects, key),
    variables,
    servers: { worker, floor, peer },
    endpoint,
    async roundTrips() {
      const answer = await fetch(`http://127.0.0.1:${endpoint.port}/round-trips?database=${database}`);
      return Number(await answer.text());
    },
    async stop() {
      await Promise.all([worker.stop(), floor.stop(), peer.stop()]);
      await endpoint.stop();
      rmSync(bucketDirectory, { recursive: true, force: true });
    },
  };
}

async function accessTokenOf(subjects: Subjects, key: Uint8Array): Promise<string> {
  // By a computed name: the Worker's types are not those of Node's programs.
  const { signAccessToken } = await import(new URL("../../src/auth/token.ts", import.meta.url).href);
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const signing = await crypto.subtle.importKey("raw", key as Uint8Array<ArrayBuffer>, hmac, false, ["sign"]);
  return signAccessToken(
    { signingKeys: [{ kid: "bench", key: signing }], accessTokenSeconds: 86_400 },
    subjects.caller,
  );
}

/** The process that sends the requests. */
export class Loader {
  private readonly child: ChildProcess = start("load.ts");
  private readonly interrupted: AbortSignal;

  constructor(interrupted: AbortSignal) {
    this.interrupted = interrupted;
  }

  async run(load: Load): Promise<LoadResult> {
    this.interrupted.throwIfAborted();
    this.child.send(load);
    // However slow the answers: a load ends, or the bench does.
    const signal = AbortSignal.any([this.interrupted, AbortSignal.timeout((load.seconds + 120) * 1000)]);
    const [result] = (await once(this.child, "message", { signal })) as [LoadResult];
    return result;
  }

  /** Its CPU time so far, in ms. */
  get cpu(): number {
    return cpuOf(this.child.pid ?? 0);
  }

  stop() {
    if (this.child.connected) this.child.disconnect();
  }
}

const sessionsEach = 100;

/** A load of one target, counted. */
export async function measureOnce(
  field: Field,
  stage: Stage,
  loader: Loader,
  target: Target,
  operation: Operation,
  options: { seconds: number; seed: number; name?: string; connections?: number },
): Promise<Measured> {
  const server = field.servers[target];
  const load: Load = {
    port: server.port,
    kind: target === "worker" ? "api" : "bare",
    operation: options.name ?? operation.name,
    subjects: field.subjects,
    accessToken: field.accessToken,
    seconds: options.seconds,
    sessionsFrom: targets.indexOf(target) * sessionsEach,
    seed: options.seed,
    ...(options.connections === undefined ? {} : { connections: options.connections }),
  };
  const count = async () => ({
    server: cpuOf(server.pid),
    database: cpuOf(stage.pid, true),
    endpoint: cpuOf(field.endpoint.pid),
    loader: loader.cpu,
    roundTrips: await field.roundTrips(),
  });
  const before = await count();
  const done = await loader.run(load);
  if (done.firstFault !== undefined || done.requests === 0) {
    throw new Error(`${operation.name}: ${target} answers ${done.firstFault ?? "nothing"}`);
  }
  // The endpoint tidies its connections up after it has answered.
  await new Promise((resolve) => setTimeout(resolve, 30));
  const after = await count();
  const each = (name: keyof typeof after) => (after[name] - before[name]) / done.requests;
  return {
    requests_per_second: done.requests / done.seconds,
    p50_ms: done.p50,
    p99_ms: done.p99,
    server_cpu_ms: each("server"),
    database_cpu_ms: each("database"),
    endpoint_cpu_ms: each("endpoint"),
    loader_cpu_ms: each("loader"),
    round_trips: each("roundTrips"),
    bytes: done.bytes / done.requests,
  };
}

export const median = (values: number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
};

function medians(rounds: Measured[]): Measured {
  const names = Object.keys(rounds[0] ?? {}) as (keyof Measured)[];
  return Object.fromEntries(
    names.map((name) => [name, median(rounds.map((round) => round[name]))]),
  ) as unknown as Measured;
}

/**
 * Measures one operation on every field: in each round every target of every field in turn, so that what disturbs the
 * machine disturbs all of them.
 */
export async function measure(
  fields: Field[],
  stage: Stage,
  loader: Loader,
  operation: Operation,
  { rounds, seconds }: { rounds: number; seconds: number },
): Promise<OperationReport[]> {
  const done = new Map(
    fields.map((field) => [field, { worker: [], floor: [], peer: [] } as Record<Target, Measured[]>]),
  );
  const readingAll = new Map<Field, number>();
  // A log-in is a tenth of a second of bcrypt: fewer fit into a round.
  const length = operation.name === "log-in" ? 2 * seconds : seconds;
  for (let round = 0; round <= rounds; round++) {
    const turn = round % 2 === 0 ? targets : targets.toReversed();
    for (const [field, results] of done) {
      for (const target of turn) {
        const warmUp = round === 0;
        const options = { seconds: warmUp ? Math.min(1, length) : length, seed: 1 + round };
        const measured = await measureOnce(field, stage, loader, target, operation, options);
        if (!warmUp) results[target].push(measured);
      }
    }
  }
  if (operation.name === "by-store") {
    for (const field of fields.filter(({ set }) => set === "large")) {
      // One at a time: it holds every PO in memory.
      const options = { seconds: 4 * seconds, seed: 1, name: "by-store,all", connections: 1 };
      readingAll.set(field, (await measureOnce(field, stage, loader, "peer", operation, options)).requests_per_second);
    }
  }
  return [...done].map(([field, results]) => {
    /** The median of the rounds' own ratios, as a round's turns are next to each other. */
    const ratio = (of: Target, what: (measured: Measured) => number) =>
      median(
        results.worker.flatMap((each, round) => {
          const other = results[of][round];
          return other ? [what(each) / what(other)] : [];
        }),
      );
    const speed = (each: Measured) => each.requests_per_second;
    const cpu = (each: Measured) =>
      each.server_cpu_ms + each.database_cpu_ms + each.endpoint_cpu_ms + each.loader_cpu_ms;
    const floors = results.floor.map((each) => each.requests_per_second);
    const all = readingAll.get(field);
    const worker = medians(results.worker);
    return {
      operation: operation.name,
      title: operation.title,
      kind: operation.kind,
      set: field.set,
      worker,
      floor: medians(results.floor),
      peer: medians(results.peer),
      of_floor: ratio("floor", speed),
      of_peer: ratio("peer", speed),
      of_floor_by_cpu: 1 / ratio("floor", cpu),
      bar: bars[operation.kind],
      noise: Math.max(...floors) / Math.min(...floors),
      ...(all === undefined ? {} : { of_reading_all: worker.requests_per_second / all }),
    };
  });
}
