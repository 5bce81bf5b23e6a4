/** What a backup is kept as. `newest`: it would be nothing else, and is the newest there is. */
export type Tier = "daily" | "weekly" | "monthly" | "newest";

const days = 7;
const weeks = 4;
const months = 12;

/**
 * Which backups to keep on the day `today`, by id (a UTC date, YYYY-MM-DD), and as what: the newest of each of the last 7
 * days, 4 ISO weeks and 12 months, today's included. The newest of all is always kept, as is one from the future: a clock
 * that is wrong must not cost a backup.
 */
export function kept(ids: readonly string[], today: string): Map<string, Tier[]> {
  const newestFirst = [...ids].sort().reverse();
  const tiers = new Map<string, Tier[]>();
  const keep = (tier: Tier, periodOf: (date: string) => number, count: number) => {
    const seen = new Set<number>();
    for (const id of newestFirst) {
      const period = periodOf(id);
      if (periodOf(today) - period >= count || seen.has(period)) continue;
      seen.add(period);
      tiers.set(id, [...(tiers.get(id) ?? []), tier]);
    }
  };
  keep("daily", dayNumber, days);
  keep("weekly", weekNumber, weeks);
  keep("monthly", monthNumber, months);
  const [newest] = newestFirst;
  if (newest !== undefined && !tiers.has(newest)) tiers.set(newest, ["newest"]);
  return tiers;
}

/** Days since 1970-01-01, a Thursday. */
const dayNumber = (date: string) => Date.parse(`${date}T00:00:00Z`) / 86_400_000;
/** ISO 8601: a week begins on Monday, and belongs to no year here. */
const weekNumber = (date: string) => Math.floor((dayNumber(date) + 3) / 7);
const monthNumber = (date: string) => Number(date.slice(0, 4)) * 12 + Number(date.slice(5, 7));
