import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import cliProgress from "cli-progress";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { readBackup } from "./legacy/backup.ts";
import { Refusal } from "./legacy/preconditions.ts";
import { makeReport, reportText } from "./legacy/report.ts";
import { LegacyFileError, limitBytes } from "./legacy/source.ts";
import { takeOver } from "./legacy/take-over.ts";
import { ownerDatabaseUrl } from "./stack.ts";

type Options = {
  dryRun: boolean;
  orphans: "keep" | "quarantine";
  timezone: string;
  userRole: "viewer" | "editor" | "admin";
  acceptLineTotals: boolean;
  force: boolean;
  databaseUrl?: string;
  json: boolean;
  verbose: boolean;
};

/** Exit codes: 0 imported, 1 refused or failed (nothing was written), 2 wrong usage. */
async function main(args: string[]): Promise<number> {
  const program = new Command("npm run import --")
    .description(
      "Loads a legacy backup (Nexgen_erp_backup_<date>_<time>.sql) into an empty, migrated database, in one transaction:\n" +
        "all of it or nothing. The file is read, never executed. Reports every repair, every orphan and the money per client.",
    )
    .argument("<file>", "the full backup, as the legacy exported it")
    .addOption(
      new Option("--orphans <mode>", "rows whose parents are missing").choices(["keep", "quarantine"]).default("keep"),
    )
    .option("--timezone <zone>", "the legacy server's clock", zone, "Asia/Kolkata")
    .addOption(
      new Option("--user-role <role>", "role of the imported users")
        .choices(["viewer", "editor", "admin"])
        .default("editor"),
    )
    .option("--accept-line-totals", "a PO whose lines add up to another value takes their sum", false)
    .option("--force", "add to a database that has data", false)
    .option("--dry-run", "do everything, then roll back", false)
    .option("--database-url <url>", "the owner's URL (default: OWNER_DATABASE_URL, else the dev stack's database)")
    .option("--json", "print the report as JSON", false)
    .option("--verbose", "list every repaired value", false)
    .exitOverride();
  try {
    program.parse(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : 2;
  }
  const file = program.args[0] ?? "";
  const bar = progressBar();
  try {
    return await run(file, program.opts<Options>(), bar);
  } catch (error) {
    bar?.stop();
    if (error instanceof Refusal) console.error(["import: refused, nothing was written.", ...error.reasons].join("\n"));
    else if (error instanceof LegacyFileError) console.error(`import: ${file}: ${error.message}`);
    else console.error(`import: ${reason(error)}`);
    return 1;
  }
}

/** A refused connection to `localhost` is an AggregateError without a message. */
function reason(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return error.errors.map(reason).join("; ");
  return error instanceof Error ? error.message : String(error);
}

/** Names and not offsets: a zone has a history. */
function zone(name: string): string {
  try {
    if (!/^(?:UTC|[A-Za-z_]+(?:\/[A-Za-z_]+)+)$/.test(name)) throw new RangeError();
    new Intl.DateTimeFormat("en", { timeZone: name });
    return name;
  } catch {
    throw new InvalidArgumentError("Give a zone of the IANA database, such as Asia/Kolkata.");
  }
}

function progressBar(): cliProgress.SingleBar | undefined {
  if (!process.stderr.isTTY) return undefined;
  const format = "{stage} [{bar}] {percentage}% | {value}/{total}";
  return new cliProgress.SingleBar(
    { format, clearOnComplete: true, hideCursor: true },
    cliProgress.Presets.shades_classic,
  );
}

async function run(file: string, options: Options, bar: cliProgress.SingleBar | undefined): Promise<number> {
  const started = performance.now();
  const size = statSync(file).size;
  if (size > limitBytes)
    throw new LegacyFileError(`the file has ${size} bytes: at most ${limitBytes} (32 MB) are read`);
  const bytes = readFileSync(file);
  bar?.start(size, 0, { stage: "reading" });
  const backup = readBackup(bytes, { fileName: basename(file), onProgress: (read) => bar?.update(read) });
  const records = backup.tables.reduce((sum, { rows }) => sum + rows.length, 0);
  bar?.setTotal(records);
  bar?.update(0, { stage: "loading" });
  const owner = await ownerDatabaseUrl(options.databaseUrl);
  try {
    const given = {
      ...options,
      file,
      requestId: `import-${createHash("sha256").update(bytes).digest("hex").slice(0, 12)}`,
      onRows: (loaded: number) => bar?.update(loaded),
    };
    const outcome = await takeOver(owner.url, backup, given);
    bar?.stop();
    const report = makeReport(backup, outcome, given, (performance.now() - started) / 1000);
    console.log(options.json ? JSON.stringify(report, undefined, 2) : reportText(report, options.verbose));
    return 0;
  } finally {
    await owner.stop();
  }
}

process.exitCode = await main(process.argv.slice(2));
