// Generated from engine/src/socket/messages.rs by `UPDATE_BINDINGS=1 cargo test --lib bindings`. Do not edit.

export const PROTOCOL_VERSION = 1;
export const MAX_FRAME_BYTES = 16777216;
export const MAX_PAYLOAD_BYTES = 1048576;
export const MAX_KIND_BYTES = 64;
export const MAX_PEERS = 10000;
export const MAX_CANDIDATES = 16;
export const MAX_PREFIXES = 256;
export const MAX_REVOKED = 10000;
export const MAX_TRAFFIC_RULES = 64;
export const MAX_RULE_PORTS = 16;
export const MAX_RULE_DSCP = 16;

/**
 * What a client asks for.
 */
export type Request = { 
/**
 * Chosen by the client, echoed in the reply.
 */
id: number, command: Command, };

export type Command = { "type": "hello" } & HelloCommand | { "type": "describe" } | { "type": "apply" } & ApplyCommand | { "type": "send" } & SendCommand | { "type": "stop" };

export type HelloCommand = { protocol: number, };

export type ApplyCommand = { desired: Desired, };

export type SendCommand = { peer: string, kind: string, payload: Uint8Array, };

/**
 * The complete desired state: what is absent is removed.
 */
export type Desired = { 
/**
 * The client's own number for this state, shown again by `describe`.
 */
revision: number, trustDomain: string, 
/**
 * When all of it ends by itself, if no newer state comes.
 */
expiresAtMs: number, 
/**
 * The authority that this state reflects; announced to peers.
 */
authority: Authority, identity: IdentityIntent, 
/**
 * Absent (null): no tunnel interface.
 */
tunnel: TunnelIntent | null, peers: Array<PeerIntent>, 
/**
 * Fingerprints that are refused even with a valid certificate.
 */
revoked: Array<string>, 
/**
 * What class a packet into the tunnel gets: the first rule that matches decides, and none means `bulk`.
 */
trafficRules: Array<TrafficRule>, };

/**
 * A decision of the cluster's authority; ordered by term, then epoch.
 */
export type Authority = { term: number, epoch: number, };

export type IdentityIntent = { spiffeId: string, 
/**
 * Leaf first. The private key is read by the engine itself.
 */
certificateChainPem: Array<string>, caCertificatesPem: Array<string>, };

export type TunnelIntent = { 
/**
 * Addresses of this node with their prefix length, e.g. `100.96.0.5/32`.
 */
addresses: Array<string>, 
/**
 * Prefixes routed into the tunnel.
 */
routes: Array<string>, mtu: number, };

export type PeerIntent = { 
/**
 * Opaque: a node id, or `operator`.
 */
id: string, spiffeId: string, 
/**
 * Lowercase hex SHA-256 of the public key (SPKI DER).
 */
fingerprint: string, 
/**
 * `ip:port`, or `relay:<session>@<ip:port>` with a session of 16 lowercase hexadecimal digits; best first; empty: never
 * dialled, only accepted. The peer must have a relay's session among its own candidates to answer there.
 */
candidates: Array<string>, 
/**
 * Inner sources accepted from this peer = destinations routed to it.
 */
remotePrefixes: Array<string>, 
/**
 * Inner destinations accepted from this peer = sources it may be sent from.
 */
localPrefixes: Array<string>, expiresAtMs: number, };

/**
 * How traffic is told apart, from what passes first to what is dropped first.
 */
export type TrafficClass = "control" | "dns" | "interactive" | "reliable" | "bulk" | "droppable";

/**
 * `icmp` is ICMPv6 too.
 */
export type TrafficProtocol = "tcp" | "udp" | "icmp";

/**
 * Gives a class to what fits all of its conditions; an absent or empty one fits everything.
 */
export type TrafficRule = { class: TrafficClass, protocol: TrafficProtocol | null, 
/**
 * The source or the destination port lies in one of these.
 */
ports: Array<PortRange>, dscp: Array<number>, 
/**
 * The inner IP packet has at most this length.
 */
maxPacketBytes: number | null, 
/**
 * The flow's recent rate is lower than this.
 */
belowBytesPerSecond: number | null, };

/**
 * Both ends belong to it.
 */
export type PortRange = { from: number, to: number, };

/**
 * What goes back to a client.
 */
export type ServerMessage = { id: number, result: CommandResult, } | { id: number, error: CommandError, } | { event: Event, };

export type CommandResult = HelloResult | State | ApplyResult | Record<symbol, never>;

/**
 * A refusal: a stable code of `codes` and a sentence for people.
 */
export type CommandError = { code: string, message: string, };

export type HelloResult = { protocol: number, engineVersion: string, 
/**
 * Random for each start of the engine: another one means that everything must be applied again.
 */
instanceId: string, startedAtMs: number, };

export type ApplyResult = { 
/**
 * What the command changed, for people and logs; empty when all was so already.
 */
changed: Array<string>, };

/**
 * Everything a client needs to know after it (re)connects.
 */
