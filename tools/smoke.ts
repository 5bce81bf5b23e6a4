import { Command, CommanderError, InvalidArgumentError } from "commander";
import { tables } from "../src/ops/tables.ts";
import { checkedUrl, interruption, passwordOf, Refused } from "./account.ts";
import { ticker } from "./backup/progress.ts";
import { count, seconds } from "./backup/report.ts";
import { connect } from "./smoke/api.ts";
import { type Check, NotRun, newRun, type Options, type Run } from "./smoke/check.ts";
import { checks } from "./smoke/checks.ts";

interface Result extends Pick<Check, "section" | "name"> {
  status: "pass" | "fail" | "not-run";
  milliseconds: number;
  detail: string;
}

const signal = interruption("Stopping, after removing what was written …");

function expectation(given: string): Map<string, number> {
  return new Map(
    given.split(",").map((part) => {
      const [, table = "", rows = ""] = /^(\w+)=(\d+)$/.exec(part.trim()) ?? [];
      if (!([...tables, "orphans"] as string[]).includes(table))
        throw new InvalidArgumentError(
          `Write client=2,vendor=13. There are: ${tables.join(", ")}; and orphans, the imported rows without a parent.`,
        );
      return [table, Number(rows)];
    }),
  );
}

function origin(given: string): string {
  if (URL.parse(given)?.origin !== given) throw new InvalidArgumentError("An origin is https://host, no more.");
  return given;
}

interface Given {
  username: string;
  expect?: Map<string, number>;
  origin?: string;
  readOnly?: true;
  rateLimit?: true;
  json?: true;
}

const program = new Command("npm run smoke --")
  .description(
    "Walks the hosting checklist against a running API: API testing, functions, data integrity, security.\n\n" +
      "It writes a client, a vendor and two POs of its own, and removes them again, also after a failure or Ctrl-C. " +
      "What stays: its session, which is over, and the audit log's word that they were there. Killed hard it may " +
      'leave rows whose names begin with "Smoke test", and POs whose numbers begin with "SMOKE".',
  )
  .argument("<url>", "the API's address, such as https://api.example.com")
  .requiredOption(
    "--username <name>",
    "an admin's account; the password comes from NEXGEN_PASSWORD, else from a prompt",
  )
  .option("--expect <counts>", "rows that there must be: client=2,vendor=13,client_po=4", expectation)
  .option("--read-only", "write nothing: for production")
  .option("--origin <origin>", "the front end's origin, whose pages must be let in (CORS)", origin)
  .option("--rate-limit", "try the limit of log-ins as well; nobody at this address can log in for a minute after it")
  .option("--json", "print the result as JSON")
  .addHelpText("after", "\nExit codes: 0 every check passed, 1 one failed, 2 wrong usage, 130 interrupted.")
  .exitOverride();

async function smoke(given: string, options: Given): Promise<number> {
  const url = checkedUrl(given);
  const account = { username: options.username, password: await passwordOf(options.username, signal) };
  const settings: Options = {
    readOnly: options.readOnly ?? false,
    expected: options.expect ?? new Map(),
    origin: options.origin,
    rateLimit: options.rateLimit ?? false,
  };
  const run = newRun(connect(url), account, settings);
  const began = performance.now();
  const results = await walk(run, options.json ? () => {} : print);
  const failed = results.filter(({ status }) => status === "fail");
  const milliseconds = Math.round(performance.now() - began);
  const of = (status: Result["status"]) => results.filter((each) => each.status === status).length;
  if (options.json) {
    const ok = failed.length === 0 && !signal.aborted;
    console.log(
      JSON.stringify({ url: url.origin, read_only: run.readOnly, ok, milliseconds, checks: results }, null, 2),
    );
  } else
    console.log(
      `\n${of("pass")} passed, ${of("fail")} failed, ${of("not-run")} not run, in ${seconds(milliseconds / 1000)}.`,
    );
  for (const { name, detail } of failed) console.error(`smoke: FAILED: ${name}: ${detail}`);
  if (signal.aborted) return 130;
  return failed.length === 0 ? 0 : 1;
}

/** Makes one check after the other; `report` hears of each at once. */
async function walk(run: Run, report: (result: Result, before: Result | undefined) => void): Promise<Result[]> {
  const results: Result[] = [];
  const passed = new Set<string>();
  const line = ticker();
  for (const check of checks) {
    if (process.stderr.isTTY) line.show(`${results.length + 1}/${checks.length}`, check.name);
    const began = performance.now();
    const [status, detail] = await outcome(check, run, passed);
    line.end();
    if (status === "pass") passed.add(check.name);
    const { section, name } = check;
    const milliseconds = Math.round(performance.now() - began);
    const result = { section, name, status, milliseconds, detail: withoutSecrets(detail, run) };
    report(result, results.at(-1));
    results.push(result);
  }
  return results;
}

async function outcome(check: Check, run: Run, passed: Set<string>): Promise<[Result["status"], string]> {
  if (signal.aborted && !check.always) return ["not-run", "interrupted"];
  if (check.writes && run.readOnly) return ["not-run", "it writes: --read-only"];
  if (check.needs !== undefined && !passed.has(check.needs)) return ["not-run", `needs: ${check.needs}`];
  try {
    return ["pass", await check.run(run)];
  } catch (error) {
    if (error instanceof NotRun) return ["not-run", error.message];
    return ["fail", error instanceof Error ? error.message : String(error)];
  }
}

/** A server may repeat what it was sent. */
function withoutSecrets(text: string, { account, tokens }: Run): string {
  const secrets = [account.password, tokens?.access_token, tokens?.refresh_token].filter((each) => each !== undefined);
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, "…"), text);
}

const width = Math.max(...checks.map(({ name }) => name.length));

function print({ section, name, status, milliseconds, detail }: Result, before: Result | undefined): void {
  if (section !== before?.section) console.log(`${before ? "\n" : ""}${section}`);
  const mark = { pass: "ok  ", fail: "FAIL", "not-run": "-   " }[status];
  const time = status === "not-run" ? "" : `${count(milliseconds)} ms`;
  console.log(`  ${mark} ${name.padEnd(width)} ${time.padStart(8)}  ${detail}`.trimEnd());
}

async function main(): Promise<number> {
  try {
    let code = 0;
    program.action(async (url: string, options: Given) => {
      code = await smoke(url, options);
    });
    await program.parseAsync();
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    // The latter is Ctrl-C at the prompt.
    if (signal.aborted || (error instanceof Error && error.name === "ExitPromptError")) {
      console.error("smoke: interrupted; nothing was written.");
      return 130;
    }
    console.error(`smoke: ${error instanceof Refused ? error.message : String(error)}`);
    return 1;
  }
}

process.exitCode = await main();
