/** Ours against theirs, from medians of one run. Null where a side was not measured. */
import type { ContenderKind } from "./contender.ts";
import type { Summary } from "./result.ts";

export type RatioName =
  | "tcp1_vs_tailscale"
  | "tcp1_vs_wireguard"
  | "cpu_vs_tailscale"
  | "ping_idle_vs_best"
  | "ping_loaded_p50_vs_best"
  | "ping_loaded_p99_vs_best"
  | "pps_vs_best"
  | "tcp_loss_vs_best"
  | "gap_interactive_ms"
  | "gap_bulk_ms";

/**
 * Ours divided by theirs; for cpu and ping less is better. "Best" is the best peer of that measure. The gaps are no ratios but
 * milliseconds: the median of the longest gaps, at the round-trip time where it is longer.
 */
export type Ratios = Readonly<Record<RatioName, number | null>>;

const OURS = "fabric";
const OURS_WITHOUT_PRIORITY = "fabric-normal";
const GAP_MEASURES = ["failover", "failover-far"] as const;

interface Named {
  readonly name: string;
  readonly kind: ContenderKind;
}

export function ratiosOf(
  summary: Summary,
  contenders: readonly Named[],
): { readonly ratios: Ratios; readonly extras: Readonly<Record<string, number | null>> } {
  const peers = contenders.filter(({ kind }) => kind === "peer").map(({ name }) => name);
  const references = contenders.filter(({ kind }) => kind === "reference").map(({ name }) => name);
  const value = (contender: string, figure: string): number | null =>
    summary[contender]?.[figure]?.median ?? null;
  const best = (names: readonly string[], figure: string, pick: "most" | "least"): number | null => {
    const all = names.flatMap((name) => value(name, figure) ?? []);
    if (all.length === 0) return null;
    return pick === "most" ? Math.max(...all) : Math.min(...all);
  };
  const against = (figure: string, theirs: number | null, ours = OURS): number | null =>
    ratio(value(ours, figure), theirs);
  const gap = (figure: string): number | null => {
    const all = GAP_MEASURES.flatMap((measure) => value(OURS, `${measure}.${figure}`) ?? []);
    return all.length === 0 ? null : Math.max(...all);
  };
  return {
    ratios: {
      tcp1_vs_tailscale: against("tcp1.mbits", value("tailscale", "tcp1.mbits")),
      tcp1_vs_wireguard: against("tcp1.mbits", value("wireguard", "tcp1.mbits")),
      cpu_vs_tailscale: against("tcp1.cpuSecondsPerGb", value("tailscale", "tcp1.cpuSecondsPerGb")),
      ping_idle_vs_best: against("ping-idle.p50Ms", best(peers, "ping-idle.p50Ms", "least")),
      ping_loaded_p50_vs_best: against("ping-loaded.p50Ms", best(peers, "ping-loaded.p50Ms", "least")),
      ping_loaded_p99_vs_best: against("ping-loaded.p99Ms", best(peers, "ping-loaded.p99Ms", "least")),
      pps_vs_best: against("udp200.packetsPerSecond", best(peers, "udp200.packetsPerSecond", "most")),
      tcp_loss_vs_best: against("loss-0.5.mbits", best(peers, "loss-0.5.mbits", "most")),
      gap_interactive_ms: gap("interactiveMs"),
      gap_bulk_ms: gap("bulkMs"),
    },
    extras: {
      tcp1_vs_best_reference: against("tcp1.mbits", best(references, "tcp1.mbits", "most")),
      tcp4_vs_best: against("tcp4.mbits", best(peers, "tcp4.mbits", "most")),
      tcp_loss_far_vs_best: against("loss-0.5-far.mbits", best(peers, "loss-0.5-far.mbits", "most")),
      ping_loaded_p50_vs_best_without_priority: against(
        "ping-loaded.p50Ms",
        best(peers, "ping-loaded.p50Ms", "least"),
        OURS_WITHOUT_PRIORITY,
      ),
      ping_loaded_p99_vs_best_without_priority: against(
        "ping-loaded.p99Ms",
        best(peers, "ping-loaded.p99Ms", "least"),
        OURS_WITHOUT_PRIORITY,
      ),
      gap_address_change_ms: value(OURS, "address-change.interactiveMs"),
      gap_path_back_ms: value(OURS, "failover.backMs"),
      agent_restart_lost: value(OURS, "agent-restart.lost"),
      engine_resident_mb: value(OURS, "memory.residentMb"),
      agent_resident_mb: value(OURS, "memory.agentResidentMb"),
    },
  };
}

/** Three digits are more than the measurement is worth; null when there is nothing to divide by. */
export function ratio(ours: number | null, theirs: number | null): number | null {
  if (ours === null || theirs === null || !(theirs > 0) || !Number.isFinite(ours)) return null;
  return Number((ours / theirs).toPrecision(3));
}
