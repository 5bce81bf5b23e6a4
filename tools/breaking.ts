import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./stack.ts";

interface Report {
  changes: { path: string; verdicts: { impact: string; message: string }[] }[];
}

/**
 * What of the OpenAPI document `current` would break a client that was made for `base`, line by line; none when the version
 * says so: it has a higher first number, or below 1.0.0 a higher second one.
 */
export function breakingChanges(base: string, current: string): string[] {
  const [[oldMajor = 0, oldMinor = 0], [major = 0, minor = 0]] = [versionOf(base), versionOf(current)];
  if (major > oldMajor || (major === 0 && oldMajor === 0 && minor > oldMinor)) return [];
  const directory = mkdtempSync(join(tmpdir(), "nexgen-breaking-"));
  try {
    const files = { base: join(directory, "base.json"), current: join(directory, "current.json") };
    writeFileSync(files.base, base);
    writeFileSync(files.current, current);
    const redocly = join(root, "node_modules/.bin/redocly");
    const { status, stdout, stderr } = spawnSync(
      redocly,
      ["diff", "--format", "json", "--fail-on", "none", files.base, files.current],
      {
        cwd: root,
        encoding: "utf8",
        maxBuffer: 2 ** 28,
        env: {
          ...process.env,
          PATH: `${join(root, "node_modules/.bin")}:${process.env.PATH}`,
          REDOCLY_TELEMETRY: "off",
          REDOCLY_SUPPRESS_UPDATE_NOTICE: "true",
        },
      },
    );
    if (status !== 0) return [`redocly diff: ${stderr.trim()}`];
    const { changes } = JSON.parse(stdout) as Report;
    const breaking = changes.flatMap(({ path, verdicts }) =>
      verdicts.filter(({ impact }) => impact === "major").map(({ message }) => `${message} (${path})`),
    );
    return [...new Set(breaking)];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const versionOf = (document: string): number[] =>
  (JSON.parse(document) as { info: { version: string } }).info.version.split(".").map(Number);
