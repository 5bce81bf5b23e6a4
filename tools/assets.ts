import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Puts the docs page together in public/: our page, and Scalar's own build from the installed package. */
export async function prepareAssets(): Promise<void> {
  const target = join(root, "public/docs");
  await mkdir(target, { recursive: true });
  await copyFile(join(root, "src/docs/index.html"), join(target, "index.html"));
  await copyFile(join(root, "src/docs/start.js"), join(target, "start.js"));
  // The package exports no path to it.
  const build = "node_modules/@scalar/api-reference/dist/browser/standalone.js";
  await copyFile(join(root, build), join(target, "scalar.js"));
}

if (import.meta.main) await prepareAssets();
