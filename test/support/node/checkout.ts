import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const root = join(import.meta.dirname, "../../..");
const run = promisify(execFile);

/** What the deploy command needs of a checkout. */
const parts = ["src", "drizzle", "tools", "docs", "wrangler.toml", "package.json", "tsconfig.json", ".gitignore"];

/** A committed copy of this checkout whose files a test may change. */
export interface Checkout {
  directory: string;
  /** `staging` and `production` have domains of their own. */
  domains: Record<"staging" | "production", string>;
  /** Writes a migration that follows the last one, and commits it; answers its name. */
  addMigration(name: string, sql: string): Promise<string>;
  /** Changes a file, and commits it unless told otherwise. */
  change(path: string, edit: (text: string) => string, committed?: boolean): Promise<void>;
  /** Takes back whatever a test did. */
  reset(): Promise<void>;
  remove(): Promise<void>;
}

export async function copyCheckout(): Promise<Checkout> {
  const directory = await mkdtemp(join(tmpdir(), "nexgen-checkout-"));
  for (const part of parts) await cp(join(root, part), join(directory, part), { recursive: true });
  await symlink(join(root, "node_modules"), join(directory, "node_modules"));
  // A link is not the directory that .gitignore names.
  await writeFile(join(directory, ".gitignore"), `${await readFile(join(root, ".gitignore"), "utf8")}\nnode_modules\n`);

  const author = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
  const git = (...args: string[]) => run("git", [...author, ...args], { cwd: directory });
  const commit = async (subject: string) => {
    await git("add", "-A");
    await git("commit", "-qm", subject);
  };
  const domains = { staging: "api-staging.nexgen.test", production: "api.nexgen.test" };
  await git("init", "-q");
  const checkout: Checkout = {
    directory,
    domains,
    async addMigration(name, sql) {
      const path = "drizzle/meta/_journal.json";
      let tag = "";
      await writeFile(
        join(directory, path),
        JSON.stringify(
          await readFile(join(directory, path), "utf8").then((text) => {
            const journal = JSON.parse(text) as { entries: { idx: number; when: number }[] };
            const last = journal.entries.at(-1);
            const idx = (last?.idx ?? -1) + 1;
            tag = `${String(idx).padStart(4, "0")}_${name}`;
            const entry = { ...last, idx, when: (last?.when ?? 0) + 1, tag };
            return { ...journal, entries: [...journal.entries, entry] };
          }),
        ),
      );
      await writeFile(join(directory, `drizzle/${tag}.sql`), sql);
      await commit(`drizzle: ${name}`);
      return tag;
    },
    async change(path, edit, committed = true) {
      await writeFile(join(directory, path), edit(await readFile(join(directory, path), "utf8")));
      if (committed) await commit(`change ${path}`);
    },
    async reset() {
      await git("reset", "-q", "--hard", "start");
      await git("clean", "-qfd");
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
  const toml = (text: string) =>
    Object.entries(domains).reduce(
      (rest, [env, domain]) => rest.replace(new RegExp(`(\\[env\\.${env}\\][^]*?pattern = ")[^"]+`), `$1${domain}`),
      text,
    );
  await checkout.change("wrangler.toml", toml, false);
  await commit("release: what is new");
  await git("tag", "start");
  return checkout;
}
