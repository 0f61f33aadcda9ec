//! A peer with a valid certificate that does on its connection exactly what the test wants. It stands on the QUIC library alone,
//! with nothing of the engine between.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use fabric_engine::frames::CloseCode;
use fabric_engine::session::{EXPORTER_BYTES, EXPORTER_LABEL, Role, Session, Setup};
use fabric_engine::socket::messages::{Authority, PeerIntent};
use noq_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use noq_proto::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use noq_proto::rustls::crypto::ring;
use noq_proto::rustls::pki_types::pem::PemObject;
use noq_proto::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use noq_proto::rustls::{
    ClientConfig as TlsConfig, DigitallySignedStruct, Error as TlsError,
    ServerConfig as TlsServerConfig, SignatureScheme, version,
};
use noq_proto::{
    ClientConfig, Connection, ConnectionError, ConnectionHandle, DatagramEvent, Dir, Endpoint,
    EndpointConfig, Event, FourTuple, ServerConfig, Side, StreamEvent, StreamId, WriteError,
};

use super::authority::Node;

/// What has not happened by then does not happen.
const PATIENCE: Duration = Duration::from_secs(10);
const ALPN: &[u8] = b"saf/1";
const ONE: NonZeroUsize = NonZeroUsize::MIN;

pub struct Peer {
    socket: UdpSocket,
    endpoint: Endpoint,
    handle: ConnectionHandle,
    pub connection: Connection,
    node: String,
    engine: String,
    control: Option<StreamId>,
    established: bool,
    /// Control bytes that came and were not taken yet.
    pub received: Vec<u8>,
    /// Streams that the engine told us to stop, with its codes.
    pub stopped: BTreeMap<StreamId, &'static str>,
    pub closed: Option<ConnectionError>,
}