export type State = { instanceId: string, engineVersion: string, startedAtMs: number, 
/**
 * Revision of the applied desired state; 0 when there is none.
 */
revision: number, identity: IdentityState | null, tunnel: TunnelState | null, 
/**
 * Addresses that the UDP socket is bound to.
 */
listen: Array<string>, peers: Array<PeerState>, counters: Record<string, number>, 
/**
 * How hard it is for this node, and, by class, for the worst of its peers.
 */
pressure: Pressure, 
/**
 * What is left to the kernel or the network card; false: refused by it, turned off, or without a tunnel.
 */
offloads: OffloadState, 
/**
 * What the operator of this host should know, e.g. `real-time priority refused`.
 */
notes: Array<string>, };

export type IdentityState = { spiffeId: string, fingerprint: string, notAfterMs: number, };

/**
 * A soft signal: less would be better. Never that a peer failed.
 */
export type Pressure = { level: PressureLevel, 
/**
 * 0 to 100, of the last second.
 */
score: number, 
/**
 * Worst first, one for each kind at most: `loop memory udpSend tunnel inFlight streams`, and `queue.CLASS` and `delay.CLASS`.
 */
reasons: Array<PressureReason>, 
/**
 * The classes that are not nominal.
 */
classes: Partial<Record<TrafficClass, PressureLevel>>, };

export type PressureLevel = "nominal" | "warning" | "critical";

export type PressureReason = { reason: string, score: number, };

/**
 * What a peer says of itself.
 */
export type RemotePressure = { level: PressureLevel, score: number, 
/**
 * Of `loop memory udpSend tunnel`.
 */
reasons: Array<string>, };

export type OffloadState = { tunChecksum: boolean, tunTcpSegmentation: boolean, tunUdpSegmentation: boolean, udpSegmentation: boolean, udpCoalescing: boolean, };

/**
 * Inner packets of one class. What comes as a datagram does not name its class: see `rxDatagrams` of the peer.
 */
export type ClassState = { txPackets: number, txBytes: number, rxPackets: number, rxBytes: number, 
/**
 * By reason.
 */
dropped: Record<string, number>, 
/**
 * What waits for the peer, with its bookkeeping.
 */
queuedBytes: number, };

export type TunnelState = { interface: string, addresses: Array<string>, routes: Array<string>, mtu: number, };

export type SessionState = "none" | "connecting" | "ready" | "draining";

export type PeerState = { id: string, spiffeId: string, session: SessionState, 
/**
 * Of the session's path, written as in `candidates`.
 */
remote: string | null, rttMicros: number | null, 
/**
 * Since when `session` is what it is.
 */
sinceMs: number, 
/**
 * UDP payload that the path carries.
 */
mtu: number | null, txPackets: number, rxPackets: number, txBytes: number, rxBytes: number, 
/**
 * Packets that were not passed on, by reason.
 */
dropped: Record<string, number>, 
/**
 * The classes in which anything happened.
 */
classes: Partial<Record<TrafficClass, ClassState>>, 
/**
 * Of the received packets, those that came as datagrams, whose class is not known.
 */
rxDatagrams: number, rxDatagramBytes: number, 
/**
 * How hard it is to carry to it what is asked; null without a session.
 */
pressure: Pressure | null, 
/**
 * What it said of itself in the last seconds.
 */
remotePressure: RemotePressure | null, 
/**
 * Bulk goes no faster, because the peer or urgent packets to it suffer; null: as fast as the path takes it.
 */
bulkBytesPerSecond: number | null, lastFailure: PeerFailure | null, 
/**
 * What the peer says it has applied.
 */
remoteAuthority: Authority | null, 
/**
 * Of the session, at most 12.
 */
paths: Array<PeerPath>, };

/**
 * One way to a peer: a pair of addresses.
 */
export type PeerPath = { 
/**
 * Written as in `candidates`.
 */
remote: string, 
/**
 * This host's address, once it is known.
 */
local: string | null, status: PathStatus, rttMicros: number, 
/**
 * How much the round trip time varies from one to the next.
 */
jitterMicros: number, 
/**
 * Of a thousand packets sent over the last seconds.
 */
lostPermille: number, 
/**
 * Delivered over the last seconds.
 */
bytesPerSecond: number, 
/**
 * When a packet last came over it.
 */
lastHeardMs: number | null, 
/**
 * UDP payload that it carries.
 */
mtu: number, };

export type PathStatus = "opening" | "active" | "backup" | "suspect" | "closed";

export type PeerFailure = { code: string, message: string, 
/**
 * The peer, having proved who it is, refused this node in the handshake with this code. Without it a code is no more than
 * a hint: whoever sees the first packets of a handshake can forge its end.
 */
refusedByPeer: boolean, atMs: number, };

/**
 * What happened, told to every client that said hello.
 */
export type Event = { "type": "sessionReady", peer: string, remote: string, remoteAuthority: Authority, } | { "type": "authorityChanged", peer: string, remoteAuthority: Authority, } | { "type": "sessionClosed", peer: string, code: string, message: string, } | { "type": "pathChanged", peer: string, remote: string, status: PathStatus, reason: string | null, } | { "type": "pressure", peer: string | null, level: PressureLevel, score: number, reasons: Array<PressureReason>, } | { "type": "refused", remote: string, code: string, spiffeId: string | null, count: number, } | { "type": "message", peer: string, kind: string, payload: Uint8Array, } | { "type": "expired", what: string, } | { "type": "resync" };
