import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What the recording commands do; a test changes it. */
export interface Behaviour {
  loggedIn: boolean;
  /** The version that serves; null: nothing was ever uploaded. */
  live: string | null;
  /** Another version has a tenth of the traffic. */
  gradual: boolean;
  secrets: string[];
  /** Commands that fail, by how they begin: `npm run check`, `wrangler deploy`. */
  failing: string[];
  /** Commands that take a while, likewise. */
  slow: string[];
  /** Commands that are the real ones, likewise. */
  real: string[];
  /** The upload fails after the new version serves. */
  failsLate: boolean;
}

/** The version that `wrangler deploy` makes. */
export const newVersion = "22222222-2222-4222-8222-222222222222";
export const oldVersion = "11111111-1111-4111-8111-111111111111";

const well: Behaviour = {
  loggedIn: true,
  live: oldVersion,
  gradual: false,
  secrets: ["BACKUP_DATABASE_URL", "DATABASE_URL", "JWT_KEYS"],
  failing: [],
  slow: [],
  real: [],
  failsLate: false,
};

/** Answers in the words of wrangler 4, as far as the tool reads them. */
const script = `#!${process.execPath}
const { spawnSync } = require("node:child_process");
const { appendFileSync, readFileSync, writeFileSync } = require("node:fs");
const directory = __dirname + "/..";
const [, self, ...args] = process.argv;
const name = self.split("/").at(-1);
const line = [name, ...args].join(" ");
const state = JSON.parse(readFileSync(directory + "/behaviour.json", "utf8"));
appendFileSync(directory + "/calls", line + "\\n");
const foreign = { npm: ["NEXGEN_PASSWORD", "CLOUDFLARE_API_TOKEN"], wrangler: ["NEXGEN_PASSWORD", "OWNER_DATABASE_URL"] }[name];
for (const secret of foreign) if (process.env[secret]) appendFileSync(directory + "/calls", "LEAKED " + secret + " to " + line + "\\n");
const is = (beginnings) => beginnings.some((beginning) => line.startsWith(beginning));
const keep = (changes) => writeFileSync(directory + "/behaviour.json", JSON.stringify({ ...state, ...changes }));
const say = (text) => process.stdout.write(text + "\\n");
const fail = (text) => {
  process.stderr.write("\\n\\x1b[31m✘ \\x1b[41;31m[\\x1b[41;97mERROR\\x1b[41;31m]\\x1b[0m \\x1b[1m" + text + "\\x1b[0m\\n\\n");
  process.exit(1);
};
const main = () => {
  if (name === "npm") return is(state.failing) ? fail("it does not hold") : say("      Tests  3 passed (3)");
  const [command, second] = args;
  if (command === "whoami") {
    say(JSON.stringify(state.loggedIn ? { loggedIn: true, email: "o@nexgen.test", accounts: [{ name: "Nexgen" }] } : { loggedIn: false }));
    return process.exit(state.loggedIn ? 0 : 1);
  }
  if (!state.loggedIn) fail("In a non-interactive environment, it's necessary to set a CLOUDFLARE_API_TOKEN");
  if (is(state.failing)) fail("A request to the Cloudflare API failed. [code: 10013]");
  if (command === "deployments") {
    if (state.live === null) fail("This Worker does not exist on your account. [code: 10007]");
    const versions = [{ version_id: state.live, percentage: state.gradual ? 90 : 100 }];
    if (state.gradual) versions.push({ version_id: "${newVersion}", percentage: 10 });
    return say(JSON.stringify({ id: "d", versions }));
  }
  if (command === "secret") return say(JSON.stringify(state.secrets.map((name) => ({ name, type: "secret_text" }))));
  if (command === "deploy" && args.includes("--dry-run")) return say("Total Upload: 987.42 KiB / gzip: 275.68 KiB");
  if (command === "deploy") {
    keep({ live: "${newVersion}" });
    if (state.failsLate) fail("A route is in use by another Worker. [code: 10020]");
    const report = { type: "deploy", version: 1, worker_name: "x", version_id: "${newVersion}", targets: [] };
    appendFileSync(process.env.WRANGLER_OUTPUT_FILE_PATH, JSON.stringify({ type: "wrangler-session" }) + "\\n" + JSON.stringify(report) + "\\n");
    return say("Current Version ID: ${newVersion}");
  }
  if (command === "rollback") return keep({ live: second });
  fail("Unknown command: " + line);
};
if (is(state.real)) {
  const PATH = process.env.PATH.split(":").filter((entry) => entry !== __dirname).join(":");
  process.exit(spawnSync(name, args, { stdio: "inherit", env: { ...process.env, PATH } }).status);
}
// Interrupted like any program, unless it is let finish.
if (is(state.slow)) setTimeout(main, 2000);
else main();
`;

/** A directory for PATH with a `wrangler` and an `npm` that write down how they are called. */
export async function recordedCommands() {
  const directory = await mkdtemp(join(tmpdir(), "nexgen-recorded-"));
  const bin = join(directory, "bin");
  await mkdir(bin);
  for (const name of ["wrangler", "npm"]) {
    await writeFile(join(bin, name), script);
    await chmod(join(bin, name), 0o755);
  }
  const behave = async (changes: Partial<Behaviour> = {}) => {
    await writeFile(join(directory, "behaviour.json"), JSON.stringify({ ...well, ...changes }));
    await writeFile(join(directory, "calls"), "");
  };
  return {
    bin,
    behave,
    calls: async () => (await readFile(join(directory, "calls"), "utf8")).trim().split("\n"),
    live: async () => (JSON.parse(await readFile(join(directory, "behaviour.json"), "utf8")) as Behaviour).live,
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}
