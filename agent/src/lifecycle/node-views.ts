/** What the node knows, put into the shapes of the local API. Pure. */
import type { HelloResult, PeerPath, PeerState, State } from "@saf/engine";
import type { SnapshotPeer } from "@saf/protocol";
import type { AgentConfig } from "../config.ts";
import type { NodeSnapshot, TrustedDocuments } from "../documents/trusted-documents.ts";
import type { JoinAttempt } from "../identity/membership.ts";
import type { NodeKey } from "../identity/node-key.ts";
import type { NamesView, PathView, PeerView, StatusView } from "../local-api/views.ts";
import { AGENT_VERSION } from "../version.ts";
import type { Member } from "./member.ts";
import type { Reporter } from "./reporter.ts";

export interface NodeKnowledge {
  readonly config: Pick<AgentConfig, "nodeName" | "area">;
  readonly reporter: Pick<Reporter, "told" | "errors">;
  readonly key: Pick<NodeKey, "fingerprint"> | null;
  readonly member: Pick<
    Member,
    "membership" | "certificate" | "snapshot" | "operator" | "directPeers"
  > | null;
  readonly documents: Pick<TrustedDocuments, "accepted" | "refused">;
  readonly link: { readonly hello: HelloResult | null };
  /** The engine as last seen. */
  readonly engine: State | null;
  readonly candidates: readonly string[];
  readonly names: NamesView;
  readonly attempt: JoinAttempt | null;
  readonly startedAt: number;
}

export function statusView(known: NodeKnowledge): StatusView {
  const { config, reporter, key, member, documents, link, engine, candidates, attempt, startedAt } = known;
  const { names } = known;
  const snapshot = member?.snapshot ?? null;
  const lastAckMs = member?.operator.lastAckMs ?? null;
  return {
    state: reporter.told.state,
    reason: reporter.told.reason?.message ?? null,
    reasonCode: reporter.told.reason?.code ?? null,
    nodeName: config.nodeName,
    nodeId: member?.membership.nodeId ?? null,
    trustDomain: member?.membership.trustDomain ?? null,
    fingerprint: key?.fingerprint ?? null,
    addresses: snapshot?.body.addresses ?? null,
    roles: snapshot?.body.roles ?? [],
    area: config.area ?? null,
    snapshot: snapshot && orderOf(snapshot),
    operator: {
      connected: member?.operator.connected ?? false,
      lastAckAt: lastAckMs === null ? null : toSeconds(lastAckMs),
      observed: member?.operator.observed ?? null,
      session: member?.operator.session ?? null,
      endpoints: (snapshot?.body.control ?? member?.membership.control)?.endpoints ?? [],
    },
    certificate: member?.certificate ?? null,
    engine: {
      connected: link.hello !== null,
      version: link.hello?.engineVersion ?? null,
      instanceId: link.hello?.instanceId ?? null,
      interface: engine?.tunnel?.interface ?? null,
      notes: engine?.notes ?? [],
      pressure: engine?.pressure ?? null,
      offloads: engine?.offloads ?? null,
    },
    peers: { known: snapshot?.body.peers.length ?? 0, direct: member?.directPeers ?? 0 },
    names,
    join: attempt && { server: attempt.server, tokenId: attempt.tokenId, requestId: attempt.requestId },
    documents: { accepted: documents.accepted, refused: documents.refused },
    candidates,
    lastErrors: reporter.errors,
    agentVersion: AGENT_VERSION,
    startedAt,
  };
}

/** One view for each peer of the snapshot, whether the engine knows it or not. */
export function peerViews(snapshot: NodeSnapshot | null, engine: State | null): readonly PeerView[] {
  const states = new Map(engine?.peers.map((peer) => [peer.id, peer]));
  return snapshot?.body.peers.map((peer) => peerView(peer, states.get(peer.nodeId))) ?? [];
}

function peerView(
  { nodeName: name, nodeId, addresses }: SnapshotPeer,
  state: PeerState | undefined,
): PeerView {
  const failure = state?.lastFailure;
  return {
    name,
    nodeId,
    addresses,
    session: state?.session ?? "none",
    remote: state?.remote ?? null,
    rttMicros: state?.rttMicros ?? null,
    paths: pathViews(state?.paths ?? []),
    since: state ? toSeconds(state.sinceMs) : null,
    bytes: { sent: state?.txBytes ?? 0, received: state?.rxBytes ?? 0 },
    packets: { sent: state?.txPackets ?? 0, received: state?.rxPackets ?? 0 },
    dropped: state?.dropped ?? {},
    classes: state?.classes ?? {},
    datagrams: { packets: state?.rxDatagrams ?? 0, bytes: state?.rxDatagramBytes ?? 0 },
    pressure: state?.pressure ?? null,
    remotePressure: state?.remotePressure ?? null,
    bulkBytesPerSecond: state?.bulkBytesPerSecond ?? null,
    lastFailure: failure
      ? { code: failure.code, message: failure.message, at: toSeconds(failure.atMs) }
      : null,
  };
}

function pathViews(paths: readonly PeerPath[]): readonly PathView[] {
  const inUseFirst = paths.toSorted((a, b) => Number(b.status === "active") - Number(a.status === "active"));
  return inUseFirst.map(({ lastHeardMs, ...path }) => ({
    ...path,
    lastHeardAt: lastHeardMs === null ? null : toSeconds(lastHeardMs),
  }));
}

function orderOf({ term, epoch, issuedAt, expiresAt }: NodeSnapshot): NonNullable<StatusView["snapshot"]> {
  return { term, epoch, issuedAt, expiresAt };
}

function toSeconds(timeMs: number): number {
  return Math.floor(timeMs / 1000);
}
