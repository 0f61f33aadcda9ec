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

/**
 * The newest epoch that every member confirmed who can hold a snapshot at all: no snapshot outlives its node's certificate.
 *
 * Only what the nodes said to this operator counts, and only while they were well: one whose disk takes nothing lives by what it
 * confirmed, and by what it has on disk when it starts again. Statuses do not tell that, and whoever may write one may lie.
 */
export function confirmedByAll({
  clock,
  fleet,
  identities,
}: Pick<Scope, "clock" | "fleet"> & { readonly identities: Pick<Scope["identities"], "all"> }): number {
  const nowSeconds = clock.nowMs() / 1000;
  const keptBy = (nodeId: string): number => {
    const { heartbeat } = fleet.facts(nodeId);
    return heartbeat?.degraded === false ? (heartbeat.applied?.epoch ?? -1) : -1;
  };
  const epochs = identities
    .all()
    .filter(({ status, certificateNotAfter }) => {
      return status === "Active" && (certificateNotAfter ?? 0) + CLOCK_SKEW_SECONDS > nowSeconds;
    })
    .map(({ nodeId }) => keptBy(nodeId));
  return epochs.reduce((least, epoch) => Math.min(least, epoch), Number.MAX_SAFE_INTEGER);
}
