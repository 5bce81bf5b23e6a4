import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** What PostgreSQL's own pg_dump writes of a database of version 15, data included: its lines, in an order of no object. */
export async function sortedDump(url: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)("/usr/lib/postgresql/15/bin/pg_dump", [`--dbname=${url}`], {
    maxBuffer: 256 * 1024 * 1024,
  });
  // These carry a random word.
  return stdout
    .replace(/^\\(?:un)?restrict .*\n/gm, "")
    .split("\n")
    .sort();
}
