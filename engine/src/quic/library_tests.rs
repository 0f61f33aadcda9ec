//! What we need of the library beyond its release: each test fails without its patch in engine/patches.

use std::time::Duration;

use noq_proto::congestion::NewRenoConfig;
use noq_proto::{
    AckFrequencyConfig, Event, FourTuple, PathEvent, PathStatus, TransportConfig, VarInt,
};

use super::network::{Network, address};

const WINDOW_BYTES: u32 = 16 << 20;

fn transport() -> TransportConfig {
    let mut congestion = NewRenoConfig::default();
    congestion.initial_window(1 << 30);
    let mut config = TransportConfig::default();
    config
        .stream_receive_window(VarInt::from_u32(WINDOW_BYTES))
        .receive_window(VarInt::from_u32(4 * WINDOW_BYTES))
        .send_window(u64::from(WINDOW_BYTES))
        .max_concurrent_multipath_paths(4)
        .no_path_timeout(Some(Duration::from_secs(30)))
        .ack_frequency_config(Some(AckFrequencyConfig::default()))
        .enable_segmentation_offload(false)
        .congestion_controller_factory(std::sync::Arc::new(congestion));
    config
}

#[test]
fn a_window_of_packets_behind_one_hole_arrives() {
    let mut network = Network::connected(1, transport());
    network.delay = Duration::from_millis(20);
    let mut full = 0;
    network.losses = Box::new(move |from, _, bytes| {
        let is_full = from == address(0, 0) && bytes > 1_000;
        full += usize::from(is_full);
        is_full && full == 1
    });
    let (id, written) = network.write(0, 8 << 20);
    assert_eq!(written, 8 << 20);
    network.run_until(|network| {
        assert!(!network.sides[1].is_closed(), "closed");
        network.sides[1].read.get(&id) == Some(&(written as u64))
    });
}

#[test]
fn every_other_packet_of_a_window_may_be_lost() {
    let mut network = Network::connected(1, transport());
    let mut count = 0;
    network.losses = Box::new(move |from, _, bytes| {
        let is_full = from == address(0, 0) && bytes > 1_000;
        count += usize::from(is_full);
        is_full && count % 2 == 1 && count < 7_000
    });
    let (id, written) = network.write(0, 8 << 20);
    network.run_until(|network| {
        let closed = network.sides[1].is_closed();
        assert!(!closed, "{:?}", network.sides[1].events);
        network.sides[1].read.get(&id) == Some(&(written as u64))
    });
}

/// Opens a path on network 1 and waits for it.
fn second_path(network: &mut Network) -> noq_proto::PathId {
    let now = network.now;
    let tuple = FourTuple::new(address(1, 1), Some(address(0, 1).ip()));
    let id = network.sides[0]
        .connection()
        .open_path(tuple, PathStatus::Backup, now)
        .expect("opens");
    network.run_until(|network| {
        let established = |event: &Event| matches!(event, Event::Path(PathEvent::Established { id: of, .. }) if *of == id);
        network.sides[0].events.iter().any(established)
    });
    id
}

#[test]
fn a_closed_path_loses_what_it_carried_at_once() {
    let mut network = Network::connected(2, transport());
    network.delay = Duration::from_millis(20);
    second_path(&mut network);
    network.losses = Box::new(|from, _, _| from == address(0, 0) || from == address(1, 0));
    let (id, written) = network.write(0, 100_000);
    network.run(Duration::from_millis(60));
    let now = network.now;
    network.sides[0]
        .connection()
        .close_path(now, noq_proto::PathId::ZERO, VarInt::from_u32(1))
        .expect("closes");
    let took =
        network.run_until(|network| network.sides[1].read.get(&id) == Some(&(written as u64)));
    // One way, and pacing.
    assert!(took < Duration::from_millis(60), "{took:?}");
}

#[test]
fn paths_that_never_arrived_do_not_use_up_the_ids() {
    let mut network = Network::connected(2, transport());
    network.losses = Box::new(|from, _, _| from == address(0, 1));
    for round in 0..12 {
        let now = network.now;
        let tuple = FourTuple::new(address(1, 1), Some(address(0, 1).ip()));
        let connection = network.sides[0].connection();
        let id = connection
            .open_path(tuple, PathStatus::Backup, now)
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
        network.run(Duration::from_millis(300));
        let now = network.now;
        network.sides[0]
            .connection()
            .close_path(now, id, VarInt::from_u32(1))
            .expect("closes");
        network.run(Duration::from_secs(4));
    }
    network.losses = Box::new(|_, _, _| false);
    second_path(&mut network);
    assert_eq!(network.sides[0].connection().paths().len(), 2);
}

