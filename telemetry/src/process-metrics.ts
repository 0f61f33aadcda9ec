/** What every program says of itself: which build it is, and what it takes of its host. Names as other Prometheus clients have them. */
import { readdirSync } from "node:fs";
import { performance } from "node:perf_hooks";
import type { MetricSet } from "./metric-set.ts";

export interface Build {
  /** `fabric_agent`, `fabric_operator`. */
  readonly prefix: string;
  readonly version: string;
}

const MICROS = 1e6;
const startedSeconds = performance.timeOrigin / 1000;

export function addProcessMetrics(metrics: MetricSet, { prefix, version }: Build): void {
  const builds = {
    version: [version],
    node_version: { atMost: 1, example: "24.21.0" },
    arch: { atMost: 1, example: "x64, arm64" },
  };
  metrics.gauge(`${prefix}_build_info`, "The build that runs; always 1.", builds, (set) =>
    set({ version, node_version: process.versions.node, arch: process.arch }, 1),
  );
  const cpu = metrics.counter("process_cpu_seconds_total", "User and system CPU time.", {});
  let cpuSeconds = 0;
  metrics.gauge("process_start_time_seconds", "When the process started, unix time.", {}, (set) => {
    const { user, system } = process.cpuUsage();
    const seconds = (user + system) / MICROS;
    cpu.add({}, Math.max(0, seconds - cpuSeconds));
    cpuSeconds = seconds;
    set({}, startedSeconds);
  });
  metrics.gauge("process_resident_memory_bytes", "Resident memory.", {}, (set) =>
    set({}, process.memoryUsage.rss()),
  );
  metrics.gauge("process_open_fds", "Open file descriptors.", {}, (set) => set({}, openDescriptors()));
  metrics.gauge("nodejs_heap_size_used_bytes", "JavaScript heap in use.", {}, (set) =>
    set({}, process.memoryUsage().heapUsed),
  );
  let before = performance.eventLoopUtilization();
  metrics.gauge(
    "nodejs_eventloop_utilization_ratio",
    "Share of the time since the last collection in which the event loop was busy.",
    {},
    (set) => {
      const now = performance.eventLoopUtilization();
      set({}, performance.eventLoopUtilization(now, before).utilization);
      before = now;
    },
  );
}

function openDescriptors(): number {
  try {
    return readdirSync("/proc/self/fd").length - 1; // less the one that reads the folder
  } catch {
    return Number.NaN; // a host without /proc: absent
  }
}
