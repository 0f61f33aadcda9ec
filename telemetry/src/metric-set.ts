/**
 * The metrics of one program: counters, gauges and histograms whose labels have bounds (bounds.ts), told as OpenMetrics text.
 *
 * A counter only grows. A gauge of labels is told anew at each collection, so that what is gone is not told on.
 */
import { Counter, Gauge, Histogram, Registry } from "@prometheus-io/client";
import { labelLimiter, type LabelBounds, type LabelsOf } from "./bounds.ts";

export const OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";

export interface MetricDescription {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: LabelBounds;
}

export interface CounterOf<Bounds extends LabelBounds> {
  /** By at least zero. */
  add(labels: LabelsOf<Bounds>, count?: number): void;
}

export interface HistogramOf<Bounds extends LabelBounds> {
  observe(labels: LabelsOf<Bounds>, value: number): void;
}

/** Called at each collection; what it does not set is absent. */
export type Collect<Bounds extends LabelBounds> = (
  set: (labels: LabelsOf<Bounds>, value: number) => void,
) => void | Promise<void>;

export interface MetricSet {
  /** Its name ends in `_total`. */
  counter<Bounds extends LabelBounds>(name: string, help: string, labels: Bounds): CounterOf<Bounds>;
  gauge<Bounds extends LabelBounds>(
    name: string,
    help: string,
    labels: Bounds,
    collect: Collect<Bounds>,
  ): void;
  histogram<Bounds extends LabelBounds>(
    name: string,
    help: string,
    labels: Bounds,
    buckets: readonly number[],
  ): HistogramOf<Bounds>;
  /** In the order in which they were made. */
  readonly described: readonly MetricDescription[];
  /** OpenMetrics text. */
  collect(): Promise<string>;
}

export function createMetricSet(): MetricSet {
  const registry = new Registry(Registry.OPENMETRICS_CONTENT_TYPE);
  const registers = [registry];
  const described: MetricDescription[] = [];
  const describe = (description: MetricDescription): void => {
    const { name, type } = description;
    if ((type === "counter") !== name.endsWith("_total"))
      throw new TypeError(`${name}: a counter, and nothing else, ends in _total`);
    described.push(description);
  };

  return {
    counter(name, help, labels) {
      describe({ name, type: "counter", help, labels });
      const limit = labelLimiter(labels);
      const counter = new Counter<string>({ name, help, labelNames: Object.keys(labels), registers });
      return { add: (given, count = 1) => counter.inc({ ...limit(given) }, count) };
    },
    gauge(name, help, labels, collect) {
      describe({ name, type: "gauge", help, labels });
      const limit = labelLimiter(labels);
      const gauge: Gauge<string> = new Gauge<string>({
        name,
        help,
        labelNames: Object.keys(labels),
        registers,
        collect: async () => {
          gauge.reset();
          if (Object.keys(labels).length === 0) gauge.remove(); // reset leaves a zero behind
          await collect((given, value) => {
            if (Number.isFinite(value)) gauge.set({ ...limit(given) }, value);
          });
        },
      });
    },
    histogram(name, help, labels, buckets) {
      describe({ name, type: "histogram", help, labels });
      const limit = labelLimiter(labels);
      const histogram = new Histogram<string>({
        name,
        help,
        labelNames: Object.keys(labels),
        buckets: [...buckets],
        registers,
      });
      return { observe: (given, value) => histogram.observe({ ...limit(given) }, value) };
    },
    described,
    collect: () => registry.metrics(),
  };
}
