//! The table alone, and with two connections of the library over a network in memory.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use noq_proto::{AckFrequencyConfig, PathId, PathStatus, TransportConfig, VarInt};
use proptest::prelude::*;

use super::reason::PathReason;
use super::table::{Action, Network, Observation, Path, PathState, Table};
use crate::quic::network::{Network as Net, address};

const MS: Duration = Duration::from_millis(1);

fn place(number: u8) -> Network {
    Network {
        remote: address(1, number),
        local: None,
    }
}

fn acknowledged(number: u64) -> Observation {
    Observation {
        in_flight: 1,
        acknowledged: Some(number),
        rtt: MS,
    }
}

/// A dialler's with a path in use and one that waits, both observed once at `start`.
fn two_paths(start: Instant) -> Table {
    let mut table = Table::new(true, place(0), start);
    table.set_targets(&[place(0), place(1)], start);
    assert_eq!(table.poll(start), [Action::Open(place(1))]);
    table.opened(PathId::from(1u32), place(1), start);
    table.established(PathId::from(1u32), place(1), start);
    for id in [PathId::ZERO, PathId::from(1u32)] {
        table.observe(id, acknowledged(1), start);
    }
    table
}

#[test]
fn a_silent_path_is_asked_and_then_closed_for_the_one_that_answers() {
    let start = Instant::now();
    let mut table = two_paths(start);
    assert_eq!(table.poll(start + 50 * MS), []);
    let asked = table.poll(start + 70 * MS);
    assert!(asked.contains(&Action::Ping(PathId::ZERO)), "{asked:?}");
    assert!(asked.contains(&Action::Ping(PathId::from(1u32))));
    table.observe(PathId::from(1u32), acknowledged(2), start + 72 * MS);
    table.heard(place(1), start + 72 * MS);
    table.poll(start + 72 * MS);
    assert_eq!(table.poll(start + 99 * MS), []);
    assert_eq!(
        table.poll(start + 101 * MS),
        [
            Action::Close(PathId::ZERO, PathReason::Timeout),
            Action::SetStatus(PathId::from(1u32), PathStatus::Available)
        ]
    );
    let told: Vec<_> = table
        .take_changes()
        .iter()
        .map(|change| (change.remote, change.state, change.reason))
        .collect();
    assert_eq!(
        told[told.len() - 3..],
        [
            (address(1, 0), PathState::Suspect, Some(PathReason::Timeout)),
            (address(1, 0), PathState::Closed, Some(PathReason::Timeout)),
            (address(1, 1), PathState::Active, None),
        ]
    );
}

#[test]
fn two_addresses_of_ours_to_one_remote_are_two_paths() {
    let start = Instant::now();
    let from = |number: u8| Network {
        local: Some(address(0, number).ip()),
        ..place(0)
    };
    let mut table = Table::new(true, place(0), start);
    table.moved(PathId::ZERO, from(0));
    table.set_targets(&[place(0), from(1)], start);
    assert_eq!(table.poll(start), [Action::Open(from(1))]);
    let second = PathId::from(1u32);
    table.opened(second, from(1), start);
    table.established(second, from(1), start);
    // Long enough, and still the path that the host chooses is the preferred one.
    let later = start + Duration::from_secs(1);
    let is_status = |action: &Action| matches!(action, Action::SetStatus(..));
    assert!(!table.poll(later).iter().any(is_status));
    for (network, heard) in [(from(0), PathId::ZERO), (from(1), second)] {
        let at = later + MS;
        table.heard(network, at);
        let path = table.paths.iter().find(|path| path.id == heard);
        assert_eq!(path.and_then(|path| path.heard_at), Some(at));
        table.heard(from(2), later);
    }
    table.closed(PathId::ZERO, PathReason::Timeout, later);
    assert_eq!(
        table.poll(later)[..],
        [Action::SetStatus(second, PathStatus::Available)]
    );
}

