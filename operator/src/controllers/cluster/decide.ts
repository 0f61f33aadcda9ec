/** What a Cluster's status says, and whether an operator may take its authority at all. */
import type { Cluster, ClusterStatus } from "@saf/crds";
import { conditionsFrom, finding, type Finding } from "../condition.ts";

/** What the operator that wants to rule has in hand. */
export interface Claim {
  readonly ledgerId: string;
  /** The term in force in the ledger. */
  readonly term: number;
  /** Pin of the CA in the authority's Secret; null when there is no Secret. */
  readonly caPin: string | null;
}

/** Why the authority must not be taken; undefined: it may. */
export function objectionTo(claim: Claim, cluster: Cluster): Finding | undefined {
  const shown = cluster.status?.authority;
  const refuse = (reason: string, message: string): Finding =>
    finding("AuthorityHeld", "False", reason, message);
  if (shown?.ledgerId !== undefined && shown.ledgerId !== claim.ledgerId)
    return refuse(
      "ForeignLedger",
      `ledger ${shown.ledgerId} rules this cluster; this operator has ${claim.ledgerId}`,
    );
  if (shown?.term !== undefined && shown.term > claim.term)
    return refuse(
      "StaleLedger",
      `the cluster is in term ${shown.term}; this ledger only knows term ${claim.term}`,
    );
  if (shown?.caPin !== undefined && claim.caPin === null)
    return refuse(
      "AuthoritySecretMissing",
      "the Secret fabric-authority is gone; restore it: no other CA is believed",
    );
  if (shown?.caPin !== undefined && claim.caPin !== shown.caPin)
    return refuse(
      "AuthoritySecretForeign",
      "the Secret fabric-authority holds another CA than the nodes believe",
    );
  return undefined;
}

/** The one Cluster that counts: the oldest, so that one made by accident changes nothing. */
export function rulingCluster(clusters: readonly Cluster[]): Cluster | undefined {
  return [...clusters].filter(({ metadata }) => !metadata.deletionTimestamp).sort(byAge)[0];
}

function byAge({ metadata: a }: Cluster, { metadata: b }: Cluster): number {
  const [ageA, ageB] = [a.creationTimestamp ?? "", b.creationTimestamp ?? ""];
  if (ageA !== ageB) return ageA < ageB ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}

export interface ClusterInput {
  readonly cluster: Cluster;
  readonly authority: NonNullable<ClusterStatus["authority"]>;
  readonly nodes: { readonly approved: number; readonly connected: number; readonly confirmed: number };
  readonly nowMs: number;
}

export function decideCluster({ cluster, authority, nodes, nowMs }: ClusterInput): ClusterStatus {
  const held = finding(
    "AuthorityHeld",
    "True",
    "TermHeld",
    `${authority.holder} signs in term ${authority.term}`,
  );
  const ready = finding("Ready", "True", "Ruled", "an operator enrols nodes and signs for this cluster");
  return { ...base(cluster, [ready, held], nowMs), authority: { ...authority }, nodes: { ...nodes } };
}

/** Everything stays as the last ruler left it, but for the reason why nobody rules now. */
export function refusedStatus(cluster: Cluster, objection: Finding, nowMs: number): ClusterStatus {
  const ready = { ...objection, type: "Ready" };
  return { ...cluster.status, ...base(cluster, [ready, objection], nowMs) };
}

export function surplusStatus(cluster: Cluster, ruling: string, nowMs: number): ClusterStatus {
  const message = `the namespace already has the Cluster ${ruling}; a namespace is one fabric cluster`;
  const findings = [
    finding("Ready", "False", "AnotherCluster", message),
    finding("AuthorityHeld", "False", "AnotherCluster", message),
  ];
  return base(cluster, findings, nowMs);
}

function base(
  cluster: Cluster,
  findings: readonly Finding[],
  nowMs: number,
): Pick<ClusterStatus, "conditions" | "observedGeneration"> {
  const { generation } = cluster.metadata;
  const conditions = conditionsFrom(findings, { previous: cluster.status?.conditions, generation, nowMs });
  return { ...(generation === undefined ? {} : { observedGeneration: generation }), conditions };
}
