/** Time as everything in the operator sees it, so that tests can own it. */

export interface Clock {
  /** Unix milliseconds. */
  nowMs(): number;
  /** Calls `fn` once after `delayMs` (24 days at most); the returned function calls it off. */
  after(delayMs: number, fn: () => void): () => void;
}

/** Node takes a longer delay for none at all. Whoever waits for longer is woken once too early, and looks at the time again. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  after(delayMs, fn) {
    const timer = setTimeout(fn, Math.min(delayMs, MAX_TIMER_MS));
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs`, or at once when `signal` aborts: the caller looks at the signal. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      cancel();
      signal?.removeEventListener("abort", finish);
      resolve();
    };
    const cancel = clock.after(delayMs, finish);
    signal?.addEventListener("abort", finish, { once: true });
  });
}