/// The host got a better interface than the one that the session was made through.
#[test]
fn a_path_from_the_address_of_another_target_is_that_ones() {
    let start = Instant::now();
    let wireless = Network {
        local: Some(address(0, 0).ip()),
        ..place(0)
    };
    let cable = Network {
        local: Some(address(0, 1).ip()),
        ..place(0)
    };
    let mut table = Table::new(true, place(0), start);
    table.set_targets(&[place(0)], start);
    table.moved(PathId::ZERO, wireless);
    assert_eq!(table.poll(start), []);
    table.set_targets(&[place(0), wireless], start);
    assert_eq!(
        table.poll(start),
        [Action::Open(place(0))],
        "from the cable"
    );
    let better = PathId::from(1u32);
    table.opened(better, place(0), start);
    table.moved(better, cable);
    table.established(better, cable, start);
    let later = start + Duration::from_secs(1);
    let statuses: Vec<_> = table.poll(later);
    assert!(statuses.contains(&Action::SetStatus(better, PathStatus::Available)));
    assert!(statuses.contains(&Action::SetStatus(PathId::ZERO, PathStatus::Backup)));
    assert_eq!(table.paths.len(), 2, "both stay");
}

#[test]
fn one_lost_packet_is_no_dead_path() {
    let start = Instant::now();
    let mut table = two_paths(start);
    table.poll(start + 70 * MS);
    table.observe(PathId::ZERO, acknowledged(3), start + 72 * MS);
    assert_eq!(table.poll(start + 105 * MS), []);
}

#[test]
fn a_loop_that_overslept_looks_again_first() {
    let start = Instant::now();
    let mut table = two_paths(start);
    let closes = |actions: &[Action]| {
        let is_close = |action: &Action| matches!(action, Action::Close(..));
        actions.iter().any(is_close)
    };
    table.heard(place(1), start + 50 * MS);
    assert!(!closes(&table.poll(start + 150 * MS)));
    table.observe(PathId::from(1u32), acknowledged(2), start + 155 * MS);
    table.heard(place(1), start + 155 * MS);
    assert!(closes(&table.poll(start + 165 * MS)));
}

#[test]
fn when_nothing_is_heard_it_is_rather_the_other_host_that_pauses() {
    let start = Instant::now();
    let mut table = two_paths(start);
    table.poll(start + 70 * MS);
    assert_eq!(table.poll(start + 199 * MS), []);
    assert!(
        table
            .poll(start + 201 * MS)
            .contains(&Action::Close(PathId::ZERO, PathReason::Timeout))
    );
}

#[test]
fn a_packet_on_a_waiting_path_is_answered_there_when_the_one_in_use_is_quiet() {
    let start = Instant::now();
    let mut table = two_paths(start);
    table.heard(place(0), start);
    assert!(!table.heard(place(1), start + 10 * MS));
    assert!(table.heard(place(1), start + 60 * MS));
    let ping = Action::Ping(PathId::from(1u32));
    assert!(table.poll(start + 60 * MS).contains(&ping));
    assert!(!table.heard(place(1), start + 65 * MS));
    assert!(!table.poll(start + 65 * MS).contains(&ping));
}

#[test]
fn a_hint_shortens_the_silence_and_closes_nothing_that_answers() {
    let start = Instant::now();
    let mut table = two_paths(start);
    table.hint(
        |remote| remote == address(1, 0),
        PathReason::ConnectionRefused,
    );
    table.observe(PathId::ZERO, acknowledged(2), start + 10 * MS);
    assert_eq!(table.poll(start + 45 * MS), []);
    table.hint(
        |remote| remote == address(1, 0),
        PathReason::ConnectionRefused,
    );
    assert!(
        table
            .poll(start + 46 * MS)
            .contains(&Action::Close(PathId::ZERO, PathReason::ConnectionRefused))
    );
}

#[test]
fn an_idle_session_is_pinged_rarely_and_a_path_alone_not_at_all() {
    let start = Instant::now();
    let mut table = two_paths(start);
    for id in [PathId::ZERO, PathId::from(1u32)] {
        let idle = Observation {
            in_flight: 0,
            ..acknowledged(1)
        };
        table.observe(id, idle, start);
    }
    let pings = |table: &mut Table, from: u32, to: u32| {
        let actions = (from..to)
            .step_by(10)
            .flat_map(|at| table.poll(start + at * MS));
        let ping = Action::Ping(PathId::ZERO);
        actions.filter(|action| *action == ping).count()
    };
    let busy = pings(&mut table, 0, 10_000);
    assert!((49..=50).contains(&busy), "{busy}");
    let idle = pings(&mut table, 10_000, 30_000);
    assert!((8..=9).contains(&idle), "{idle}");
    let alone = Table::new(true, place(0), start);
    assert_eq!(alone.next_timeout(), None);
}

