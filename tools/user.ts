import { password as askPassword } from "@inquirer/prompts";
import { Command, Option } from "commander";
import pg from "pg";
import { hashPassword, passwordFault } from "../src/auth/password.ts";
import { usernameFault } from "../src/auth/username.ts";
import { runOnDatabase } from "./stack.ts";

const roles = ["viewer", "editor", "admin"] as const;

/** A refusal that a person can act on. */
class Refused extends Error {}

const program = new Command("npm run user --")
  .description(
    "Accounts of the API. The first admin is made here, never over the network:\n" +
      "  npm run user -- create --username asha --email asha@example.com --role admin\n" +
      "A password comes from NEXGEN_PASSWORD, else from a prompt; it has 12 characters to 72 bytes and is not a common one.",
  )
  .option("--database-url <url>", "the owner's URL (default: OWNER_DATABASE_URL, else the dev stack's database)");

const username = new Option("--username <name>", "who, exactly as at log-in").makeOptionMandatory();
const role = new Option("--role <role>", "what the account may do").choices(roles).makeOptionMandatory();

program
  .command("create")
  .description("make an account")
  .addOption(username)
  .requiredOption("--email <address>", "its e-mail address")
  .addOption(role)
  .action((options: { username: string; email: string; role: string }) =>
    withDatabase(async (database) => {
      const { length } = options.username;
      const fault = length === 0 || length > 255 ? "must have 1 to 255 characters" : usernameFault(options.username);
      if (fault) throw new Refused(`--username ${fault}`);
      if (!/^[^\s@]+@[^\s@]+$/.test(options.email) || options.email.length > 255) {
        throw new Refused("--email is not an e-mail address");
      }
      const hash = await hashPassword(await newPassword(options.username, options.email));
      const { rows } = await database.query(
        `INSERT INTO "Finances"."user" (username, email, password_hash, role, password_changed_at)
         VALUES ($1, $2, $3, $4, now()) RETURNING id`,
        [options.username, options.email, hash, options.role],
      );
      console.log(`Created ${options.role} ${options.username} (id ${rows[0].id}).`);
    }),
  );

program
  .command("list")
  .description("show every account")
  .action(() =>
    withDatabase(async (database) => {
      const { rows } = await database.query(
        `SELECT id, username, email, role, disabled, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS created
         FROM "Finances"."user" ORDER BY id`,
      );
      if (rows.length === 0) console.log("No accounts yet: npm run user -- create --help");
      else console.table(Object.fromEntries(rows.map(({ id, ...account }) => [id, account])));
    }),
  );

program
  .command("set-password")
  .description("give an account a new password; its sessions end")
  .addOption(username)
  .action((options: { username: string }) =>
    withDatabase(async (database) => {
      const hash = await hashPassword(await newPassword(options.username, await emailOf(database, options.username)));
      await change(
        database,
        options.username,
        "password_hash = $2, password_changed_at = now(), token_version = token_version + 1",
        [hash],
      );
      console.log(`${options.username} has a new password; every session of the account has ended.`);
    }),
  );

program
  .command("set-role")
  .description("change what an account may do; its sessions end")
  .addOption(username)
  .addOption(role)
  .action((options: { username: string; role: string }) =>
    withDatabase(async (database) => {
      if (options.role !== "admin") await keepAnAdmin(database, options.username);
      await change(database, options.username, "role = $2, token_version = token_version + 1", [options.role]);
      console.log(`${options.username} is now ${options.role}.`);
    }),
  );

program
  .command("disable")
  .description("lock an account out at once; --enable lets it in again")
  .addOption(username)
  .option("--enable", "let the account in again")
  .action((options: { username: string; enable?: true }) =>
    withDatabase(async (database) => {
      if (!options.enable) await keepAnAdmin(database, options.username);
      await change(database, options.username, "disabled = $2, token_version = token_version + 1", [!options.enable]);
      console.log(`${options.username} is ${options.enable ? "enabled" : "disabled"}; every session of it has ended.`);
    }),
  );

/** Refuses to go on when nobody but `name` manages accounts. The locks are those of the API's route, in its order. */
async function keepAnAdmin(database: pg.Client, name: string): Promise<void> {
  const { rows } = await database.query<{ username: string; manages: boolean }>(
    `SELECT username, role = 'admin' AND NOT disabled AS manages FROM "Finances"."user"
     WHERE (role = 'admin' AND NOT disabled) OR username = $1 ORDER BY id FOR NO KEY UPDATE`,
    [name],
  );
  const admins = rows.filter(({ manages }) => manages).map(({ username }) => username);
  if (admins.length === 1 && admins[0] === name) {
    throw new Refused(`${name} is the last enabled admin: make another one first`);
  }
}

async function change(database: pg.Client, name: string, assignments: string, values: unknown[]): Promise<void> {
  const { rowCount } = await database.query(`UPDATE "Finances"."user" SET ${assignments} WHERE username = $1`, [
    name,
    ...values,
  ]);
  if (rowCount === 0) throw new Refused(`there is no account ${name}: see npm run user -- list`);
  await database.query(
    `UPDATE "Finances".refresh_session session SET revoked_at = now() FROM "Finances"."user" account
     WHERE account.id = session.user_id AND account.username = $1 AND session.revoked_at IS NULL`,
    [name],
  );
}

async function emailOf(database: pg.Client, name: string): Promise<string> {
  const { rows } = await database.query<{ email: string }>(`SELECT email FROM "Finances"."user" WHERE username = $1`, [
    name,
  ]);
  if (!rows[0]) throw new Refused(`there is no account ${name}: see npm run user -- list`);
  return rows[0].email;
}

async function newPassword(name: string, email: string): Promise<string> {
  const given = process.env.NEXGEN_PASSWORD;
  if (given === undefined && !process.stdin.isTTY) {
    throw new Refused("no password: set NEXGEN_PASSWORD, or run this in a terminal to be asked for it");
  }
  const password =
    given ??
    (await askPassword({
      message: `Password for ${name}`,
      mask: true,
      validate: (value) => {
        const fault = passwordFault(value, [name, email]);
        return fault === undefined || `It ${fault}.`;
      },
    }));
  const fault = passwordFault(password, [name, email]);
  if (fault) throw new Refused(`the password ${fault}`);
  return password;
}

/** One command: its own transaction as the owner. */
function withDatabase(work: (database: pg.Client) => Promise<void>): Promise<void> {
  return runOnDatabase("user", program.opts<{ databaseUrl?: string }>().databaseUrl, async (url) => {
    const database = new pg.Client({ connectionString: url });
    await database.connect();
    try {
      await database.query("BEGIN");
      // Who wrote, for the audit log.
      await database.query("SELECT set_config('nexgen.actor', 'user-tool', true)");
      await work(database);
      await database.query("COMMIT");
    } catch (error) {
      throw explained(error);
    } finally {
      await database.end();
    }
  });
}

/** What the constraints say to the person at the keyboard. */
const meanings: Record<string, string> = {
  user_username_unique: "the username is taken",
  user_username_case_unique: "the username is taken in other letter cases",
  user_email_unique: "the e-mail address is taken",
};

function explained(error: unknown): unknown {
  // Ctrl-C at the prompt.
  if (error instanceof Error && error.name === "ExitPromptError") return new Refused("nothing was changed");
  const meaning = meanings[(error as { constraint?: string }).constraint ?? ""];
  return meaning ? new Refused(meaning, { cause: error }) : error;
}

await program.parseAsync();
