import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Account } from "../account.ts";
import { root } from "../stack.ts";
import type { Commit } from "./before.ts";
import { cloudflare, type Environment } from "./cloudflare.ts";
import { command, Interrupted, messageOf, ownEnvironment, type Step, stopIf } from "./steps.ts";

export interface Upload {
  env: Environment;
  commit: Commit;
  /** Where the API answers. */
  url: URL;
  secretsFile: string | undefined;
  account: Account;
  /** What the smoke test is to count. */
  expect: string | undefined;
  /** How long the edge is given until every location serves the new version. */
  settleSeconds: number;
}

/** How an upload ended, and what to say of it; `nothing-new` never served, `by-hand` is for somebody to look at. */
export interface Ending {
  state: "released" | "nothing-new" | "rolled-back" | "by-hand";
  words: string;
}

/** Uploads, proves, and goes back to the version of before when the upload or the proof fails. */
export async function uploadAndProve(upload: Upload, step: Step, signal: AbortSignal): Promise<Ending> {
  const { env, commit, url, secretsFile } = upload;
  const wrangler = cloudflare(env);
  // Once more: it may be another one than before the tests.
  const before = await wrangler.liveVersion();
  try {
    await step("upload", async (say) => {
      const message = commit.subject.slice(0, 100);
      say(await wrangler.deploy({ tag: commit.id, message, secretsFile }));
    });
    await step("reach", () => reach(upload, before === undefined, signal));
    await step("smoke test", async (say, progress) => say(await smoke(upload, signal, progress)));
    return { state: "released", words: `Released ${commit.id} to ${env}: ${url.origin}` };
  } catch (error) {
    console.error(`deploy: ${error instanceof Interrupted ? "interrupted before it was proven" : messageOf(error)}`);
    return goBack(wrangler, before, upload);
  }
}

async function goBack(
  wrangler: ReturnType<typeof cloudflare>,
  before: string | undefined,
  { env, commit }: Upload,
): Promise<Ending> {
  const reason = `not proven: ${commit.id}`;
  try {
    const now = await wrangler.liveVersion();
    if (now === before)
      return { state: "nothing-new", words: `nothing new serves: ${before ?? "there is still no version"}.` };
    if (before === undefined)
      return { state: "by-hand", words: `${now} serves, is not proven, and there is no version to go back to.` };
    await wrangler.rollBack(before, reason);
    const after = await wrangler.liveVersion();
    return after === before
      ? { state: "rolled-back", words: `rolled back to ${before}, which serves again.` }
      : { state: "by-hand", words: `wrangler rolled back, and yet ${after} serves instead of ${before}.` };
  } catch (error) {
    const byHand = `npx wrangler rollback ${before ?? "VERSION"} --env ${env} --message "${reason}"`;
    return { state: "by-hand", words: `THE ROLLBACK FAILED: ${messageOf(error)}\nBy hand: ${byHand}` };
  }
}

/** Waits until the address answers at all (a new domain gets its certificate first), then for the rest of the edge. */
async function reach({ url, settleSeconds }: Upload, first: boolean, signal: AbortSignal): Promise<void> {
  const patience = first ? 600_000 : 60_000;
  for (const end = Date.now() + patience; ; await sleep(1000, undefined, { signal })) {
    const answer = await fetch(new URL("/health?probe=live", url), {
      redirect: "manual",
      signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]),
    }).catch((error: Error) => error);
    stopIf(signal);
    if (answer instanceof Response && answer.status < 500) break;
    const what = answer instanceof Response ? `answers ${answer.status}` : `does not answer (${answer.message})`;
    // A Worker that fails will not get better; a name or certificate that is new may.
    if (answer instanceof Response || Date.now() > end) throw new Error(`${url.origin} ${what}`);
  }
  await sleep(settleSeconds * 1000, undefined, { signal });
}

/** Walks the hosting checklist, and answers the figures of its last line. */
async function smoke(
  { env, url, account, expect }: Upload,
  signal: AbortSignal,
  progress: (line: string) => void,
): Promise<string> {
  const args = [join(root, "tools/smoke.ts"), url.origin, "--username", account.username];
  if (env === "production") args.push("--read-only");
  if (expect !== undefined) args.push("--expect", expect);
  const environment = { ...ownEnvironment(), NEXGEN_PASSWORD: account.password };
  const output = await command(process.execPath, args, { env: environment, signal, progress });
  return /\d+ passed.*$/m.exec(output)?.[0] ?? "";
}