#[test]
fn rests_longer_after_each_failure_but_not_while_nothing_answers() {
    let start = Instant::now();
    for (answering, longest) in [(true, 300_000), (false, 500)] {
        let mut table = Table::new(true, place(0), start);
        table.set_targets(&[place(0), place(1)], start);
        if !answering {
            table.closed(PathId::ZERO, PathReason::Timeout, start);
        }
        let mut now = start;
        let mut rests = Vec::new();
        now = next_opening(&mut table, now, place(1));
        table.opened(PathId::from(1u32), place(1), now);
        table.closed(PathId::from(1u32), PathReason::PeerUnavailable, now);
        for _ in 1..16 {
            let failed_at = now;
            now = next_opening(&mut table, now, place(1));
            rests.push(now - failed_at);
            table.not_opened(place(1), PathReason::PeerUnavailable, now);
        }
        assert_eq!(rests[0], 250 * MS);
        assert!(rests.is_sorted(), "{rests:?}");
        assert_eq!(rests.last(), Some(&(longest * MS)));
    }
}

fn next_opening(table: &mut Table, from: Instant, network: Network) -> Instant {
    let mut now = from;
    while !table.poll(now).contains(&Action::Open(network)) {
        now += 10 * MS;
    }
    now
}

// ---- two connections

fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_multipath_paths(16)
        .initial_rtt(100 * MS)
        .max_idle_timeout(Some(VarInt::from_u32(8_000).into()))
        .no_path_timeout(Some(8_000 * MS))
        .ack_frequency_config(Some(AckFrequencyConfig::default()))
        .keep_alive_interval(Some(2_500 * MS))
        .stream_receive_window(VarInt::from_u32(16 << 20))
        .enable_segmentation_offload(false);
    config
}

fn steered(networks: u8) -> Net {
    let mut net = Net::connected(networks, transport());
    let remotes: Vec<SocketAddr> = (0..networks).map(|network| address(1, network)).collect();
    net.steer(&remotes);
    net.run(1_000 * MS);
    net
}

fn cut(net: &mut Net, networks: &'static [u8], directions: &'static [usize]) {
    net.losses = Box::new(move |from, _, _| {
        networks.iter().any(|network| {
            directions
                .iter()
                .any(|side| from == address(*side, *network))
        })
    });
}

fn mend(net: &mut Net) {
    net.losses = Box::new(|_, _, _| false);
}

/// Both sides send one datagram each 5 ms for so long; the longest pause that each saw at its receiving end.
fn longest_gaps(net: &mut Net, duration: Duration) -> [Duration; 2] {
    let end = net.now + duration;
    let mut last = [net.now; 2];
    let mut longest = [Duration::ZERO; 2];
    let mut tick = 0;
    while net.now < end {
        tick += 1;
        for side in 0..2 {
            if tick % 5 == 0 {
                let data = bytes::Bytes::from_static(&[1; 100]);
                net.sides[side]
                    .connection()
                    .datagrams()
                    .send(data, true)
                    .expect("sent");
            }
        }
        let before = [net.sides[0].datagrams, net.sides[1].datagrams];
        net.step();
        for side in 0..2 {
            if net.sides[side].datagrams > before[side] {
                longest[side] = longest[side].max(net.now - last[side]);
                last[side] = net.now;
            }
        }
    }
    for side in 0..2 {
        longest[side] = longest[side].max(net.now - last[side]);
    }
    longest
}

#[test]
fn the_first_target_carries_packets_and_the_others_wait() {
    let mut net = steered(3);
    assert_eq!(net.sides[0].active(), address(1, 0));
    assert_eq!(net.sides[1].active(), address(0, 0));
    assert_eq!(net.sides[0].connection().paths().len(), 3);
    // Told of another order, it follows.
    let order = [address(1, 2), address(1, 0), address(1, 1)];
    net.retarget(&order);
    longest_gaps(&mut net, 1_000 * MS);
    assert_eq!(net.sides[0].active(), address(1, 2));
    assert_eq!(net.sides[1].active(), address(0, 2));
}

