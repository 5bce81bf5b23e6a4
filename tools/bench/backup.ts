import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, createWriteStream, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { restore } from "../backup/restore.ts";
import { root } from "../stack.ts";
import { behind, median } from "./measure.ts";
import { bundle, cpuOf, residentBytes, startServer, startWorker } from "./processes.ts";
import { startStage } from "./stage.ts";

export interface BackupReport {
  postgres: string;
  rows: number;
  /** SQL before compression. */
  bytes: number;
  /** Seconds of the Worker's dump in workerd, compressed, and of `pg_dump | gzip` on the same database. */
  dump_seconds: number;
  pg_dump_seconds: number;
  /** Rows/s of the dump by those of pg_dump; the same by the CPU of all processes. */
  of_pg_dump: number;
  of_pg_dump_by_cpu: number;
  /** CPU of one dump: workerd, the Neon endpoint and PostgreSQL; pg_dump, gzip and PostgreSQL. */
  dump_cpu_seconds: number;
  pg_dump_cpu_seconds: number;
  worker_cpu_seconds: number;
  /** Largest resident memory of workerd while it dumps, and before. */
  peak_bytes: number;
  idle_bytes: number;
  restore_seconds: number;
  psql_seconds: number;
  /** Seconds of our restore by those of psql with the same file. */
  of_psql: number;
}

type Restored = Pick<BackupReport, "restore_seconds" | "psql_seconds" | "of_psql">;

/** A Worker that dumps as the backup does, without a bucket: into gzip, and the hashes that a manifest has. */
const dumper = `
import { dump } from ${JSON.stringify(join(root, "src/backup/dump.ts"))};
import { GzipUpload } from ${JSON.stringify(join(root, "src/backup/upload.ts"))};
import { openSnapshot } from ${JSON.stringify(join(root, "src/db/snapshot.ts"))};

/** A bucket that lets go what it gets. */
const nowhere = { uploadPart: async () => ({}), complete: async () => ({ size: 0 }), abort: async () => {} };

export default {
  async fetch(request, env) {
    const snapshot = await openSnapshot(env.BACKUP_DATABASE_URL);
    try {
      if (new URL(request.url).pathname === "/file") {
        const gzip = new CompressionStream("gzip");
        const writer = gzip.writable.getWriter();
        const work = dump(snapshot, (bytes) => writer.write(bytes)).then(() => writer.close());
        work.catch((error) => writer.abort(error)).finally(() => snapshot.end());
        return new Response(gzip.readable, { encodeBody: "manual" });
      }
      const upload = new GzipUpload(nowhere);
      const summary = await dump(snapshot, (bytes) => upload.write(bytes));
      await upload.complete();
      return Response.json(summary);
    } finally {
      if (new URL(request.url).pathname !== "/file") await snapshot.end();
    }
  },
};
`;

/** The newest PostgreSQL of the system that brings its own pg_dump and psql: pg_dump refuses a newer server. */
function installed(): string | undefined {
  const home = "/usr/lib/postgresql";
  const versions = existsSync(home) ? readdirSync(home).toSorted((a, b) => Number(b) - Number(a)) : [];
  return versions.map((version) => join(home, version, "bin")).find((bin) => existsSync(join(bin, "pg_dump")));
}

/** Waits for programs that are piped into each other; answers their CPU time in ms. */
async function finished(children: ChildProcess[]): Promise<number> {
  const cpu = new Map<ChildProcess, number>();
  const watch = setInterval(() => {
    for (const child of children) cpu.set(child, Math.max(cpu.get(child) ?? 0, cpuOf(child.pid ?? 0)));
  }, 20);
  try {
    // Not "close": the pipe between them is nobody's to read here.
    const codes = await Promise.all(children.map(async (child) => (await once(child, "exit"))[0] as number));
    if (codes.some((code) => code !== 0)) throw new Error(`ended with ${codes.join(", ")}`);
  } finally {
    clearInterval(watch);
  }
  return [...cpu.values()].reduce((sum, each) => sum + each, 0);
}

const seconds = (since: number) => (performance.now() - since) / 1000;
/** The median of the rounds' own ratios. */
const ratio = (of: number[], by: number[]) =>
  median(of.flatMap((value, round) => (by[round] === undefined ? [] : [value / by[round]])));

