import fc from "fast-check";
import { backoffMs } from "./backoff.ts";

const backoff = { baseMs: 100, capMs: 5_000 };

it("doubles up to the cap", () => {
  const worst = [0, 1, 2, 3, 10, 1_000].map((attempt) => backoffMs(backoff, attempt, 0.999_999_9));
  expect(worst).toEqual([100, 200, 400, 800, 5_000, 5_000]);
});

it("waits at least half of that, whatever the dice say", () => {
  const attempts = fc.nat(10_000);
  const dice = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(attempts, dice, (attempt, random) => {
      const waitMs = backoffMs(backoff, attempt, random);
      const fullMs = Math.min(5_000, 100 * 2 ** Math.min(attempt, 30));
      expect(waitMs).toBeGreaterThanOrEqual(fullMs / 2);
      expect(waitMs).toBeLessThanOrEqual(fullMs);
    }),
  );
});
