/** The one retry rule: exponential from `baseMs` to `capMs`, each delay drawn from its upper half so that nodes spread out. */

export interface Backoff {
  readonly baseMs: number;
  readonly capMs: number;
}

/**
 * @param attempt counted from 0
 * @param random uniform in [0, 1)
 */
export function backoffMs(attempt: number, { baseMs, capMs }: Backoff, random: () => number): number {
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
  return ceiling / 2 + (ceiling / 2) * random();
}
