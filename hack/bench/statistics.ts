/** Medians and spreads of samples. */

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/** The middle value; of an even number, the mean of the two in the middle. Undefined without values. */
export function median(values: readonly number[]): number | undefined {
  const sorted = finite(values);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return undefined;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The value below which that share of all values lies (nearest rank). Undefined without values. */
export function quantile(values: readonly number[], share: number): number | undefined {
  const sorted = finite(values);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))];
}

export function spread(values: readonly number[]): Spread | undefined {
  const sorted = finite(values);
  const middle = median(sorted);
  if (middle === undefined) return undefined;
  return { median: middle, min: sorted[0]!, max: sorted.at(-1)!, count: sorted.length };
}

function finite(values: readonly number[]): number[] {
  return values.filter(Number.isFinite).toSorted((a, b) => a - b);
}