#[test]
fn a_failure_in_any_direction_moves_the_packets_and_its_end_brings_them_back() {
    for delay in [1, 20] {
        for directions in [&[0, 1][..], &[0], &[1]] {
            let mut net = steered(2);
            net.delay = delay * MS;
            longest_gaps(&mut net, 2_000 * MS);
            cut(&mut net, &[0], directions);
            let gaps = longest_gaps(&mut net, 2_000 * MS);
            for gap in gaps {
                assert!(gap < 200 * MS, "delay {delay}, {directions:?}: {gaps:?}");
            }
            assert_eq!(net.sides[0].active(), address(1, 1));
            assert_eq!(net.sides[1].active(), address(0, 1));
            mend(&mut net);
            let gaps = longest_gaps(&mut net, 20_000 * MS);
            for gap in gaps {
                assert!(
                    gap < 60 * MS,
                    "back: delay {delay}, {directions:?}: {gaps:?}"
                );
            }
            assert_eq!(net.sides[0].active(), address(1, 0));
            assert_eq!(net.sides[1].active(), address(0, 0));
            assert_eq!(net.sides[0].connection().paths().len(), 2);
        }
    }
}

#[test]
fn a_transfer_arrives_whole_over_a_failure() {
    for delay in [1, 20] {
        let mut net = steered(2);
        net.delay = delay * MS;
        let (id, written) = net.write(0, 8 << 20);
        assert_eq!(written, 8 << 20);
        net.run(10 * delay * MS);
        cut(&mut net, &[0], &[0, 1]);
        net.run_until(|net| net.sides[1].read.get(&id) == Some(&(written as u64)));
        assert_eq!(net.sides[0].active(), address(1, 1));
    }
}

#[test]
fn both_dead_and_back_keeps_the_connection() {
    for back in [&[0u8][..], &[1], &[0, 1]] {
        let mut net = steered(2);
        let (id, written) = net.write(0, 8 << 20);
        net.run(50 * MS);
        cut(&mut net, &[0, 1], &[0, 1]);
        net.run(4_000 * MS);
        match back {
            [0] => cut(&mut net, &[1], &[0, 1]),
            [1] => cut(&mut net, &[0], &[0, 1]),
            _ => mend(&mut net),
        }
        let took = net.run_until(|net| net.sides[1].read.get(&id) == Some(&(written as u64)));
        assert!(took < 3_000 * MS, "{back:?}: {took:?}");
    }
}

#[test]
fn a_dead_path_does_not_flap_and_says_so_once() {
    let mut net = steered(2);
    cut(&mut net, &[0], &[0, 1]);
    longest_gaps(&mut net, 60_000 * MS);
    let told = net.sides[0].changes.iter();
    let closed = told.filter(|change| change.state == PathState::Closed);
    assert_eq!(closed.count(), 1, "{:?}", net.sides[0].changes);
}

/// One side's address is replaced under traffic, which hardly notices.
fn moves(net: &mut Net, side: usize, from: u8, to: u8) {
    longest_gaps(net, 1_000 * MS);
    net.move_side(side, from, to);
    let gaps = longest_gaps(net, 2_000 * MS);
    for gap in gaps {
        assert!(gap < 20 * MS, "{gaps:?}");
    }
}

#[test]
fn a_dialler_that_moves_keeps_its_session() {
    let mut net = steered(2);
    moves(&mut net, 0, 0, 2);
    assert_eq!(net.sides[0].active(), address(1, 0), "its own way is back");
}

#[test]
fn a_dialler_with_one_path_that_moves_keeps_its_session() {
    let mut net = steered(1);
    moves(&mut net, 0, 0, 2);
    assert_eq!(net.sides[1].active(), address(0, 2));
}

#[test]
fn an_acceptor_that_moves_is_found_at_its_other_address() {
    let mut net = steered(2);
    moves(&mut net, 1, 0, 2);
    assert_eq!(net.sides[0].active(), address(1, 1));
}

/// It can open no path: the dialler does, to where its packets come from.
#[test]
fn an_acceptor_with_one_path_that_moves_is_found_where_its_packets_come_from() {
    let mut net = steered(1);
    // Where it was before is as good as elsewhere, also if it was there until now.
    for (from, to) in [(0, 0), (0, 2), (2, 3), (3, 0), (0, 2), (2, 0), (0, 3)] {
        moves(&mut net, 1, from, to);
        assert_eq!(net.sides[0].active(), address(1, to));
    }
}

