//! The socket over real unix sockets: a client of the test, and the test in the place of the packet loop.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    os::{
        fd::AsFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use super::{messages::*, *};

/// An answer that has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A folder of this test, removed with it.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fabric-engine-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("engine.sock")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn hello_result() -> HelloResult {
    HelloResult {
        protocol: PROTOCOL_VERSION,
        engine_version: "0.1.0".into(),
        instance_id: "instance".into(),
        started_at_ms: 1,
    }
}

fn config(dir: &Dir) -> ServerConfig {
    ServerConfig {
        path: dir.socket(),
        mode: 0o600,
        allowed_uids: vec![rustix::process::getuid().as_raw()],
        hello: hello_result(),
    }
}

/// A server, and the end of the packet loop.
struct Engine {
    server: Option<Server>,
    port: Port,
    dir: Dir,
}

impl Engine {
    fn start() -> Self {
        let dir = Dir::new();
        let (server, port) = Server::start(config(&dir)).expect("a server");
        Self {
            server: Some(server),
            port,
            dir,
        }
    }

    fn client(&self) -> Client {
        Client::connect(&self.dir.socket())
    }

    fn greeted_client(&self) -> Client {
        let mut client = self.client();
        let answer = client.ask(
            1,
            Command::Hello(HelloCommand {
                protocol: PROTOCOL_VERSION,
            }),
        );
        assert_eq!(answer.error, None);
        client
    }

    /// The next command, waited for as the packet loop does.
    fn next(&mut self) -> Submitted {
        loop {
            if let Some(submitted) = self.port.next_command() {
                return submitted;
            }
            assert!(readable(&self.port, PATIENCE), "no command came");
        }
    }

    fn done(&mut self, ticket: Ticket) {
        self.port.reply(ticket, Ok(CommandResult::Done {}));
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

fn readable(source: &impl AsFd, patience: Duration) -> bool {
    let mut fds = [PollFd::new(source, PollFlags::IN)];
    let timeout = Timespec {
        tv_sec: patience.as_secs() as i64,
        tv_nsec: patience.subsec_nanos().into(),
    };
    poll(&mut fds, Some(&timeout)).expect("poll") == 1
}

/// A reply or event as a client sees it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    id: Option<u32>,
    result: Option<serde_json::Value>,
    error: Option<CommandError>,
    event: Option<Event>,
}

impl Answer {
    fn code(&self) -> &str {
        self.error.as_ref().map_or("none", |error| &error.code)
    }
}

struct Client(UnixStream);

impl Client {
    fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("a server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self(stream)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the server reads");
    }

    fn send(&mut self, id: u32, command: Command) {
        self.write(&framed(&Request { id, command }));
    }

    fn ask(&mut self, id: u32, command: Command) -> Answer {
        self.send(id, command);
        self.receive()
    }

    fn receive(&mut self) -> Answer {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).expect("an answer");
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut body).expect("a whole answer");
        rmp_serde::from_slice(&body).expect("a message of ours")
    }

    /// Waits for the end of the connection.
    fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0; 1]) {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

fn with_length(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes(), body].concat()
}

fn framed(message: &impl Serialize) -> Vec<u8> {
    with_length(&rmp_serde::to_vec_named(message).expect("serializable"))
}

fn send_command(bytes: usize) -> Command {
    Command::Send(SendCommand {
        peer: "operator".into(),
        kind: "heartbeat".into(),
        payload: Bytes::from(vec![1; bytes]),
    })
}

fn message_event(bytes: usize) -> Event {
    Event::Message {
        peer: "operator".into(),
        kind: "document".into(),
        payload: Bytes::from(vec![7; bytes]),
    }
}

fn state() -> State {
    State {
        instance_id: "instance".into(),
        engine_version: "0.1.0".into(),
        started_at_ms: 1,
        revision: 0,
        identity: None,
        tunnel: None,
        listen: vec!["[::]:7443".into()],
        peers: vec![],
        counters: [("rx".to_owned(), 7)].into(),
        pressure: Pressure {
            level: PressureLevel::Nominal,
            score: 0,
            reasons: vec![],
            classes: [].into(),
        },
        offloads: OffloadState {
            tun_checksum: true,
            tun_tcp_segmentation: true,
            tun_udp_segmentation: true,
            udp_segmentation: true,
            udp_coalescing: true,
        },
        notes: vec![],
    }
}

