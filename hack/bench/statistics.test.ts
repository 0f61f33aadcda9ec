import { median, quantile, spread } from "./statistics.ts";

describe("statistics", () => {
  it.each([
    [[], undefined],
    [[7], 7],
    [[3, 1, 2], 2],
    [[4, 1, 3, 2], 2.5],
    [[10, 9, 100], 10],
    [[Number.NaN, 5, Number.POSITIVE_INFINITY], 5],
  ])("the median of %j is %j", (values, expected) => expect(median(values)).toBe(expected));

  it("takes quantiles by nearest rank", () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(quantile(hundred, 0.5)).toBe(50);
    expect(quantile(hundred, 0.99)).toBe(99);
    expect(quantile(hundred, 1)).toBe(100);
    expect(quantile(hundred, 0)).toBe(1);
    expect(quantile([], 0.5)).toBeUndefined();
  });

  it("says the spread, and leaves the values as they were", () => {
    const values = [3, 1, 2];
    expect(spread(values)).toEqual({ median: 2, min: 1, max: 3, count: 3 });
    expect(values).toEqual([3, 1, 2]);
    expect(spread([Number.NaN])).toBeUndefined();
  });
});
