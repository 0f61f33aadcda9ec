import fc from "fast-check";
import { createControlPace, type ControlPace } from "./control-pace.ts";

/** Heartbeat times over a run of 100 ms steps; `at` may change things before a step. */
function heartbeats(
  pace: ControlPace,
  untilMs: number,
  at: (nowMs: number) => void = () => undefined,
): number[] {
  const times: number[] = [];
  for (let nowMs = 0; nowMs <= untilMs; nowMs += 50) {
    at(nowMs);
    if (pace.due(nowMs, 0).heartbeat) times.push(nowMs);
  }
  return times;
}

describe("createControlPace", () => {
  it("says nothing without a session", () => {
    const pace = createControlPace(0);
    pace.changed();
    pace.renewAt(0);
    expect(heartbeats(pace, 20_000)).toEqual([]);
    expect(pace.due(20_000, 20_000)).toEqual({ heartbeat: false, renewal: false });
  });

  it("beats at once when the session comes, then every five seconds", () => {
    const pace = createControlPace(0);
    const times = heartbeats(pace, 16_000, (nowMs) => pace.session(nowMs >= 1000));
    expect(times).toEqual([1000, 6000, 11_000, 16_000]);
  });

  it("beats at once after a change, and again when the session returns", () => {
    const pace = createControlPace(0);
    const times = heartbeats(pace, 8000, (nowMs) => {
      pace.session(nowMs < 4000 || nowMs >= 4500);
      if (nowMs === 2000) pace.changed();
    });
    expect(times).toEqual([0, 2000, 4500]);
  });

  it("never beats more than four times a second, whatever changes", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 200, maxLength: 200 }), (changes) => {
        const pace = createControlPace(0);
        pace.session(true);
        const times = heartbeats(pace, 9950, (nowMs) => {
          if (changes[nowMs / 50]) pace.changed();
        });
        const gaps = times.slice(1).map((time, index) => time - times[index]!);
        expect(gaps.every((gap) => gap >= 250 && gap <= 5000)).toBe(true);
      }),
    );
  });

  it("is silent 15 s after the last acknowledgement, or after the start when there was none", () => {
    const pace = createControlPace(1000);
    expect(pace.silent(16_000)).toBe(false);
    expect(pace.silent(16_001)).toBe(true);
    pace.acknowledged(20_000);
    expect(pace.silent(35_000)).toBe(false);
    expect(pace.silent(35_001)).toBe(true);
  });

  it("asks for renewal at its time and every 15 s until there is a new time", () => {
    const pace = createControlPace(0);
    pace.session(true);
    pace.renewAt(10_000);
    expect(pace.due(0, 9999).renewal).toBe(false);
    expect(pace.due(250, 10_000).renewal).toBe(true);
    expect(pace.due(500, 99_000).renewal).toBe(false); // the host's clock was set: not a reason to ask more often
    expect(pace.due(15_250, 25_000).renewal).toBe(true);
    pace.renewAt(90_000);
    expect(pace.due(50_000, 50_000).renewal).toBe(false);
  });
});
