import { conditionsFrom, finding, rfc3339 } from "./condition.ts";

const at = (nowMs: number) => ({ generation: 4, nowMs });
const yes = finding("Ready", "True", "Connected", "in contact");

it("keeps the time of the last transition while the status stays", () => {
  const first = conditionsFrom([yes], { previous: undefined, ...at(1_000_000) });
  const second = conditionsFrom([{ ...yes, reason: "StillConnected" }], {
    previous: first,
    ...at(9_000_000),
  });
  expect(second[0]).toMatchObject({
    reason: "StillConnected",
    lastTransitionTime: first[0]?.lastTransitionTime,
  });
});

it("moves it when the status changes", () => {
  const first = conditionsFrom([yes], { previous: undefined, ...at(1_000_000) });
  const second = conditionsFrom([{ ...yes, status: "False" }], { previous: first, ...at(9_000_000) });
  expect(second[0]?.lastTransitionTime).toBe(rfc3339(9_000_000));
});

it("says which generation it was decided from, when there is one", () => {
  expect(conditionsFrom([yes], { previous: undefined, ...at(0) })[0]?.observedGeneration).toBe(4);
  expect(
    conditionsFrom([yes], { previous: undefined, generation: undefined, nowMs: 0 })[0],
  ).not.toHaveProperty("observedGeneration");
});

it("writes whole seconds", () => {
  expect(rfc3339(1_800_000_000_999)).toBe("2027-01-15T08:00:00Z");
});
