import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chart, doubts, flatness, markdown, missed, type Report } from "../../tools/bench/report.ts";

const bench = join(import.meta.dirname, "../../tools/bench.ts");

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}
/** Exit code 1 may be a bar that a busy machine missed, which is no failure here. */
const run = (...args: string[]): Promise<Ended> =>
  promisify(execFile)(process.execPath, [bench, ...args]).then(
    (output) => ({ code: 0, ...output }),
    (error: Ended) => error,
  );

describe("npm run bench", () => {
  let directory: string;
  let report: Report;
  let ended: Ended;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "nexgen-bench-"));
    const json = join(directory, "report.json");
    const short = ["--quick", "--rounds", "1", "--seconds", "0.3"];
    const where = ["--json", json, "--data-dir", join(directory, "data")];
    ended = await run(...short, "--only", "po,by-store,add-line,create-po,log-in,refresh,load", ...where);
    report = JSON.parse(await readFile(json, "utf8")) as Report;
  }, 180_000);
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it("measures every server in the operations that are asked for", () => {
    const measured = report.operations.map(({ operation, set }) => `${operation} ${set}`);
    expect(measured).toEqual(
      ["po", "by-store", "add-line", "create-po", "log-in", "refresh"].map((name) => `${name} small`),
    );
    for (const { operation, worker, floor, peer, of_floor, of_floor_by_cpu, noise } of report.operations) {
      const trips = operation === "log-in" ? 2 : 1;
      expect(worker.round_trips, operation).toBeCloseTo(trips, 5);
      expect(floor.round_trips, operation).toBeCloseTo(trips, 5);
      expect(peer.round_trips, operation).toBe(0);
      for (const server of [worker, floor, peer]) {
        expect(server.requests_per_second, operation).toBeGreaterThan(0);
        expect(server.p99_ms, operation).toBeGreaterThanOrEqual(server.p50_ms);
        expect(server.bytes, operation).toBeGreaterThan(100);
      }
      for (const ratio of [of_floor, of_floor_by_cpu, noise]) expect(ratio, operation).toBeGreaterThan(0);
    }
  });

  it("finds no failure and no wrong total under everything at once", () => {
    const { mixed, crowd } = report.load ?? expect.fail("no load");
    expect(mixed.violations).toEqual([]);
    expect(mixed.faults).toEqual([]);
    expect(crowd.faults).toEqual([]);
    expect(Object.keys(mixed.statuses).toSorted()).toEqual(["200", "201"]);
    expect(Object.keys(mixed.operations)).toHaveLength(7);
    expect(mixed.memory_bytes.peak).toBeGreaterThan(0);
  });

  it("prints the tables alone on stdout, and ends with 1 for a missed bar only", () => {
    expect(ended.stdout.trim()).toBe(markdown(report));
    expect(ended.code).toBe(missed(report).length === 0 ? 0 : 1);
    expect(ended.stdout).toContain("| One PO with its 10 lines | small |");
  });

  it("says which bars are missed, and what makes the figures doubtful", () => {
    const [first] = report.operations;
    if (!first) return expect.fail("no operation");
    const calm = { ...first, of_floor: 0.9, noise: 1 };
    const machine = { ...report.machine, load_before: 0 };
    const good: Report = { at: report.at, machine, rounds: 1, seconds: 1, operations: [calm] };
    expect([...missed(good), ...doubts(good)]).toEqual([]);
    expect(missed({ ...good, operations: [{ ...calm, of_floor: 0.84 }] })).toEqual([
      "One PO with its 10 lines, small: 0.84 of the floor, not 0.85",
    ]);
    expect(doubts({ ...good, operations: [{ ...calm, noise: 1.5 }] })).toHaveLength(1);
    expect(doubts({ ...good, machine: { ...machine, load_before: 8 } })).toHaveLength(1);
    const slow = { ...calm, set: "large" as const, worker: { ...calm.worker, requests_per_second: 10 } };
    const fast = { ...calm, worker: { ...calm.worker, requests_per_second: 25 } };
    expect(flatness([fast, slow])).toMatchObject([{ operation: "po", small_of_large: 2.5 }]);
    expect(missed({ ...good, operations: [fast, slow] })).toHaveLength(1);
  });

  it("draws every operation", () => {
    const svg = chart(report.operations);
    for (const { title } of report.operations) expect(svg).toContain(`>${title}</text>`);
    expect(svg.match(/<rect class="small"/g)).toHaveLength(report.operations.length + 1);
  });

  it("refuses a part that there is not", async () => {
    const { code, stderr } = await run("--only", "everything");
    expect(code).toBe(1);
    expect(stderr).toContain("There is no everything");
  });
});
