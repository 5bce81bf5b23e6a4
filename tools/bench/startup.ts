import { globSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { root } from "../stack.ts";
import { median } from "./measure.ts";
import { bundle, startWorker } from "./processes.ts";

export interface StartupReport {
  bundle_bytes: number;
  gzip_bytes: number;
  /** The most that DESIGN allows. */
  gzip_bar_bytes: number;
  /** CPU from the start of workerd to the first answer, beyond that of an empty Worker. */
  cpu_ms: number;
  dependencies_cpu_ms: number;
  of_dependencies: number;
  bar: number;
}

/** What src/ imports of packages, and nothing else: the same names, so that as much of them is left out. */
function dependencies(): string {
  const imports: string[] = [];
  const kept: string[] = [];
  for (const file of globSync("src/**/*.ts", { cwd: root })) {
    const source = readFileSync(join(root, file), "utf8");
    for (const [, clause = "", from = ""] of source.matchAll(/^import (?!type )([^;]*?) from "([^."][^"]*)";$/gm)) {
      if (from.startsWith("cloudflare:")) continue;
      const name = (original: string) => {
        const own = `kept${kept.length}`;
        kept.push(own);
        return `${original} as ${own}`;
      };
      const [, named] = /\{([^}]*)\}/.exec(clause) ?? [];
      const specifiers =
        named === undefined
          ? [name("default")]
          : named
              .split(",")
              .map((each) => each.trim())
              .filter((each) => each !== "" && !each.startsWith("type "))
              .map((each) => name(each.split(" as ")[0] ?? each));
      if (specifiers.length > 0) imports.push(`import { ${specifiers.join(", ")} } from "${from}";`);
    }
  }
  return `${imports.join("\n")}\nglobalThis.kept = [${kept.join(", ")}];\n${empty}`;
}

/** What counts is that the module was made: nothing is asked of it. */
const entry = `import worker from "./worker.js";\nexport default { fetch: () => new Response(typeof worker) };\n`;
const empty = `export default { fetch: () => new Response("ok") };\n`;

/** CPU of all threads of a process so far, in ms; finer than /proc/PID/stat. */
function preciseCpuOf(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = tasks.map((task) =>
    Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]),
  );
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e6;
}

/** Measures the bundle and its start-up. */
export async function measureStartup(
  directory: string,
  code: string,
  rounds: number,
  interrupted: AbortSignal,
): Promise<StartupReport> {
  // Beside the sources, as far as the packages are concerned, wherever the data are.
  const beside = join(root, "node_modules/.nexgen-bench");
  const file = join(beside, `dependencies-${process.pid}.js`);
  mkdirSync(beside, { recursive: true });
  writeFileSync(file, dependencies());
  const bundled = await bundle(join(directory, "bundle-dependencies"), file);
  const cpuUntilAnswer = async (worker: string) => {
    interrupted.throwIfAborted();
    const server = await startWorker({ code: worker, variables: {}, entry });
    try {
      const answer = await fetch(`http://127.0.0.1:${server.port}/`);
      await answer.text();
      return preciseCpuOf(server.pid);
    } finally {
      await server.stop();
    }
  };
  const spent: Record<"code" | "dependencies" | "empty", number[]> = { code: [], dependencies: [], empty: [] };
  for (let round = 0; round < rounds; round++) {
    spent.empty.push(await cpuUntilAnswer(empty));
    spent.dependencies.push(await cpuUntilAnswer(bundled));
    spent.code.push(await cpuUntilAnswer(code));
  }
  const own = median(spent.code) - median(spent.empty);
  const theirs = median(spent.dependencies) - median(spent.empty);
  return {
    bundle_bytes: Buffer.byteLength(code),
    gzip_bytes: gzipSync(code).length,
    gzip_bar_bytes: 350 * 1024,
    cpu_ms: own,
    dependencies_cpu_ms: theirs,
    of_dependencies: own / theirs,
    bar: 1.25,
  };
}
