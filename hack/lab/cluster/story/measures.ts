/** What the steps of the story measure. */
import type { PingWatch } from "../../../demo/ping-watch.ts";
import { require } from "../../../demo/wait.ts";

/** `4.2 s`. */
export function secondsSince(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;
}

/** Ends the watch; resolves to how many pings came back, which must be all. */
export async function noneLost(pings: PingWatch): Promise<number> {
  const { received, lost } = await pings.stop();
  require(lost === 0, `${lost} of ${received + lost} pings lost`);
  return received;
}
