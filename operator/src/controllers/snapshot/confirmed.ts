/** What members are known to live by: as they said themselves, or as a former operator wrote down. */
import { CLOCK_SKEW_SECONDS } from "@saf/protocol";
import type { Scope } from "../scope.ts";

type Known = Pick<Scope, "caches" | "fleet" | "identities">;

/** The newest epoch that a node confirmed; null when none is known. */
export function confirmedBy({ caches, fleet, identities }: Known, nodeId: string): number | null {
  const heard = fleet.facts(nodeId).heartbeat?.applied?.epoch;
  if (heard !== undefined) return heard;
  const name = identities.byId(nodeId)?.nodeName;
  return (name === undefined ? undefined : caches.nodes.get(name)?.status?.snapshot?.epoch) ?? null;
}

/** The newest epoch that every member confirmed who can hold a snapshot at all: no snapshot outlives its node's certificate. */
export function confirmedByAll(scope: Known & Pick<Scope, "clock">): number {
  const nowSeconds = scope.clock.nowMs() / 1000;
  const epochs = scope.identities
    .all()
    .filter(({ status, certificateNotAfter }) => {
      return status === "Active" && (certificateNotAfter ?? 0) + CLOCK_SKEW_SECONDS > nowSeconds;
    })
    .map(({ nodeId }) => confirmedBy(scope, nodeId) ?? -1);
  return epochs.reduce((least, epoch) => Math.min(least, epoch), Number.MAX_SAFE_INTEGER);
}
