import pg from "pg";
import { type Accounts, type ExistingAccount, fitAccounts } from "./accounts.ts";
import type { LegacyBackup } from "./backup.ts";
import {
  addForeignKeysNotValid,
  dropForeignKeys,
  highestIds,
  insertRows,
  quarantine,
  raiseSequences,
  resetPoVersions,
} from "./load.ts";
import { compareMoney, type MoneyLine, moneyInDatabase, moneyInFile } from "./money.ts";
import { findOrphans, type Orphan, type OrphanMode } from "./orphans.ts";
import {
  explained,
  Refusal,
  refuseProblems,
  requireEmpty,
  requireFree,
  requireMigrated,
  takeLocks,
} from "./preconditions.ts";
import type { PoDifference } from "./purchase-order.ts";
import { type RepairOptions, repair } from "./repair.ts";
import type { Repair } from "./row.ts";
import { parentsFirst, readTarget } from "./target.ts";
import { brokenRules, comparePos, compareStock, countQuarantined, takeStock } from "./verify.ts";

export type TakeOverOptions = RepairOptions & {
  /** As the operator named it: for messages. */
  file: string;
  orphans: OrphanMode;
  /** Adds to a database that has data. */
  force: boolean;
  /** Does everything, then rolls back. */
  dryRun: boolean;
  /** In the audit log beside the actor `import`. */
  requestId: string;
  onRows?: (loaded: number) => void;
};

export type Outcome = {
  tables: { table: string; expected: number; loaded: number; quarantined: number; skipped: number }[];
  money: MoneyLine[];
  repairs: Repair[];
  differences: PoDifference[];
  /** Rates that were found for the lines' GST; null: none fits, and the line's quantity and price stay until one is given. */
  gstRates: { rate: string | null; lines: number }[];
  orphans: Orphan[];
  /** Foreign keys that are NOT VALID now. */
  notValid: { table: string; name: string }[];
  accounts: Omit<Accounts, "rows"> & { loaded: number };
  /** Next ids of the sequences that moved. */
  sequences: { table: string; next: string }[];
};

/**
 * Loads a backup into the owner's database in one transaction, all or nothing, and verifies it before the commit.
 * Throws Refusal for what an operator can decide or mend, Error for failures of the database.
 */
export async function takeOver(url: string, backup: LegacyBackup, options: TakeOverOptions): Promise<Outcome> {
  if (backup.kind === "clients-only") {
    const wanted = "Nexgen_erp_backup_<date>_<time>.sql";
    throw new Refusal([`This is a clients-only backup, with the rows of one table. Import the full one, ${wanted}.`]);
  }
  const connection = new pg.Client({ connectionString: url });
  // A lost connection also fails the statement at work, which is where it is reported.
  connection.on("error", () => undefined);
  await connection.connect();
  try {
    await connection.query("BEGIN");
    const outcome = await load(connection, backup, options);
    await connection.query(options.dryRun ? "ROLLBACK" : "COMMIT");
    return outcome;
  } catch (error) {
    await connection.query("ROLLBACK").catch(() => undefined);
    throw explained(error);
  } finally {
    await connection.end();
  }
}

async function load(connection: pg.Client, backup: LegacyBackup, options: TakeOverOptions): Promise<Outcome> {
  await requireMigrated(connection);
  await takeLocks(connection);
  if (!options.force) await requireEmpty(connection, options.file);
  const target = await readTarget(connection);
  const orphans = findOrphans(backup.tables, target.foreignKeys, options.orphans);
  const repaired = repair(backup, target, orphans, options);
  refuseProblems(repaired, options.acceptLineTotals);
  if (options.force) await requireFree(connection, repaired, target, orphans);

  const existing = await connection.query<ExistingAccount>('SELECT id, username, email FROM "Finances"."user"');
  const accounts = fitAccounts(repaired.rows.get("user") ?? [], existing.rows);
  const rows = new Map(repaired.rows).set("user", accounts.rows);
  const earlierStock = await takeStock(connection, target);
  const earlierMoney = await moneyInDatabase(connection);

  const actor = "SELECT set_config('nexgen.actor', 'import', true), set_config('nexgen.request_id', $1, true)";
  await connection.query(actor, [options.requestId]);
  const kept = new Set(orphans.filter(({ handling }) => handling === "kept").map(({ key }) => key));
  const openKeys = target.foreignKeys.filter((key) => kept.has(key));
  await dropForeignKeys(connection, openKeys);
  let loaded = 0;
  for (const table of parentsFirst(target.foreignKeys)) {
    await insertRows(connection, table, target, rows.get(table) ?? [], (count) => {
      loaded += count;
      options.onRows?.(loaded);
    });
  }
  await quarantine(connection, backup.tables, orphans);
  const pos = rows.get("client_po") ?? [];
  await resetPoVersions(
    connection,
    pos.map(({ id }) => String(id)),
  );
  await addForeignKeysNotValid(connection, openKeys);
  const highest = highestIds(backup.tables, target);
  for (const { to } of accounts.renumbered) highest.set("user", BigInt(to));
  const sequences = await raiseSequences(connection, highest);

  const problems = [
    ...compareStock(target, earlierStock, await takeStock(connection, target), rows),
    ...(await comparePos(connection, pos)),
    ...(await brokenRules(connection)),
    ...(await countQuarantined(connection, orphans)),
  ];
  if (problems.length > 0) throw new Refusal(["What arrived in the database is not what the file has:", ...problems]);
  const { skipped, renumbered } = accounts;
  return {
    tables: backup.tables.map(({ name, rows: inFile }) => ({
      table: name,
      expected: inFile.length,
      loaded: rows.get(name)?.length ?? 0,
      quarantined: orphans.filter((orphan) => orphan.table === name && orphan.handling === "quarantined").length,
      skipped: name === "user" ? skipped.length : 0,
    })),
    money: compareMoney(moneyInFile(backup.tables), earlierMoney, await moneyInDatabase(connection)),
    repairs: repaired.repairs,
    differences: repaired.differences,
    gstRates: [...Map.groupBy(rows.get("client_po_line_item") ?? [], (line) => line.gst_rate ?? null)]
      .map(([rate, lines]) => ({ rate, lines: lines.length }))
      .toSorted((a, b) => b.lines - a.lines),
    orphans,
    notValid: openKeys.map(({ table, name }) => ({ table, name })),
    accounts: { skipped, renumbered, loaded: accounts.rows.length },
    sequences,
  };
}
