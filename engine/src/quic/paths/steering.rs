//! Carries out what the table decides, on the library's connection.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use noq_proto::{
    ClosePathError, Connection, FourTuple, NetworkChangeHint, PathAbandonReason, PathError,
    PathEvent, PathId, PathStatus, VarInt,
};

use super::meter::{Counts, Meter};
use super::reason::PathReason;
use super::table::{Action, Network, Observation, PathChange, PathState, Table};

/// Looking costs a look-up for each path; within this nothing happens that matters.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// What was skipped is looked at after this, if something is on its way. A path is not suspect before ten of these.
const LATEST_LOOK: Duration = Duration::from_millis(10);
/// How often it is seen whether packets of the inside pass.
const TRAFFIC_INTERVAL: Duration = Duration::from_secs(1);
/// Fewer frames in that time are heartbeats.
const BUSY_FRAMES: u64 = 4;

/// A path, for a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathReport {
    pub remote: SocketAddr,
    pub local: Option<IpAddr>,
    pub state: PathState,
    pub rtt: Duration,
    pub jitter: Duration,
    pub lost_permille: u32,
    pub delivered_bytes_per_second: u64,
    /// How long ago something came over it.
    pub heard_ago: Option<Duration>,
    pub mtu: u16,
}

pub struct Steering {
    dialled: bool,
    network: Network,
    /// From the end of the handshake.
    table: Option<Table>,
    targets: Vec<Network>,
    meters: Vec<(PathId, Meter)>,
    now: Instant,
    looked_at: Option<Instant>,
    /// Something may have happened since.
    skipped: bool,
    traffic_at: Instant,
    data_frames: u64,
}

impl Steering {
    pub fn new(dialled: bool, remote: SocketAddr, now: Instant) -> Steering {
        Steering {
            dialled,
            network: Network {
                remote,
                local: None,
            },
            table: None,
            targets: Vec::new(),
            meters: Vec::new(),
            now,
            looked_at: None,
            skipped: false,
            traffic_at: now,
            data_frames: 0,
        }
    }

    /// Time goes on, also for what is told without it.
    pub fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// The handshake is done.
    pub fn begin(&mut self, connection: &Connection) {
        if !connection.is_multipath_negotiated() {
            return;
        }
        let mut table = Table::new(self.dialled, self.network, self.now);
        table.set_targets(&self.targets, self.now);
        self.table = Some(table);
        self.looked_at = None;
    }

    /// Where the peer may be reached, best first.
    pub fn set_targets(&mut self, targets: Vec<Network>) {
        if let Some(table) = &mut self.table {
            table.set_targets(&targets, self.now);
            self.looked_at = None;
        }
        self.targets = targets;
    }

    pub fn heard(&mut self, network: Network, now: Instant) {
        if self
            .table
            .as_mut()
            .is_some_and(|table| table.heard(network, now))
        {
            self.looked_at = None;
        }
    }

    pub fn hint(&mut self, is_meant: impl Fn(SocketAddr) -> bool, reason: PathReason) -> bool {
        let table = self.table.as_mut();
        let taken = table.is_some_and(|table| table.hint(is_meant, reason));
        if taken {
            self.looked_at = None;
        }
        taken
    }

    pub fn take_changes(&mut self) -> Vec<PathChange> {
        self.table
            .as_mut()
            .map(Table::take_changes)
            .unwrap_or_default()
    }

    /// The path that packets take, as far as is known.
    pub fn active(&self) -> PathId {
        let active = self.table.as_ref().and_then(Table::active);
        active.map_or(PathId::ZERO, |path| path.id)
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        let of_table = self.table.as_ref()?.next_timeout();
        let look = self.looked_at.filter(|_| self.skipped);
        let look = look.map(|at| at + LATEST_LOOK);
        of_table.into_iter().chain(look).min()
    }

