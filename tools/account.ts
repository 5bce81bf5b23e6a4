import { password as askPassword } from "@inquirer/prompts";
import { isLoopback } from "./stack.ts";

/** A refusal that a person can act on. */
export class Refused extends Error {}

/** Whom a tool logs in as at a running API. */
export interface Account {
  username: string;
  password: string;
}

/** The address of an API. Throws for one that would send the password in the clear. */
export function checkedUrl(given: string): URL {
  const url = URL.parse(given);
  if (!url || !/^https?:$/.test(url.protocol)) throw new Refused(`${given} is not a URL: write https://host`);
  if (url.protocol === "http:" && !isLoopback(url.hostname))
    throw new Refused(`${given} would send the password unencrypted: write https://${url.host}`);
  return url;
}

/** The password of an account: NEXGEN_PASSWORD, else what the person at the terminal types. */
export async function passwordOf(username: string, signal: AbortSignal): Promise<string> {
  const given = process.env.NEXGEN_PASSWORD;
  if (given) return given;
  if (!process.stdin.isTTY)
    throw new Refused("no password: set NEXGEN_PASSWORD, or run this in a terminal to be asked for it");
  return askPassword({ message: `Password of ${username}`, mask: true }, { signal });
}

/** Aborted by the first Ctrl-C, SIGTERM or SIGHUP, which prints `message`; a later one ends the process at once. */
export function interruption(message: string): AbortSignal {
  const interrupted = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    let first = 0;
    process.on(name, () => {
      if (first === 0) {
        first = Date.now();
        console.error(`\n${message}`);
        interrupted.abort();
      } else if (Date.now() - first > 1000) process.exit(130); // npm passes a terminal's Ctrl-C on: the first one comes twice.
    });
  }
  return interrupted.signal;
}
