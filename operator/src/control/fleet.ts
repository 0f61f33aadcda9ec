/**
 * What the operator knows of nodes by hearing from them. Lives in memory: the nodes say it again after a restart.
 * Bounded by the number of identities, because only members have sessions.
 */
import type { Heartbeat } from "@saf/protocol";

export interface NodeFacts {
  /** The control session that is up now. */
  readonly session: { readonly remote: string; readonly sinceMs: number } | null;
  /** `ip:port` it was last seen at. */
  readonly observed: string | null;
  readonly heartbeat: Heartbeat | null;
  readonly heartbeatAtMs: number | null;
  /** `ip:port` that it last reported of itself. */
  readonly candidates: readonly string[] | null;
}

/** What a change touches, so that listeners need not look at everything. */
export type Aspect = "session" | "heartbeat" | "reachability" | "applied";

export type FleetListener = (nodeId: string, aspects: readonly Aspect[]) => void;

export interface Fleet {
  facts(nodeId: string): NodeFacts;
  /** What a former operator wrote down; whatever the node itself said since is newer. */
  remember(nodeId: string, known: Pick<NodeFacts, "observed" | "candidates">): void;
  sessionReady(nodeId: string, remote: string, nowMs: number): void;
  sessionClosed(nodeId: string): void;
  heard(nodeId: string, heartbeat: Heartbeat, nowMs: number): void;
  forget(nodeId: string): void;
  /** Node ids with a session. */
  connected(): readonly string[];
  onChange(listener: FleetListener): void;
}

const UNKNOWN: NodeFacts = {
  session: null,
  observed: null,
  heartbeat: null,
  heartbeatAtMs: null,
  candidates: null,
};

export function createFleet(): Fleet {
  const nodes = new Map<string, NodeFacts>();
  const listeners: FleetListener[] = [];

  const factsOf = (nodeId: string): NodeFacts => nodes.get(nodeId) ?? UNKNOWN;

  const put = (nodeId: string, facts: NodeFacts, aspects: readonly Aspect[]): void => {
    nodes.set(nodeId, facts);
    listeners.forEach((listener) => listener(nodeId, aspects));
  };

  return {
    facts: factsOf,
    remember(nodeId, { observed, candidates }) {
      const facts = factsOf(nodeId);
      nodes.set(nodeId, {
        ...facts,
        observed: facts.observed ?? observed,
        candidates: facts.candidates ?? candidates,
      });
    },
    sessionReady(nodeId, remote, nowMs) {
      const before = factsOf(nodeId);
      if (before.session?.remote === remote) return;
      const moved: readonly Aspect[] = before.observed === remote ? [] : ["reachability"];
      put(nodeId, { ...before, session: { remote, sinceMs: nowMs }, observed: remote }, [
        "session",
        ...moved,
      ]);
    },
    sessionClosed(nodeId) {
      const before = factsOf(nodeId);
      if (before.session) put(nodeId, { ...before, session: null }, ["session"]);
    },
    heard(nodeId, heartbeat, nowMs) {
      const before = factsOf(nodeId);
      const after: NodeFacts = {
        ...before,
        heartbeat,
        heartbeatAtMs: nowMs,
        candidates: heartbeat.candidates,
      };
      put(nodeId, after, ["heartbeat", ...changed(before, after)]);
    },
    forget: (nodeId) => void nodes.delete(nodeId),
    connected: () => [...nodes].filter(([, { session }]) => session !== null).map(([nodeId]) => nodeId),
    onChange: (listener) => void listeners.push(listener),
  };
}

function changed(before: NodeFacts, after: NodeFacts): readonly Aspect[] {
  const moved = JSON.stringify(before.candidates) !== JSON.stringify(after.candidates);
  const applied =
    JSON.stringify(before.heartbeat?.applied ?? null) !== JSON.stringify(after.heartbeat?.applied ?? null);
  return [...(moved ? (["reachability"] as const) : []), ...(applied ? (["applied"] as const) : [])];
}
