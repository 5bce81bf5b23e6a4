import type { LoadRow } from "./repair.ts";

export type ExistingAccount = { id: number; username: string; email: string };

export type Accounts = {
  rows: LoadRow[];
  skipped: { id: string; username: string; reason: string }[];
  renumbered: { username: string; from: string; to: string }[];
};

/**
 * Fits the imported users in beside the accounts that exist, none of which is touched: a taken id is replaced by a new
 * one, a taken username or e-mail (whatever its case) leaves the user out.
 */
export function fitAccounts(imported: readonly LoadRow[], existing: readonly ExistingAccount[]): Accounts {
  const usernames = new Set(existing.map(({ username }) => username.toLowerCase()));
  const emails = new Set(existing.map(({ email }) => email.toLowerCase()));
  const ids = new Set(existing.map(({ id }) => String(id)));
  let highest = Math.max(0, ...existing.map(({ id }) => id), ...imported.map(({ id }) => Number(id)));
  const result: Accounts = { rows: [], skipped: [], renumbered: [] };
  for (const row of imported) {
    const id = String(row.id);
    const username = String(row.username);
    const email = String(row.email).toLowerCase();
    if (usernames.has(username.toLowerCase())) result.skipped.push({ id, username, reason: "the username is taken" });
    else if (emails.has(email)) result.skipped.push({ id, username, reason: "the e-mail address is taken" });
    else {
      usernames.add(username.toLowerCase());
      emails.add(email);
      if (ids.has(id)) {
        highest += 1;
        result.renumbered.push({ username, from: id, to: String(highest) });
        result.rows.push({ ...row, id: String(highest) });
      } else result.rows.push(row);
    }
  }
  return result;
}
