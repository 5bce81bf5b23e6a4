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
  /** Rows/s of the dump by those of pg_dump. */
  of_pg_dump: number;
  /** CPU of workerd, of its database and of the Neon endpoint for one dump; of `pg_dump | gzip` the seconds as well. */
  worker_cpu_seconds: number;
  endpoint_cpu_seconds: number;
  database_cpu_seconds: number;
  /** Largest resident memory of workerd while it dumps, and before. */
  peak_bytes: number;
  idle_bytes: number;
  restore_seconds: number;
  psql_seconds: number;
  /** Seconds of our restore by those of psql with the same file. */
  of_psql: number;
}

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

async function finished(children: ChildProcess[]) {
  // Not "close": the pipe between them is nobody's to read here.
  const codes = await Promise.all(children.map(async (child) => (await once(child, "exit"))[0] as number));
  if (codes.some((code) => code !== 0)) throw new Error(`ended with ${codes.join(", ")}`);
}

/** Measures backup and restore on the large data set; undefined where the system has no PostgreSQL of its own. */
export async function measureBackup(
  directory: string,
  rounds: number,
  say: (line: string) => void,
  interrupted: AbortSignal,
): Promise<BackupReport | undefined> {
  const binaries = installed();
  if (!binaries) return undefined;
  const signal = AbortSignal.any([interrupted, AbortSignal.timeout(1_200_000)]);
  const home = join(directory, "installed");
  mkdirSync(home, { recursive: true });
  const stage = await startStage(home, say, binaries);
  try {
    const database = await stage.copy("large");
    const endpoint = await startServer("endpoint.ts", { upstream: { host: "127.0.0.1", port: stage.port } });
    const main = join(directory, "dumper.js");
    writeFileSync(main, dumper);
    const worker = await startWorker({
      code: await bundle(join(directory, "bundle-dumper"), main),
      variables: { BACKUP_DATABASE_URL: behind(endpoint, stage.url("nexgen_backup", database)) },
    });
    try {
      const dumps: number[] = [];
      const pgDumps: number[] = [];
      const cpu: { worker: number; endpoint: number; database: number }[] = [];
      const idle = residentBytes(worker.pid);
      let peak = idle;
      let summary: { tables: { rows: number }[]; uncompressed_bytes: number; postgres_version: string } | undefined;
      for (let round = 0; round < rounds; round++) {
        const before = [cpuOf(worker.pid), cpuOf(endpoint.pid), cpuOf(stage.pid, true)] as const;
        const watch = setInterval(() => {
          peak = Math.max(peak, residentBytes(worker.pid));
        }, 50);
        let started = performance.now();
        const answer = await fetch(`http://127.0.0.1:${worker.port}/`, { signal });
        if (!answer.ok) throw new Error(`the dump failed: ${await answer.text()}`);
        summary = (await answer.json()) as typeof summary;
        dumps.push((performance.now() - started) / 1000);
        clearInterval(watch);
        cpu.push({
          worker: (cpuOf(worker.pid) - before[0]) / 1000,
          endpoint: (cpuOf(endpoint.pid) - before[1]) / 1000,
          database: (cpuOf(stage.pid, true) - before[2]) / 1000,
        });
        started = performance.now();
        const pgDump = spawn(join(binaries, "pg_dump"), ["-d", stage.url("nexgen_owner", database)], {
          stdio: ["ignore", "pipe", "inherit"],
          signal,
        });
        const gzip = spawn("gzip", { stdio: [pgDump.stdout, "ignore", "inherit"], signal });
        await finished([pgDump, gzip]);
        pgDumps.push((performance.now() - started) / 1000);
        say(`  dump ${dumps.at(-1)?.toFixed(1)} s, pg_dump | gzip ${pgDumps.at(-1)?.toFixed(1)} s`);
      }

      const file = join(home, "backup.sql.gz");
      const answer = await fetch(`http://127.0.0.1:${worker.port}/file`, { signal });
      await pipeline(answer.body as unknown as NodeJS.ReadableStream, createWriteStream(file));
      const restores: number[] = [];
      const psqls: number[] = [];
      for (let round = 0; round < rounds; round++) {
        let started = performance.now();
        await restore(stage.url("nexgen_owner", await stage.empty()), createReadStream(file));
        restores.push((performance.now() - started) / 1000);
        started = performance.now();
        const target = stage.url("nexgen_owner", await stage.empty());
        const gunzip = spawn("gzip", ["-dc", file], { stdio: ["ignore", "pipe", "inherit"], signal });
        const psql = spawn(
          join(binaries, "psql"),
          ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-1", "-o", "/dev/null", "-d", target],
          { stdio: [gunzip.stdout, "ignore", "inherit"], signal },
        );
        await finished([gunzip, psql]);
        psqls.push((performance.now() - started) / 1000);
        say(`  restore ${restores.at(-1)?.toFixed(1)} s, psql ${psqls.at(-1)?.toFixed(1)} s`);
      }
      const each = (name: "worker" | "endpoint" | "database") => median(cpu.map((one) => one[name]));
      const ratio = (of: number[], by: number[]) =>
        median(of.flatMap((value, round) => (by[round] === undefined ? [] : [value / by[round]])));
      return {
        postgres: summary?.postgres_version ?? "",
        rows: summary?.tables.reduce((sum, { rows }) => sum + rows, 0) ?? 0,
        bytes: summary?.uncompressed_bytes ?? 0,
        dump_seconds: median(dumps),
        pg_dump_seconds: median(pgDumps),
        of_pg_dump: ratio(pgDumps, dumps),
        worker_cpu_seconds: each("worker"),
        endpoint_cpu_seconds: each("endpoint"),
        database_cpu_seconds: each("database"),
        peak_bytes: peak,
        idle_bytes: idle,
        restore_seconds: median(restores),
        psql_seconds: median(psqls),
        of_psql: ratio(restores, psqls),
      };
    } finally {
      await worker.stop();
      await endpoint.stop();
    }
  } finally {
    await stage.stop();
  }
}
