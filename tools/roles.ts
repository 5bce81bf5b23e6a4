import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Command } from "commander";
import pg from "pg";
import { runOnDatabase } from "./stack.ts";

/** How long a role's statement may run before Postgres ends it; a setting on the role holds where sessions do not. */
const statementTimeouts = { nexgen_api: "5s", nexgen_backup: "0", nexgen_readonly: "5min" } as const;
export type Role = keyof typeof statementTimeouts;
export const roles = Object.keys(statementTimeouts) as Role[];

/** Roles are the cluster's, so two databases' set-ups can meet in one catalogue row: Postgres then says XX000. */
const attempts = 10;

/**
 * Creates the three least-privilege roles or brings them up to date: their passwords (of those given), limits and exactly
 * the rights of roles.sql. `url` is the owner's, who needs CREATEROLE; the schema must be migrated.
 */
export async function createRoles(url: string, passwords: Partial<Record<Role, string>>): Promise<void> {
  const connection = new pg.Client({ connectionString: url });
  await connection.connect();
  try {
    const grants = readFileSync(new URL("roles.sql", import.meta.url), "utf8");
    const { rows } = await connection.query<{ name: string }>("SELECT current_database() AS name");
    const database = pg.escapeIdentifier(String(rows[0]?.name));
    for (let attempt = 1; ; attempt++) {
      try {
        await connection.query("BEGIN");
        for (const role of roles) await ensureRole(connection, role, passwords[role]);
        await connection.query(`REVOKE ALL ON DATABASE ${database} FROM PUBLIC, ${roles.join(", ")}`);
        await connection.query(`GRANT CONNECT ON DATABASE ${database} TO ${roles.join(", ")}`);
        await connection.query(grants);
        await connection.query("COMMIT");
        return;
      } catch (error) {
        await connection.query("ROLLBACK");
        const raced = error instanceof pg.DatabaseError && ["XX000", "23505", "42710"].includes(error.code ?? "");
        if (!raced || attempt === attempts) throw explained(error);
        await new Promise((resolve) => setTimeout(resolve, 50 * attempt));
      }
    }
  } finally {
    await connection.end();
  }
}

async function ensureRole(connection: pg.Client, role: Role, password: string | undefined): Promise<void> {
  const { rowCount } = await connection.query("SELECT FROM pg_roles WHERE rolname = $1", [role]);
  if (rowCount === 0) {
    if (password === undefined) throw new Error(`the role ${role} does not exist yet and needs a password`);
    await connection.query(`CREATE ROLE ${role} LOGIN PASSWORD ${pg.escapeLiteral(password)}`);
  } else if (password !== undefined) {
    await connection.query(`ALTER ROLE ${role} LOGIN PASSWORD ${pg.escapeLiteral(password)}`);
  }
  const settings = await connection.query<{ setting: string }>(
    "SELECT unnest(setconfig) AS setting FROM pg_db_role_setting WHERE setrole = $1::regrole AND setdatabase = 0",
    [role],
  );
  const wanted: Record<string, string> = {
    statement_timeout: statementTimeouts[role],
    idle_in_transaction_session_timeout: "1min",
  };
  // A role may give itself settings: whoever had its password for a while must not have left any.
  for (const [name = ""] of settings.rows.map((row) => row.setting.split("="))) {
    if (!(name in wanted)) await connection.query(`ALTER ROLE ${role} RESET ${pg.escapeIdentifier(name)}`);
  }
  for (const [name, value] of Object.entries(wanted)) {
    // Writing what is already there would make parallel set-ups collide for nothing.
    if (!settings.rows.some((row) => row.setting === `${name}=${value}`)) {
      await connection.query(`ALTER ROLE ${role} SET ${name} = ${pg.escapeLiteral(value)}`);
    }
  }
}

function explained(error: unknown): unknown {
  if (!(error instanceof pg.DatabaseError)) return error;
  if (error.code === "42501") {
    return new Error(
      `${error.message}: run this as the owner of the database, a role with CREATEROLE that also created ${roles.join(", ")}`,
      { cause: error },
    );
  }
  if (error.code === "3F000") {
    return new Error('the schema "Finances" does not exist yet: run `npm run db:migrate` first', { cause: error });
  }
  return error;
}

if (import.meta.main) {
  const program = new Command("npm run db:roles --")
    .description(
      `Creates ${roles.join(", ")} and grants them exactly what tools/roles.sql lists. A role that does not exist gets a\n` +
        "generated password, printed once, unless NEXGEN_API_PASSWORD, NEXGEN_BACKUP_PASSWORD or NEXGEN_READONLY_PASSWORD\n" +
        "gives one; given, it also replaces the password of a role that exists.",
    )
    .option("--database-url <url>", "the owner's URL (default: OWNER_DATABASE_URL, else the dev stack's database)")
    .parse();
  await runOnDatabase("db:roles", program.opts<{ databaseUrl?: string }>().databaseUrl, async (url) => {
    const connection = new pg.Client({ connectionString: url });
    await connection.connect();
    const present = await connection
      .query<{ rolname: string }>("SELECT rolname FROM pg_roles WHERE rolname = ANY ($1)", [roles])
      .finally(() => connection.end());
    const passwords: Partial<Record<Role, string>> = {};
    const generated: string[] = [];
    for (const role of roles) {
      const given = process.env[`${role.toUpperCase()}_PASSWORD`];
      if (given) passwords[role] = given;
      else if (!present.rows.some((row) => row.rolname === role)) {
        passwords[role] = randomBytes(24).toString("base64url");
        generated.push(`${role}  ${passwords[role]}`);
      }
    }
    await createRoles(url, passwords);
    console.log(`Roles are up to date: ${roles.join(", ")}.`);
    if (generated.length > 0) console.log(`\nGenerated passwords, shown this once:\n${generated.join("\n")}`);
  });
}
