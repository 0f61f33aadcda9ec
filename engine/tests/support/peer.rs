//! A peer with a valid certificate that says on its control stream exactly what the test wants.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use fabric_engine::quic::{
    Closed, Connection, ConnectionEvent, ConnectionKey, Endpoint, Identity, IdentityParts,
    Received, ResetKey, StreamBytes, Trust, TrustTable, TrustedPeer,
};
use fabric_engine::session::{EXPORTER_BYTES, EXPORTER_LABEL, Role, Session, Setup};
use fabric_engine::socket::messages::Authority;

use super::authority::{Node, TRUST_DOMAIN, in_an_hour_ms, now_ms};

const PATIENCE: Duration = Duration::from_secs(10);
const ONE: NonZeroUsize = NonZeroUsize::MIN;

pub struct Peer {
    socket: UdpSocket,
    endpoint: Endpoint,
    key: ConnectionKey,
    node: String,
    engine: String,
    /// Control bytes that came and were not taken yet.
    pub received: Vec<u8>,
    pub closed: Option<Closed>,
    established: bool,
}

impl Peer {
    /// Dials the engine and completes the TLS handshake.
    pub fn connect(node: &Node, engine: &Node, address: SocketAddr) -> Self {
        let trust = Trust::default();
        let trusted = TrustedPeer {
            fingerprint: engine.fingerprint,
            expires_at_ms: in_an_hour_ms(),
        };
        trust.replace(TrustTable {
            trust_domain: TRUST_DOMAIN.into(),
            peers: [(engine.spiffe_id.clone(), trusted)].into(),
            revoked: Default::default(),
        });
        let parts = IdentityParts {
            spiffe_id: &node.spiffe_id,
            trust_domain: TRUST_DOMAIN,
            chain_pem: &node.identity.certificate_chain_pem,
            ca_pem: &node.identity.ca_certificates_pem,
            key_pem: node.key_pem.as_bytes(),
        };
        let identity = Identity::new(&parts, trust, now_ms()).expect("a valid identity");
        let mut endpoint = Endpoint::new(reset_key());
        endpoint.set_identity(Some(identity.into()));
        let key = endpoint
            .dial(Instant::now(), address, &engine.spiffe_id)
            .expect("dialled");
        let mut peer = Self {
            socket: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket"),
            endpoint,
            key,
            node: node.spiffe_id.clone(),
            engine: engine.spiffe_id.clone(),
            received: Vec::new(),
            closed: None,
            established: false,
        };
        peer.until(|peer| peer.established);
        assert_eq!(peer.closed, None, "the handshake is done");
        peer
    }

    /// An honest session machine for this connection.
    pub fn session(&mut self, authority: Authority) -> Session {
        let setup = Setup {
            role: Role::Dialler,
            node: self.node.clone(),
            peer: self.engine.clone(),
            exporter: self.exporter(),
            authority,
        };
        Session::new(setup, Instant::now())
    }

    pub fn exporter(&mut self) -> [u8; EXPORTER_BYTES] {
        let mut exporter = [0; EXPORTER_BYTES];
        assert!(
            self.connection()
                .export_keying_material(EXPORTER_LABEL, &mut exporter)
        );
        exporter
    }

    /// Says these bytes, as far as the engine still listens.
    pub fn say(&mut self, bytes: &[u8]) {
        let give_up = Instant::now() + PATIENCE;
        let mut rest = Some(Bytes::copy_from_slice(bytes));
        while let Some(bytes) = rest.take()
            && self.closed.is_none()
        {
            rest = self.connection().write_control(bytes);
            if rest.is_some() {
                assert!(Instant::now() < give_up, "the engine does not read");
                self.step();
            }
        }
        self.transmit();
    }

    /// Lets `session` speak and hear until `done`, or until the engine ends the connection.
    pub fn converse(&mut self, session: &mut Session, mut done: impl FnMut(&mut Session) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        while self.closed.is_none() && !done(session) {
            assert!(Instant::now() < give_up, "a conversation without end");
            let said: Vec<Bytes> = std::iter::from_fn(|| session.poll_transmit()).collect();
            self.say(&said.concat());
            let heard = std::mem::take(&mut self.received);
            session
                .on_bytes(&heard, Instant::now())
                .expect("the engine speaks well");
            if heard.is_empty() && said.is_empty() {
                self.step();
            }
        }
    }

    /// Waits until the engine ends the connection, and says with which code.
    pub fn ends_with(&mut self) -> &'static str {
        self.until(|peer| peer.closed.is_some());
        self.closed.as_ref().map_or("", |closed| closed.code.name())
    }

    /// Steps until `done`, or until the engine ends the connection.
    fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        while self.closed.is_none() && !done(self) {
            assert!(Instant::now() < give_up, "waited for nothing");
            self.step();
        }
    }

    /// Sends what there is to send, takes one packet or lets a timer act, and looks at what it brought.
    pub fn step(&mut self) {
        self.transmit();
        self.hear();
        self.take();
        self.transmit();
    }

    pub fn connection(&mut self) -> &mut Connection {
        self.endpoint
            .connection(self.key)
            .expect("it lives while the test does")
    }

    fn transmit(&mut self) {
        let mut buffer = Vec::new();
        let now = Instant::now();
        while let Some(transmit) = self.connection().poll_transmit(now, ONE, &mut buffer) {
            self.socket
                .send_to(&buffer[..transmit.bytes], transmit.remote)
                .expect("loopback");
            buffer.clear();
        }
    }

    fn take(&mut self) {
        while let Some(event) = self.connection().poll_event() {
            match event {
                ConnectionEvent::Established(_) => self.established = true,
                ConnectionEvent::Closed(closed) => self.closed = Some(closed),
            }
        }
        while let Some((from, bytes)) = self.connection().read() {
            assert_eq!(from, StreamBytes::Control, "the engine opens no lane here");
            self.received.extend_from_slice(&bytes);
        }
    }

    /// Takes one packet, or lets a timer act.
    fn hear(&mut self) {
        self.endpoint.settle(self.key);
        let due = self.endpoint.poll_timeout();
        let wait = due.map_or(PATIENCE, |due| {
            due.saturating_duration_since(Instant::now())
        });
        // Zero would mean for ever.
        let wait = wait.clamp(Duration::from_millis(1), Duration::from_millis(100));
        self.socket.set_read_timeout(Some(wait)).expect("a timeout");
        let mut packet = [0; 2048];
        match self.socket.recv_from(&mut packet) {
            Ok((bytes, remote)) => {
                let packet = BytesMut::from(&packet[..bytes]);
                let received =
                    self.endpoint
                        .receive(Instant::now(), remote, None, packet, &mut Vec::new());
                assert!(
                    !matches!(received, Received::Accepted(_)),
                    "nobody dials us"
                );
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        while self.endpoint.next_due(Instant::now()).is_some() {}
    }
}

/// One for all peers of a test program; it restarts none of them.
fn reset_key() -> &'static ResetKey {
    static KEY: OnceLock<ResetKey> = OnceLock::new();
    KEY.get_or_init(|| {
        let name = format!("fabric-engine-peer-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).expect("a folder");
        let key = ResetKey::load(&dir).expect("a key");
        fs::remove_dir_all(&dir).expect("its removal");
        key
    })
}
