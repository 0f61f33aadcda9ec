/**
 * What a label of a metric may say. A label multiplies the series that a monitoring system has to keep, so each has a bound that
 * the metric is made with, and a value outside of it becomes `other`: no peer, no client and no typing error can make series.
 *
 * Never a label: names of nodes and peers, addresses, ids, tokens, messages. Which node it is, the monitoring system knows from
 * where it asked.
 */

/** All values there are. */
type Listed = readonly string[];
/** Values that only this program's own source makes, whose list is nowhere: the first so many. */
type AtMost = { readonly atMost: number; readonly example: string };

export type LabelBound = Listed | AtMost;
export type LabelBounds = Readonly<Record<string, LabelBound>>;
export type LabelsOf<Bounds extends LabelBounds> = Readonly<Record<keyof Bounds & string, string>>;

export const OTHER = "other";
/** Whatever it is, it reads as a code does. */
const VALUE = /^[A-Za-z0-9_.-]{1,48}$/;

/** Brings labels into their bounds. */
export function labelLimiter<Bounds extends LabelBounds>(
  bounds: Bounds,
): (labels: LabelsOf<Bounds>) => LabelsOf<Bounds> {
  const limiters = Object.entries(bounds).map(([name, bound]) => [name, limiterOf(bound)] as const);
  return (labels) =>
    Object.fromEntries(
      limiters.map(([name, limit]) => [name, limit(labels[name] ?? "")]),
    ) as LabelsOf<Bounds>;
}

function limiterOf(bound: LabelBound): (value: string) => string {
  if (!("atMost" in bound)) {
    const listed = new Set(bound);
    return (value) => (listed.has(value) ? value : OTHER);
  }
  const seen = new Set<string>();
  return (value) => {
    if (seen.has(value)) return value;
    if (seen.size >= bound.atMost || !VALUE.test(value)) return OTHER;
    seen.add(value);
    return value;
  };
}

/** For people. */
export function boundText(bound: LabelBound): string {
  return "atMost" in bound ? `${bound.example}, … (at most ${bound.atMost})` : bound.join(", ");
}