    pub fn on_event(&mut self, event: PathEvent, connection: &mut Connection) {
        let (now, dialled) = (self.now, self.dialled);
        let Some(table) = &mut self.table else { return };
        self.looked_at = None;
        match event {
            PathEvent::Established { id, .. } => {
                let Some(network) = network_of(connection, id) else {
                    return;
                };
                table.established(id, network, now);
                if !dialled {
                    // It waits until the dialler says otherwise.
                    let status = connection.remote_path_status(id);
                    mirror(table, connection, id, status.unwrap_or(PathStatus::Backup));
                }
            }
            PathEvent::RemoteStatus { id, status, .. } if !dialled => {
                mirror(table, connection, id, status);
            }
            PathEvent::Abandoned { id, reason, .. } => {
                table.closed(id, reason_of(&reason), now);
            }
            PathEvent::Discarded { id, .. } => self.meters.retain(|(of, _)| *of != id),
            _ => {}
        }
    }

    /// Looks at the paths, decides, and does it. Returns whether there may be something to send because of it.
    pub fn steer(&mut self, connection: &mut Connection, now: Instant) -> bool {
        self.now = now;
        let due = self.next_timeout().is_some_and(|timeout| timeout <= now);
        let looked = |at: Instant| now.saturating_duration_since(at) < LOOK_INTERVAL;
        if self.looked_at.is_some_and(looked) && !due {
            self.skipped = self.is_waiting(connection);
            return false;
        }
        self.skipped = false;
        self.looked_at = Some(now);
        self.measure(connection);
        let Some(table) = &mut self.table else {
            return false;
        };
        let ids: Vec<PathId> = table.paths.iter().map(|path| path.id).collect();
        for id in ids {
            if let Some(observation) = observe(connection, id) {
                table.observe(id, observation, now);
            }
            if let Some(network) = network_of(connection, id) {
                table.moved(id, network);
            }
        }
        let actions = table.poll(now);
        for action in &actions {
            carry_out(table, connection, *action, now);
        }
        !actions.is_empty()
    }

    /// Whether an acknowledgement is to come on the path that packets take.
    fn is_waiting(&self, connection: &Connection) -> bool {
        let progress = connection.path_progress(self.active());
        progress.is_some_and(|(in_flight, _)| in_flight > 0)
    }

    fn measure(&mut self, connection: &mut Connection) {
        let now = self.now;
        let Some(table) = &mut self.table else { return };
        if now.saturating_duration_since(self.traffic_at) < TRAFFIC_INTERVAL {
            return;
        }
        self.traffic_at = now;
        let stats = connection.stats();
        let frames = [stats.frame_tx, stats.frame_rx];
        let frames = frames.iter().map(|frames| frames.stream + frames.datagram);
        let frames: u64 = frames.sum();
        let before = std::mem::replace(&mut self.data_frames, frames);
        if frames.saturating_sub(before) >= BUSY_FRAMES {
            table.busy(now);
        }
        for path in &table.paths {
            let known = self.meters.iter().position(|(id, _)| *id == path.id);
            let index = known.unwrap_or_else(|| {
                self.meters.push((path.id, Meter::new(now)));
                self.meters.len() - 1
            });
            let meter = &mut self.meters[index].1;
            if meter.is_due(now)
                && let Some(stats) = connection.path_stats(path.id)
            {
                let counts = Counts {
                    packets: stats.sent_packets - stats.sent_plpmtud_probes,
                    lost_packets: stats.lost_packets - stats.lost_plpmtud_probes,
                    bytes: stats.sent_bytes,
                    lost_bytes: stats.lost_bytes,
                };
                meter.take(counts, now);
            }
        }
    }

    /// Addresses of this host are gone. Another path takes over where there is one; else those that are left go on with whichever
    /// address it has now.
    pub fn addresses_gone(
        &mut self,
        is_gone: impl Fn(IpAddr) -> bool,
        connection: &mut Connection,
        now: Instant,
    ) {
        self.now = now;
        self.looked_at = None;
        let needs_another = match &mut self.table {
            Some(table) => table.strand(is_gone, now),
            None => {
                let paths = connection.paths().into_iter();
                let mut networks = paths.filter_map(|id| network_of(connection, id));
                networks.any(|network| network.local.is_some_and(&is_gone))
            }
        };
        if needs_another {
            connection.handle_network_change(Some(&Recoverable), now);
        }
    }

