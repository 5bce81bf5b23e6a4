import { execFile } from "node:child_process";
import { promisify } from "node:util";

export const installed15 = "/usr/lib/postgresql/15/bin";
const run = promisify(execFile);
const limits = { maxBuffer: 256 * 1024 * 1024 };

/** PostgreSQL's own dump of schema "Finances" of a server of version 15, without its `\restrict` lines, which are random. */
export async function pgDump(url: string, ...options: string[]): Promise<string> {
  const args = [`--dbname=${url}`, "--no-owner", '--schema="Finances"', "--extension=*", ...options];
  const { stdout } = await run(`${installed15}/pg_dump`, args, limits);
  return stdout.replace(/^\\(?:un)?restrict .*\n/gm, "");
}

/** The lines of it in an order that does not depend on where the objects came from. */
export async function sortedDump(url: string, ...options: string[]): Promise<string[]> {
  return (await pgDump(url, ...options)).split("\n").sort();
}

/** Restores a file with stock psql, as the manual says. */
export async function psql(url: string, file: string): Promise<void> {
  await run(`${installed15}/psql`, ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-1", "-d", url, "-f", file], limits);
}