#[test]
fn an_acceptor_whose_path_goes_on_from_another_address_keeps_it() {
    let start = Instant::now();
    let here = Network {
        local: Some(address(0, 0).ip()),
        ..place(0)
    };
    for answers in [true, false] {
        let mut table = Table::new(false, here, start);
        table.observe(PathId::ZERO, acknowledged(1), start);
        assert!(table.strand(|_| true, start));
        table.moved(PathId::ZERO, place(0));
        let later = start + if answers { 100 } else { 1 } * MS;
        table.observe(PathId::ZERO, acknowledged(2), later);
        table.established(PathId::from(1u32), place(1), later);
        let gone = Action::Close(PathId::ZERO, PathReason::NoRouteToHost);
        assert_eq!(table.poll(later).contains(&gone), !answers);
    }
}

#[test]
fn who_sends_as_from_anywhere_makes_one_attempt_at_a_time() {
    let start = Instant::now();
    let mut table = Table::new(true, place(0), start);
    table.set_targets(&[place(0)], start);
    table.observe(PathId::ZERO, acknowledged(1), start);
    assert!(table.heard(place(7), start));
    assert_eq!(table.poll(start), [Action::Open(place(7))]);
    table.opened(PathId::from(1u32), place(7), start);
    for later in (0..2_000).step_by(100) {
        assert!(!table.heard(place(8), start + later * MS), "one is tried");
    }
    table.closed(
        PathId::from(1u32),
        PathReason::PeerUnavailable,
        start + 2_000 * MS,
    );
    assert_eq!(table.take_changes(), [], "nobody named it");
    assert!(table.heard(place(8), start + 2_250 * MS));
    table.observe(PathId::ZERO, acknowledged(2), start + 2_250 * MS);
    let opened = table.poll(start + 2_250 * MS);
    assert!(opened.contains(&Action::Open(place(8))), "{opened:?}");
    let after = start + 2_251 * MS;
    table.not_opened(place(8), PathReason::PeerUnavailable, after);
    for later in 0..10_000 {
        let actions = table.poll(after + later * MS);
        assert!(
            !actions.contains(&Action::Open(place(8))),
            "it is forgotten"
        );
    }
}

#[test]
fn who_speaks_from_where_a_path_is_being_opened_is_asked_once_more() {
    let start = Instant::now();
    let mut table = Table::new(true, place(0), start);
    table.set_targets(&[place(0), place(1)], start);
    assert_eq!(table.poll(start), [Action::Open(place(1))]);
    let id = PathId::from(1u32);
    table.opened(id, place(1), start);
    let mut asked = 0;
    for later in 0..2_000 {
        let now = start + later * MS;
        table.observe(PathId::ZERO, acknowledged(later.into()), now);
        table.heard(place(1), now);
        let actions = table.poll(now).into_iter();
        asked += actions.filter(|action| *action == Action::Ping(id)).count();
    }
    assert_eq!(asked, 1);
}

#[test]
fn what_comes_late_from_a_path_that_died_does_not_reopen_it() {
    let start = Instant::now();
    let mut table = two_paths(start);
    table.closed(PathId::from(1u32), PathReason::Timeout, start);
    for later in 0..249 {
        let now = start + later * MS;
        table.observe(PathId::ZERO, acknowledged(later.into()), now);
        assert!(!table.heard(place(1), now));
        assert!(!table.poll(now).contains(&Action::Open(place(1))));
    }
    next_opening(&mut table, start + 249 * MS, place(1));
}

#[test]
fn who_answered_or_speaks_is_tried_before_those_that_never_did() {
    let start = Instant::now();
    let mut table = Table::new(true, place(2), start);
    table.set_targets(&[place(0), place(1), place(2)], start);
    table.poll(start);
    for number in [0, 1] {
        let id = PathId::from(u32::from(number) + 1);
        table.opened(id, place(number), start);
        table.closed(id, PathReason::PeerUnavailable, start);
    }
    table.observe(PathId::ZERO, acknowledged(1), start);
    let mut now = start;
    let mut opened = Vec::new();
    while opened.is_empty() {
        now += 10 * MS;
        let actions = table.poll(now).into_iter();
        opened.extend(actions.filter(|action| matches!(action, Action::Open(_))));
    }
    assert_eq!(opened, [Action::Open(place(2)), Action::Open(place(0))]);
    for (id, number) in [(3u32, 2), (4, 0)] {
        table.opened(PathId::from(id), place(number), now);
    }
    assert!(table.heard(place(7), now + MS));
    let actions = table.poll(now + MS);
    assert!(actions.contains(&Action::Open(place(7))), "{actions:?}");
}

