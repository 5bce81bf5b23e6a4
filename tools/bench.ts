import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { type DataSet, sets } from "./bench/data.ts";
import { type Field, Loader, makeBundles, measure, type OperationReport, prepareField } from "./bench/measure.ts";
import { operations } from "./bench/operations.ts";
import { startStage } from "./bench/stage.ts";
import { root } from "./stack.ts";

const number = (value: string) => {
  const parsed = Number(value);
  if (!(parsed > 0)) throw new InvalidArgumentError("must be a number above 0");
  return parsed;
};
const known = [...operations.map(({ name }) => name)];
const several = (value: string) => {
  const names = value.split(",");
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new InvalidArgumentError(`there is no ${unknown}: ${known.join(", ")}`);
  return names;
};

const program = new Command("npm run bench --")
  .description("Measures this Worker against a bare one and a plain Node server, as ratios taken in one run.")
  .option("--only <parts>", `some of ${known.join(", ")}, with commas between`, several)
  .addOption(new Option("--set <set>", "one data set alone").choices(sets))
  .option("--rounds <number>", "rounds, in each of which every server has its turn", number)
  .option("--seconds <number>", "how long a turn is", number)
  .option("--quick", "two short rounds, on the small data set unless --set says otherwise")
  .option("--json <file>", "write the report there as well")
  .option("--data-dir <directory>", "where the database is kept", ".nexgen-bench")
  .parse();
const options = program.opts<{
  only?: string[];
  set?: DataSet;
  rounds?: number;
  seconds?: number;
  quick?: boolean;
  json?: string;
  dataDir: string;
}>();

const say = (line: string) => console.error(line);

async function main() {
  const directory = resolve(root, options.dataDir);
  mkdirSync(directory, { recursive: true });
  const [loadAtStart = 0] = loadavg();
  const bundles = await makeBundles(directory);
  const stage = await startStage(directory, say);
  const loader = new Loader();
  const fields: Field[] = [];
  try {
    const reports: OperationReport[] = [];
    const chosen: readonly DataSet[] = options.set ? [options.set] : options.quick ? ["small"] : sets;
    const asked = operations.filter(({ name }) => options.only?.includes(name) ?? true);
    if (asked.length > 0) for (const set of chosen) fields.push(await prepareField(stage, set, bundles, directory));
    const pace = {
      rounds: options.rounds ?? (options.quick ? 2 : 5),
      seconds: options.seconds ?? (options.quick ? 1 : 2),
    };
    for (const operation of asked) {
      say(operation.title);
      for (const report of await measure(fields, stage, loader, operation, pace)) {
        reports.push(report);
        say(
          `  ${report.set}: ${report.worker.requests_per_second.toFixed(0)}/s, ${report.of_floor.toFixed(2)} of the floor, ${report.of_peer.toFixed(2)} of the peer; by CPU ${report.of_floor_by_cpu.toFixed(2)} (${report.worker.server_cpu_ms.toFixed(2)}/${report.floor.server_cpu_ms.toFixed(2)}), db ${report.worker.database_cpu_ms.toFixed(2)}, endpoint ${report.worker.endpoint_cpu_ms.toFixed(2)}; noise ${report.noise.toFixed(2)}`,
        );
      }
    }
    const report = {
      at: new Date().toISOString(),
      machine: { cpus: availableParallelism(), model: cpus()[0]?.model, node: process.version, load: loadAtStart },
      ...pace,
      operations: reports,
    };
    if (options.json) writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
  } finally {
    loader.stop();
    for (const field of fields) await field.stop();
    await stage.stop();
  }
}

await main();
