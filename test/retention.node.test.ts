import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { kept } from "../src/backup/retention.ts";

const dayAfter = (date: string, days: number) =>
  new Date(Date.parse(`${date}T00:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10);

/** The ISO week as people write it, by the rule of its Thursday. */
function isoWeek(date: string): string {
  const day = new Date(`${date}T00:00:00Z`);
  const thursday = new Date(day);
  thursday.setUTCDate(day.getUTCDate() + 4 - (day.getUTCDay() || 7));
  const firstOfYear = Date.UTC(thursday.getUTCFullYear(), 0, 1);
  const week = Math.ceil(((thursday.getTime() - firstOfYear) / 86_400_000 + 1) / 7);
  return `${thursday.getUTCFullYear()}-W${String(week).padStart(2, "0")}`;
}

/** The names that `nameOf` gives to the last `count` periods, today's first. */
function lastPeriods(today: string, count: number, nameOf: (date: string) => string): string[] {
  const names = [nameOf(today)];
  // No period is shorter than a day or longer than 31.
  for (let day = today; names.length < count; ) {
    do day = dayAfter(day, -1);
    while (nameOf(day) === names.at(-1));
    names.push(nameOf(day));
  }
  return names;
}

const remembered = (nameOf: (date: string) => string) => {
  const known = new Map<string, string>();
  return (date: string) => {
    const name = known.get(date) ?? nameOf(date);
    known.set(date, name);
    return name;
  };
};

const rules = [
  { tier: "daily", count: 7, nameOf: (date: string) => date },
  { tier: "weekly", count: 4, nameOf: remembered(isoWeek) },
  { tier: "monthly", count: 12, nameOf: (date: string) => date.slice(0, 7) },
] as const;

describe("what is kept", () => {
  it.each([
    ["nothing of nothing", [], "2026-11-25", {}],
    ["today's, as everything", ["2026-11-25"], "2026-11-25", { "2026-11-25": ["daily", "weekly", "monthly"] }],
    [
      "a day of last week",
      ["2026-11-19", "2026-11-25"],
      "2026-11-25",
      { "2026-11-19": ["daily", "weekly"], "2026-11-25": ["daily", "weekly", "monthly"] },
    ],
    ["the newest, however old", ["2020-01-01", "2020-01-02"], "2026-11-25", { "2020-01-02": ["newest"] }],
    ["a leap day, as its month's", ["2024-02-28", "2024-02-29"], "2024-12-31", { "2024-02-29": ["monthly"] }],
    [
      "Sunday of week 53 beside Monday of week 1",
      ["2027-01-03", "2027-01-04"],
      "2027-01-28",
      { "2027-01-04": ["weekly", "monthly"] },
    ],
    [
      "week 53 for four weeks",
      ["2026-12-31", "2027-01-03", "2027-01-10"],
      "2027-01-24",
      { "2026-12-31": ["monthly"], "2027-01-03": ["weekly"], "2027-01-10": ["weekly", "monthly"] },
    ],
    [
      "what the clock says is from tomorrow",
      ["2026-11-25", "2026-11-26"],
      "2026-11-25",
      { "2026-11-25": ["daily"], "2026-11-26": ["daily", "weekly", "monthly"] },
    ],
  ] as const)("is %s", (_what, ids, today, expected) => {
    expect(Object.fromEntries(kept(ids, today))).toEqual(expected);
  });

  it("is, over years of nights with gaps and pruning, the newest of each period that ever was, and nothing else", () => {
    // Each step: how many days pass, and whether that night's backup succeeds.
    const nights = fc.array(
      fc.tuple(
        fc.oneof(
          { weight: 12, arbitrary: fc.constant(1) },
          { weight: 2, arbitrary: fc.integer({ min: 0, max: 3 }) },
          { weight: 1, arbitrary: fc.integer({ min: 4, max: 70 }) },
        ),
        fc.boolean(),
      ),
      { minLength: 500, maxLength: 1200, size: "max" },
    );
    const start = fc.integer({ min: 0, max: 365 * 30 }).map((days) => dayAfter("2018-01-01", days));
    fc.assert(
      fc.property(start, nights, fc.boolean(), (first, steps, mostlyWell) => {
        let stored: string[] = [];
        const newestOf = rules.map(() => new Map<string, string>());
        let today = first;
        for (const [days, lucky] of steps) {
          today = dayAfter(today, days);
          // Nothing is pruned but after a success.
          if (!lucky && !mostlyWell) continue;
          for (const [index, { nameOf }] of rules.entries()) newestOf[index]?.set(nameOf(today), today);
          const tiers = kept([...new Set([...stored, today])], today);
          stored = [...tiers.keys()].sort();
          const due = new Set([today]);
          for (const [index, { tier, count, nameOf }] of rules.entries()) {
            const periods = lastPeriods(today, count, nameOf);
            const newest = periods.flatMap((name) => newestOf[index]?.get(name) ?? []);
            for (const date of newest) due.add(date);
            const marked = stored.filter((date) => tiers.get(date)?.includes(tier));
            expect(marked, `${tier} on ${today}`).toEqual(newest.sort());
          }
          expect(stored, today).toEqual([...due].sort());
          expect(stored.length).toBeLessThanOrEqual(7 + 4 + 12);
        }
      }),
      { numRuns: 8 },
    );
  });

  it("is the same however often it is asked and in whatever order the ids come", () => {
    const ids = fc.uniqueArray(
      fc.integer({ min: 0, max: 800 }).map((days) => dayAfter("2025-01-01", days)),
      { maxLength: 60, size: "max" },
    );
    fc.assert(
      fc.property(ids, fc.integer({ min: 0, max: 900 }), (dates, days) => {
        const today = dayAfter("2025-01-01", days);
        const once = kept(dates, today);
        expect(kept([...once.keys()], today)).toEqual(once);
        expect([...kept(dates.toReversed(), today)].sort()).toEqual([...once].sort());
      }),
    );
  });
});
