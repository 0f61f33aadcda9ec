/**
 * What a FabricNode's status says: the ledger's identity, what the node itself reported, and what it confirmed, joined.
 * `Ready` names the first thing that stands between the node and its work; the other conditions say which part holds.
 */
import type { ClusterSpec, FabricNode, FabricNodeStatus, Role } from "@saf/crds";
import type { NodeFacts } from "../../control/fleet.ts";
import type { Identity } from "../../ledger/ledger.ts";
import { conditionsFrom, finding, rfc3339, type Finding } from "../condition.ts";
import type { Place } from "../snapshot/place.ts";

/** Three heartbeats of 5 s: one may be lost, two in a row hardly. */
export const HEARTBEAT_STALE_MS = 15_000;
/** lastHeartbeatTime alone is no reason to write more often: 1000 nodes then cost 34 writes a second at most. */
export const HEARTBEAT_WRITE_MS = 30_000;
/** A node that has not confirmed the newest epoch this long after it was issued is behind, not merely under way. */
export const CONFIRM_GRACE_MS = 10_000;
/** From a node's first contact to a session with a peer: a snapshot, its confirmation, a handshake. More is trouble. */
export const JOIN_GRACE_MS = 10_000;

export interface IssuedSnapshot {
  readonly term: number;
  readonly epoch: number;
  /** When this epoch was first issued to the node, unix ms. */
  readonly sinceMs: number;
}

export interface NodeInput {
  readonly node: FabricNode;
  readonly identity: Identity | undefined;
  readonly facts: NodeFacts;
  readonly roles: readonly Role[];
  readonly place: Place;
  /** The newest snapshot that the node should live by; null while there is none. */
  readonly issued: IssuedSnapshot | null;
  readonly reachability: ClusterSpec["reachability"];
  readonly nowMs: number;
}

export interface NodeOutcome {
  readonly status: FabricNodeStatus;
  /** When time alone may change the outcome, unix ms. */
  readonly nextMs: number | null;
}

/** Whether the object is that of the identity. Anybody with the right to may make FabricNodes; only the ledger makes members. */
export function belongs(
  { metadata, spec }: FabricNode,
  identity: Identity | undefined,
): identity is Identity {
  return (
    identity !== undefined &&
    identity.nodeName === metadata.name &&
    identity.nodeId === spec.nodeId &&
    identity.fingerprint === spec.fingerprint
  );
}

export function decideNode(input: NodeInput): NodeOutcome {
  const { node, nowMs } = input;
  const parts = [approved(input), identityValid(input), connected(input), snapshotFresh(input)];
  const findings = [ready(input, parts), ...parts];
  const { generation } = node.metadata;
  const conditions = conditionsFrom(findings, { previous: node.status?.conditions, generation, nowMs });
  const observed = generation === undefined ? {} : { observedGeneration: generation };
  const status = { ...observed, conditions, ...factsFor(input) };
  return { status: steady(node.status, status, nowMs), nextMs: nextChange(input) };
}

function ready(input: NodeInput, [approval, identity, connection, snapshot]: readonly Finding[]): Finding {
  const first = (...parts: readonly (Finding | undefined)[]): Finding | undefined =>
    parts.find((part) => part !== undefined && part.status !== "True");
  const blocking = first(
    leaving(input),
    approval,
    suspended(input),
    identity,
    connection,
    snapshot,
    peersReached(input),
  );
  if (blocking && isJoining(input, blocking)) return finding("Ready", "False", "Joining", blocking.message);
  if (blocking) return { ...blocking, type: "Ready", status: "False" };
  return finding("Ready", "True", "Connected", "in contact, up to date");
}

const ON_THE_WAY = new Set(["NotIssued", "SnapshotStale", "PeersUnreachable"]);

/** What is no fault yet in a session that has just begun. */
function isJoining({ facts, nowMs }: NodeInput, { reason }: Finding): boolean {
  return facts.session !== null && nowMs < facts.session.sinceMs + JOIN_GRACE_MS && ON_THE_WAY.has(reason);
}

function approved({ node, identity }: NodeInput): Finding {
  if (!identity) return finding("Approved", "False", "NotEnrolled", "no host was approved under this name");
  if (!belongs(node, identity))
    return finding(
      "Approved",
      "False",
      "IdentityMismatch",
      "another node was approved under this name: delete this object to see that one",
    );
  if (identity.status === "Revoked")
    return finding("Approved", "False", "Revoked", identity.reason || "revoked");
  return finding("Approved", "True", "Approved", `member ${identity.nodeId}`);
}

