import bcrypt from "bcryptjs";
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
  if (names.some((name) => name.trim().toLowerCase() === folded)) {
    return "must not be the username or the e-mail address";
  }
  if (isCommon(password)) return "must not be one of the passwords that everybody tries first";
  return undefined;
}

/** The bcrypt hash (60 characters) of a password that `passwordFault` lets pass; it knows no rule itself. */
export const hashPassword = (password: string, cost: number = defaultCost): Promise<string> =>
  bcrypt.hash(password, cost);

/** Whether a hash of this form is to be made anew at the next log-in. `$2a$` and `$2y$` are other names of `$2b$`. */
export function isOutdated(hash: string, cost: number): boolean {
  const [, prefix, used] = hash.split("$");
  return prefix !== "2b" || Number(used) < cost;
}

/** Of a password nobody knows: compared with when there is no user, so that both cases take as long. */
const nobodysHash = (cost: number) => `$2b$${cost}$33sS7bXP0Z1AMWma5insl./Ey2u0x.7Cukj0sv2jT/QeL2ZEbLdKm`;

/**
 * Whether the password belongs to the hash. Without a hash it does the work of `cost` and answers false. Like every bcrypt
 * it compares 72 bytes, so the long passwords of the legacy system keep working.
 */
export async function passwordMatches(
  password: string,
  hash: string | undefined,
  cost: number = defaultCost,
): Promise<boolean> {
  const matches = await bcrypt.compare(password, hash ?? nobodysHash(cost));
  return matches && hash !== undefined;
}
