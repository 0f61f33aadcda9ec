//! A real engine process, without a tunnel, on loopback, and a client of its socket.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fabric_engine::socket::messages::{
    ApplyCommand, ApplyResult, Authority, Command, CommandError, Desired, Event, HelloCommand,
    PROTOCOL_VERSION, PeerIntent, PeerState, Request, SendCommand, State,
};
use serde::Deserialize;
use serde_json::json;

use super::authority::{Node, TRUST_DOMAIN, in_an_hour_ms};

/// An answer that has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct EngineProcess {
    child: Child,
    dir: PathBuf,
    socket: UnixStream,
    next_id: u32,
    /// Events that came while an answer was awaited.
    events: VecDeque<Event>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    id: Option<u32>,
    result: Option<serde_json::Value>,
    error: Option<CommandError>,
    event: Option<Event>,
}

impl EngineProcess {
    /// Starts an engine without a tunnel for `node` and greets it.
    pub fn start(node: &Node) -> Self {
        Self::start_with(node, serde_json::Value::Null)
    }

    /// The same with these limits for its tunnel.
    pub fn start_with(node: &Node, tunnel: serde_json::Value) -> Self {
        Self::start_with_offloads(node, tunnel, json!({}))
    }

    /// The same with these offloads.
    pub fn start_with_offloads(
        node: &Node,
        tunnel: serde_json::Value,
        offloads: serde_json::Value,
    ) -> Self {
        let dir = make_dir();
        let config = write_config(&dir, node, tunnel, offloads);
        let mut child = Process::new(env!("CARGO_BIN_EXE_fabric-engine"))
            .arg("--config")
            .arg(config)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the engine starts");
        wait_for_start(&mut child);
        let socket = UnixStream::connect(dir.join("engine.sock")).expect("its socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut engine = Self {
            child,
            dir,
            socket,
            next_id: 1,
            events: VecDeque::new(),
        };
        let protocol = PROTOCOL_VERSION;
        engine
            .ask(Command::Hello(HelloCommand { protocol }))
            .expect("hello");
        engine
    }

    pub fn apply(&mut self, node: &Node, authority: Authority, peers: Vec<PeerIntent>) {
        self.apply_all(desired(node, authority, peers))
            .expect("a valid state");
    }

    /// What changed by it.
    pub fn apply_all(&mut self, desired: Desired) -> Result<Vec<String>, CommandError> {
        let result = self.ask(Command::Apply(Box::new(ApplyCommand { desired })))?;
        let result: ApplyResult = serde_json::from_value(result).expect("its shape");
        Ok(result.changed)
    }

    /// Where its key, its socket and its configuration lie.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn send(&mut self, peer: &str, kind: &str, payload: &[u8]) -> Result<(), CommandError> {
        let command = SendCommand {
            peer: peer.into(),
            kind: kind.into(),
            payload: payload.to_vec().into(),
        };
        self.ask(Command::Send(command)).map(drop)
    }

    pub fn state(&mut self) -> State {
        let state = self.ask(Command::Describe).expect("a state");
        serde_json::from_value(state).expect("its shape")
    }

    pub fn peer(&mut self, id: &str) -> PeerState {
        let peers = self.state().peers;
        peers
            .into_iter()
            .find(|peer| peer.id == id)
            .expect("a peer")
    }

    pub fn address(&mut self) -> SocketAddr {
        self.state().listen[0].parse().expect("an address")
    }

    /// The next event that `wanted` takes; others before it are dropped.
    pub fn event<T>(&mut self, wanted: impl Fn(Event) -> Option<T>) -> T {
        loop {
            let event = match self.events.pop_front() {
                Some(event) => event,
                None => match self.receive().event {
                    Some(event) => event,
                    None => continue,
                },
            };
            if let Some(wanted) = wanted(event) {
                return wanted;
            }
        }
    }

    /// Asks it to end, waits until it has, and says how long that took.
    pub fn terminate(&mut self) -> Duration {
        let begun = Instant::now();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        assert!(self.child.wait().expect("a child").success());
        begun.elapsed()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Kibibytes that the process holds.
    pub fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number
            .and_then(|number| number.parse().ok())
            .expect("a number")
    }

    fn ask(&mut self, command: Command) -> Result<serde_json::Value, CommandError> {
        let id = self.next_id;
        self.next_id += 1;
        let body = rmp_serde::to_vec_named(&Request { id, command }).expect("serializable");
        let frame = [&(body.len() as u32).to_be_bytes()[..], &body].concat();
        self.socket.write_all(&frame).expect("the engine reads");
        loop {
            let answer = self.receive();
            if let Some(event) = answer.event {
                self.events.push_back(event);
                continue;
            }
            assert_eq!(answer.id, Some(id), "{:?}", answer.error);
            return match answer.error {
                Some(error) => Err(error),
                None => Ok(answer.result.expect("a result")),
            };
        }
    }

    fn receive(&mut self) -> Answer {
        let mut length = [0; 4];
        self.socket.read_exact(&mut length).expect("an answer");
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.socket.read_exact(&mut body).expect("a whole answer");
        rmp_serde::from_slice(&body).expect("a message of the engine")
    }
}

impl Drop for EngineProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn make_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("fabric-engine-process-{}-{number}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    fs::create_dir_all(&dir).expect("a folder");
    dir
}

/// A state with these peers and no tunnel.
pub fn desired(node: &Node, authority: Authority, peers: Vec<PeerIntent>) -> Desired {
    Desired {
        revision: 1,
        trust_domain: TRUST_DOMAIN.into(),
        expires_at_ms: in_an_hour_ms(),
        authority,
        identity: node.identity.clone(),
        tunnel: None,
        peers,
        revoked: vec![],
        traffic_rules: vec![],
    }
}

fn write_config(
    dir: &Path,
    node: &Node,
    tunnel: serde_json::Value,
    offloads: serde_json::Value,
) -> PathBuf {
    let key = dir.join("node.key");
    fs::write(&key, &node.key_pem).expect("a key file");
    let config = json!({
        "socket": dir.join("engine.sock"),
        "allowedUids": [rustix::process::getuid().as_raw()],
        "keyFile": key,
        "stateDir": dir,
        "listen": ["127.0.0.1:0"],
        "tunnel": tunnel,
        "offloads": offloads,
    });
    let path = dir.join("engine.json");
    fs::write(&path, config.to_string()).expect("a configuration");
    path
}

/// Its socket is there when it says that it has started; what it says afterwards is passed on.
fn wait_for_start(child: &mut Child) {
    let mut log = BufReader::new(child.stderr.take().expect("its log")).lines();
    for line in log.by_ref() {
        let line = line.expect("text");
        if line.contains("engine started") {
            thread::spawn(move || {
                log.map_while(Result::ok)
                    .for_each(|line| eprintln!("{line}"))
            });
            return;
        }
        eprintln!("{line}");
    }
    panic!("the engine did not start");
}
