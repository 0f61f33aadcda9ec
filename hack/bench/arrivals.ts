/** When packets came, and the longest time in which none did. */

/** Times are nanoseconds of the machine's monotonic clock, which all processes share. */
export interface Arrivals {
  readonly firstNs: number;
  readonly lastNs: number;
  readonly count: number;
  /** Pairs of times between which nothing came for longer than the receiver's threshold, in order. */
  readonly silences: readonly (readonly [fromNs: number, toNs: number])[];
  /** Numbered packets that never came, before the last that did. */
  readonly missing: number;
}

/**
 * The longest silence that overlaps the window, as milliseconds. A stream that has not come back when the window ends was
 * silent at least until then.
 */
export function longestGapMs(arrivals: Arrivals, fromNs: number, untilNs: number): number {
  const { firstNs, lastNs, silences, count } = arrivals;
  if (count === 0) return (untilNs - fromNs) / 1e6;
  const overlapping = silences.filter(([from, to]) => from < untilNs && to > fromNs);
  const gaps = overlapping.map(([from, to]) => to - from);
  if (lastNs < untilNs) gaps.push(untilNs - lastNs);
  if (firstNs > fromNs) gaps.push(firstNs - fromNs);
  return Math.max(0, ...gaps) / 1e6;
}
