import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { join, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { interruption } from "./account.ts";
import { measureBackup } from "./bench/backup.ts";
import { type DataSet, sets } from "./bench/data.ts";
import { endure } from "./bench/endurance.ts";
import { type Field, Loader, makeBundles, measure, prepareField } from "./bench/measure.ts";
import { operations } from "./bench/operations.ts";
import { chart, markdown, missed, type Report } from "./bench/report.ts";
import { startStage } from "./bench/stage.ts";
import { measureStartup } from "./bench/startup.ts";
import { holdStack, root, StackHeld } from "./stack.ts";

const positive = (value: string) => {
  const parsed = Number(value);
  if (!(parsed > 0)) throw new InvalidArgumentError("It must be a number above 0.");
  return parsed;
};
const parts = [...operations.map(({ name }) => name), "startup", "backup", "load"];
const several = (value: string) => {
  const names = value.split(",");
  const unknown = names.find((name) => !parts.includes(name));
  if (unknown !== undefined) throw new InvalidArgumentError(`There is no ${unknown}: ${parts.join(", ")}.`);
  return names;
};

const program = new Command("npm run bench --")
  .description(
    "Measures this Worker against a bare one, which sends the same statements and nothing else, and against a plain Node\n" +
      "server: ratios of one run, on a database of its own. docs/performance.md says what they mean.",
  )
  .option("--only <parts>", `some of ${parts.join(", ")}, with commas between`, several)
  .addOption(new Option("--set <set>", "one data set alone").choices(sets))
  .option("--rounds <number>", "rounds, in each of which every server has its turn (3)", positive)
  .option("--seconds <number>", "how long a turn is (2)", positive)
  .option("--quick", "two rounds of 1 s, on the small data set unless --set says otherwise, without the backup")
  .option("--json <file>", "write the report there as well")
  .option("--docs", "put its tables and its chart into docs/performance.md")
  .option(
    "--database-url <url>",
    "a PostgreSQL of this machine instead of the embedded one, as its superuser; the nexgen_* roles there get new passwords",
  )
  .option("--data-dir <directory>", "where the databases are kept: the large data set is made once", ".nexgen-bench")
  .addHelpText(
    "after",
    "\nExit code: 0 when every bar is met, 1 when one is missed or something failed, 130 interrupted.",
  )
  .parse();
const options = program.opts<{
  only?: string[];
  set?: DataSet;
  rounds?: number;
  seconds?: number;
  quick?: boolean;
  json?: string;
  docs?: boolean;
  databaseUrl?: string;
  dataDir: string;
}>();

// Progress on stderr: the report alone is on stdout.
const say = (line: string) => console.error(line);
const signal = interruption("Stopping …");
const asked = (part: string) => options.only?.includes(part) ?? !(options.quick && part === "backup");

async function main() {
  const directory = resolve(root, options.dataDir);
  // Two benches in one directory would end each other's server, and a dev stack there too.
  process.env.NEXGEN_DATA_DIR = directory;
  const hold = await holdStack("npm run bench");
  try {
    await run(directory);
  } finally {
    hold.release();
  }
}

async function run(directory: string) {
  const { quick = false } = options;
  const { rounds = quick ? 2 : 3, seconds = quick ? 1 : 2 } = options;
  const [load_before = 0] = loadavg();
  const report: Report = {
    at: new Date().toISOString(),
    machine: { cpus: availableParallelism(), model: cpus()[0]?.model ?? "", node: process.version, load_before },
    rounds,
    seconds,
    operations: [],
  };
  say("Bundling …");
  const bundles = await makeBundles(directory);
  if (asked("startup")) {
    say("Start-up");
    report.startup = await measureStartup(directory, bundles.worker, quick ? 3 : 9, signal);
  }
  const measured = operations.filter(({ name }) => asked(name));
  if (measured.length > 0 || asked("load")) {
    const { databaseUrl: url } = options;
    const stage = await startStage(directory, say, url === undefined ? {} : { url });
    const loader = new Loader(signal);
    const fields: Field[] = [];
    try {
      const chosen: readonly DataSet[] = options.set ? [options.set] : quick ? ["small"] : sets;
      if (measured.length > 0)
        for (const set of chosen) fields.push(await prepareField(stage, set, bundles, directory));
      for (const operation of measured) {
        say(operation.title);
        const reports = await measure(fields, stage, loader, operation, { rounds, seconds });
        for (const { set, worker, of_floor } of reports)
          say(`  ${set}: ${worker.requests_per_second.toFixed(0)}/s, ${of_floor.toFixed(2)} of the floor`);
        report.operations.push(...reports);
      }
      if (asked("load")) {
        say("Load");
        const set = options.set ?? (quick ? "small" : "large");
        report.load = await endure(stage, set, bundles, directory, quick ? 5 * seconds : 30 * seconds, say, signal);
      }
    } finally {
      loader.stop();
      for (const field of fields) await field.stop();
      await stage.stop();
    }
  }
  if (asked("backup")) {
    say("Backup and restore");
    report.backup = (await measureBackup(directory, Math.min(2, rounds), say, signal)) ?? null;
  }
  const text = markdown(report);
  console.log(text);
  if (options.json) writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
  if (options.docs) writeDocs(text, report);
  if (missed(report).length > 0) process.exitCode = 1;
}

function writeDocs(text: string, report: Report) {
  const page = join(root, "docs/performance.md");
  const marks = /(<!-- bench -->\n)[\s\S]*(<!-- \/bench -->)/;
  writeFileSync(
    page,
    readFileSync(page, "utf8").replace(marks, (_, begin, end) => `${begin}\n${text}\n\n${end}`),
  );
  if (report.operations.length > 0) writeFileSync(join(root, "docs/performance.svg"), chart(report.operations));
}

main().catch((error: unknown) => {
  if (signal.aborted) process.exit(130);
  const message = error instanceof Error ? error.message : String(error);
  console.error(`bench: ${error instanceof StackHeld ? message.replace("NEXGEN_DATA_DIR=", "--data-dir ") : message}`);
  process.exit(1);
});
