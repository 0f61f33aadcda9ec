import { sleep, systemClock } from "./clock.ts";
import { ManualClock } from "./manual-clock.ts";

it("does not take a year for no time at all", async () => {
  let fired = false;
  const cancel = systemClock.after(365 * 86_400_000, () => (fired = true));
  // Node would fire it within a millisecond.
  await new Promise((resolve) => setTimeout(resolve, 20));
  cancel();
  expect(fired).toBe(false);
});

it("ends a sleep when the signal aborts", async () => {
  const clock = new ManualClock();
  const end = new AbortController();
  let awake = false;
  const sleeping = sleep(clock, 1_000, end.signal).then(() => (awake = true));
  await clock.advance(999);
  expect(awake).toBe(false);
  end.abort();
  await sleeping;
  await sleep(clock, 1_000, end.signal);
});
