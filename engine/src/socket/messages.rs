//! The messages of the engine's local socket, and the bound of every field that comes in.
//!
//! A request is `{ id, command: { type, … } }`, answered by `{ id, result }` or `{ id, error: { code, message } }`; an event is
//! `{ event: { type, … } }`. Each is one MessagePack map in one length-prefixed frame (docs/wire/engine-socket.md). The
//! TypeScript types of these are generated into client/generated/messages.ts by the tests of `bindings`.
//! Times are unix milliseconds; fields carry their unit in their name.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::bounded::{list, text, texts};
pub use crate::frames::{Authority, MAX_KIND_BYTES, MAX_PAYLOAD_BYTES};

/// The version of this socket protocol that `hello` must name.
pub const PROTOCOL_VERSION: u32 = 1;

/// Length of one frame. A complete desired state of `MAX_PEERS` peers with all their candidates takes 12 MiB.
pub const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;
/// Peers of one node: the mission's small clusters are hundreds, a hub may know thousands.
pub const MAX_PEERS: usize = 10_000;
/// Addresses at which one peer may be dialled.
pub const MAX_CANDIDATES: usize = 16;
/// Inner prefixes of one peer, each way.
pub const MAX_PREFIXES: usize = 256;
/// Certificates in the chain, and CA certificates trusted at once (rotation overlaps two).
pub const MAX_CERTIFICATES: usize = 8;
/// One PEM certificate; ours are about 1 KiB.
pub const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;
/// Fingerprints of revoked nodes whose certificates have not run out yet.
pub const MAX_REVOKED: usize = 10_000;
/// Tunnel addresses and routes.
pub const MAX_TUNNEL_ADDRESSES: usize = 16;
/// Routes into the tunnel: pools now, exit and site prefixes later.
pub const MAX_TUNNEL_ROUTES: usize = 1_024;
/// Rules that give packets their class. Each new flow is compared with all of them.
pub const MAX_TRAFFIC_RULES: usize = 64;
/// Port ranges of one rule.
pub const MAX_RULE_PORTS: usize = 16;
/// DSCP values of one rule.
pub const MAX_RULE_DSCP: usize = 16;
/// An opaque peer id, chosen by the client.
pub const MAX_PEER_ID_BYTES: usize = 64;
/// A SPIFFE id (SPIFFE-ID 2.3: at most 2,048 bytes; ours are below 128).
pub const MAX_SPIFFE_ID_BYTES: usize = 256;
/// A DNS name.
pub const MAX_TRUST_DOMAIN_BYTES: usize = 253;
/// `[v6%scope]:port`, a CIDR, or a hex SHA-256.
pub const MAX_ADDRESS_BYTES: usize = 64;
/// A relay's address may have a session in front.
pub const MAX_CANDIDATE_BYTES: usize = 96;
pub const FINGERPRINT_BYTES: usize = 64;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Request {
    /// Chosen by the client, echoed in the reply.
    pub id: u32,
    pub command: Command,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Command {
    /// First command of a connection.
    Hello(HelloCommand),
    /// Answer with the whole `State`.
    Describe,
    /// Make the engine's state exactly this one. Idempotent; all or nothing.
    Apply(Box<ApplyCommand>),
    /// Send one envelope to a peer with a ready session.
    Send(SendCommand),
    /// Drop every intent: sessions end with GOAWAY, the tunnel is removed, the process stays.
    Stop,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct HelloCommand {
    pub protocol: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct ApplyCommand {
    pub desired: Desired,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct SendCommand {
    #[serde(deserialize_with = "text::<MAX_PEER_ID_BYTES, _>")]
    pub peer: String,
    #[serde(deserialize_with = "text::<MAX_KIND_BYTES, _>")]
    pub kind: String,
    #[cfg_attr(test, ts(type = "Uint8Array"))]
    pub payload: Bytes,
}

/// The complete desired state: what is absent is removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Desired {
    /// The client's own number for this state, shown again by `describe`.
    #[cfg_attr(test, ts(type = "number"))]
    pub revision: u64,
    #[serde(deserialize_with = "text::<MAX_TRUST_DOMAIN_BYTES, _>")]
    pub trust_domain: String,
    /// When all of it ends by itself, if no newer state comes.
    #[cfg_attr(test, ts(type = "number"))]
    pub expires_at_ms: u64,
    /// The authority that this state reflects; announced to peers.
    pub authority: Authority,
    pub identity: IdentityIntent,
    /// Absent (null): no tunnel interface.
    pub tunnel: Option<TunnelIntent>,
    #[serde(deserialize_with = "list::<MAX_PEERS, _, _>")]
    pub peers: Vec<PeerIntent>,
    /// Fingerprints that are refused even with a valid certificate.
    #[serde(deserialize_with = "texts::<MAX_REVOKED, FINGERPRINT_BYTES, _>")]
    pub revoked: Vec<String>,
    /// What class a packet into the tunnel gets: the first rule that matches decides, and none means `bulk`.
    #[serde(deserialize_with = "list::<MAX_TRAFFIC_RULES, _, _>")]
    pub traffic_rules: Vec<TrafficRule>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityIntent {
    #[serde(deserialize_with = "text::<MAX_SPIFFE_ID_BYTES, _>")]
    pub spiffe_id: String,
    /// Leaf first. The private key is read by the engine itself.
    #[serde(deserialize_with = "texts::<MAX_CERTIFICATES, MAX_CERTIFICATE_BYTES, _>")]
    pub certificate_chain_pem: Vec<String>,
    #[serde(deserialize_with = "texts::<MAX_CERTIFICATES, MAX_CERTIFICATE_BYTES, _>")]
    pub ca_certificates_pem: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TunnelIntent {
    /// Addresses of this node with their prefix length, e.g. `100.96.0.5/32`.
    #[serde(deserialize_with = "texts::<MAX_TUNNEL_ADDRESSES, MAX_ADDRESS_BYTES, _>")]
    pub addresses: Vec<String>,
    /// Prefixes routed into the tunnel.
    #[serde(deserialize_with = "texts::<MAX_TUNNEL_ROUTES, MAX_ADDRESS_BYTES, _>")]
    pub routes: Vec<String>,
    pub mtu: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerIntent {
    /// Opaque: a node id, or `operator`.
    #[serde(deserialize_with = "text::<MAX_PEER_ID_BYTES, _>")]
    pub id: String,
    #[serde(deserialize_with = "text::<MAX_SPIFFE_ID_BYTES, _>")]
    pub spiffe_id: String,
    /// Lowercase hex SHA-256 of the public key (SPKI DER).
    #[serde(deserialize_with = "text::<FINGERPRINT_BYTES, _>")]
    pub fingerprint: String,
    /// `ip:port`, or `relay:<session>@<ip:port>` with a session of 16 lowercase hexadecimal digits; best first; empty: never
    /// dialled, only accepted. The peer must have a relay's session among its own candidates to answer there.
    #[serde(deserialize_with = "texts::<MAX_CANDIDATES, MAX_CANDIDATE_BYTES, _>")]
    pub candidates: Vec<String>,
    /// Inner sources accepted from this peer = destinations routed to it.
    #[serde(deserialize_with = "texts::<MAX_PREFIXES, MAX_ADDRESS_BYTES, _>")]
    pub remote_prefixes: Vec<String>,
    /// Inner destinations accepted from this peer = sources it may be sent from.
    #[serde(deserialize_with = "texts::<MAX_PREFIXES, MAX_ADDRESS_BYTES, _>")]
    pub local_prefixes: Vec<String>,
    #[cfg_attr(test, ts(type = "number"))]
    pub expires_at_ms: u64,
}

/// How traffic is told apart, from what passes first to what is dropped first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub enum TrafficClass {
    Control,
    Dns,
    Interactive,
    Reliable,
    Bulk,
    Droppable,
}

/// `icmp` is ICMPv6 too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub enum TrafficProtocol {
    Tcp,
    Udp,
    Icmp,
}

/// Gives a class to what fits all of its conditions; an absent or empty one fits everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrafficRule {
    pub class: TrafficClass,
    pub protocol: Option<TrafficProtocol>,
    /// The source or the destination port lies in one of these.
    #[serde(deserialize_with = "list::<MAX_RULE_PORTS, _, _>")]
    pub ports: Vec<PortRange>,
    #[serde(deserialize_with = "list::<MAX_RULE_DSCP, _, _>")]
    pub dscp: Vec<u8>,
    /// The inner IP packet has at most this length.
    pub max_packet_bytes: Option<u32>,
    /// The flow's recent rate is lower than this.
    #[cfg_attr(test, ts(type = "number | null"))]
    pub below_bytes_per_second: Option<u64>,
}

/// Both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortRange {
    pub from: u16,
    pub to: u16,
}

/// What goes back to a client.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(untagged)]
pub enum ServerMessage {
    Result { id: u32, result: CommandResult },
    Failure { id: u32, error: CommandError },
    Event { event: Event },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(untagged)]
pub enum CommandResult {
    Hello(HelloResult),
    State(Box<State>),
    Applied(ApplyResult),
    Done {},
}

/// A refusal: a stable code of `codes` and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CommandError {
    #[cfg_attr(test, ts(type = "string"))]
    pub code: std::borrow::Cow<'static, str>,
    pub message: String,
}

impl CommandError {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }
}

