import fc from "fast-check";
import { backoffMs } from "./backoff.ts";

describe("backoffMs", () => {
  it("stays within half and all of a ceiling that doubles up to the cap", () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.double({ min: 0, max: 0.999, noNaN: true }), (attempt, roll) => {
        const delay = backoffMs(attempt, { baseMs: 100, capMs: 5000 }, () => roll);
        const ceiling = Math.min(5000, 100 * 2 ** Math.min(attempt, 30));
        expect(delay).toBeGreaterThanOrEqual(ceiling / 2);
        expect(delay).toBeLessThan(ceiling);
      }),
    );
  });
});
