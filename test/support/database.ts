import { env } from "cloudflare:workers";
import { beforeAll } from "vitest";

/** Where this test file's own database is; filled before its first test. */
export const database = { ownerUrl: "", apiUrl: "", backupUrl: "", readonlyUrl: "", roundTripsUrl: "" };

/** Moves on to a new, empty database: for what speaks about all rows there are. */
export async function freshDatabase(): Promise<void> {
  const response = await fetch(env.TEST_CONTROL_URL, { method: "POST" });
  if (!response.ok) throw new Error(`no test database: ${await response.text()}`);
  Object.assign(database, await response.json());
  Object.assign(env, { DATABASE_URL: database.apiUrl, BACKUP_DATABASE_URL: database.backupUrl });
}

beforeAll(freshDatabase);
