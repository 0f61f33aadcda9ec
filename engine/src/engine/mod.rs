//! The packet loop.
//!
//! One thread does everything that packets need, to completion, with no lock and no hand-over. One turn:
//!
//! 1. UDP in: packets from the sockets go to their connections, which become work. So do changes of this host's addresses.
//! 2. Timers: connections, sessions, dials and expiries that are due.
//! 3. QUIC in: each piece of work gives its events, control bytes and inner packets; packets pass the policy to the TUN.
//! 4. TUN in: packets of the host pass the policy into the lane of their peer, whose connection becomes work.
//! 5. Commands of the agent or operator.
//! 6. QUIC out: each piece of work takes control bytes and packets, and its UDP packets are sent.
//! 7. Wait for a descriptor or the next timer.
//!
//! Every step has a bound on what it does in one turn, so none can starve the others; what is left over is work of the next.

mod apply;
mod commands;
mod inbound;
mod leaving;
mod link;
mod outbound;
mod pace;
mod paths;
mod peers;
mod pressure;
mod random;
mod refusals;
mod relayed;
mod report;
mod sessions;
mod timed;
mod tunnel;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Instant;

use bytes::Bytes;

use self::link::Link;
use self::pace::Pace;
use self::peers::Peers;
use self::pressure::HostPressure;
use self::random::Random;
pub use self::random::instance_id;
use self::refusals::Refusals;
use self::timed::TimerKey;
use crate::clock::Now;
use crate::config::{Config, MAX_LISTEN};
use crate::desired::Plan;
use crate::lanes::{Budget, Classifier};
use crate::os::{HostMonitor, Interest, Priority, RouteMonitor, TerminationSignals, Uplinks, wait};
use crate::policy::{DropCounters, Policy};
use crate::quic::{ConnectionKey, Endpoint, ResetKey, Trust};
use crate::relay::RelaySession;
use crate::socket::Port;
use crate::socket::messages::{Event, HelloResult};
use crate::timers::Timers;
use crate::tun::Tunnel;
use crate::udp::{Arena, UdpSockets};

/// What the engine is given at its start.
pub struct Parts {
    pub config: Config,
    pub hello: HelloResult,
    pub sockets: UdpSockets,
    pub reset_key: ResetKey,
    pub port: Port,
    pub signals: TerminationSignals,
    /// `None`: not wanted, or not allowed.
    pub priority: Option<Priority>,
    pub notes: Vec<String>,
}

/// What there was to read after the last wait; the steps leave the rest alone.
#[derive(Default)]
struct Ready {
    commands: bool,
    signals: bool,
    sockets: [bool; MAX_LISTEN],
    host: bool,
    tunnel: bool,
}

impl Ready {
    fn new(ready: &[bool], sockets: usize, host: bool) -> Ready {
        let at = |index: usize| ready.get(index).copied().unwrap_or(false);
        Ready {
            commands: at(0),
            signals: at(1),
            sockets: std::array::from_fn(|index| index < sockets && at(2 + index)),
            host: host && at(2 + sockets),
            tunnel: at(2 + sockets + usize::from(host)),
        }
    }
}

pub struct Engine {
    config: Config,
    hello: HelloResult,
    notes: Vec<String>,
    now: Now,
    random: Random,
    port: Port,
    signals: TerminationSignals,
    priority: Option<Priority>,
    /// When the process ends even if peers have not said goodbye.
    stop_by: Option<Instant>,

    plan: Option<Plan>,
    /// What the present identity was made of, to see whether it changed.
    identity_source: Option<apply::IdentitySource>,
    trust: Trust,
    policy: Policy,
    peers: Peers,
    refusals: Refusals,
    timers: Timers<TimerKey>,

    sockets: UdpSockets,
    /// Tells when this host's addresses change, and when its links come up.
    host: Option<HostMonitor>,
    uplinks: Uplinks,
    routes: Option<RouteMonitor>,
    routes_looked_at: Instant,
    endpoint: Endpoint,
    /// By connection key.
    links: Vec<Option<Box<Link>>>,
    /// Connections to be driven in this turn.
    work: VecDeque<ConnectionKey>,
    ready: Ready,
    udp_memory: Arena,
    transmit: Vec<u8>,
    /// Where the relay of each session listens; kept until the last connection that goes there is over.
    relays: HashMap<RelaySession, SocketAddr>,
    /// `transmit` with the header of a relay session in front of each packet.
    wrapped: Vec<u8>,
    /// UDP packets that are neither QUIC nor of a relay session from its relay.
    packets_refused: u64,

    tunnel: Option<Tunnel>,
    tunnel_memory: Arena,
    /// What was read of a stream.
    chunks: Vec<Bytes>,
    /// Those of the record that is read.
    parts: Vec<Bytes>,
    pace: Pace,
    classifier: Classifier,
    /// What waits in all lanes together.
    budget: Budget,
    host_pressure: HostPressure,
    /// Datagrams lost because the library did not take what it said it had room for.
    datagrams_refused: u64,
    /// Packets dropped before a peer was known.
    dropped: DropCounters,
}

