/**
 * A queue of keys to work on, after client-go's rate-limited workqueue.
 *
 * - A key waiting is in the queue once, however often it is added.
 * - A key added while it is being worked on is worked on again afterwards, never twice at the same time.
 * - A key whose work fails comes back after its own exponential backoff; a success forgets the failures.
 * - At most `concurrency` keys are in work.
 * - After the signal aborts nothing new starts; `run` resolves when what had started has ended.
 */
import { backoffMs, type Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";

export interface WorkQueueOptions {
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly concurrency: number;
  readonly backoff: Backoff;
  /** Does the work; may ask to be called again later. */
  readonly work: (key: string, signal: AbortSignal) => Promise<Again | undefined>;
  readonly onFailure: (key: string, error: unknown, failures: number) => void;
}

export interface Again {
  readonly afterMs: number;
}

export interface WorkQueue {
  readonly add: (key: string) => void;
  /** Adds the key later; an earlier date already set stays. */
  readonly addAfter: (key: string, delayMs: number) => void;
  readonly run: (signal: AbortSignal) => Promise<void>;
  /** Keys that wait for their turn, and keys that are worked on; those that are due later are neither. */
  readonly depth: () => { readonly waiting: number; readonly working: number };
}

interface Delay {
  readonly dueMs: number;
  readonly cancel: () => void;
}

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { clock, random, concurrency, backoff, work, onFailure } = options;
  const waiting = new Set<string>();
  const working = new Set<string>();
  const again = new Set<string>();
  const delayed = new Map<string, Delay>();
  const failures = new Map<string, number>();
  let stop: AbortSignal | undefined;
  let idle: (() => void) | undefined;

  const add = (key: string): void => {
    if (stop?.aborted) return;
    if (working.has(key)) again.add(key);
    else waiting.add(key);
    pump();
  };

  const addAfter = (key: string, delayMs: number): void => {
    if (stop?.aborted) return;
    const dueMs = clock.nowMs() + delayMs;
    const earlier = delayed.get(key);
    if (earlier && earlier.dueMs <= dueMs) return;
    earlier?.cancel();
    const fire = (): void => {
      delayed.delete(key);
      add(key);
    };
    delayed.set(key, { dueMs, cancel: clock.after(delayMs, fire) });
  };

  const pump = (): void => {
    if (!stop || stop.aborted) return;
    for (const key of waiting) {
      if (working.size >= concurrency) return;
      waiting.delete(key);
      working.add(key);
      void workOn(key, stop);
    }
  };

  const workOn = async (key: string, signal: AbortSignal): Promise<void> => {
    try {
      const result = await work(key, signal);
      failures.delete(key);
      if (result) addAfter(key, result.afterMs);
    } catch (error) {
      fail(key, error);
    }
    working.delete(key);
    if (again.delete(key)) add(key);
    if (working.size === 0) idle?.();
    pump();
  };

  const fail = (key: string, error: unknown): void => {
    if (stop?.aborted) return;
    const count = failures.get(key) ?? 0;
    failures.set(key, count + 1);
    onFailure(key, error, count + 1);
    addAfter(key, backoffMs(backoff, count, random()));
  };

  return {
    add,
    addAfter,
    depth: () => ({ waiting: waiting.size + again.size, working: working.size }),
    async run(signal) {
      stop = signal;
      pump();
      await aborted(signal);
      delayed.forEach(({ cancel }) => cancel());
      delayed.clear();
      if (working.size > 0) await new Promise<void>((resolve) => (idle = resolve));
    },
  };
}

export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
