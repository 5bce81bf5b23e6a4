import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import type { Manifest } from "../../src/backup/manifest.ts";
import { manifestKey } from "../../src/backup/store.ts";
import { download, findBackup, storedFile } from "../../tools/backup/download.ts";
import { verify } from "../../tools/backup/verify.ts";
import { dumping } from "../support/node/backup.ts";
import { inBucket, removeDataDirectory, storeBackup, temporaryDataDirectory } from "../support/node/bucket.ts";
import { describeServers } from "../support/node/database.ts";
import { fixture, importText, query } from "../support/node/legacy-fixture.ts";

describeServers("verify, of a backup", (server) => {
  const dumpOf = dumping(server);
  let directory = "";
  let url = "";
  let manifest: Manifest;
  beforeAll(async () => {
    directory = await temporaryDataDirectory();
    const database = await server.database();
    url = server.url("nexgen_owner", database);
    await importText(url, fixture);
    const dumped = await dumpOf(database);
    ({ manifest } = await inBucket(directory, (bucket) => storeBackup(bucket, "2026-11-25", dumped)));
  });
  afterAll(() => removeDataDirectory(directory));
  // Each starts a PostgreSQL of its own.
  vi.setConfig({ testTimeout: 120_000 });

  it("finds no difference to the manifest and the migrations, and says how long a recovery takes", async () => {
    const verified = await inBucket(directory, (bucket) => verify(bucket, manifest));
    expect(verified).toEqual({
      id: "2026-11-25",
      tables: manifest.tables.length,
      rows: manifest.tables.reduce((sum, { rows }) => sum + rows, 0),
      bytes: manifest.bytes,
      differences: [],
      notices: ["client_payment_po_fkey", "client_po_line_item_po_fkey"].map(
        (key) => `${key} is NOT VALID, as in the original: it has orphans from the import`,
      ),
      seconds: { download: expect.any(Number), restore: expect.any(Number), compare: expect.any(Number) },
    });
    expect(Math.min(...Object.values(verified.seconds))).toBeGreaterThan(0);
  });

  it("names every table, sequence, trigger and index that differs from the manifest or the live database", async () => {
    const tables = manifest.tables.map((table) => {
      if (table.name === "client_po") return { ...table, sha256: "0".repeat(64) };
      return table.name === "refresh_session" ? { ...table, rows: 7 } : table;
    });
    const [first] = tables;
    if (!first) throw new Error("no tables");
    const other: Manifest = {
      ...manifest,
      tables: [...tables.filter(({ name }) => name !== "site"), { ...first, name: "lost", data: "excluded" }],
      sequences: { ...manifest.sequences, client_po_id_seq: "9007199254740993" },
    };
    await query(url, `CREATE INDEX later ON "Finances".site (id); DROP TRIGGER client_touch ON "Finances".client`);
    const { differences } = await inBucket(directory, (bucket) => verify(bucket, other, { liveUrl: url }));
    expect(differences).toEqual([
      "table site is not in the manifest",
      "table client_po: its rows differ from the manifest's checksum",
      "table refresh_session has 0 rows, the manifest says 7",
      "table lost was not restored",
      "sequence client_po_id_seq is at its start, the manifest says 9007199254740993",
      'lacks what the live database has: index site.later: CREATE INDEX later ON "Finances".site USING btree (id)',
      expect.stringMatching(/^has what the live database lacks: trigger client\.client_touch: enabled CREATE TRIGGER/),
    ]);
  });

  it("reads on after a connection to the bucket that broke, and gives up one that stays broken", async () => {
    await inBucket(directory, async (bucket) => {
      let broken = 0;
      const breaking = (times: number) =>
        ({
          get: (...args: Parameters<R2Bucket["get"]>) =>
            ++broken <= times ? Promise.reject(new Error("connection lost")) : bucket.get(...args),
        }) as R2Bucket;
      const read = async (from: R2Bucket) => {
        broken = 0;
        return Buffer.concat(await storedFile(from, manifest).toArray());
      };
      expect((await read(breaking(2))).length).toBe(manifest.bytes);
      await expect(read(breaking(9))).rejects.toThrow("connection lost");
      expect(broken).toBe(4);
    });
  });

  it("finds a backup by its date, the newest one as latest, and says which there are", async () => {
    await inBucket(directory, async (bucket) => {
      for (const id of ["2026-11-25", "latest"]) expect((await findBackup(bucket, id)).run_id).toBe(manifest.run_id);
      await expect(findBackup(bucket, "2026-11-24")).rejects.toThrow(
        "there is no backup 2026-11-24. There are: 2026-11-25",
      );
    });
    const nothing = await temporaryDataDirectory();
    await inBucket(nothing, async (bucket) => {
      await expect(findBackup(bucket, "latest")).rejects.toThrow("there is no backup yet: npm run backup -- create");
    });
    await removeDataDirectory(nothing);
  });

  it("downloads no file of a backup that is damaged, and leaves the one that is there", async () => {
    const folder = await mkdtemp(join(tmpdir(), "nexgen-download-"));
    const other = { ...manifest, sha256: "0".repeat(64) };
    await inBucket(directory, async (bucket) => {
      const file = join(folder, "kept");
      await writeFile(file, "what was there");
      await expect(download(bucket, other, file, { replace: true })).rejects.toThrow("is damaged");
      expect(await readFile(file, "utf8")).toBe("what was there");
      await download(bucket, manifest, file, { replace: true });
      expect((await readFile(file)).length).toBe(manifest.bytes);
      await expect(download(bucket, other, join(folder, "x"))).rejects.toThrow(
        /^backup 2026-11-25 is damaged: the sha256 of data\/2026-11-25\//,
      );
    });
    expect(await readdir(folder)).toEqual(["kept"]);
    await rm(folder, { recursive: true });
  });

  it("notices one flipped bit, a cut and a loss of the stored file, by name", async () => {
    await inBucket(directory, async (bucket) => {
      const stored = await bucket.get(manifest.key);
      const bytes = Buffer.from((await stored?.arrayBuffer()) ?? new ArrayBuffer());
      const flipped = Buffer.from(bytes);
      flipped.writeUInt8(flipped.readUInt8(1000) ^ 0b100, 1000);
      await bucket.put(manifest.key, flipped);
      await expect(verify(bucket, manifest)).rejects.toThrow(
        /^backup 2026-11-25 is damaged: the sha256 of data\/2026-11-25\/.*\.sql\.gz is [0-9a-f]{64}, the manifest says [0-9a-f]{64}$/,
      );
      await bucket.put(manifest.key, bytes.subarray(1));
      await expect(verify(bucket, manifest)).rejects.toThrow(
        `${manifest.key} has ${bytes.length - 1} bytes, the manifest says ${bytes.length}`,
      );
      await bucket.delete(manifest.key);
      await expect(verify(bucket, manifest)).rejects.toThrow(
        `backup 2026-11-25 is lost: its object ${manifest.key} is not in the bucket`,
      );
      await bucket.delete(manifestKey(manifest.id));
    });
  });
});
