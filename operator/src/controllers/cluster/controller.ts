/** Cluster: shows who rules it and how its nodes do; a second Cluster in the namespace is told that it does not count. */
import type { Cluster, ClusterStatus } from "@saf/crds";
import { CLUSTERS } from "../resources.ts";
import type { Scope } from "../scope.ts";
import { writeStatus } from "../status-writer.ts";
import { decideCluster, surplusStatus } from "./decide.ts";

export interface Progress {
  /** The newest epoch published in this term; null before the first. */
  readonly epoch: number | null;
}

export function reconcileCluster(
  scope: Scope,
  holder: string,
  startEpoch: number,
  progress: () => Progress,
): (name: string) => Promise<undefined> {
  return async (name) => {
    const { caches, clock } = scope;
    const cluster = caches.clusters.get(name);
    if (!cluster || cluster.metadata.deletionTimestamp) return undefined;
    const epoch = progress().epoch ?? startEpoch;
    const ruling = scope.cluster();
    const status =
      ruling.metadata.uid === cluster.metadata.uid
        ? decideCluster({
            cluster,
            authority: authorityOf(scope, holder, epoch),
            nodes: countNodes(scope, epoch),
            nowMs: clock.nowMs(),
          })
        : surplusStatus(cluster, ruling.metadata.name, clock.nowMs());
    await writeStatus<ClusterStatus, Cluster>(scope, CLUSTERS, cluster, status);
    return undefined;
  };
}

export function authorityOf(
  { authority, ledger, term }: Pick<Scope, "authority" | "ledger" | "term">,
  holder: string,
  epoch: number,
): NonNullable<ClusterStatus["authority"]> {
  return {
    ledgerId: ledger.id,
    term,
    epoch,
    holder,
    caPin: authority.caPin,
    caCertificate: authority.caCertificatePem,
    signingKeyIds: [...authority.signingKeyIds],
  };
}

export function countNodes(
  { identities, fleet, term }: Scope,
  epoch: number,
): NonNullable<ClusterStatus["nodes"]> & {
  approved: number;
  connected: number;
  confirmed: number;
} {
  const members = identities.all().filter(({ status }) => status === "Active");
  const facts = members.map(({ nodeId }) => fleet.facts(nodeId));
  const confirmed = facts.filter(({ session, heartbeat }) => {
    const applied = heartbeat?.applied;
    return session !== null && applied?.term === term && applied.epoch >= epoch;
  });
  return {
    approved: members.length,
    connected: facts.filter(({ session }) => session !== null).length,
    confirmed: confirmed.length,
  };
}