/// While the network is down each side may abandon the path that the other one kept.
#[test]
fn a_connection_may_be_without_a_path_for_as_long_as_it_may_be_silent() {
    let mut network = Network::connected(2, transport());
    let second = second_path(&mut network);
    network.run(Duration::from_millis(500));
    network.losses = Box::new(|_, _, _| true);
    let now = network.now;
    for (side, closed) in [(0, second), (1, noq_proto::PathId::ZERO)] {
        network.sides[side]
            .connection()
            .close_path(now, closed, VarInt::from_u32(1))
            .expect("closes");
    }
    network.run(Duration::from_millis(50));
    // Both words arrive.
    network.losses = Box::new(|_, _, _| false);
    network.run(Duration::from_secs(5));
    for side in &mut network.sides {
        let connection = side.connection();
        assert_eq!(connection.paths(), []);
        // What waits, waits on.
        let data = bytes::Bytes::from_static(&[1; 100]);
        connection.datagrams().send(data, true).expect("takes it");
    }
    network.run(Duration::from_secs(1));
    second_path(&mut network);
    let (id, written) = network.write(0, 100_000);
    network.run_until(|network| network.sides[1].read.get(&id) == Some(&(written as u64)));
    assert_eq!(network.sides.map(|side| side.datagrams), [1, 1]);
}

/// The challenges of a path that does not answer become rare.
#[test]
fn a_path_that_is_being_opened_asks_again_when_told() {
    let mut network = Network::connected(2, transport());
    network.losses = Box::new(|from, _, _| from == address(0, 1));
    let now = network.now;
    let tuple = FourTuple::new(address(1, 1), Some(address(0, 1).ip()));
    let connection = network.sides[0].connection();
    let id = connection.open_path(tuple, PathStatus::Backup, now);
    let id = id.expect("opens");
    network.run(Duration::from_millis(300));
    network.losses = Box::new(|_, _, _| false);
    let connection = network.sides[0].connection();
    connection.ping_path(id).expect("is there");
    network.run(Duration::from_millis(10));
    let established = |event: &Event| matches!(event, Event::Path(PathEvent::Established { id: of, .. }) if *of == id);
    assert!(network.sides[0].events.iter().any(established));
}

#[test]
fn a_path_tells_what_waits_for_acknowledgement() {
    let mut network = Network::connected(1, transport());
    network.run(Duration::from_secs(1));
    let progress = |network: &mut Network| {
        let connection = network.sides[0].connection();
        connection
            .path_progress(noq_proto::PathId::ZERO)
            .expect("path")
    };
    let (idle, before) = progress(&mut network);
    assert_eq!(idle, 0);
    network.losses = Box::new(|from, _, _| from == address(1, 0));
    network.write(0, 5_000);
    network.run(Duration::from_millis(10));
    let (waiting, acknowledged) = progress(&mut network);
    assert!(waiting > 0);
    assert_eq!(acknowledged, before);
    network.losses = Box::new(|_, _, _| false);
    network.run(Duration::from_secs(1));
    let (waiting, acknowledged) = progress(&mut network);
    assert_eq!(waiting, 0);
    assert!(acknowledged > before);
}

#[test]
fn a_waiting_path_does_not_shrink_datagrams() {
    let mut network = Network::connected(2, transport());
    network.run(Duration::from_secs(2));
    let largest = |network: &mut Network| network.sides[0].connection().datagrams().max_size();
    let before = largest(&mut network);
    assert!(before > Some(1_300), "{before:?}");
    network.losses = Box::new(|from, _, bytes| from == address(0, 1) && bytes > 1_200);
    second_path(&mut network);
    network.run(Duration::from_secs(2));
    assert_eq!(largest(&mut network), before);
    let now = network.now;
    let connection = network.sides[0].connection();
    connection
        .close_path(now, noq_proto::PathId::ZERO, VarInt::from_u32(1))
        .expect("closes");
    assert!(largest(&mut network) < Some(1_200));
}
