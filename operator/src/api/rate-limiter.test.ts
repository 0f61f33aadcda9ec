import fc from "fast-check";
import { createRateLimiter } from "./rate-limiter.ts";

describe("a rate limiter", () => {
  it("lets a burst through, then one after each interval, and says how long to wait", () => {
    let nowMs = 0;
    const limiter = createRateLimiter({ burst: 3, perSecond: 0.5 }, () => nowMs);
    expect([1, 2, 3].map(() => limiter.take("a"))).toEqual([0, 0, 0]);
    expect(limiter.take("a")).toBe(2);
    expect(limiter.take("b")).toBe(0);
    nowMs = 1_999;
    expect(limiter.take("a")).toBe(1);
    nowMs = 2_000;
    expect(limiter.take("a")).toBe(0);
    expect(limiter.take("a")).toBe(2);
  });

  it("never lets more through than burst and rate allow, whatever the arrivals", () => {
    const arrivals = fc.array(fc.nat({ max: 400 }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(arrivals, fc.integer({ min: 1, max: 20 }), (gapsMs, burst) => {
        let nowMs = 0;
        const limiter = createRateLimiter({ burst, perSecond: 10 }, () => nowMs);
        let passed = 0;
        for (const gapMs of gapsMs) {
          nowMs += gapMs;
          if (limiter.take("a") === 0) passed += 1;
        }
        expect(passed).toBeLessThanOrEqual(burst + (nowMs / 1000) * 10);
      }),
    );
  });

  it("forgets the key unused for longest, and never holds more than it may", () => {
    const limiter = createRateLimiter({ burst: 1, perSecond: 1 }, () => 0, 2);
    expect([limiter.take("a"), limiter.take("b"), limiter.take("a")]).toEqual([0, 0, 1]);
    expect(limiter.take("c")).toBe(0);
    expect(limiter.size).toBe(2);
    expect(limiter.take("a")).toBe(1);
    expect(limiter.take("b")).toBe(0);
  });
});
