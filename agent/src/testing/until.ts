/** For tests: waits for what must come, and says what was there instead when it does not. */
import { setTimeout as delay } from "node:timers/promises";

const POLL_MS = 10;

export async function until<T>(
  look: () => T | Promise<T>,
  holds: (seen: T) => boolean,
  withinMs = 5000,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const seen = await look();
    if (holds(seen)) return seen;
    if (performance.now() > deadline) throw new Error(`after ${withinMs} ms still ${JSON.stringify(seen)}`);
    await delay(POLL_MS);
  }
}