impl Engine {
    pub fn new(parts: Parts) -> io::Result<Engine> {
        let mut engine = Engine {
            config: parts.config,
            hello: parts.hello,
            notes: parts.notes,
            now: Now::read(),
            random: Random::new()?,
            port: parts.port,
            signals: parts.signals,
            priority: parts.priority,
            stop_by: None,
            plan: None,
            identity_source: None,
            trust: Trust::default(),
            policy: Policy::default(),
            peers: Peers::default(),
            refusals: Refusals::default(),
            timers: Timers::default(),
            sockets: parts.sockets,
            host: HostMonitor::open().ok(),
            uplinks: Uplinks::read(None).unwrap_or_default(),
            routes: RouteMonitor::open().ok(),
            routes_looked_at: Instant::now(),
            endpoint: Endpoint::new(&parts.reset_key, relayed::largest_packet),
            links: Vec::new(),
            work: VecDeque::new(),
            ready: Ready::default(),
            udp_memory: Arena::default(),
            transmit: Vec::with_capacity(outbound::TRANSMIT_BYTES),
            relays: HashMap::new(),
            wrapped: Vec::new(),
            packets_refused: 0,
            tunnel: None,
            tunnel_memory: Arena::default(),
            chunks: Vec::new(),
            parts: Vec::new(),
            pace: Pace::default(),
            classifier: Classifier::new(Instant::now()),
            budget: Budget::default(),
            host_pressure: HostPressure::default(),
            datagrams_refused: 0,
            dropped: DropCounters::default(),
        };
        if engine.host.is_none() {
            let note = "changes of this host's addresses are not told by the kernel";
            engine.notes.push(note.to_owned());
        }
        engine.set_housekeeping_timer();
        Ok(engine)
    }

    /// Runs until a signal ends the process in order.
    pub fn run(mut self) -> io::Result<()> {
        while !self.has_stopped() {
            self.now = Now::read();
            let begun = self.now.instant;
            self.pace.begin_turn(begun);
            self.receive_udp();
            self.take_host_changes();
            self.take_unreachable();
            self.run_timers();
            self.take_in();
            self.receive_tunnel();
            self.take_commands();
            self.now = Now::read();
            self.send_out();
            self.host_pressure.turn(begun.elapsed());
            self.wait()?;
        }
        Ok(())
    }

    /// Step 7.
    fn wait(&mut self) -> io::Result<()> {
        if self.pace.is_busy()
            && let Some(priority) = &mut self.priority
        {
            priority.busy(self.now.instant);
        }
        if let Some(pause) = self.pace.pause() {
            std::thread::sleep(pause);
        }
        let stalled = self.sockets.is_stalled();
        let next = if self.work.is_empty() || stalled {
            self.next_timer()
        } else {
            Some(self.now.instant)
        };
        let now = Instant::now();
        self.pace.end_turn(now);
        let timeout = next.map(|at| at.saturating_duration_since(now));
        let ready = wait(self.interests(stalled), timeout)?;
        self.ready = Ready::new(&ready, self.sockets.count(), self.host.is_some());
        Ok(())
    }

    /// In the order in which `Ready` takes them apart.
    fn interests(&self, stalled: bool) -> impl Iterator<Item = Interest<'_>> {
        let reading = |fd| Interest {
            fd,
            readable: true,
            writable: false,
        };
        let sockets = self.sockets.iter().map(move |socket| Interest {
            writable: stalled,
            ..reading(socket.as_fd())
        });
        let host = self.host.iter().map(move |host| reading(host.as_fd()));
        let tunnel = self.tunnel.iter().filter(|_| self.stop_by.is_none());
        [reading(self.port.as_fd()), reading(self.signals.as_fd())]
            .into_iter()
            .chain(sockets)
            .chain(host)
            .chain(tunnel.map(move |tunnel| reading(tunnel.as_fd())))
    }

    fn take_host_changes(&mut self) {
        let Some(monitor) = self.host.as_ref().filter(|_| self.ready.host) else {
            return;
        };
        let changes = monitor.read();
        let changes = changes.as_ref();
        self.take_address_changes(changes.map(|changes| &changes.addresses[..]));
        self.tunnel_may_be_up_again(changes.map(|changes| &changes.links_up[..]));
    }

    /// Puts a connection on the list of work, once.
    fn schedule(&mut self, key: ConnectionKey) {
        if let Some(link) = self.links.get_mut(key).and_then(Option::as_mut)
            && !link.scheduled
        {
            link.scheduled = true;
            self.work.push_back(key);
        }
    }

    fn link_mut(&mut self, key: ConnectionKey) -> Option<&mut Link> {
        self.links.get_mut(key)?.as_deref_mut()
    }

    fn add_link(&mut self, key: ConnectionKey, link: Link) {
        if self.links.len() <= key {
            self.links.resize_with(key + 1, || None);
        }
        self.links[key] = Some(Box::new(link));
        self.schedule(key);
    }

    fn publish(&mut self, event: Event) {
        // A client too slow for events is told so by the port; the loop has nothing to add.
        self.port.publish(event);
    }
}
