import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Puts the docs page together in public/: our page, and Scalar's own build from the installed package. */
export async function prepareAssets(): Promise<void> {
  const target = join(root, "public/docs");
  await mkdir(target, { recursive: true });
  await copy(join(root, "src/docs/index.html"), join(target, "index.html"));
  await copy(join(root, "src/docs/start.js"), join(target, "start.js"));
  // The package exports no path to it.
  const build = "node_modules/@scalar/api-reference/dist/browser/standalone.js";
  await copy(join(root, build), join(target, "scalar.js"));
}

/** Leaves a file alone that is as it must be: another dev stack of this checkout would restart its Worker for it. */
async function copy(from: string, to: string): Promise<void> {
  const [content, present] = await Promise.all([readFile(from), readFile(to).catch(() => undefined)]);
  if (present?.equals(content)) return;
  const whole = `${to}.${process.pid}`;
  await writeFile(whole, content);
  await rename(whole, to);
}

if (import.meta.main) await prepareAssets();
