import bcrypt from "bcryptjs";
import { Busy } from "../busy.ts";
import { isCommon } from "./common-password.ts";

/** bcrypt's work factor unless `BCRYPT_COST` says otherwise: one compare at 12 is about 0.3 s of CPU. */
export const defaultCost = 12;

/**
 * What is wrong with a password that somebody wants to set, or undefined; `names` are the account's username and e-mail
 * address. bcrypt reads 72 bytes; more is refused, not cut.
 */
export function passwordFault(password: string, names: readonly string[]): string | undefined {
  if ([...password].length < 12) return "must have at least 12 characters";
  if (bcrypt.truncates(password)) return "must have at most 72 bytes in UTF-8";
  if (password.includes("\0")) return "must not contain NUL characters";
  const folded = password.trim().toLowerCase();
  // The name once or more, and next to nothing else.
  const without = (name: string) => folded.replaceAll(name.trim().toLowerCase(), "");
  if (names.some((name) => without(name).length < Math.min(6, folded.length))) {
    return "must not be the username or the e-mail address";
  }
  if (isCommon(password)) return "must not be one of the passwords that everybody tries first";
  return undefined;
}

/** Longer than a look-up and a bcrypt take: should a turn be lost all the same, two at once are the lesser evil. */
const abandonedMilliseconds = 3000;
const patienceMilliseconds = 8000;
let working: { since: number } | undefined;

/**
 * One bcrypt at a time in an isolate. It yields every 100 ms: 20 at once would have every other request wait for a slice of
 * each, again and again. Throws Busy when its turn does not come. An attempt is counted within its turn: one that
 * is turned away for want of one is none. `request` keeps the work alive: one whose client has gone is cut off, and would
 * keep its turn.
 */
export async function inTurn<T>(
  request: { waitUntil(work: Promise<unknown>): void },
  work: () => Promise<T>,
): Promise<T> {
  // Asked again and again, as one request of a Worker must not wake another one.
  for (const arrived = Date.now(); working && Date.now() - working.since < abandonedMilliseconds; ) {
    if (Date.now() - arrived > patienceMilliseconds) throw new Busy("Too many log in at once. Try again.");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const mine = { since: Date.now() };
  working = mine;
  const done = work().finally(() => {
    if (working === mine) working = undefined;
  });
  request.waitUntil(done.catch(() => {}));
  return await done;
}

/** The bcrypt hash (60 characters) of a password that `passwordFault` lets pass; in the Worker within `inTurn`. */
export const hashPassword = (password: string, cost: number = defaultCost): Promise<string> =>
  bcrypt.hash(password, cost);

/** Whether a hash of this form is to be made anew at the next log-in. `$2a$` and `$2y$` are other names of `$2b$`. */
export function isOutdated(hash: string, cost: number): boolean {
  const [, prefix, used] = hash.split("$");
  return prefix !== "2b" || Number(used) < cost;
}

/** Of a password nobody knows: compared with when there is no user, so that both cases take as long. */
const nobodysHash = (cost: number) =>
  `$2b$${String(cost).padStart(2, "0")}$33sS7bXP0Z1AMWma5insl./Ey2u0x.7Cukj0sv2jT/QeL2ZEbLdKm`;

/**
 * Whether the password belongs to the hash. A refusal takes the work of `cost`, whether there is a hash or not and also
 * where that is a weaker one; call it within `inTurn`. Like every bcrypt it compares 72 bytes, so the long passwords of the legacy system keep working.
 */
export async function passwordMatches(
  password: string,
  hash: string | undefined,
  cost: number = defaultCost,
): Promise<boolean> {
  const compared = hash ?? nobodysHash(cost);
  const matches = await bcrypt.compare(password, compared);
  if (matches) return hash !== undefined;
  // Each step doubles the work, so the steps from the hash's own cost on make up the difference.
  for (let step = bcrypt.getRounds(compared); step < cost; step++) await bcrypt.compare(password, nobodysHash(step));
  return false;
}
