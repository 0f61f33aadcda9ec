/** The one clock: pure code is given times, loops are given this. */
import { setTimeout as delay } from "node:timers/promises";

export interface Clock {
  /** Unix milliseconds. */
  readonly nowMs: () => number;
  /** Rejects with the signal's reason when it aborts first. */
  sleep(durationMs: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  sleep: async (durationMs, signal) => {
    await delay(durationMs, undefined, { signal });
  },
};

export function nowSeconds(clock: Clock): number {
  return Math.floor(clock.nowMs() / 1000);
}
