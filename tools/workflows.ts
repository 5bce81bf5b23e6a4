import { readdirSync, readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { join } from "node:path";
import { parse } from "yaml";
import packageJson from "../package.json" with { type: "json" };
import { root } from "./stack.ts";

/** What is read of a workflow, once GitHub's own parser has let it pass. */
interface Workflow {
  on: Record<string, unknown>;
  permissions?: unknown;
  jobs: Record<string, Job>;
}
interface Job {
  needs?: string | string[];
  uses?: string;
  "timeout-minutes"?: number;
  steps?: { uses?: string; run?: string }[];
}

/** What is wrong with a workflow, line by line: what GitHub would refuse, and what we do not want. */
export async function workflowFindings(name: string, content: string): Promise<string[]> {
  const refused = await githubErrors(name, content);
  if (refused.length > 0) return refused;
  const { permissions, jobs } = parse(content) as Workflow;
  const steps = Object.values(jobs).flatMap((job) => job.steps ?? []);
  const used = [...Object.values(jobs), ...steps].flatMap(({ uses }) => uses ?? []);
  const scripts = steps.flatMap(({ run = "" }) =>
    [...run.matchAll(/\bnpm run ([\w:-]+)/g)].map(([, script = ""]) => script),
  );
  const findings = [
    ...(permissions === undefined ? ["has no permissions: it would get the repository's default"] : []),
    ...used
      .filter((action) => !isPinned(action, content))
      .map((action) => `${action} is not pinned: @40 hex digits # v1.2.3`),
    ...scripts.filter((script) => !(script in packageJson.scripts)).map((script) => `there is no npm run ${script}`),
    ...Object.entries(jobs).flatMap(([job, { needs = [], uses, "timeout-minutes": limit }]) => [
      ...[needs].flat().flatMap((other) => (other in jobs ? [] : [`${job} needs ${other}, which there is not`])),
      ...(uses === undefined && limit === undefined ? [`${job} has no timeout-minutes`] : []),
    ]),
    // An expression in a script is pasted into it as it is: whoever can write that text runs commands.
    ...steps.flatMap(({ run = "" }) =>
      run.includes("${{") ? [`an expression in a script, use env: ${run.trim()}`] : [],
    ),
  ];
  return findings.map((finding) => `${name}: ${finding}`);
}

/** A hash cannot be moved to other code, as a tag can; the comment says which version it is. A file of ours needs none. */
const isPinned = (action: string, content: string) =>
  action.startsWith("./") ||
  (/^[\w./-]+@[0-9a-f]{40}$/.test(action) && new RegExp(`uses: ${action} # v\\d+(\\.\\d+)*$`, "m").test(content));

/** By the parser of GitHub's own language service. */
async function githubErrors(name: string, content: string): Promise<string[]> {
  // It imports JSON as bundlers have it, without the attribute that Node wants.
  const hooks = registerHooks({
    load: (url, context, next) =>
      next(url, url.endsWith(".json") ? { ...context, importAttributes: { type: "json" } } : context),
  });
  const { parseWorkflow, NoOperationTraceWriter } = await import("@actions/workflow-parser");
  hooks.deregister();
  const { context } = parseWorkflow({ name, content }, new NoOperationTraceWriter());
  return context.errors.getErrors().map(({ message }) => message);
}

/** Of every workflow of the repository. */
export async function findingsOfAll(): Promise<string[]> {
  const folder = join(root, ".github/workflows");
  const names = readdirSync(folder).filter((name) => /\.ya?ml$/.test(name));
  const all = names.map((name) => workflowFindings(name, readFileSync(join(folder, name), "utf8")));
  return (await Promise.all(all)).flat();
}
