//! Two connections of the library over a network in memory: several addresses each, a delay, and on demand losses and a
//! narrow place.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use noq_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, Event, FourTuple,
    ServerConfig, StreamEvent, StreamId, TransportConfig,
};

use super::endpoint_tests::{ACCEPTOR, identities};
use super::paths::{Network as PathNetwork, PathChange, Steering};
use super::reset_key::ResetKey;
use super::transport::endpoint_config;

const PORT: u16 = 7443;
const STEP: Duration = Duration::from_millis(1);

/// The address of a side (0 dials) on the n-th network.
pub fn address(side: usize, network: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, network, side as u8], PORT))
}

pub struct Side {
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    /// On which networks it has an address.
    pub networks: Vec<u8>,
    /// What the connection told, newest last, without the events of streams.
    pub events: Vec<Event>,
    /// Bytes read from each stream of the other side.
    pub read: HashMap<StreamId, u64>,
    pub datagrams: u64,
    /// Chooses the paths, from when the test says so.
    steering: Option<Steering>,
    pub changes: Vec<PathChange>,
}

impl Side {
    /// The remote that packets go to.
    pub fn active(&mut self) -> SocketAddr {
        let active = self.steering.as_ref().expect("steered").active();
        let tuple = self.connection().network_path(active).expect("a path");
        tuple.remote()
    }

    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection.as_mut().expect("a connection").1
    }

    pub fn is_closed(&mut self) -> bool {
        self.connection().is_closed()
    }

    fn receive_streams(&mut self) {
        let connection = &mut self.connection.as_mut().expect("a connection").1;
        while let Some(id) = connection.streams().accept(Dir::Uni) {
            self.read.insert(id, 0);
        }
        for (id, read) in &mut self.read {
            let mut stream = connection.recv_stream(*id);
            let Ok(mut chunks) = stream.read(true) else {
                continue;
            };
            while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
                *read += chunk.bytes.len() as u64;
            }
            let _ = chunks.finalize();
        }
    }
}

struct Packet {
    at: Instant,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// Whether a packet from the first to the second address, of this size, is lost.
pub type Losses = Box<dyn FnMut(SocketAddr, SocketAddr, usize) -> bool>;

pub struct Network {
    pub now: Instant,
    /// The first dials.
    pub sides: [Side; 2],
    /// One way.
    pub delay: Duration,
    pub losses: Losses,
    /// Where the dialler's packets wait for each other.
    pub bottleneck: Option<Bottleneck>,
    air: VecDeque<Packet>,
}

/// A link that carries so much, and the queue in front of it, which drops what does not fit.
pub struct Bottleneck {
    pub bytes_per_second: u32,
    pub queue_bytes: u32,
    /// When all that waits has passed.
    pub free_at: Instant,
}

impl Bottleneck {
    /// When a packet has passed, unless it is dropped.
    fn pass(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        let begins = self.free_at.max(now);
        let time_of = |bytes: u32| Duration::from_secs(1) * bytes / self.bytes_per_second;
        if begins - now > time_of(self.queue_bytes) {
            return None;
        }
        self.free_at = begins + time_of(bytes as u32);
        Some(self.free_at)
    }
}

impl Network {
    /// A connection on network 0; both sides have an address on each of `networks`.
    pub fn connected(networks: u8, transport: TransportConfig) -> Network {
        let now = Instant::now();
        let transport = Arc::new(transport);
        let [(dialler, _), (acceptor, _)] = identities();
        let mut server = ServerConfig::with_crypto(acceptor.server_config());
        server.transport_config(transport.clone());
        let mut client =
            ClientConfig::new(Arc::new(dialler.client_config(ACCEPTOR).expect("config")));
        client.transport_config(transport);
        let side = |number: u8, server: Option<ServerConfig>| Side {
            endpoint: Endpoint::new(
                Arc::new(endpoint_config(&ResetKey::for_test(number))),
                server.map(Arc::new),
                true,
            ),
            connection: None,
            networks: (0..networks).collect(),
            events: Vec::new(),
            read: HashMap::new(),
            datagrams: 0,
            steering: None,
            changes: Vec::new(),
        };
        let mut network = Network {
            now,
            sides: [side(0, None), side(1, Some(server))],
            delay: Duration::from_millis(1),
            losses: Box::new(|_, _, _| false),
            bottleneck: None,
            air: VecDeque::new(),
        };
        let connected = network.sides[0]
            .endpoint
            .connect(now, client, address(1, 0), "test")
            .expect("dials");
        network.sides[0].connection = Some(connected);
        network.run(Duration::from_millis(100));
        let connected = |side: &Side| {
            let is_connected = |event: &Event| matches!(event, Event::Connected);
            side.events.iter().any(is_connected)
        };
        assert!(network.sides.iter().all(connected), "a handshake in 100 ms");
        network
    }

