/** The one clock: pure code is given times, loops are given this. */
import { setTimeout as delay } from "node:timers/promises";

export interface Clock {
  /** Unix milliseconds: what documents and certificates mean. It may jump when the host's clock is set. */
  readonly nowMs: () => number;
  /** Milliseconds since some moment: what intervals and timeouts mean. It never goes back. */
  readonly elapsedMs: () => number;
  /** Rejects with the signal's reason when it aborts first. */
  sleep(durationMs: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  elapsedMs: () => performance.now(),
  sleep: async (durationMs, signal) => {
    await delay(durationMs, undefined, { signal });
  },
};

export function nowSeconds(clock: Clock): number {
  return Math.floor(clock.nowMs() / 1000);
}