#[test]
fn a_command_reaches_the_loop_and_its_reply_the_client() {
    let mut engine = Engine::start();
    let mut client = engine.greeted_client();
    client.send(7, Command::Describe);
    let Submitted { ticket, command } = engine.next();
    assert_eq!(command, Command::Describe);
    engine
        .port
        .reply(ticket, Ok(CommandResult::State(Box::new(state()))));
    let answer = client.receive();
    assert_eq!(answer.id, Some(7));
    let state = answer.result.expect("a state");
    assert_eq!(state["counters"]["rx"], 7);
    assert_eq!(state["identity"], serde_json::Value::Null);
    // And the loop's refusal as a coded error.
    client.send(8, send_command(100));
    let Submitted { ticket, command } = engine.next();
    assert_eq!(command, send_command(100));
    engine
        .port
        .reply(ticket, Err(CommandError::new(codes::NO_SESSION, "not now")));
    let answer = client.receive();
    assert_eq!((answer.id, answer.code()), (Some(8), codes::NO_SESSION));
}

#[test]
fn hello_comes_first_and_names_the_version() {
    let engine = Engine::start();
    let mut client = engine.client();
    assert_eq!(client.ask(1, Command::Stop).code(), codes::HELLO_REQUIRED);
    let other = Command::Hello(HelloCommand { protocol: 2 });
    assert_eq!(client.ask(2, other).code(), codes::PROTOCOL_UNSUPPORTED);
    let ours = Command::Hello(HelloCommand {
        protocol: PROTOCOL_VERSION,
    });
    let result = client.ask(3, ours).result.expect("hello");
    let hello: HelloResult = serde_json::from_value(result).expect("its shape");
    assert_eq!(hello, hello_result());
}