    /// An address came: what failed may work now, and a packet tells the other side where this one is.
    pub fn try_again(&mut self, connection: &mut Connection, now: Instant) {
        self.now = now;
        let Some(table) = &mut self.table else { return };
        table.try_again(now);
        for path in &table.paths {
            // Fails only for a path that is gone.
            let _ = connection.ping_path(path.id);
        }
        self.looked_at = None;
    }

    pub fn report(&self, connection: &mut Connection, now: Instant) -> Vec<PathReport> {
        let Some(table) = &self.table else {
            return Vec::new();
        };
        let paths = table.paths.iter();
        let reports = paths.filter_map(|path| {
            let stats = connection.path_stats(path.id)?;
            let meter = self.meters.iter().find(|(id, _)| *id == path.id);
            Some(PathReport {
                remote: path.network.remote,
                local: network_of(connection, path.id)?.local,
                state: path.state(),
                rtt: stats.rtt,
                jitter: path.jitter,
                lost_permille: meter.map_or(0, |(_, meter)| meter.lost_permille()),
                delivered_bytes_per_second: meter.map_or(0, |(_, meter)| meter.bytes_per_second),
                heard_ago: path.heard_at.map(|at| now.saturating_duration_since(at)),
                mtu: stats.current_mtu,
            })
        });
        reports.collect()
    }
}

fn network_of(connection: &Connection, id: PathId) -> Option<Network> {
    let tuple = connection.network_path(id).ok()?;
    Some(Network {
        remote: tuple.remote(),
        local: tuple.local_ip(),
    })
}

fn observe(connection: &Connection, id: PathId) -> Option<Observation> {
    let (in_flight, acknowledged) = connection.path_progress(id)?;
    Some(Observation {
        in_flight,
        acknowledged,
        rtt: connection.rtt(id)?,
    })
}

/// The library leaves it to its user to follow the status that the dialler gives a path.
fn mirror(table: &mut Table, connection: &mut Connection, id: PathId, status: PathStatus) {
    // Fails only for a path that is gone.
    let _ = connection.set_path_status(id, status);
    table.set_status(id, status);
}

fn carry_out(table: &mut Table, connection: &mut Connection, action: Action, now: Instant) {
    match action {
        Action::Open(network) => {
            let tuple = FourTuple::new(network.remote, network.local);
            match connection.open_path(tuple, PathStatus::Backup, now) {
                Ok(id) => table.opened(id, network, now),
                Err(error) => table.not_opened(network, reason_of_error(&error), now),
            }
        }
        Action::Close(id, reason) => {
            let code = VarInt::from_u32(reason.number());
            if let Err(ClosePathError::LastOpenPath) = connection.close_path(now, id, code) {
                table.kept(id);
            }
        }
        // Both fail only for a path that is gone, which the library has told or will tell.
        Action::SetStatus(id, status) => {
            let _ = connection.set_path_status(id, status);
        }
        Action::Ping(id) => {
            let _ = connection.ping_path(id);
        }
    }
}

fn reason_of_error(error: &PathError) -> PathReason {
    match error {
        PathError::MaxPathIdReached | PathError::RemoteCidsExhausted => PathReason::CapacityLimited,
        _ => PathReason::PeerUnavailable,
    }
}

fn reason_of(reason: &PathAbandonReason) -> PathReason {
    match reason {
        PathAbandonReason::ApplicationClosed { error_code }
        | PathAbandonReason::RemoteAbandoned { error_code } => {
            PathReason::of_number(error_code.into_inner())
        }
        PathAbandonReason::TimedOut => PathReason::Timeout,
        PathAbandonReason::UnusableAfterNetworkChange => PathReason::NoRouteToHost,
        _ => PathReason::PeerUnavailable,
    }
}

/// A path goes on from another address of this host: the other side follows as soon as a packet comes.
#[derive(Debug)]
struct Recoverable;

impl NetworkChangeHint for Recoverable {
    fn is_path_recoverable(&self, _: PathId, _: FourTuple) -> bool {
        true
    }
}