/// The library does not let go of the last path.
#[test]
fn an_attempt_that_is_alone_goes_on_until_another_begins() {
    let start = Instant::now();
    let mut table = Table::new(true, place(0), start);
    table.set_targets(&[place(0)], start);
    table.closed(PathId::ZERO, PathReason::Timeout, start);
    let begun = next_opening(&mut table, start, place(0));
    let id = PathId::from(1u32);
    table.opened(id, place(0), begun);
    for later in 0..6_000 {
        let now = begun + later * MS;
        assert_eq!(table.poll(now), []);
        assert!(table.next_timeout().is_none_or(|at| at > now), "{later}");
    }
    let now = begun + 6_000 * MS;
    table.set_targets(&[place(0), place(1)], now);
    assert_eq!(table.poll(now), [Action::Open(place(1))]);
    table.opened(PathId::from(2u32), place(1), now);
    let given_up = Action::Close(id, PathReason::PeerUnavailable);
    assert!(table.poll(now).contains(&given_up));
}

#[test]
fn what_was_learned_takes_no_packets_from_a_path_that_answers() {
    let start = Instant::now();
    let (first, second) = (PathId::from(1u32), PathId::from(2u32));
    let mut table = Table::new(true, place(0), start);
    for (id, network) in [(first, place(7)), (second, place(8))] {
        let now = start + 250 * MS * u32::from(id == second);
        assert!(table.heard(network, now));
        table.observe(PathId::ZERO, acknowledged(u64::from(id == second)), now);
        assert!(table.poll(now).contains(&Action::Open(network)));
        table.opened(id, network, now);
        table.established(id, network, now);
    }
    for later in 250..2_000 {
        for id in [PathId::ZERO, first, second] {
            table.observe(id, acknowledged(u64::from(later)), start + later * MS);
        }
        let actions = table.poll(start + later * MS);
        let moves = |action: &Action| matches!(action, Action::SetStatus(..));
        assert!(!actions.iter().any(moves), "{actions:?}");
    }
}

#[test]
fn what_was_learned_and_then_named_is_tried_again() {
    let start = Instant::now();
    let mut table = Table::new(true, place(0), start);
    table.observe(PathId::ZERO, acknowledged(1), start);
    assert!(table.heard(place(7), start));
    table.set_targets(&[place(0), place(7)], start);
    table.poll(start);
    table.not_opened(place(7), PathReason::PeerUnavailable, start);
    next_opening(&mut table, start + MS, place(7));
}

