/**
 * For tests of the agent alone: an engine that does what it is told in memory and says what the test makes it say.
 * The labs run the real one.
 */
import { EngineError, type Desired, type Event, type PeerState, type State } from "@saf/engine";
import type { ConnectEngine, EngineConnection } from "../engine-link/engine-link.ts";

export interface SentMessage {
  readonly peer: string;
  readonly kind: string;
  readonly body: Record<string, unknown>;
}

export interface FakeEngine {
  readonly connect: ConnectEngine;
  /** Every state that was applied, oldest first. */
  readonly applied: readonly Desired[];
  readonly stops: number;
  readonly sent: readonly SentMessage[];
  readonly instance: number;
  emit(event: Event): void;
  say(kind: string, body: object): void;
  /** A session with the operator, or with a peer, is ready. */
  ready(peer: string): void;
  /** It is over, without an event. */
  lose(peer: string): void;
  failNextApply(code: string): void;
  setLastFailure(code: string, atMs: number, refusedByPeer?: boolean): void;
  /** kill -9: the connection breaks, the state is gone, nothing listens until `start`. */
  crash(): void;
  start(): void;
  /** The connection breaks and the state stays, as when the agent goes away. */
  disconnect(): void;
}

const ALL_OFFLOADS = {
  tunChecksum: true,
  tunTcpSegmentation: true,
  tunUdpSegmentation: true,
  udpSegmentation: true,
  udpCoalescing: true,
};

export function createFakeEngine(): FakeEngine {
  const applied: Desired[] = [];
  const sent: SentMessage[] = [];
  const sessions = new Set<string>();
  let desired: Desired | null = null;
  let up = true;
  let instance = 1;
  let stops = 0;
  let nextApplyFailure: string | null = null;
  let lastFailure: PeerState["lastFailure"] = null;
  let listener: (event: Event) => void = () => undefined;
  let hangUp: () => void = () => undefined;

  const hello = () => ({
    protocol: 1,
    engineVersion: "fake",
    instanceId: `instance-${instance}`,
    startedAtMs: 0,
  });

  function describe(): State {
    const peers = desired?.peers.map((peer) => peerState(peer.id, peer.spiffeId)) ?? [];
    const tunnel = desired?.tunnel ? { interface: "fabric0", ...desired.tunnel } : null;
    const revision = desired?.revision ?? 0;
    const quiet = { pressure: { level: "nominal" as const, score: 0, reasons: [], classes: {} }, notes: [] };
    return {
      ...hello(),
      ...quiet,
      revision,
      identity: null,
      tunnel,
      listen: [],
      peers,
      counters: {},
      offloads: ALL_OFFLOADS,
    };
  }

  function peerState(id: string, spiffeId: string): PeerState {
    const counts = { txPackets: 0, rxPackets: 0, txBytes: 0, rxBytes: 0, dropped: {}, classes: {} };
    const datagrams = { rxDatagrams: 0, rxDatagramBytes: 0 };
    const pressures = { pressure: null, remotePressure: null, bulkBytesPerSecond: null };
    const path = { remote: null, rttMicros: null, mtu: null, sinceMs: 0, remoteAuthority: null, paths: [] };
    const failure = id === "operator" ? lastFailure : null;
    return {
      id,
      spiffeId,
      session: sessions.has(id) ? "ready" : "none",
      ...path,
      ...counts,
      ...datagrams,
      ...pressures,
      lastFailure: failure,
    };
  }

  const connect: ConnectEngine = async () => {
    if (!up) throw new EngineError("CONNECT_FAILED", "ENOENT");
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    hangUp = resolve;
    const connection: EngineConnection = {
      hello: hello(),
      closed,
      describe: async () => describe(),
      apply: async (next) => {
        const failure = nextApplyFailure;
        nextApplyFailure = null;
        if (failure) throw new EngineError(failure, "as told");
        desired = next;
        applied.push(next);
        return { changed: ["all"] };
      },
      stop: async () => {
        desired = null;
        sessions.clear();
        stops += 1;
      },
      send: async (peer, kind, payload) => {
        if (!sessions.has(peer)) throw new EngineError("NO_SESSION", "no session");
        sent.push({ peer, kind, body: JSON.parse(new TextDecoder().decode(payload)) as SentMessage["body"] });
      },
      onEvent: (next) => {
        listener = next;
        return () => undefined;
      },
      close: resolve,
    };
    return connection;
  };

  return {
    connect,
    applied,
    sent,
    get stops() {
      return stops;
    },
    get instance() {
      return instance;
    },
    emit: (event) => listener(event),
    say: (kind, body) =>
      listener({
        type: "message",
        peer: "operator",
        kind,
        payload: new TextEncoder().encode(JSON.stringify(body)),
      }),
    ready: (peer) => {
      sessions.add(peer);
      listener({
        type: "sessionReady",
        peer,
        remote: "192.0.2.1:7443",
        remoteAuthority: { term: 0, epoch: 0 },
      });
    },
    lose: (peer) => void sessions.delete(peer),
    failNextApply: (code) => {
      nextApplyFailure = code;
    },
    setLastFailure: (code, atMs, refusedByPeer = true) => {
      lastFailure = { code, message: `${code} it is`, refusedByPeer, atMs };
    },
    crash: () => {
      up = false;
      instance += 1;
      desired = null;
      sessions.clear();
      hangUp();
    },
    start: () => {
      up = true;
    },
    disconnect: () => hangUp(),
  };
}
