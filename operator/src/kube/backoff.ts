/** Exponential backoff with jitter: how long to wait before the next try. */

export interface Backoff {
  readonly baseMs: number;
  readonly capMs: number;
}

/**
 * Doubles with each attempt (counted from 0) up to the cap; the result lies in the upper half of that, so that many who
 * failed together do not come back together.
 * @param random a number in [0, 1)
 */
export function backoffMs({ baseMs, capMs }: Backoff, attempt: number, random: number): number {
  const fullMs = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
  return Math.round(fullMs * (0.5 + random / 2));
}