/// Stable codes of refused commands.
pub mod codes {
    /// `hello` named another protocol version.
    pub const PROTOCOL_UNSUPPORTED: &str = "PROTOCOL_UNSUPPORTED";
    /// A command came before `hello`.
    pub const HELLO_REQUIRED: &str = "HELLO_REQUIRED";
    /// The frame's length is above `MAX_FRAME_BYTES`; the connection ends.
    pub const FRAME_TOO_LARGE: &str = "FRAME_TOO_LARGE";
    /// The connecting user is not one of the configured ones; the connection ends.
    pub const NOT_ALLOWED: &str = "NOT_ALLOWED";
    /// The engine serves as many clients as it may; the connection ends.
    pub const TOO_MANY_CLIENTS: &str = "TOO_MANY_CLIENTS";
    /// Not MessagePack, a missing field, or a wrong type.
    pub const MALFORMED: &str = "MALFORMED";
    pub const UNKNOWN_COMMAND: &str = "UNKNOWN_COMMAND";
    pub const INVALID_ARGUMENT: &str = "INVALID_ARGUMENT";
    /// A list or text is longer than its bound.
    pub const LIMIT_EXCEEDED: &str = "LIMIT_EXCEEDED";
    /// The root-owned configuration does not allow this prefix, address or MTU.
    pub const PREFIX_FORBIDDEN: &str = "PREFIX_FORBIDDEN";
    pub const IDENTITY_INVALID: &str = "IDENTITY_INVALID";
    pub const CERTIFICATE_KEY_MISMATCH: &str = "CERTIFICATE_KEY_MISMATCH";
    pub const KEY_UNREADABLE: &str = "KEY_UNREADABLE";
    pub const TUNNEL_FAILED: &str = "TUNNEL_FAILED";
    /// `send` to a peer without a ready session.
    pub const NO_SESSION: &str = "NO_SESSION";
    /// `send` while too much is already waiting for this peer.
    pub const BACKPRESSURE: &str = "BACKPRESSURE";
    /// `send` of a payload above `MAX_PAYLOAD_BYTES`, or above what the peer accepts.
    pub const TOO_LARGE: &str = "TOO_LARGE";
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct HelloResult {
    pub protocol: u32,
    pub engine_version: String,
    /// Random for each start of the engine: another one means that everything must be applied again.
    pub instance_id: String,
    #[cfg_attr(test, ts(type = "number"))]
    pub started_at_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct ApplyResult {
    /// What the command changed, for people and logs; empty when all was so already.
    pub changed: Vec<String>,
}

/// Everything a client needs to know after it (re)connects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct State {
    pub instance_id: String,
    pub engine_version: String,
    #[cfg_attr(test, ts(type = "number"))]
    pub started_at_ms: u64,
    /// Revision of the applied desired state; 0 when there is none.
    #[cfg_attr(test, ts(type = "number"))]
    pub revision: u64,
    pub identity: Option<IdentityState>,
    pub tunnel: Option<TunnelState>,
    /// Addresses that the UDP socket is bound to.
    pub listen: Vec<String>,
    pub peers: Vec<PeerState>,
    #[cfg_attr(test, ts(type = "Record<string, number>"))]
    pub counters: BTreeMap<String, u64>,
    /// How hard it is for this node, and, by class, for the worst of its peers.
    pub pressure: Pressure,
    /// What is left to the kernel or the network card; false: refused by it, turned off, or without a tunnel.
    pub offloads: OffloadState,
    /// What the operator of this host should know, e.g. `real-time priority refused`.
    pub notes: Vec<String>,
}

/// A soft signal: less would be better. Never that a peer failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct Pressure {
    pub level: PressureLevel,
    /// 0 to 100, of the last second.
    pub score: u8,
    /// Worst first, one for each kind at most: `loop memory udpSend tunnel inFlight streams`, and `queue.CLASS` and `delay.CLASS`.
    pub reasons: Vec<PressureReason>,
    /// The classes that are not nominal.
    #[cfg_attr(test, ts(type = "Partial<Record<TrafficClass, PressureLevel>>"))]
    pub classes: BTreeMap<TrafficClass, PressureLevel>,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub enum PressureLevel {
    #[default]
    Nominal,
    Warning,
    Critical,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct PressureReason {
    pub reason: String,
    pub score: u8,
}

/// What a peer says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct RemotePressure {
    pub level: PressureLevel,
    pub score: u8,
    /// Of `loop memory udpSend tunnel`.
    pub reasons: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct OffloadState {
    pub tun_checksum: bool,
    pub tun_tcp_segmentation: bool,
    pub tun_udp_segmentation: bool,
    pub udp_segmentation: bool,
    pub udp_coalescing: bool,
}

/// Inner packets of one class. What comes as a datagram does not name its class: see `rxDatagrams` of the peer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct ClassState {
    #[cfg_attr(test, ts(type = "number"))]
    pub tx_packets: u64,
    #[cfg_attr(test, ts(type = "number"))]
    pub tx_bytes: u64,
    #[cfg_attr(test, ts(type = "number"))]
    pub rx_packets: u64,
    #[cfg_attr(test, ts(type = "number"))]
    pub rx_bytes: u64,
    /// By reason.
    #[cfg_attr(test, ts(type = "Record<string, number>"))]
    pub dropped: BTreeMap<String, u64>,
    /// What waits for the peer, with its bookkeeping.
    #[cfg_attr(test, ts(type = "number"))]
    pub queued_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct IdentityState {
    pub spiffe_id: String,
    pub fingerprint: String,
    #[cfg_attr(test, ts(type = "number"))]
    pub not_after_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct TunnelState {
    pub interface: String,
    pub addresses: Vec<String>,
    pub routes: Vec<String>,
    pub mtu: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub enum SessionState {
    None,
    Connecting,
    Ready,
    Draining,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct PeerState {
    pub id: String,
    pub spiffe_id: String,
    pub session: SessionState,
    /// Of the session's path, written as in `candidates`.
    pub remote: Option<String>,
    #[cfg_attr(test, ts(type = "number | null"))]
    pub rtt_micros: Option<u64>,
    /// Since when `session` is what it is.
    #[cfg_attr(test, ts(type = "number"))]
    pub since_ms: u64,
    /// UDP payload that the path carries.
    pub mtu: Option<u32>,
    #[cfg_attr(test, ts(type = "number"))]
    pub tx_packets: u64,
    #[cfg_attr(test, ts(type = "number"))]
    pub rx_packets: u64,
    #[cfg_attr(test, ts(type = "number"))]
    pub tx_bytes: u64,
    #[cfg_attr(test, ts(type = "number"))]
    pub rx_bytes: u64,
    /// Packets that were not passed on, by reason.
    #[cfg_attr(test, ts(type = "Record<string, number>"))]
    pub dropped: BTreeMap<String, u64>,
    /// The classes in which anything happened.
    #[cfg_attr(test, ts(type = "Partial<Record<TrafficClass, ClassState>>"))]
    pub classes: BTreeMap<TrafficClass, ClassState>,
    /// Of the received packets, those that came as datagrams, whose class is not known.
    #[cfg_attr(test, ts(type = "number"))]
    pub rx_datagrams: u64,
    #[cfg_attr(test, ts(type = "number"))]
    pub rx_datagram_bytes: u64,
    /// How hard it is to carry to it what is asked; null without a session.
    pub pressure: Option<Pressure>,
    /// What it said of itself in the last seconds.
    pub remote_pressure: Option<RemotePressure>,
    /// Bulk goes no faster, because the peer or urgent packets to it suffer; null: as fast as the path takes it.
    #[cfg_attr(test, ts(type = "number | null"))]
    pub bulk_bytes_per_second: Option<u64>,
    pub last_failure: Option<PeerFailure>,
    /// What the peer says it has applied.
    pub remote_authority: Option<Authority>,
    /// Of the session, at most 12.
    pub paths: Vec<PeerPath>,
}

/// One way to a peer: a pair of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct PeerPath {
    /// Written as in `candidates`.
    pub remote: String,
    /// This host's address, once it is known.
    pub local: Option<String>,
    pub status: PathStatus,
    #[cfg_attr(test, ts(type = "number"))]
    pub rtt_micros: u64,
    /// How much the round trip time varies from one to the next.
    #[cfg_attr(test, ts(type = "number"))]
    pub jitter_micros: u64,
    /// Of a thousand packets sent over the last seconds.
    pub lost_permille: u32,
    /// Delivered over the last seconds.
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes_per_second: u64,
    /// When a packet last came over it.
    #[cfg_attr(test, ts(type = "number | null"))]
    pub last_heard_ms: Option<u64>,
    /// UDP payload that it carries.
    pub mtu: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub enum PathStatus {
    /// It is being tried.
    Opening,
    /// It carries the session's packets.
    Active,
    /// It answers, and waits.
    Backup,
    /// It answers no more.
    Suspect,
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct PeerFailure {
    pub code: String,
    pub message: String,
    /// The peer, having proved who it is, refused this node in the handshake with this code. Without it a code is no more than
    /// a hint: whoever sees the first packets of a handshake can forge its end.
    pub refused_by_peer: bool,
    #[cfg_attr(test, ts(type = "number"))]
    pub at_ms: u64,
}

/// What happened, told to every client that said hello.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Event {
    SessionReady {
        peer: String,
        remote: String,
        remote_authority: Authority,
    },
    /// The peer of a ready session announced a newer authority.
    AuthorityChanged {
        peer: String,
        remote_authority: Authority,
    },
    SessionClosed {
        peer: String,
        code: String,
        message: String,
    },
    /// A path of a ready session became what it was not. Why, if it was not by choice: `timeout`, `peer_unavailable`,
    /// `connection_refused`, `connection_reset`, `no_route_to_host` or `capacity_limited`.
    PathChanged {
        peer: String,
        remote: String,
        status: PathStatus,
        reason: Option<String>,
    },
    /// The pressure level changed: of this node (peer null), or of the way to a peer. At most once a second for each.
    Pressure {
        peer: Option<String>,
        level: PressureLevel,
        score: u8,
        reasons: Vec<PressureReason>,
    },
    /// A handshake that was refused; `count` of the same since the last such event.
    Refused {
        remote: String,
        code: String,
        spiffe_id: Option<String>,
        #[cfg_attr(test, ts(type = "number"))]
        count: u64,
    },
    Message {
        peer: String,
        kind: String,
        #[cfg_attr(test, ts(type = "Uint8Array"))]
        payload: Bytes,
    },
    /// An intent ended because its time was over.
    Expired { what: String },
    /// Events were lost because the client read too slowly: it should describe again.
    Resync,
}