    /// The dialler is told the acceptor's addresses, the first preferred, and both choose their paths from now on.
    pub fn steer(&mut self, remotes: &[SocketAddr]) {
        for (index, side) in self.sides.iter_mut().enumerate() {
            let mut steering = Steering::new(index == 0, address(1 - index, 0), self.now);
            let network = |remote: &SocketAddr| PathNetwork {
                remote: *remote,
                local: None,
            };
            steering.set_targets(remotes.iter().map(network).collect());
            steering.begin(side.connection());
            side.steering = Some(steering);
        }
    }

    /// The dialler is told another order, or others.
    pub fn retarget(&mut self, remotes: &[SocketAddr]) {
        let network = |remote: &SocketAddr| PathNetwork {
            remote: *remote,
            local: None,
        };
        let steering = self.sides[0].steering.as_mut().expect("steered");
        steering.set_targets(remotes.iter().map(network).collect());
    }

    /// This side loses its address on one network and gets one on another.
    pub fn move_side(&mut self, index: usize, from: u8, to: u8) {
        let side = &mut self.sides[index];
        side.networks.retain(|network| *network != from);
        side.networks.push(to);
        let (_, connection) = side.connection.as_mut().expect("a connection");
        let steering = side.steering.as_mut().expect("steered");
        let gone = address(index, from).ip();
        steering.addresses_gone(|local| local == gone, connection, self.now);
        steering.try_again(connection, self.now);
    }

    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.step();
        }
    }

    /// Until it holds, at most a minute.
    pub fn run_until(&mut self, mut holds: impl FnMut(&mut Network) -> bool) -> Duration {
        let begin = self.now;
        while !holds(self) {
            assert!(self.now - begin < Duration::from_secs(60), "it never held");
            self.step();
        }
        self.now - begin
    }

    /// Lets a millisecond pass.
    pub fn step(&mut self) {
        self.now += STEP;
        let air = std::mem::take(&mut self.air);
        for packet in air {
            if packet.at <= self.now {
                self.deliver(&packet);
            } else {
                self.air.push_back(packet);
            }
        }
        for index in 0..2 {
            if self.sides[index].connection.is_some() {
                self.drive(index);
            }
        }
    }

    fn deliver(&mut self, packet: &Packet) {
        let index = usize::from(packet.to.ip() == address(1, network_of(packet.to)).ip());
        let side = &mut self.sides[index];
        if !side.networks.contains(&network_of(packet.to)) {
            return;
        }
        let path = FourTuple::new(packet.from, Some(packet.to.ip()));
        let bytes = BytesMut::from(&packet.bytes[..]);
        let mut answer = Vec::new();
        if let Some(steering) = &mut side.steering {
            let network = PathNetwork {
                remote: packet.from,
                local: Some(packet.to.ip()),
            };
            steering.set_now(self.now);
            steering.heard(network, self.now);
        }
        match side
            .endpoint
            .handle(self.now, path, None, bytes, &mut answer)
        {
            Some(DatagramEvent::ConnectionEvent(_, event)) => side.connection().handle_event(event),
            Some(DatagramEvent::NewConnection(incoming)) => {
                let accepted = side.endpoint.accept(incoming, self.now, &mut answer, None);
                side.connection = accepted.ok();
            }
            _ => {}
        }
    }

    fn drive(&mut self, index: usize) {
        let now = self.now;
        let side = &mut self.sides[index];
        let (handle, connection) = side.connection.as_mut().expect("a connection");
        if connection.poll_timeout().is_some_and(|at| at <= now) {
            connection.handle_timeout(now);
        }
        while let Some(event) = connection.poll_endpoint_events() {
            if let Some(answer) = side.endpoint.handle_event(*handle, event) {
                connection.handle_event(answer);
            }
        }
        while let Some(event) = connection.poll() {
            match event {
                Event::Stream(StreamEvent::Opened { .. } | StreamEvent::Readable { .. }) => {}
                Event::Path(event) if side.steering.is_some() => {
                    let steering = side.steering.as_mut().expect("looked");
                    steering.on_event(event, connection);
                }
                event => side.events.push(event),
            }
        }
        while connection.datagrams().recv().is_some() {
            side.datagrams += 1;
        }
        side.receive_streams();
        self.transmit(index);
        let side = &mut self.sides[index];
        let (_, connection) = side.connection.as_mut().expect("a connection");
        if let Some(steering) = &mut side.steering {
            let acted = steering.steer(connection, now);
            side.changes.extend(steering.take_changes());
            if acted {
                self.transmit(index);
            }
        }
    }

    fn transmit(&mut self, index: usize) {
        let now = self.now;
        let side = &mut self.sides[index];
        let connection = &mut side.connection.as_mut().expect("a connection").1;
        let mut buffer = Vec::new();
        while let Some(transmit) = connection.poll_transmit(now, NonZeroUsize::MIN, &mut buffer) {
            let source = transmit
                .src_ip
                .unwrap_or_else(|| source(index, &side.networks, transmit.destination));
            let from = SocketAddr::new(source, PORT);
            let sendable = side.networks.contains(&network_of(from));
            let narrow = self.bottleneck.as_mut().filter(|_| index == 0);
            let passed = match narrow {
                Some(bottleneck) => bottleneck.pass(buffer.len(), now),
                None => Some(now),
            };
            let arrives = sendable && !(self.losses)(from, transmit.destination, buffer.len());
            if let Some(passed) = passed.filter(|_| arrives) {
                self.air.push_back(Packet {
                    at: passed + self.delay,
                    from,
                    to: transmit.destination,
                    bytes: buffer.clone(),
                });
            }
            buffer.clear();
        }
    }

    /// Writes to a stream as much as it takes.
    pub fn write_more(&mut self, index: usize, id: StreamId, bytes: &Bytes) {
        let mut stream = self.sides[index].connection().send_stream(id);
        // It fails when there is no room.
        let _ = stream.write_chunks(&mut &mut [bytes.clone()][..]);
    }

    /// Opens a stream and writes as much as it takes.
    pub fn write(&mut self, index: usize, bytes: usize) -> (StreamId, usize) {
        let connection = self.sides[index].connection();
        let id = connection.streams().open(Dir::Uni).expect("a stream");
        let mut chunks = [Bytes::from(vec![7; bytes])];
        let written = connection
            .send_stream(id)
            .write_chunks(&mut &mut chunks[..])
            .expect("written");
        (id, written)
    }
}

fn network_of(address: SocketAddr) -> u8 {
    match address.ip() {
        IpAddr::V4(address) => address.octets()[2],
        IpAddr::V6(_) => u8::MAX,
    }
}

/// As a host chooses it: the address on the destination's network, else its first.
fn source(side: usize, networks: &[u8], to: SocketAddr) -> IpAddr {
    let direct = networks.contains(&network_of(to));
    let network = if direct { network_of(to) } else { networks[0] };
    address(side, network).ip()
}
