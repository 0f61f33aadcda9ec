import { ratio, ratiosOf } from "./ratios.ts";
import { resultOf, summarize, type Findings, type Sample } from "./result.ts";

const contenders = [
  { name: "fabric", kind: "ours" },
  { name: "tailscale", kind: "peer" },
  { name: "wireguard", kind: "peer" },
  { name: "nebula", kind: "peer" },
  { name: "ceiling-plain", kind: "ceiling" },
  { name: "mine", kind: "reference" },
] as const;

function sample(contender: string, measure: string, figures: Record<string, number>, round = 1): Sample {
  return { contender, measure, round, figures };
}

const samples: readonly Sample[] = [
  sample("fabric", "tcp1", { mbits: 4000, cpuSecondsPerGb: 2 }, 1),
  sample("fabric", "tcp1", { mbits: 5000, cpuSecondsPerGb: 3 }, 2),
  sample("fabric", "tcp1", { mbits: 9000, cpuSecondsPerGb: 1 }, 3),
  sample("tailscale", "tcp1", { mbits: 2500, cpuSecondsPerGb: 5 }),
  sample("wireguard", "tcp1", { mbits: 2000, cpuSecondsPerGb: 6 }),
  sample("mine", "tcp1", { mbits: 4000 }),
  sample("ceiling-plain", "ping-idle", { p50Ms: 0.01, p99Ms: 0.02 }),
  sample("fabric", "ping-idle", { p50Ms: 0.3, p99Ms: 0.5 }),
  sample("tailscale", "ping-idle", { p50Ms: 0.6, p99Ms: 0.9 }),
  sample("nebula", "ping-idle", { p50Ms: 0.4, p99Ms: 0.8 }),
  sample("fabric", "udp200", { packetsPerSecond: 100_000 }),
  sample("nebula", "udp200", { packetsPerSecond: 80_000 }),
  sample("tailscale", "udp200", { packetsPerSecond: 20_000 }),
  sample("fabric", "failover", { interactiveMs: 120, bulkMs: 200 }),
  sample("fabric", "failover-far", { interactiveMs: 170, bulkMs: 190 }),
];

describe("ratios", () => {
  const { ratios, extras } = ratiosOf(summarize(samples), contenders);

  it("compare medians, ours divided by theirs", () => {
    expect(ratios.tcp1_vs_tailscale).toBe(2);
    expect(ratios.tcp1_vs_wireguard).toBe(2.5);
    expect(ratios.cpu_vs_tailscale).toBe(0.4);
  });

  it("take the best of the peers, and of nobody else", () => {
    expect(ratios.ping_idle_vs_best).toBe(0.75);
    expect(ratios.pps_vs_best).toBe(1.25);
    expect(extras["tcp1_vs_best_reference"]).toBe(1.25);
  });

  it("give gaps in milliseconds, at the longer round trip", () => {
    expect(ratios.gap_interactive_ms).toBe(170);
    expect(ratios.gap_bulk_ms).toBe(200);
  });

  it("are null where a side is missing", () => {
    expect(ratios.tcp_loss_vs_best).toBeNull();
    expect(Object.values(ratiosOf({}, contenders).ratios).every((value) => value === null)).toBe(true);
  });

  it("have exactly the names that others read", () => {
    expect(Object.keys(ratios)).toEqual([
      "tcp1_vs_tailscale",
      "tcp1_vs_wireguard",
      "cpu_vs_tailscale",
      "ping_idle_vs_best",
      "ping_loaded_p50_vs_best",
      "ping_loaded_p99_vs_best",
      "pps_vs_best",
      "tcp_loss_vs_best",
      "gap_interactive_ms",
      "gap_bulk_ms",
    ]);
  });

  it.each([
    [1, 3, 0.333],
    [5, 0, null],
    [Number.NaN, 1, null],
    [null, 1, null],
    [0, 2, 0],
  ])("%j of %j is %j", (ours, theirs, expected) => expect(ratio(ours, theirs)).toBe(expected));
});

describe("the summary", () => {
  it("keeps median and spread of every figure", () => {
    const { summary } = resultOf({ contenders, samples } as unknown as Findings);
    expect(summary["fabric"]?.["tcp1.mbits"]).toEqual({ median: 5000, min: 4000, max: 9000, count: 3 });
    expect(Object.keys(summary["tailscale"] ?? {})).toContain("ping-idle.p99Ms");
  });
});