#[test]
fn an_acceptor_opens_nothing_for_what_it_hears() {
    let start = Instant::now();
    let mut table = Table::new(false, place(0), start);
    assert!(!table.heard(place(7), start));
    assert_eq!(table.poll(start), []);
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u32),
    Observe(usize, u64, bool),
    Establish(usize),
    Closed(usize),
    Heard(u8),
    Hint(u8),
    Targets(Vec<u8>),
    Status(usize, bool),
    Strand,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..400u32).prop_map(Step::Wait),
        3 => (0..12usize, 0..50u64, any::<bool>()).prop_map(|(path, acknowledged, waits)| Step::Observe(path, acknowledged, waits)),
        2 => (0..12usize).prop_map(Step::Establish),
        1 => (0..12usize).prop_map(Step::Closed),
        1 => (0..12u8).prop_map(Step::Heard),
        1 => (0..8u8).prop_map(Step::Hint),
        1 => proptest::collection::vec(0..8u8, 0..8).prop_map(Step::Targets),
        1 => (0..12usize, any::<bool>()).prop_map(|(path, active)| Step::Status(path, active)),
        1 => Just(Step::Strand),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// Ways that fail in any order and direction, all of them for less than the idle timeout, cost no session.
    #[test]
    fn silence_costs_no_session(
        begins in proptest::array::uniform4(prop_oneof![0..40u64, 0..600u64]),
        ends in proptest::array::uniform4(prop_oneof![600..650u64, 600..2_000u64, 600..5_000u64]),
        delay in 1..20u32,
        writer in 0..2usize,
    ) {
        let mut net = steered(2);
        net.delay = delay * MS;
        let (id, written) = net.write(writer, 4 << 20);
        net.run(30 * MS);
        let start = net.now;
        let tick = std::rc::Rc::new(std::cell::Cell::new(0u64));
        let seen = tick.clone();
        net.losses = Box::new(move |from, _, _| {
            (0..4usize).any(|way| {
                from == address(way % 2, (way / 2) as u8) && (begins[way]..ends[way]).contains(&seen.get())
            })
        });
        while net.now < start + 10_000 * MS {
            tick.set((net.now - start).as_millis() as u64);
            net.step();
            for side in 0..2 {
                let closed = net.sides[side].is_closed();
                prop_assert!(!closed, "side {side} at {:?}: {:?} {:?}", net.now - start, net.sides[side].events, net.sides[side].changes);
            }
        }
        prop_assert_eq!(net.sides[1 - writer].read.get(&id), Some(&(written as u64)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens: bounds hold, the last path that answers is never closed, a closed path is not acted on, and the timer
    /// of the next thing to do is never in the past of a poll.
    #[test]
    fn keeps_its_promises(dials: bool, steps in proptest::collection::vec(step(), 1..120)) {
        let mut now = Instant::now();
        let mut table = Table::new(dials, place(0), now);
        let mut next_id = 1u32;
        for step in steps {
            let id = |table: &Table, index: usize| table.paths.get(index).map(|path| (path.id, path.network));
            match step {
                Step::Wait(ms) => now += ms * MS,
                Step::Observe(index, number, waits) => if let Some((id, _)) = id(&table, index) {
                    let seen = Observation { in_flight: waits.into(), acknowledged: Some(number), rtt: MS };
                    table.observe(id, seen, now);
                },
                Step::Establish(index) => if let Some((id, network)) = id(&table, index) {
                    table.established(id, network, now);
                },
                Step::Closed(index) => if let Some((id, _)) = id(&table, index) {
                    table.closed(id, PathReason::ConnectionReset, now);
                },
                Step::Heard(number) => { table.heard(place(number), now); }
                Step::Hint(number) => { table.hint(|remote| remote == address(1, number), PathReason::NoRouteToHost); }
                Step::Targets(numbers) => {
                    let networks: Vec<Network> = numbers.into_iter().map(place).collect();
                    table.set_targets(&networks, now);
                }
                Step::Status(index, active) => if let Some((id, _)) = id(&table, index) {
                    let status = if active { PathStatus::Available } else { PathStatus::Backup };
                    if !dials { table.set_status(id, status); }
                },
                Step::Strand => { table.strand(|_| true, now); }
            }
            let answering = |table: &Table| table.paths.iter().filter(|path| matches!(path.state(), PathState::Active | PathState::Backup)).count();
            // What one look changes, the next may see.
            for _ in 0..3 {
                for action in table.poll(now) {
                    match action {
                        Action::Open(network) => {
                            prop_assert!(dials);
                            table.opened(PathId::from(next_id), network, now);
                            next_id += 1;
                        }
                        Action::Close(id, _) => {
                            let path = table.paths.iter().find(|path| path.id == id);
                            prop_assert_eq!(path.map(|path| path.state()), Some(PathState::Closed));
                            let stays = |path: &Path| path.id != id && path.state() != PathState::Closed;
                            prop_assert!(table.paths.iter().any(stays), "the library would keep it");
                            let was_up = path.is_some_and(|path| path.established_at.is_some());
                            prop_assert!(!was_up || answering(&table) > 0, "closed the last path");
                        }
                        Action::SetStatus(id, _) | Action::Ping(id) => {
                            prop_assert!(table.paths.iter().any(|path| path.id == id && path.state() != PathState::Closed));
                        }
                    }
                }
            }
            prop_assert!(table.next_timeout().is_none_or(|at| at > now), "it would be looked at all the time");
            prop_assert!(table.paths.len() <= 12);
            prop_assert!(table.take_changes().len() <= 32);
            let active = table.paths.iter().filter(|path| path.state() == PathState::Active).count();
            prop_assert!(!dials || active <= 1, "two in use");
        }
    }
}
