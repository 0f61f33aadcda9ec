/**
 * From what a node believes to what its engine shall do. Pure: the same snapshot always gives the same intents.
 *
 * Each peer of the snapshot may speak for its own addresses and for nothing else, and is spoken to from ours. The operator is
 * a peer without prefixes: messages, no packets. Without a snapshot in force only the operator is left, so that a new one
 * can come; every intent ends by itself with the document or certificate that it rests on.
 */
import type { Desired, PeerIntent, TrafficRule as TrafficRuleIntent } from "@saf/engine";
import {
  spiffeIdOfNode,
  type Candidate,
  type ControlIdentity,
  type NodeSnapshotBody,
  type SnapshotPeer,
  type TrafficRule,
} from "@saf/protocol";
import type { NodeSnapshot } from "../documents/trusted-documents.ts";

/** The operator's peer id at the engine; node ids are UUIDs, so it is nobody else's. */
export const OPERATOR_PEER = "operator";

export interface Belief {
  readonly trustDomain: string;
  readonly nodeId: string;
  readonly certificateChain: readonly string[];
  /** Of that certificate, unix seconds. */
  readonly certificateNotAfter: number;
  readonly caCertificates: readonly string[];
  /** Where the operator is when no snapshot says so. */
  readonly control: ControlIdentity;
  /** The snapshot in force; null when there is none or it has expired. */
  readonly snapshot: NodeSnapshot | null;
}

export type Intents = Omit<Desired, "revision">;

/** Local ways first: they are shorter and do not depend on the way out. */
const CANDIDATE_ORDER = ["private", "host", "mapped"] as const;

export function compileIntents(belief: Belief): Intents {
  const { trustDomain, nodeId, snapshot } = belief;
  const body = snapshot?.body;
  const operatorExpiresAtMs = belief.certificateNotAfter * 1000;
  const expiresAtMs = snapshot
    ? Math.min(snapshot.expiresAt * 1000, operatorExpiresAtMs)
    : operatorExpiresAtMs;
  const peers = body?.peers.map((peer) => nodePeer(peer, body, trustDomain, expiresAtMs)) ?? [];
  return {
    trustDomain,
    expiresAtMs,
    authority: { term: snapshot?.term ?? 0, epoch: snapshot?.epoch ?? 0 },
    identity: {
      spiffeId: spiffeIdOfNode(trustDomain, nodeId),
      certificateChainPem: [...belief.certificateChain],
      caCertificatesPem: [...belief.caCertificates],
    },
    tunnel: body ? tunnelOf(body) : null,
    peers: [operatorPeer(body?.control ?? belief.control, operatorExpiresAtMs), ...peers],
    revoked: body?.revoked.map(({ fingerprint }) => fingerprint) ?? [],
    trafficRules: body?.trafficRules.map(ruleIntent) ?? [],
  };
}

/** Why this node itself is revoked, or null. */
export function ownRevocation({ body }: NodeSnapshot, nodeId: string, fingerprint: string): string | null {
  const own = body.revoked.find((entry) => entry.nodeId === nodeId || entry.fingerprint === fingerprint);
  return own ? own.reason : null;
}

function tunnelOf({ addresses, pools, mtu }: NodeSnapshotBody): NonNullable<Desired["tunnel"]> {
  return { addresses: hostPrefixes(addresses), routes: [pools.ipv4, pools.ipv6], mtu };
}

function operatorPeer(
  { spiffeId, fingerprint, endpoints }: ControlIdentity,
  expiresAtMs: number,
): PeerIntent {
  return {
    id: OPERATOR_PEER,
    spiffeId,
    fingerprint,
    candidates: [...endpoints],
    remotePrefixes: [],
    localPrefixes: [],
    expiresAtMs,
  };
}

function nodePeer(
  peer: SnapshotPeer,
  own: NodeSnapshotBody,
  trustDomain: string,
  expiresAtMs: number,
): PeerIntent {
  return {
    id: peer.nodeId,
    spiffeId: spiffeIdOfNode(trustDomain, peer.nodeId),
    fingerprint: peer.fingerprint,
    candidates: inOrder(peer.candidates),
    remotePrefixes: hostPrefixes(peer.addresses),
    localPrefixes: hostPrefixes(own.addresses),
    expiresAtMs,
  };
}

function ruleIntent(rule: TrafficRule): TrafficRuleIntent {
  return {
    class: rule.class,
    protocol: rule.protocol ?? null,
    ports: rule.ports?.map(({ from, to = from }) => ({ from, to })) ?? [],
    dscp: rule.dscp ?? [],
    maxPacketBytes: rule.maxPacketBytes ?? null,
    belowBytesPerSecond: rule.belowBytesPerSecond ?? null,
  };
}

function inOrder(candidates: readonly Candidate[]): string[] {
  const endpoints = CANDIDATE_ORDER.flatMap((kind) =>
    candidates.filter((candidate) => candidate.kind === kind).map(({ endpoint }) => endpoint),
  );
  return [...new Set(endpoints)];
}

function hostPrefixes({ ipv4, ipv6 }: NodeSnapshotBody["addresses"]): string[] {
  return [`${ipv4}/32`, `${ipv6}/128`];
}
