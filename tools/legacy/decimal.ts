/** Exact decimals as whole units of a scale: 12.50 at scale 2 is 1250n. No float comes near them. */

const pattern = /^([-+]?)([0-9]+)(?:\.([0-9]*))?(?:[eE]([-+]?[0-9]{1,4}))?$/;

/** Halves go away from zero, as PostgreSQL's round(numeric) does. `denominator` is above zero. */
export function divideRounded(numerator: bigint, denominator: bigint): bigint {
  const doubled = 2n * (numerator < 0n ? -numerator : numerator) + denominator;
  const rounded = doubled / (2n * denominator);
  return numerator < 0n ? -rounded : rounded;
}

/** The text's value in units of `scale`, rounded, and whether that is the whole value; undefined when it is no number. */
export function toUnits(text: string, scale: number): { units: bigint; exact: boolean } | undefined {
  const [, sign, whole, fraction = "", exponent = "0"] = pattern.exec(text) ?? [];
  if (whole === undefined) return undefined;
  const digits = BigInt(`${sign === "-" ? "-" : ""}${whole}${fraction}`);
  const shift = scale - fraction.length + Number(exponent);
  if (shift >= 0) return { units: digits * 10n ** BigInt(shift), exact: true };
  const divisor = 10n ** BigInt(-shift);
  return { units: divideRounded(digits, divisor), exact: digits % divisor === 0n };
}

/** `fromUnits(-1250n, 2)` is `-12.50`. */
export function fromUnits(units: bigint, scale: number): string {
  const digits = (units < 0n ? -units : units).toString().padStart(scale + 1, "0");
  const point = digits.length - scale;
  return `${units < 0n ? "-" : ""}${digits.slice(0, point)}${scale > 0 ? `.${digits.slice(point)}` : ""}`;
}

/** Whether two texts are the same number; null equals null only. */
export function sameNumber(one: string | null, other: string | null): boolean {
  if (one === null || other === null) return one === other;
  const scale = 40;
  return toUnits(one, scale)?.units === toUnits(other, scale)?.units;
}
