import bcrypt from "bcryptjs";

/** bcrypt's work factor: one compare at 12 is about 0.3 s of CPU. */
const cost = 12;

/** What is wrong with a password that somebody wants to set, or undefined. bcrypt reads 72 bytes; more is refused, not cut. */
export function passwordFault(password: string): string | undefined {
  if ([...password].length < 12) return "must have at least 12 characters";
  if (bcrypt.truncates(password)) return "must have at most 72 bytes in UTF-8";
  if (password.includes("\0")) return "must not contain NUL characters";
  return undefined;
}

/** The bcrypt hash (60 characters) of a password that `passwordFault` lets pass; throws an Error for any other. */
export async function hashPassword(password: string): Promise<string> {
  const fault = passwordFault(password);
  if (fault) throw new Error(`The password ${fault}.`);
  return bcrypt.hash(password, cost);
}

/** Of a password nobody knows, at the current cost: compared with when there is no user, so that both cases take as long. */
const nobodysHash = "$2b$12$33sS7bXP0Z1AMWma5insl./Ey2u0x.7Cukj0sv2jT/QeL2ZEbLdKm";

/**
 * Whether the password belongs to the hash. Without a hash it does the same work and answers false. Like every bcrypt it
 * compares 72 bytes, so the long passwords of the legacy system keep working.
 */
export async function passwordMatches(password: string, hash: string | undefined): Promise<boolean> {
  const matches = await bcrypt.compare(password, hash ?? nobodysHash);
  return matches && hash !== undefined;
}
