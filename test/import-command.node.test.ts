import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Report } from "../tools/legacy/report.ts";
import { type Databases, fixture, fixturePath, query, startDatabases } from "./support/node/legacy-fixture.ts";

const program = join(import.meta.dirname, "../tools/import.ts");

function run(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    out += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    err += chunk;
  });
  return new Promise((fulfil) => child.on("close", (code) => fulfil({ code, out, err })));
}

describe("npm run import", () => {
  let databases: Databases;
  let directory: string;
  const file = async (name: string, text: string) => {
    const path = join(directory, name);
    await writeFile(path, text);
    return path;
  };

  beforeAll(async () => {
    databases = await startDatabases();
    directory = await mkdtemp(join(tmpdir(), "nexgen-import-command-"));
  });
  afterAll(async () => {
    await databases?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  it("imports, reports, and refuses to do it again", async () => {
    const url = await databases.empty();
    const first = await run(fixturePath, "--database-url", url);
    expect(first).toMatchObject({ code: 0, err: "" });
    expect(first.out).toMatch(/^Imported: .*\.sql \(exported 2026-01-31 18:04:05, Asia\/Kolkata\)$/m);
    expect(first.out).toMatch(/^ {2}client_po_line_item +156 +156 +0 +0$/m);
    expect(first.out).toMatch(/^19 tables, 196 records, /m);
    const second = await run(fixturePath, "--database-url", url, "--json");
    expect(second).toMatchObject({ code: 1, out: "" });
    expect(second.err).toContain("import: refused, nothing was written.");
    expect(second.err).toContain("\n  NEXGEN_SEED=none NEXGEN_DATA_DIR=.nexgen-legacy npm run dev\n");
  });

  it("takes its options, and prints JSON that a program can read", async () => {
    const url = await databases.empty();
    const options = [
      "--orphans",
      "quarantine",
      "--user-role",
      "admin",
      "--timezone",
      "UTC",
      "--database-url",
      url,
      "--json",
    ];
    const rehearsal = await run(fixturePath, ...options, "--dry-run");
    expect(rehearsal).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse(rehearsal.out)).toMatchObject({ dryRun: true });
    expect(await query(url, 'SELECT count(*) AS n FROM "Finances".client')).toEqual([{ n: "0" }]);
    const { out } = await run(fixturePath, ...options);
    const report = JSON.parse(out) as Report;
    expect(report.summary).toMatchObject({
      tables: 19,
      records: 196,
      loaded: 121,
      quarantined: 75,
      repairedLines: 35,
      orphans: 75,
    });
    expect(report.orphanKeys[0]?.missing).toEqual([{ key: "133", rows: 3, ids: ["16", "17", "18"] }]);
    expect(report.repairs.filter(({ kind }) => kind === "gst")).toHaveLength(35);
    expect(report.orphanKeys.map(({ column, handling, rows }) => ({ column, handling, rows }))).toEqual([
      { column: "client_po_id", handling: "quarantined", rows: 3 },
      { column: "client_po_id", handling: "quarantined", rows: 72 },
    ]);
    expect(
      await query(url, `SELECT role, to_char(updated_at, 'HH24:MI:SS.US') AS at FROM "Finances"."user" WHERE id = 1`),
    ).toEqual([{ role: "admin", at: "17:06:49.844999" }]);
  });

  it.each([
    ["no file", [], /missing required argument 'file'/],
    ["two files", ["a.sql", "b.sql"], /too many arguments/],
    ["an unknown option", ["a.sql", "--yes"], /unknown option '--yes'/],
    ["another way with orphans", ["a.sql", "--orphans", "drop"], /Allowed choices are keep, quarantine/],
    ["another role", ["a.sql", "--user-role", "root"], /Allowed choices are viewer, editor, admin/],
    ["an offset for a zone", ["a.sql", "--timezone", "+05:30"], /such as Asia\/Kolkata/],
    ["a zone that is none", ["a.sql", "--timezone", "Asia/Nowhere"], /such as Asia\/Kolkata/],
  ])("answers 2 to %s", async (_, args, message) => {
    const { code, err } = await run(...args);
    expect(code).toBe(2);
    expect(err).toMatch(message);
  });

  it("answers 1 to what it cannot read, without a database", async () => {
    const nowhere = ["--database-url", "postgres://a:b@127.0.0.1:1/c"];
    const crashed = await file("crashed.sql", fixture.slice(0, 20_000));
    expect(await run(crashed, ...nowhere)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/crashed\.sql: the file ends in the middle of/),
    });
    const clients = await file(
      "Nexgen_erp_clients_backup_20260131_180405.sql",
      fixture.slice(0, fixture.indexOf("-- INDEXES")),
    );
    expect(await run(clients, ...nowhere)).toMatchObject({
      code: 1,
      err: expect.stringContaining("clients-only backup"),
    });
    expect(await run(join(directory, "missing.sql"), ...nowhere)).toMatchObject({
      code: 1,
      err: expect.stringContaining("no such file"),
    });
    expect(await run(fixturePath, ...nowhere)).toMatchObject({ code: 1, err: expect.stringContaining("ECONNREFUSED") });
    expect(await run("--help")).toMatchObject({ code: 0, out: expect.stringContaining("--accept-line-totals") });
  });
});