function leaving({ node, identity }: NodeInput): Finding | undefined {
  if (!node.metadata.deletionTimestamp) return undefined;
  const how =
    identity?.status === "Active"
      ? "it is told, and ends its sessions"
      : "it is revoked, and its peers are told";
  return finding("Ready", "False", "Leaving", `its object is deleted: ${how}`);
}

function suspended({ node }: NodeInput): Finding | undefined {
  if (!node.spec.suspended) return undefined;
  return finding("Ready", "False", "Suspended", "suspended by its owner: peers refuse it until that ends");
}

function identityValid({ node, identity, nowMs }: NodeInput): Finding {
  if (!belongs(node, identity))
    return finding("IdentityValid", "False", "NotEnrolled", "there is no identity");
  if (identity.status === "Revoked")
    return finding("IdentityValid", "False", "Revoked", identity.reason || "revoked");
  const notAfter = identity.certificateNotAfter;
  if (notAfter === null)
    return finding(
      "IdentityValid",
      "False",
      "AwaitingNode",
      "the node has not fetched its first certificate",
    );
  if (notAfter * 1000 <= nowMs)
    return finding(
      "IdentityValid",
      "False",
      "CertificateExpired",
      `its certificate ended at ${rfc3339(notAfter * 1000)}`,
    );
  return finding("IdentityValid", "True", "CertificateValid", `valid until ${rfc3339(notAfter * 1000)}`);
}

function connected(input: NodeInput): Finding {
  const { node, facts, nowMs } = input;
  const heardMs = facts.heartbeatAtMs;
  if (heardMs === null && node.status?.lastHeartbeatTime === undefined)
    return finding("Connected", "False", "AwaitingNode", "the node has not been in contact yet");
  if (nowMs >= staleAtMs(input))
    return finding("Connected", "False", "HeartbeatStale", `last heard at ${lastHeard(input)}`);
  if (heardMs === null) return inherited(node, "Connected");
  if (!facts.session)
    return finding("Connected", "False", "SessionClosed", "its control session ended; it will dial again");
  return finding("Connected", "True", "SessionReady", `control session from ${facts.session.remote}`);
}

function snapshotFresh({ node, facts, issued, nowMs }: NodeInput): Finding {
  const applied = facts.heartbeat?.applied;
  if (facts.heartbeatAtMs === null && node.status?.snapshot) return inherited(node, "SnapshotFresh");
  if (!issued) return finding("SnapshotFresh", "Unknown", "NotIssued", "no snapshot was signed for it yet");
  if (applied && applied.expiresAt * 1000 <= nowMs)
    return finding(
      "SnapshotFresh",
      "False",
      "SnapshotExpired",
      `its snapshot ended at ${rfc3339(applied.expiresAt * 1000)}`,
    );
  if (applied && applied.term === issued.term && applied.epoch >= issued.epoch)
    return finding("SnapshotFresh", "True", "Confirmed", "it lives by the newest decisions");
  if (nowMs - issued.sinceMs < CONFIRM_GRACE_MS && applied)
    return finding("SnapshotFresh", "True", "Confirming", "the newest decisions are on their way to it");
  const behind = applied
    ? `it confirmed epoch ${applied.epoch} of term ${applied.term}`
    : "it has confirmed none";
  return finding("SnapshotFresh", "False", "SnapshotStale", `${behind}; the newest differs`);
}

/** A new operator has not heard the node itself yet: what the former one wrote holds until the node should have dialled again. */
function inherited({ status }: FabricNode, type: string): Finding {
  const before = status?.conditions?.find((condition) => condition.type === type);
  if (!before) return finding(type, "Unknown", "AwaitingNode", "this operator has not heard of the node yet");
  return finding(type, before.status, before.reason, before.message);
}

function lastHeard({ node, facts }: NodeInput): string | undefined {
  return facts.heartbeatAtMs === null ? node.status?.lastHeartbeatTime : rfc3339(facts.heartbeatAtMs);
}

/** The time that is written may be older than the last heartbeat by as much as its writing is put off. */
function staleAtMs({ node, facts }: NodeInput): number {
  if (facts.heartbeatAtMs !== null) return facts.heartbeatAtMs + HEARTBEAT_STALE_MS;
  const written = node.status?.lastHeartbeatTime;
  return written === undefined ? 0 : Date.parse(written) + HEARTBEAT_WRITE_MS + HEARTBEAT_STALE_MS;
}