#[test]
fn bad_requests_are_answered_with_their_code_and_id_and_the_connection_stays() {
    #[derive(Serialize)]
    struct Loose {
        id: u32,
        command: serde_json::Value,
    }
    let loose = |id, command| framed(&Loose { id, command });
    let json = |text: &str| serde_json::from_str(text).expect("JSON");
    let long_kind = format!(
        r#"{{"type":"send","peer":"p","kind":"{}","payload":[]}}"#,
        "k".repeat(65)
    );
    let engine = Engine::start();
    let mut client = engine.greeted_client();
    for (bytes, id, code) in [
        (with_length(b""), 0, codes::MALFORMED),
        (with_length(&[0xc1]), 0, codes::MALFORMED),
        (with_length(b"not MessagePack at all"), 0, codes::MALFORMED),
        (with_length(&[0x91; 200]), 0, codes::MALFORMED),
        (framed(&"text"), 0, codes::MALFORMED),
        (
            with_length(&[framed(&1)[4..].to_vec(), vec![0]].concat()),
            0,
            codes::MALFORMED,
        ),
        (loose(3, json("{}")), 3, codes::MALFORMED),
        (loose(4, json(r#"{"type":7}"#)), 4, codes::MALFORMED),
        (
            loose(5, json(r#"{"type":"reboot"}"#)),
            5,
            codes::UNKNOWN_COMMAND,
        ),
        (loose(6, json(r#"{"type":"apply"}"#)), 6, codes::MALFORMED),
        (
            loose(
                7,
                json(r#"{"type":"send","peer":1,"kind":"k","payload":[]}"#),
            ),
            7,
            codes::MALFORMED,
        ),
        (
            loose(
                8,
                json(r#"{"type":"send","peer":"p","kind":"a b","payload":[]}"#),
            ),
            8,
            codes::INVALID_ARGUMENT,
        ),
        (loose(9, json(&long_kind)), 9, codes::LIMIT_EXCEEDED),
        (
            framed(&Request {
                id: 10,
                command: send_command(MAX_PAYLOAD_BYTES + 1),
            }),
            10,
            codes::TOO_LARGE,
        ),
    ] {
        client.write(&bytes);
        let answer = client.receive();
        assert_eq!((answer.id, answer.code()), (Some(id), code), "{bytes:?}");
    }
    assert_eq!(
        client
            .ask(11, Command::Hello(HelloCommand { protocol: 1 }))
            .error,
        None
    );
}

#[test]
fn an_oversized_frame_is_refused_by_its_length_and_ends_the_connection() {
    let engine = Engine::start();
    let mut client = engine.greeted_client();
    client.write(&(MAX_FRAME_BYTES as u32 + 1).to_be_bytes());
    let answer = client.receive();
    assert_eq!(
        (answer.id, answer.code()),
        (Some(0), codes::FRAME_TOO_LARGE)
    );
    assert!(client.is_closed());
    engine.greeted_client();
}

#[test]
fn a_request_may_come_byte_by_byte_and_many_at_once() {
    let mut engine = Engine::start();
    let mut client = engine.greeted_client();
    for byte in framed(&Request {
        id: 2,
        command: Command::Stop,
    }) {
        client.write(&[byte]);
    }
    let ticket = engine.next().ticket;
    engine.done(ticket);
    assert_eq!(client.receive().id, Some(2));
    // More than may be in flight, answered by the socket thread alone: nothing may be left lying in its buffer.
    let hello = || Command::Hello(HelloCommand { protocol: 1 });
    let many: Vec<u8> = (10..60)
        .flat_map(|id| {
            framed(&Request {
                id,
                command: hello(),
            })
        })
        .collect();
    client.write(&many);
    for id in 10..60 {
        assert_eq!(client.receive().id, Some(id));
    }
}

#[test]
fn a_client_has_a_bounded_number_of_commands_in_flight() {
    let mut engine = Engine::start();
    let mut client = engine.greeted_client();
    let mut other = engine.greeted_client();
    for id in 10..60 {
        client.send(id, Command::Describe);
    }
    let mut first: Vec<Ticket> = (0..MAX_IN_FLIGHT).map(|_| engine.next().ticket).collect();
    // The other client is served meanwhile, and what comes is its command, not the ninth of the first.
    other.send(2, Command::Stop);
    let submitted = engine.next();
    assert_eq!(submitted.command, Command::Stop);
    engine.done(submitted.ticket);
    assert_eq!(other.receive().id, Some(2));
    assert!(engine.port.next_command().is_none());
    for id in 10..60 {
        let ticket = if first.is_empty() {
            engine.next().ticket
        } else {
            first.remove(0)
        };
        engine.done(ticket);
        assert_eq!(client.receive().id, Some(id));
    }
}

#[test]
fn events_reach_every_client_that_said_hello() {
    let mut engine = Engine::start();
    let mut silent = engine.client();
    let mut clients = [engine.greeted_client(), engine.greeted_client()];
    assert!(engine.port.publish(message_event(10)));
    for client in &mut clients {
        assert_eq!(client.receive().event, Some(message_event(10)));
    }
    // The first that a late client hears is the answer to its hello.
    assert_eq!(
        silent
            .ask(1, Command::Hello(HelloCommand { protocol: 1 }))
            .id,
        Some(1)
    );
}

#[test]
fn a_slow_client_loses_events_and_is_told_once_and_another_loses_none() {
    let mut engine = Engine::start();
    let mut slow = engine.greeted_client();
    let mut quick = engine.greeted_client();
    const SENT: usize = 64;
    for _ in 0..SENT {
        assert!(engine.port.publish(message_event(MAX_PAYLOAD_BYTES)));
        assert_eq!(
            quick.receive().event,
            Some(message_event(MAX_PAYLOAD_BYTES))
        );
    }
    let kept = (0..)
        .take_while(|_| slow.receive().event != Some(Event::Resync))
        .count();
    assert!((1..SENT).contains(&kept), "kept {kept}");
    // From then on it hears events again, and its replies were never dropped.
    assert!(engine.port.publish(message_event(1)));
    assert_eq!(slow.receive().event, Some(message_event(1)));
    slow.send(9, Command::Stop);
    let ticket = engine.next().ticket;
    engine.done(ticket);
    assert_eq!(slow.receive().id, Some(9));
}

#[test]
fn a_client_that_goes_away_with_commands_in_flight_hurts_nobody() {
    let mut engine = Engine::start();
    let mut leaving = engine.greeted_client();
    leaving.send(2, Command::Stop);
    let ticket = engine.next().ticket;
    drop(leaving);
    engine.done(ticket);
    let mut client = engine.greeted_client();
    client.send(3, Command::Stop);
    let ticket = engine.next().ticket;
    engine.done(ticket);
    assert_eq!(client.receive().id, Some(3));
}

#[test]
fn commands_of_clients_that_went_away_are_bounded() {
    let mut engine = Engine::start();
    let mut refused = 0;
    for _ in 0..2 * MAX_CLIENTS {
        let mut client = engine.greeted_client();
        for id in 0..MAX_IN_FLIGHT as u32 {
            client.send(id, Command::Describe);
        }
        // Only a refusal is answered at once; anything else waits for the loop of this test.
        if readable(&client.0, Duration::from_millis(50)) {
            assert_eq!(client.receive().code(), codes::BACKPRESSURE);
            refused += 1;
        }
    }
    assert!(refused > 0);
    let waiting = std::iter::from_fn(|| engine.port.next_command()).count();
    assert_eq!(waiting, MAX_CLIENTS * MAX_IN_FLIGHT);
}

#[test]
fn clients_are_bounded_in_number() {
    let engine = Engine::start();
    let mut clients: Vec<Client> = (0..MAX_CLIENTS).map(|_| engine.greeted_client()).collect();
    let mut refused = engine.client();
    assert_eq!(refused.receive().code(), codes::TOO_MANY_CLIENTS);
    assert!(refused.is_closed());
    // When one leaves, there is room again; its leaving is noticed in its own time.
    clients.pop();
    let admitted = (0..1_000).any(|_| {
        let mut client = engine.client();
        let hello = Command::Hello(HelloCommand { protocol: 1 });
        let request = framed(&Request {
            id: 1,
            command: hello,
        });
        client.0.write_all(&request).is_ok() && client.receive().error.is_none()
    });
    assert!(admitted);
}

#[test]
fn a_user_that_is_not_allowed_is_refused() {
    let dir = Dir::new();
    let stranger = 65_534;
    let config = ServerConfig {
        mode: 0o666,
        allowed_uids: vec![stranger + 1],
        ..config(&dir)
    };
    let (server, _port) = Server::start(config).expect("a server");
    let path = dir.socket();
    let answer = std::thread::spawn(move || {
        // Only root may become somebody else; anybody else is a stranger already.
        if rustix::process::getuid().is_root() {
            let uid = rustix::process::Uid::from_raw(stranger);
            rustix::thread::set_thread_uid(uid).expect("another user");
        }
        let mut client = Client::connect(&path);
        let answer = client.receive();
        assert!(client.is_closed());
        answer
    })
    .join()
    .expect("the stranger's thread");
    assert_eq!((answer.id, answer.code()), (Some(0), codes::NOT_ALLOWED));
    server.stop();
}

#[test]
fn the_socket_has_its_mode_replaces_a_stale_one_and_is_removed() {
    let dir = Dir::new();
    // What an engine that was killed leaves behind.
    drop(UnixListener::bind(dir.socket()).expect("a stale socket"));
    let (server, _port) = Server::start(config(&dir)).expect("a server");
    let mode = fs::metadata(dir.socket())
        .expect("a socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    Client::connect(&dir.socket());
    server.stop();
    assert!(!dir.socket().exists());
}

#[test]
fn a_second_engine_and_a_foreign_file_are_refused() {
    let engine = Engine::start();
    let second = Server::start(config(&engine.dir))
        .map(drop)
        .expect_err("one is enough");
    assert_eq!(second.kind(), ErrorKind::AddrInUse);
    engine.greeted_client();
    let dir = Dir::new();
    fs::write(dir.socket(), "precious").expect("a file");
    let foreign = Server::start(config(&dir))
        .map(drop)
        .expect_err("not a socket");
    assert_eq!(foreign.kind(), ErrorKind::AlreadyExists);
    assert_eq!(
        fs::read_to_string(dir.socket()).expect("still there"),
        "precious"
    );
}

#[test]
fn what_was_said_before_stopping_is_still_delivered() {
    let mut engine = Engine::start();
    let mut client = engine.greeted_client();
    client.send(2, Command::Stop);
    let ticket = engine.next().ticket;
    engine.port.publish(message_event(3));
    engine.done(ticket);
    engine.server.take().expect("running").stop();
    assert_eq!(client.receive().event, Some(message_event(3)));
    assert_eq!(client.receive().id, Some(2));
    assert!(client.is_closed());
}