impl Peer {
    /// Dials the engine and completes the TLS handshake.
    pub fn connect(node: &Node, engine: &Node, address: SocketAddr) -> Self {
        let crypto = QuicClientConfig::try_from(tls_config(node)).expect("TLS 1.3");
        let config = ClientConfig::new(Arc::new(crypto));
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, true);
        let (handle, connection) = endpoint
            .connect(Instant::now(), config, address, "fabric")
            .expect("dialled");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let mut peer = Self::of(node, engine, socket, endpoint, handle, connection);
        peer.until(|peer| peer.established);
        assert_eq!(peer.closed, None, "the handshake is done");
        peer.control = Some(peer.open(Dir::Bi));
        peer
    }

    /// Waits for the engine's next dial and its control stream.
    pub fn accept(listener: &Listener, engine: &Node) -> Self {
        let socket = listener.socket.try_clone().expect("a descriptor");
        let mut endpoint = listener.endpoint();
        let (handle, connection) = accept_connection(&socket, &mut endpoint);
        let node = &listener.node;
        let mut peer = Self::of(node, engine, socket, endpoint, handle, connection);
        peer.until(|peer| peer.control.is_some());
        assert_eq!(peer.closed, None, "the control stream is open");
        peer
    }

    fn of(
        node: &Node,
        engine: &Node,
        socket: UdpSocket,
        endpoint: Endpoint,
        handle: ConnectionHandle,
        connection: Connection,
    ) -> Self {
        Self {
            socket,
            endpoint,
            handle,
            connection,
            node: node.spiffe_id.clone(),
            engine: engine.spiffe_id.clone(),
            control: None,
            established: false,
            received: Vec::new(),
            stopped: BTreeMap::new(),
            closed: None,
        }
    }

    /// An honest session machine for this connection.
    pub fn session(&self, authority: Authority) -> Session {
        let mut exporter = [0; EXPORTER_BYTES];
        self.connection
            .crypto_session()
            .export_keying_material(&mut exporter, EXPORTER_LABEL, b"")
            .expect("keying material");
        let setup = Setup {
            role: match self.connection.side() {
                Side::Client => Role::Dialler,
                Side::Server => Role::Acceptor,
            },
            node: self.node.clone(),
            peer: self.engine.clone(),
            exporter,
            authority,
        };
        Session::new(setup, Instant::now())
    }

    /// A new stream, as soon as the engine allows one more.
    pub fn open(&mut self, dir: Dir) -> StreamId {
        let mut opened = None;
        self.until(|peer| {
            opened = peer.connection.streams().open(dir);
            opened.is_some()
        });
        opened.expect("the connection lives")
    }

    pub fn control(&self) -> StreamId {
        self.control.expect("connected")
    }

    /// Says these bytes on the control stream, as far as the engine still listens.
    pub fn say(&mut self, bytes: &[u8]) {
        self.say_on(self.control(), bytes);
    }

    pub fn say_on(&mut self, stream: StreamId, bytes: &[u8]) {
        let mut rest = bytes;
        self.until(|peer| {
            match peer.connection.send_stream(stream).write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(WriteError::Blocked) => {}
                Err(_) => rest = &[],
            }
            peer.transmit();
            rest.is_empty()
        });
    }

    /// Lets `session` speak and hear until `done`, or until the engine ends the connection.
    pub fn converse(&mut self, session: &mut Session, mut done: impl FnMut(&mut Session) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        self.say_all_of(session);
        while self.closed.is_none() && !done(session) {
            assert!(Instant::now() < give_up, "a conversation without end");
            self.step();
            let heard = std::mem::take(&mut self.received);
            session
                .on_bytes(&heard, Instant::now())
                .expect("the engine speaks well");
            self.say_all_of(session);
        }
    }

    fn say_all_of(&mut self, session: &mut Session) {
        session.flushed();
        let said: Vec<Bytes> = std::iter::from_fn(|| session.poll_transmit()).collect();
        self.say(&said.concat());
    }

    /// Waits until the engine ends the connection, and says with which code.
    pub fn ends_with(&mut self) -> &'static str {
        self.until(|_| false);
        match &self.closed {
            Some(ConnectionError::ApplicationClosed(close)) => name_of(close.error_code.into()),
            other => panic!("ended by {other:?}"),
        }
    }

    /// Steps until `done`, or until the engine ends the connection.
    pub fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
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
        self.take_events();
        self.transmit();
    }

    /// Takes all packets that are there and waits for none.
    pub fn look(&mut self) {
        self.transmit();
        self.socket.set_nonblocking(true).expect("a socket");
        let mut packet = [0; 2048];
        while let Ok((bytes, remote)) = self.socket.recv_from(&mut packet) {
            self.receive(&packet[..bytes], remote);
        }
        self.socket.set_nonblocking(false).expect("a socket");
        let now = Instant::now();
        if self.connection.poll_timeout().is_some_and(|due| due <= now) {
            self.connection.handle_timeout(now);
        }
        self.take_events();
        self.transmit();
    }

    fn transmit(&mut self) {
        let mut buffer = Vec::new();
        let now = Instant::now();
        while let Some(transmit) = self.connection.poll_transmit(now, ONE, &mut buffer) {
            self.socket
                .send_to(&buffer[..transmit.size], transmit.destination)
                .expect("loopback");
            buffer.clear();
        }
        while let Some(event) = self.connection.poll_endpoint_events() {
            if let Some(answer) = self.endpoint.handle_event(self.handle, event) {
                self.connection.handle_event(answer);
            }
        }
    }

    /// Takes one packet, or lets a timer act.
    fn hear(&mut self) {
        let due = self.connection.poll_timeout();
        let wait = due.map_or(PATIENCE, |due| {
            due.saturating_duration_since(Instant::now())
        });
        // Zero would mean for ever.
        let wait = wait.clamp(Duration::from_millis(1), Duration::from_millis(100));
        self.socket.set_read_timeout(Some(wait)).expect("a timeout");
        let mut packet = [0; 2048];
        match self.socket.recv_from(&mut packet) {
            Ok((bytes, remote)) => self.receive(&packet[..bytes], remote),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => panic!("{error}"),
        }
        let now = Instant::now();
        if self.connection.poll_timeout().is_some_and(|due| due <= now) {
            self.connection.handle_timeout(now);
        }
    }

    fn receive(&mut self, packet: &[u8], remote: SocketAddr) {
        let path = FourTuple::new(remote, None);
        let packet = BytesMut::from(packet);
        let now = Instant::now();
        match self
            .endpoint
            .handle(now, path, None, packet, &mut Vec::new())
        {
            Some(DatagramEvent::ConnectionEvent(handle, event)) if handle == self.handle => {
                self.connection.handle_event(event);
            }
            // Late packets of an earlier connection, or another dial: the next `accept` takes it.
            _ => {}
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.connection.poll() {
            match event {
                Event::Connected => self.established = true,
                Event::ConnectionLost { reason } => self.closed = Some(reason),
                Event::Stream(StreamEvent::Opened { dir: Dir::Bi }) => {
                    self.control = self.connection.streams().accept(Dir::Bi);
                }
                Event::Stream(StreamEvent::Stopped { id, error_code }) => {
                    self.stopped.insert(id, name_of(error_code.into()));
                }
                _ => {}
            }
        }
        let Some(control) = self.control else { return };
        let mut stream = self.connection.recv_stream(control);
        let Ok(mut chunks) = stream.read(true) else {
            return;
        };
        while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
            self.received.extend_from_slice(&chunk.bytes);
        }
        let _ = chunks.finalize();
    }
}

