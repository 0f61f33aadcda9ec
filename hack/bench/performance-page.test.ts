import { BenchError } from "./bench-error.ts";
import { parseResult, performancePage } from "./performance-page.ts";
import { resultOf, type Result } from "./result.ts";

const result: Result = resultOf({
  startedAt: "2026-01-02T03:04:05.000Z",
  seconds: 600,
  quick: false,
  rounds: 2,
  machine: { cpu: "A CPU", cores: 2, kernel: "6.1.0", memoryBytes: 8 * 2 ** 30, architecture: "x64" },
  versions: { iperf3: "iperf 3.12" },
  contenders: [
    { name: "fabric", title: "Fabric", kind: "ours", version: "abc" },
    { name: "tailscale", title: "Tailscale's wireguard-go", kind: "peer", version: "v0|1" },
  ],
  measures: [{ name: "failover", title: "The active path goes silent" }],
  samples: [
    { contender: "fabric", measure: "tcp1", round: 1, figures: { mbits: 4000 } },
    { contender: "fabric", measure: "tcp1", round: 2, figures: { mbits: 5000 } },
    { contender: "tailscale", measure: "tcp1", round: 1, figures: { mbits: 2250 } },
    {
      contender: "fabric",
      measure: "failover",
      round: 1,
      figures: { interactiveMs: 120.4, bulkMs: 250, lost: 11 },
    },
  ],
  failures: [{ contender: "tailscale", measure: "udp200", round: 1, reason: "it ended\nwith much to say" }],
});

describe("the performance page", () => {
  const page = performancePage(result);

  it("names the machine and the versions", () => {
    expect(page).toContain("2026-01-02 on 2 cores of A CPU (x64), 8 GiB, Linux 6.1.0");
    expect(page).toContain("| Tailscale's wireguard-go | v0\\|1 |");
  });

  it("shows medians with spread, ratios, and a dash for what was not measured", () => {
    expect(page).toContain("| TCP ×1 Mbit/s | 4500 (4000–5000) | 2250 |");
    expect(page).toContain("| TCP, one stream, against Tailscale's wireguard-go | 2× |");
    expect(page).toContain("| TCP, one stream, against wireguard-go | – |");
    expect(page).toContain("| The active path goes silent | 120 | 250 | 11 | – |");
  });

  it("says what could not be measured", () => expect(page).toMatch(/- tailscale, udp200: it ended$/));
});

describe("reading a result", () => {
  it("takes what the bench wrote", () => expect(parseResult(JSON.stringify(result))).toEqual(result));

  it.each(["", "null", "[]", "{}", '{"format":"saf-bench/0"}'])("refuses %j", (text) =>
    expect(() => parseResult(text)).toThrow(BenchError),
  );
});