function peersReached({ facts, reachability }: NodeInput): Finding | undefined {
  const peers = facts.heartbeat?.peers;
  if (reachability === "None" || !peers || peers.known === 0 || peers.direct > 0) return undefined;
  return finding(
    "Ready",
    "False",
    "PeersUnreachable",
    `none of its ${peers.known} peers has a session with it`,
  );
}

function factsFor(input: NodeInput): Omit<FabricNodeStatus, "conditions" | "observedGeneration"> {
  const { node, identity, facts, roles } = input;
  const { natGroup, locality, candidates } = input.place;
  if (!belongs(node, identity)) return {};
  const before = node.status;
  const { heartbeat } = facts;
  const notAfter = identity.certificateNotAfter;
  const peers = peersOf(input);
  return {
    addresses: { ...identity.addresses },
    roles: [...roles],
    ...optional("version", heartbeat?.facts.agentVersion ?? before?.version),
    ...optional("localityGroup", locality ?? undefined),
    ...optional("natGroup", natGroup ?? undefined),
    ...optional("candidates", candidates.length > 0 ? [...candidates] : before?.candidates),
    ...optional("peers", peers),
    ...optional("summary", summaryOf(roles, peers, node.spec.groups ?? [])),
    ...optional("snapshot", snapshotOf(heartbeat?.applied) ?? before?.snapshot),
    ...optional("certificate", notAfter === null ? undefined : { notAfter: rfc3339(notAfter * 1000) }),
    ...optional("lastHeartbeatTime", lastHeard(input)),
  };
}

/** Nobody talks to a revoked node, whatever it counted last; and what a silent one counted is no longer known. */
function peersOf(input: NodeInput): FabricNodeStatus["peers"] {
  const { node, identity, facts, nowMs } = input;
  if (identity?.status !== "Active" || nowMs >= staleAtMs(input)) return undefined;
  return facts.heartbeat ? { ...facts.heartbeat.peers } : node.status?.peers;
}

function summaryOf(
  roles: readonly Role[],
  peers: FabricNodeStatus["peers"],
  groups: readonly string[],
): FabricNodeStatus["summary"] {
  const { direct = 0, known = 0 } = peers ?? {};
  const summary = {
    ...optional("groups", groups.length > 0 ? [...groups].sort().join(",") : undefined),
    ...optional("roles", roles.length > 0 ? roles.join(",") : undefined),
    ...optional("peers", peers && `${direct}/${known}`),
  };
  return Object.keys(summary).length > 0 ? summary : undefined;
}

function snapshotOf(
  applied: { term: number; epoch: number; expiresAt: number } | null | undefined,
): FabricNodeStatus["snapshot"] {
  if (!applied) return undefined;
  return { term: applied.term, epoch: applied.epoch, expiresAt: rfc3339(applied.expiresAt * 1000) };
}

function optional<Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { [K in Key]?: Value };
}

/** Keeps the heartbeat time that is written while nothing else changed and it is not old enough to be worth a write. */
function steady(
  before: FabricNodeStatus | undefined,
  after: FabricNodeStatus,
  nowMs: number,
): FabricNodeStatus {
  const written = before?.lastHeartbeatTime;
  if (written === undefined || nowMs - Date.parse(written) >= HEARTBEAT_WRITE_MS) return after;
  const same = { ...after, lastHeartbeatTime: written };
  return JSON.stringify(sorted(same)) === JSON.stringify(sorted(before)) ? same : after;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}

function nextChange(input: NodeInput): number | null {
  const { identity, facts, issued, nowMs } = input;
  const moments = [
    staleAtMs(input),
    facts.heartbeatAtMs === null ? null : facts.heartbeatAtMs + HEARTBEAT_WRITE_MS,
    issued ? issued.sinceMs + CONFIRM_GRACE_MS : null,
    facts.session ? facts.session.sinceMs + JOIN_GRACE_MS : null,
    identity?.certificateNotAfter ? identity.certificateNotAfter * 1000 : null,
    facts.heartbeat?.applied ? facts.heartbeat.applied.expiresAt * 1000 : null,
  ].filter((moment) => moment !== null && moment > nowMs);
  return moments.length === 0 ? null : Math.min(...(moments as number[]));
}
