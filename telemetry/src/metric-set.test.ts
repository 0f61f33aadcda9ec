import { OTHER } from "./bounds.ts";
import { createMetricSet } from "./metric-set.ts";
import { addProcessMetrics } from "./process-metrics.ts";
import { readOpenMetrics } from "./testing/open-metrics.ts";

it("tells OpenMetrics, twice the same", async () => {
  const metrics = createMetricSet();
  addProcessMetrics(metrics, { prefix: "fabric_test", version: "1.2.3" });
  const counter = metrics.counter("things_total", "Things.", { kind: ["a", "b"] });
  const histogram = metrics.histogram("waits_seconds", "Waits.", { kind: ["a"] }, [0.1, 1]);
  counter.add({ kind: "a" }, 2);
  histogram.observe({ kind: "a" }, 0.5);
  for (let round = 0; round < 2; round += 1) {
    const families = readOpenMetrics(await metrics.collect());
    expect(families.get("things")?.samples).toEqual([
      { name: "things_total", labels: { kind: "a" }, value: 2 },
    ]);
    expect(families.get("waits_seconds")?.samples).toHaveLength(5);
    expect(families.get("fabric_test_build_info")?.samples[0]?.labels).toMatchObject({ version: "1.2.3" });
    expect(families.get("process_resident_memory_bytes")?.samples[0]?.value).toBeGreaterThan(1e6);
  }
});

it("makes no series of a value outside of the bound", async () => {
  const metrics = createMetricSet();
  const listed = metrics.counter("listed_total", "Listed.", { code: ["A"] });
  const few = metrics.counter("few_total", "Few.", { name: { atMost: 2, example: "x" } });
  for (const code of ["A", "home-a", 'inj"ected\n', ""]) listed.add({ code });
  for (const name of ["a b", "one", "two", "three", "one"]) few.add({ name });
  const families = readOpenMetrics(await metrics.collect());
  expect(families.get("listed")?.samples.map(({ labels, value }) => [labels["code"], value])).toEqual([
    ["A", 1],
    [OTHER, 3],
  ]);
  expect(families.get("few")?.samples.map(({ labels, value }) => [labels["name"], value])).toEqual([
    [OTHER, 2],
    ["one", 2],
    ["two", 1],
  ]);
});

it("does not tell on what is gone", async () => {
  const metrics = createMetricSet();
  let present = true;
  metrics.gauge("plain", "Plain.", {}, (set) => {
    if (present) set({}, 1);
  });
  metrics.gauge("labelled", "Labelled.", { kind: ["a"] }, (set) => {
    if (present) set({ kind: "a" }, 1);
  });
  const count = async (): Promise<number> =>
    [...readOpenMetrics(await metrics.collect()).values()].flatMap(({ samples }) => samples).length;
  expect(await count()).toBe(2);
  present = false;
  expect(await count()).toBe(0);
});

it("wants _total of counters, and of nothing else", () => {
  const metrics = createMetricSet();
  expect(() => metrics.counter("things", "Things.", {})).toThrow(TypeError);
  expect(() => metrics.gauge("things_total", "Things.", {}, () => undefined)).toThrow(TypeError);
});
