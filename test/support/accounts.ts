import { call } from "./api.ts";
import { insert } from "./rows.ts";

// Made by libxcrypt; cost 4, so that nobody waits.
export const secretHash = "$2b$04$Wb1hKqAdT0y9vN5sJ3rLeuC5fv0lnjEKEoPyvJ6uYqfNKDOoNTr4.";

export interface TestAccount {
  id: number;
  username: string;
  email: string;
}

/** An account with the password `secret`. */
export async function insertAccount(values: Record<string, string | boolean> = {}): Promise<TestAccount> {
  const username = `user-${crypto.randomUUID()}`;
  const email = `${username}@example.com`;
  const id = await insert("user", { username, email, password_hash: secretHash, ...values });
  return { id, username, email };
}

/** Tries to log in, from an address of its own unless `address` says which. */
export const logIn = (username: string, password: string, address?: string): Promise<Response> =>
  call("/auth/login", {
    method: "POST",
    body: { username, password },
    headers: address === undefined ? {} : { "CF-Connecting-IP": address },
  });
