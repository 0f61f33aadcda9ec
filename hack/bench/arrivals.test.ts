import { longestGapMs, type Arrivals } from "./arrivals.ts";
import { createRecorder } from "./gap-probe.ts";

const MS = 1e6;

/** What a receiver would have recorded of packets that came at those milliseconds. */
function arrivalsAt(...timesMs: number[]): Arrivals {
  let now = 0;
  const recorder = createRecorder(() => now);
  for (const [sequence, ms] of timesMs.entries()) {
    now = ms * MS;
    recorder.arrived(sequence);
  }
  return recorder.report(true);
}

describe("the longest gap", () => {
  it("is the longest silence that overlaps the window, whole", () => {
    const arrivals = arrivalsAt(0, 10, 510, 520, 720, 730);
    expect(longestGapMs(arrivals, 100 * MS, 730 * MS)).toBe(500);
    expect(longestGapMs(arrivals, 515 * MS, 730 * MS)).toBe(200);
  });

  it("lasts to the window's end when nothing comes back", () => {
    expect(longestGapMs(arrivalsAt(0, 10), 5 * MS, 2000 * MS)).toBe(1990);
    expect(longestGapMs(arrivalsAt(), 0, 2000 * MS)).toBe(2000);
  });

  it("begins with the window when nothing had come before", () => {
    expect(longestGapMs(arrivalsAt(300, 310), 0, 312 * MS)).toBe(300);
  });

  it("is as good as nothing for a steady stream", () => {
    expect(longestGapMs(arrivalsAt(0, 10, 20, 30), 0, 31 * MS)).toBeLessThanOrEqual(1);
  });
});

describe("the recorder", () => {
  it("counts numbered packets that never came, in whatever order the others do", () => {
    const recorder = createRecorder(() => 0);
    for (const sequence of [0, 2, 1, 5]) recorder.arrived(sequence);
    expect(recorder.report(true)).toMatchObject({ count: 4, missing: 2 });
  });

  it("keeps the list of silences for its last report", () => {
    let now = 0;
    const recorder = createRecorder(() => now);
    for (now of [0, 100 * MS]) recorder.arrived();
    expect(recorder.report(false).silences).toEqual([]);
    expect(recorder.report(true).silences).toEqual([[0, 100 * MS]]);
  });
});
