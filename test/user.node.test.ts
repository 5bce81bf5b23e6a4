import { spawn } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { passwordMatches } from "../src/auth/password.ts";
import { describeServers, row, rows } from "./support/node/database.ts";

const tool = join(import.meta.dirname, "../tools/user.ts");
const password = "a long enough password";

/** Runs the tool as a person would, without a terminal. */
function user(url: string, args: string[], env: Record<string, string> = {}) {
  const { NEXGEN_PASSWORD: _, ...rest } = process.env;
  return new Promise<{ code: number | null; output: string }>((resolve) => {
    const child = spawn(process.execPath, [tool, "--database-url", url, ...args], {
      env: { ...rest, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    child.stderr.on("data", (chunk) => {
      output += chunk;
    });
    child.on("close", (code) => resolve({ code, output }));
  });
}

const asha = ["--username", "asha", "--email", "asha@example.com", "--role", "admin"];

describeServers(
  "npm run user",
  (server) => {
    it("creates an account that can log in, and says who wrote it", async () => {
      const database = await server.database();
      const url = server.url("nexgen_owner", database);
      const created = await user(url, ["create", ...asha], { NEXGEN_PASSWORD: password });
      expect(created).toEqual({ code: 0, output: "Created admin asha (id 1).\n" });

      const client = await server.connect(database);
      const account = await row(client, `SELECT * FROM "Finances"."user"`);
      expect(account).toMatchObject({ username: "asha", email: "asha@example.com", role: "admin", disabled: false });
      expect(await passwordMatches(password, String(account.password_hash))).toBe(true);
      const [entry] = await rows(client, `SELECT actor, user_id, action, changes FROM "Finances".audit_log`);
      expect(entry).toMatchObject({ actor: "user-tool", user_id: null, action: "insert" });
      expect(JSON.stringify(entry)).not.toContain("$2b$");
      expect((await user(url, ["list"])).output).toContain("asha@example.com");
    });

    it.each([
      ["eleven long", "at least 12 characters"],
      ["x".repeat(73), "at most 72 bytes"],
      ["é".repeat(37), "at most 72 bytes"],
    ])("refuses the password %s", async (given, why) => {
      const database = await server.database();
      const refused = await user(server.url("nexgen_owner", database), ["create", ...asha], { NEXGEN_PASSWORD: given });
      expect(refused.code).toBe(1);
      expect(refused.output).toContain(why);
      expect(refused.output).not.toContain(given);
      expect(await rows(await server.connect(database), `SELECT FROM "Finances"."user"`)).toHaveLength(0);
    });

    it("refuses a taken username or e-mail address, an unknown role, and to run without a password", async () => {
      const url = server.url("nexgen_owner", await server.database());
      await user(url, ["create", ...asha], { NEXGEN_PASSWORD: password });
      const again = await user(url, ["create", ...asha], { NEXGEN_PASSWORD: password });
      expect(again).toEqual({ code: 1, output: "user: the username is taken\n" });
      const sameMail = ["create", "--username", "b", "--email", "ASHA@example.com", "--role", "viewer"];
      expect((await user(url, sameMail, { NEXGEN_PASSWORD: password })).output).toBe(
        "user: the e-mail address is taken\n",
      );
      const boss = ["create", "--username", "b", "--email", "b@example.com", "--role", "boss"];
      expect((await user(url, boss, { NEXGEN_PASSWORD: password })).output).toContain("viewer, editor, admin");
      const silent = ["create", "--username", "b", "--email", "b@example.com", "--role", "viewer"];
      expect((await user(url, silent)).output).toContain("NEXGEN_PASSWORD");
    });

    it("ends the sessions of an account that it changes", async () => {
      const database = await server.database();
      const url = server.url("nexgen_owner", database);
      const client = await server.connect(database);
      await user(url, ["create", ...asha], { NEXGEN_PASSWORD: password });
      const other = ["create", "--username", "boss", "--email", "boss@example.com", "--role", "admin"];
      await user(url, other, { NEXGEN_PASSWORD: password });
      const changes: [string[], Record<string, unknown>][] = [
        [["set-role", "--username", "asha", "--role", "viewer"], { role: "viewer" }],
        [["disable", "--username", "asha"], { disabled: true }],
        [["disable", "--username", "asha", "--enable"], { disabled: false }],
        [["set-password", "--username", "asha"], {}],
      ];
      for (const [args, expected] of changes) {
        await rows(
          client,
          `INSERT INTO "Finances".refresh_session (user_id, token_hash, expires_at)
         VALUES (1, sha256(gen_random_uuid()::text::bytea), now() + interval '1 day')`,
        );
        const before = await row(client, `SELECT token_version FROM "Finances"."user" WHERE id = 1`);
        const { code, output } = await user(url, args, { NEXGEN_PASSWORD: `${password} 2` });
        expect(code, output).toBe(0);
        const after = await row(client, `SELECT * FROM "Finances"."user" WHERE id = 1`);
        expect(after).toMatchObject({ ...expected, token_version: Number(before.token_version) + 1 });
        expect(await rows(client, `SELECT FROM "Finances".refresh_session WHERE revoked_at IS NULL`)).toHaveLength(0);
      }
      const { password_hash } = await row(client, `SELECT password_hash FROM "Finances"."user" WHERE id = 1`);
      expect(await passwordMatches(`${password} 2`, String(password_hash))).toBe(true);
      expect(await user(url, ["disable", "--username", "nobody"])).toMatchObject({ code: 1 });
    });

    it("leaves the last enabled admin alone", async () => {
      const database = await server.database();
      const url = server.url("nexgen_owner", database);
      const client = await server.connect(database);
      await user(url, ["create", ...asha], { NEXGEN_PASSWORD: password });
      const disabledAdmin = ["create", "--username", "boss", "--email", "boss@example.com", "--role", "admin"];
      await user(url, disabledAdmin, { NEXGEN_PASSWORD: password });
      await user(url, ["disable", "--username", "boss"]);
      for (const args of [
        ["disable", "--username", "asha"],
        ["set-role", "--username", "asha", "--role", "editor"],
      ]) {
        const refused = await user(url, args);
        expect(refused).toEqual({
          code: 1,
          output: "user: asha is the last enabled admin: make another one first\n",
        });
      }
      expect(await row(client, `SELECT role, disabled FROM "Finances"."user" WHERE username = 'asha'`)).toEqual({
        role: "admin",
        disabled: false,
      });
      // What takes no admin away is not refused.
      for (const args of [
        ["set-role", "--username", "asha", "--role", "admin"],
        ["set-role", "--username", "boss", "--role", "viewer"],
        ["disable", "--username", "boss"],
      ]) {
        expect((await user(url, args)).code).toBe(0);
      }
    });

    it("disables one of two admins who are disabled at once, and no more", async () => {
      const database = await server.database();
      const url = server.url("nexgen_owner", database);
      const client = await server.connect(database);
      await user(url, ["create", ...asha], { NEXGEN_PASSWORD: password });
      const second = ["create", "--username", "boss", "--email", "boss@example.com", "--role", "admin"];
      await user(url, second, { NEXGEN_PASSWORD: password });
      const both = await Promise.all(["asha", "boss"].map((name) => user(url, ["disable", "--username", name])));
      expect(both.map(({ code }) => code).toSorted()).toEqual([0, 1]);
      expect(await rows(client, `SELECT FROM "Finances"."user" WHERE NOT disabled`)).toHaveLength(1);
    });

    it("waits for whoever is disabling the other admin, and then leaves the last one alone", async () => {
      const database = await server.database();
      const url = server.url("nexgen_owner", database);
      const client = await server.connect(database);
      await user(url, ["create", ...asha], { NEXGEN_PASSWORD: password });
      const second = ["create", "--username", "boss", "--email", "boss@example.com", "--role", "admin"];
      await user(url, second, { NEXGEN_PASSWORD: password });
      await client.query(`BEGIN; UPDATE "Finances"."user" SET disabled = true WHERE username = 'boss'`);
      const disabling = user(url, ["disable", "--username", "asha"]);
      // A transaction sees one and the same pg_stat_activity to its end: another connection looks.
      const onlooker = await server.connect(database);
      const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      const waited = expect.poll(() => rows(onlooker, waiting), { timeout: 20_000 }).toHaveLength(1);
      await waited.finally(() => client.query("COMMIT"));
      expect((await disabling).code).toBe(1);
      expect(await rows(client, `SELECT username FROM "Finances"."user" WHERE NOT disabled`)).toEqual([
        { username: "asha" },
      ]);
    });

    it("says what to do about a database that is not migrated", async () => {
      const url = server.url("nexgen_owner", await server.database("template0"));
      expect(await user(url, ["list"])).toMatchObject({
        code: 1,
        output: expect.stringContaining("npm run db:migrate"),
      });
    });
  },
  "embedded",
);