/** Measures backup and restore on the large data set; undefined where the system has no PostgreSQL of its own. */
export async function measureBackup(
  directory: string,
  rounds: number,
  say: (line: string) => void,
  interrupted: AbortSignal,
): Promise<BackupReport | undefined> {
  const binaries = installed();
  if (!binaries) return undefined;
  const home = join(directory, "installed");
  mkdirSync(home, { recursive: true });
  const stage = await startStage(home, say, { binaries });
  try {
    const database = await stage.copy("large");
    const endpoint = await startServer("endpoint.ts", { upstream: { host: "127.0.0.1", port: stage.port } });
    const main = join(directory, "dumper.js");
    writeFileSync(main, dumper);
    const worker = await startWorker({
      code: await bundle(join(directory, "bundle-dumper"), main),
      variables: { BACKUP_DATABASE_URL: behind(endpoint, stage.url("nexgen_backup", database)) },
    });
    const signal = AbortSignal.any([interrupted, AbortSignal.timeout(1_200_000)]);
    try {
      const dumped = await measureDump();
      const file = join(home, "backup.sql.gz");
      const answer = await fetch(`http://127.0.0.1:${worker.port}/file`, { signal });
      await pipeline(answer.body as unknown as NodeJS.ReadableStream, createWriteStream(file));
      return { ...dumped, ...(await measureRestore(file)) };
    } finally {
      await worker.stop();
      await endpoint.stop();
    }

    async function measureDump(): Promise<Omit<BackupReport, keyof Restored>> {
      const [times, pgTimes, cpus, pgCpus, workerCpus]: [number[], number[], number[], number[], number[]] = [
        [],
        [],
        [],
        [],
        [],
      ];
      const idle = residentBytes(worker.pid);
      let peak = idle;
      let summary: { tables: { rows: number }[]; uncompressed_bytes: number; postgres_version: string } | undefined;
      for (let round = 0; round < rounds; round++) {
        const spent = () => [cpuOf(worker.pid), cpuOf(endpoint.pid) + cpuOf(stage.pid, true)] as const;
        const before = spent();
        const watch = setInterval(() => {
          peak = Math.max(peak, residentBytes(worker.pid));
        }, 50);
        let started = performance.now();
        const answer = await fetch(`http://127.0.0.1:${worker.port}/`, { signal }).finally(() => clearInterval(watch));
        if (!answer.ok) throw new Error(`the dump failed: ${await answer.text()}`);
        summary = (await answer.json()) as typeof summary;
        times.push(seconds(started));
        const after = spent();
        workerCpus.push((after[0] - before[0]) / 1000);
        cpus.push((after[0] + after[1] - before[0] - before[1]) / 1000);

        const databaseBefore = cpuOf(stage.pid, true);
        started = performance.now();
        const pgDump = spawn(join(binaries ?? "", "pg_dump"), ["-d", stage.url("nexgen_owner", database)], {
          stdio: ["ignore", "pipe", "inherit"],
          signal,
        });
        const gzip = spawn("gzip", { stdio: [pgDump.stdout, "ignore", "inherit"], signal });
        const theirs = await finished([pgDump, gzip]);
        pgTimes.push(seconds(started));
        pgCpus.push((theirs + cpuOf(stage.pid, true) - databaseBefore) / 1000);
        say(`  dump ${times.at(-1)?.toFixed(1)} s, pg_dump | gzip ${pgTimes.at(-1)?.toFixed(1)} s`);
      }
      return {
        postgres: summary?.postgres_version ?? "",
        rows: summary?.tables.reduce((sum, { rows }) => sum + rows, 0) ?? 0,
        bytes: summary?.uncompressed_bytes ?? 0,
        dump_seconds: median(times),
        pg_dump_seconds: median(pgTimes),
        of_pg_dump: ratio(pgTimes, times),
        of_pg_dump_by_cpu: ratio(pgCpus, cpus),
        dump_cpu_seconds: median(cpus),
        pg_dump_cpu_seconds: median(pgCpus),
        worker_cpu_seconds: median(workerCpus),
        peak_bytes: peak,
        idle_bytes: idle,
      };
    }

    async function measureRestore(file: string): Promise<Restored> {
      const [times, psqlTimes]: [number[], number[]] = [[], []];
      for (let round = 0; round < rounds; round++) {
        signal.throwIfAborted();
        let target = stage.url("nexgen_owner", await stage.empty());
        let started = performance.now();
        await restore(target, createReadStream(file));
        times.push(seconds(started));
        target = stage.url("nexgen_owner", await stage.empty());
        started = performance.now();
        const gunzip = spawn("gzip", ["-dc", file], { stdio: ["ignore", "pipe", "inherit"], signal });
        const psql = spawn(
          join(binaries ?? "", "psql"),
          ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-1", "-o", "/dev/null", "-d", target],
          { stdio: [gunzip.stdout, "ignore", "inherit"], signal },
        );
        await finished([gunzip, psql]);
        psqlTimes.push(seconds(started));
        say(`  restore ${times.at(-1)?.toFixed(1)} s, psql ${psqlTimes.at(-1)?.toFixed(1)} s`);
      }
      return { restore_seconds: median(times), psql_seconds: median(psqlTimes), of_psql: ratio(times, psqlTimes) };
    }
  } finally {
    await stage.stop();
  }
}
