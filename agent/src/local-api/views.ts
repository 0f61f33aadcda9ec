/**
 * What the local API answers. Field names are stable: `fabric status -o json` prints these as they are.
 * Times are unix seconds.
 */
import type { OffloadState, PathStatus, PeerState, Pressure, RemotePressure, State } from "@saf/engine";
import type { Health } from "@saf/telemetry";
import type { DocumentOrder, Facts } from "@saf/protocol";
import type { LoggedError } from "../telemetry/error-log.ts";

export type NodeState =
  "unenrolled" | "joining" | "pending" | "denied" | "running" | "degraded" | "revoked" | "expired";

export interface Addresses {
  readonly ipv4: string;
  readonly ipv6: string;
}

/** `GET /v1/status` */
export interface StatusView {
  readonly state: NodeState;
  /** Why it is in this state, for people; null when there is nothing to say. */
  readonly reason: string | null;
  /** The same as a stable code: `OPERATOR_SILENT`, `TOKEN_EXPIRED`, `REVOKED`, … */
  readonly reasonCode: string | null;
  readonly nodeName: string;
  readonly nodeId: string | null;
  readonly trustDomain: string | null;
  /** Of the node's public key; null when the key on disk is unusable. */
  readonly fingerprint: string | null;
  readonly addresses: Addresses | null;
  readonly roles: readonly string[];
  readonly area: string | null;
  /** The snapshot it lives by. */
  readonly snapshot: (DocumentOrder & { readonly expiresAt: number }) | null;
  readonly operator: {
    readonly connected: boolean;
    readonly lastAckAt: number | null;
    readonly endpoints: readonly string[];
    /** `ip:port` at which it saw this node when the session began; null: it has not said yet. */
    readonly observed: string | null;
    /** The control session, by the id that the operator's log has it under. */
    readonly session: string | null;
  };
  readonly certificate: { readonly notBefore: number; readonly notAfter: number } | null;
  readonly engine: {
    readonly connected: boolean;
    readonly version: string | null;
    readonly instanceId: string | null;
    readonly interface: string | null;
    readonly notes: readonly string[];
    /** How hard it is for this node to carry what is asked of it; null: the engine was not seen yet. */
    readonly pressure: Pressure | null;
    /** What is left to the kernel or the network card; `notes` say why one is not. */
    readonly offloads: OffloadState | null;
  };
  readonly peers: { readonly known: number; readonly direct: number };
  readonly names: NamesView;
  /** The join in progress, or the one that was denied. */
  readonly join: {
    readonly server: string;
    /** Null: with the pod's service-account token. */
    readonly tokenId: string | null;
    readonly requestId: string | null;
  } | null;
  readonly documents: { readonly accepted: number; readonly refused: Readonly<Record<string, number>> };
  /** What it tells the operator that it may be reached at. */
  readonly candidates: readonly string[];
  /** Newest first, bounded. */
  readonly lastErrors: readonly LoggedError[];
  readonly agentVersion: string;
  readonly startedAt: number;
}

/** The names of the overlay, and how the programs of this host come by them. */
export interface NamesView {
  /** Null: no snapshot that names one is in force. */
  readonly zone: string | null;
  /** Who was pointed to the name server; null: nobody. */
  readonly mode: "systemd-resolved" | "resolv.conf" | null;
  /** `ip:port` of the name server; null when there is none. */
  readonly server: string | null;
  /** Why programs of this host do not find the names by themselves. */
  readonly problem: { readonly code: string; readonly message: string } | null;
}

/** `GET /v1/peers` */
export interface PeersView {
  readonly peers: readonly PeerView[];
}

export interface PeerView {
  readonly name: string;
  readonly nodeId: string;
  readonly addresses: Addresses;
  readonly session: "none" | "connecting" | "ready" | "draining";
  /** `ip:port` of the session's path. */
  readonly remote: string | null;
  readonly rttMicros: number | null;
  /** Every way to it that is open or being tried, the one in use first. */
  readonly paths: readonly PathView[];
  /** Since when the session is what it is. */
  readonly since: number | null;
  readonly bytes: { readonly sent: number; readonly received: number };
  readonly packets: { readonly sent: number; readonly received: number };
  /** Packets not passed on, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  /** By traffic class; a class in which nothing happened is absent. */
  readonly classes: PeerState["classes"];
  /** Of what was received, what came as datagrams, which do not name their class. */
  readonly datagrams: { readonly packets: number; readonly bytes: number };
  /** How hard it is to carry to it what is asked; null without a session. */
  readonly pressure: Pressure | null;
  /** What it says of itself; null: nothing lately. */
  readonly remotePressure: RemotePressure | null;
  /** Bulk goes no faster, because the peer or urgent packets to it suffer. */
  readonly bulkBytesPerSecond: number | null;
  readonly lastFailure: { readonly code: string; readonly message: string; readonly at: number } | null;
}

/** One pair of addresses. */
export interface PathView {
  readonly remote: string;
  readonly local: string | null;
  readonly status: PathStatus;
  readonly rttMicros: number;
  readonly jitterMicros: number;
  /** Of a thousand packets sent over the last seconds. */
  readonly lostPermille: number;
  /** Delivered over the last seconds. */
  readonly bytesPerSecond: number;
  readonly lastHeardAt: number | null;
  /** UDP payload that it carries. */
  readonly mtu: number;
}

/** `GET /v1/diagnostics`: what `fabric bundle` packs, and `fabric netcheck` looks at. No secret is among it. */
export interface DiagnosticsView {
  readonly status: StatusView;
  readonly peers: PeersView;
  /** As the engine describes itself; null: it is not there. */
  readonly engine: State | null;
  /** As read from its file; files with secrets in them are only named. */
  readonly config: object;
  readonly facts: Facts;
  readonly health: { readonly live: Health; readonly ready: Health };
  /** The last lines of the agent's log, oldest first. */
  readonly log: readonly string[];
}

/** `POST /v1/join` → 202 with this. */
export interface JoinStartedView {
  readonly state: NodeState;
}