/// A node that waits to be dialled.
pub struct Listener {
    socket: UdpSocket,
    node: Node,
}

impl Listener {
    pub fn new(node: Node) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        Self { socket, node }
    }

    /// The node as a peer that is dialled here.
    pub fn as_peer(&self) -> PeerIntent {
        let address = self.socket.local_addr().expect("bound");
        PeerIntent {
            candidates: vec![address.to_string()],
            ..self.node.as_peer()
        }
    }

    fn endpoint(&self) -> Endpoint {
        let (chain, key) = certificate_and_key(&self.node);
        let mut config = TlsServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a key of that certificate");
        config.alpn_protocols = vec![ALPN.to_vec()];
        let crypto = QuicServerConfig::try_from(config).expect("TLS 1.3");
        let config = Arc::new(ServerConfig::with_crypto(Arc::new(crypto)));
        Endpoint::new(Arc::new(EndpointConfig::default()), Some(config), true)
    }
}

fn accept_connection(
    socket: &UdpSocket,
    endpoint: &mut Endpoint,
) -> (ConnectionHandle, Connection) {
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut packet = [0; 2048];
    loop {
        let (bytes, remote) = socket.recv_from(&mut packet).expect("the engine dials");
        let path = FourTuple::new(remote, None);
        let packet = BytesMut::from(&packet[..bytes]);
        let now = Instant::now();
        let mut answer = Vec::new();
        if let Some(DatagramEvent::NewConnection(incoming)) =
            endpoint.handle(now, path, None, packet, &mut answer)
        {
            return endpoint
                .accept(incoming, now, &mut answer, None)
                .unwrap_or_else(|error| panic!("{:?}", error.cause));
        }
    }
}

fn name_of(number: u64) -> &'static str {
    CloseCode::from_number(number).map_or("none of ours", CloseCode::name)
}

fn certificate_and_key(node: &Node) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let pem = node.identity.certificate_chain_pem.concat();
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .expect("certificates");
    let key = PrivateKeyDer::from_pem_slice(node.key_pem.as_bytes()).expect("a key");
    (chain, key)
}

pub fn tls_config(node: &Node) -> TlsConfig {
    let (chain, key) = certificate_and_key(node);
    let mut config = TlsConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous))
        .with_client_auth_cert(chain, key)
        .expect("a key of that certificate");
    config.alpn_protocols = vec![ALPN.to_vec()];
    config
}

/// Believes anybody: it is the engine that is tested.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
