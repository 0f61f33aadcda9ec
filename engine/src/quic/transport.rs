//! The numbers of the transport, each with its reason.

use std::sync::Arc;
use std::time::Duration;

use noq_proto::congestion::CubicConfig;
use noq_proto::{
    AckFrequencyConfig, EndpointConfig, HashedConnectionIdGenerator, MtuDiscoveryConfig,
    TransportConfig, VarInt,
};

use super::congestion::{Counting, Gauge};
use super::reset_key::ResetKey;

/// Three lost keep-alives in a row are a dead peer; noticed within 10 s.
const IDLE_TIMEOUT_MS: u32 = 8_000;
/// A third of the idle timeout, so that two may be lost; below the 30 s after which NATs forget.
const KEEP_ALIVE: Duration = Duration::from_millis(2_500);
/// What one stream of a peer may make this node hold.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// All streams of a connection filled at once.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// What may wait for acknowledgement: 80 ms at 400 Mbit/s of stream lanes.
const SEND_WINDOW_BYTES: u64 = 4 << 20;
/// Datagrams wait in our own queue, where they are counted and bounded, not in the library's; this holds one turn's worth.
pub(super) const DATAGRAM_SEND_BYTES: usize = 512 << 10;
/// What may arrive between two turns.
const DATAGRAM_RECEIVE_BYTES: usize = 4 << 20;
/// What every path carries (RFC 9000 §14). What more it carries is found out by probing.
const INITIAL_MTU: u16 = 1_200;
/// Taken from a peer: what links with jumbo frames carry.
const MAX_MTU: u16 = 9_000;
/// Before the first measurement. The RFC's 333 ms makes a lost first packet cost a second.
const INITIAL_RTT: Duration = Duration::from_millis(100);
/// Packets of the other side's that need no acknowledgement of their own (draft-ietf-quic-ack-frequency). With an acknowledgement for
/// every second one, ACKs are a tenth of what a bulk transfer costs.
const UNACKNOWLEDGED_PACKETS: u32 = 64;
/// How long they may wait for it: less than what the failure detector allows.
const ACKNOWLEDGEMENT_DELAY: Duration = Duration::from_millis(1);
/// One control stream; the dialler opens it.
const BIDIRECTIONAL_STREAMS: u32 = 1;
/// Packet lanes.
const UNIDIRECTIONAL_STREAMS: u32 = 32;
/// Offered to peers from the start, so that a later engine may open more paths with this one.
const PATHS: u32 = 16;

/// Of one connection, whose paths `gauge` counts.
/// Packets of up to `largest_packet` bytes are tried: what the link out of this host carries.
pub fn transport_config(gauge: &Arc<Gauge>, largest_packet: u16) -> Arc<TransportConfig> {
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(largest_packet.clamp(INITIAL_MTU, MAX_MTU));
    let mut acknowledgements = AckFrequencyConfig::default();
    acknowledgements
        .ack_eliciting_threshold(VarInt::from_u32(UNACKNOWLEDGED_PACKETS))
        .max_ack_delay(Some(ACKNOWLEDGEMENT_DELAY));
    let mut config = TransportConfig::default();
    config
        .ack_frequency_config(Some(acknowledgements))
        .max_idle_timeout(Some(VarInt::from_u32(IDLE_TIMEOUT_MS).into()))
        // While the network is down each side may abandon the path that the other one kept.
        .no_path_timeout(Some(Duration::from_millis(IDLE_TIMEOUT_MS.into())))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .datagram_send_buffer_size(DATAGRAM_SEND_BYTES)
        .datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_BYTES))
        .initial_mtu(INITIAL_MTU)
        .min_mtu(INITIAL_MTU)
        .mtu_discovery_config(Some(discovery))
        .initial_rtt(INITIAL_RTT)
        .max_concurrent_bidi_streams(VarInt::from_u32(BIDIRECTIONAL_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(UNIDIRECTIONAL_STREAMS))
        .max_concurrent_multipath_paths(PATHS)
        .congestion_controller_factory(Arc::new(Counting {
            inner: Arc::new(CubicConfig::default()),
            gauge: gauge.clone(),
        }));
    Arc::new(config)
}

pub fn endpoint_config(key: &ResetKey) -> EndpointConfig {
    let connection_ids = key.connection_ids();
    let mut config = EndpointConfig::new(Arc::new(key.tokens()));
    // It fails only below 1,200.
    let _ = config.max_udp_payload_size(MAX_MTU);
    config
        // First bytes with the QUIC bit clear are ours (relay, probes): it must stay set.
        .grease_quic_bit(false)
        .cid_generator(Arc::new(move || {
            Box::new(HashedConnectionIdGenerator::from_key(connection_ids))
        }));
    config
}
