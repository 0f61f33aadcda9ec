//! The server thread: one poll(2) loop over the listener, the packet loop's queue and the clients.
//!
//! Each turn: 1. wait; 2. take what the packet loop said to its clients; 3. read from clients; 4. hand their requests on and
//! write, until neither makes room for the other; 5. accept who is new.

use std::{
    collections::BTreeMap,
    io,
    os::{fd::AsFd, unix::net::UnixStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use super::{
    MAX_CLIENTS,
    codec::write_message,
    connection::{Connection, Gone},
    listener::Listener,
    messages::{
        Command, CommandError, CommandResult, Event, HelloCommand, HelloResult, PROTOCOL_VERSION,
        Request, ServerMessage, codes,
    },
    port::{Outgoing, Port, ServerPort, Submitted, Ticket, ports},
};
use crate::{log, os::peer_uid};

/// After accept(2) failed for want of descriptors or memory: the only remedy is time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

const ROOT: u32 = 0;

pub struct ServerConfig {
    pub path: PathBuf,
    /// Permission bits of the socket.
    pub mode: u32,
    /// Users that may connect; root may always.
    pub allowed_uids: Vec<u32>,
    /// The answer to `hello`.
    pub hello: HelloResult,
}

/// A running server thread.
pub struct Server {
    thread: JoinHandle<()>,
    stopping: Arc<AtomicBool>,
    port: ServerPort,
}

impl Server {
    /// Binds the socket and serves it. `AddrInUse`: another engine does.
    pub fn start(config: ServerConfig) -> io::Result<(Self, Port)> {
        let listener = Listener::bind(&config.path, config.mode)?;
        let (port, server_port) = ports()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let turns = Turns {
            config,
            listener,
            port: server_port.clone(),
            stopping: Arc::clone(&stopping),
            connections: BTreeMap::new(),
            next_connection: 0,
            accept_paused: false,
        };
        let thread = thread::Builder::new()
            .name("socket".into())
            .spawn(move || turns.run())?;
        let server = Self {
            thread,
            stopping,
            port: server_port,
        };
        Ok((server, port))
    }

    /// Writes what clients take without waiting, removes the socket and ends the thread.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::Release);
        self.port.wake();
        self.thread
            .join()
            .expect("the server thread does not panic");
    }
}

struct Turns {
    config: ServerConfig,
    listener: Listener,
    port: ServerPort,
    stopping: Arc<AtomicBool>,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    accept_paused: bool,
}

/// Which descriptors are ready.
struct Ready {
    listener: bool,
    connections: Vec<(u64, PollFlags)>,
}

impl Turns {
    fn run(mut self) {
        loop {
            let stopping = self.stopping.load(Ordering::Acquire);
            self.take_outgoing();
            if stopping {
                self.write();
                return;
            }
            let ready = self.wait();
            self.take_outgoing();
            self.read(&ready.connections);
            self.serve();
            if ready.listener {
                self.accept();
            }
        }
    }

    fn wait(&mut self) -> Ready {
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.port.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.listener.as_fd(), accept_flags(self.accept_paused)),
        ];
        fds.extend(self.connections.values().map(|connection| {
            PollFd::from_borrowed_fd(connection.as_fd(), wanted_flags(connection))
        }));
        let timeout = self.accept_paused.then(|| Timespec {
            tv_sec: 0,
            tv_nsec: ACCEPT_PAUSE.subsec_nanos().into(),
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
        let connections = self.connections.keys().copied();
        let ready = Ready {
            listener: self.accept_paused || !fds[1].revents().is_empty(),
            connections: connections
                .zip(fds[2..].iter().map(PollFd::revents))
                .collect(),
        };
        self.accept_paused = false;
        ready
    }

    /// Gives replies to their clients and events to all.
    fn take_outgoing(&mut self) {
        for outgoing in self.port.take_outgoing() {
            match outgoing {
                Outgoing::Reply(ticket, outcome) => {
                    // A client that is gone needs no reply.
                    if let Some(connection) = self.connections.get_mut(&ticket.connection) {
                        connection.reply(ticket.request, outcome);
                    }
                }
                Outgoing::Event(event) => self.publish(event),
                Outgoing::Lost => {
                    log::warn("events dropped: the socket thread is far behind", json!({}));
                    self.connections
                        .values_mut()
                        .for_each(Connection::lose_events);
                }
            }
        }
    }

    fn publish(&mut self, event: Event) {
        match write_message(&ServerMessage::Event { event }) {
            Ok(bytes) => self
                .connections
                .values_mut()
                .for_each(|connection| connection.publish(&bytes)),
            Err(error) => unreachable!("an event is below the bound: {}", error.message),
        }
    }

    fn read(&mut self, ready: &[(u64, PollFlags)]) {
        for (id, flags) in ready {
            let Some(connection) = self.connections.get_mut(id) else {
                continue;
            };
            if flags.is_empty() {
                continue;
            }
            let outcome = if connection.wants_to_read() {
                connection.read()
            } else if flags.intersects(PollFlags::HUP | PollFlags::ERR) {
                Err(Gone)
            } else {
                Ok(())
            };
            if outcome.is_err() {
                self.connections.remove(id);
            }
        }
    }

    /// A written reply makes room for a request that waits in our own buffer, of which poll(2) knows nothing.
    fn serve(&mut self) {
        loop {
            self.hand_on_requests();
            self.write();
            if !self.connections.values().any(Connection::has_request) {
                return;
            }
        }
    }

    fn hand_on_requests(&mut self) {
        for (id, connection) in &mut self.connections {
            while let Some(request) = connection.next_request() {
                hand_on(*id, connection, request, &self.config.hello, &self.port);
            }
        }
    }

    /// Who is gone, or has heard its last words as far as it would, is forgotten.
    fn write(&mut self) {
        self.connections
            .retain(|_, connection| connection.write().is_ok() && !connection.is_closing());
    }

    fn accept(&mut self) {
        match self.listener.accept() {
            Ok(Some(stream)) => self.admit(stream),
            Ok(None) => {}
            Err(error) => {
                log::warn(
                    "cannot accept a client",
                    json!({ "error": error.to_string() }),
                );
                self.accept_paused = true;
            }
        }
    }

    fn admit(&mut self, stream: UnixStream) {
        let refusal = self.refusal_of(&stream);
        let mut connection = Connection::new(stream);
        if let Some(error) = refusal {
            log::warn(
                "client refused",
                json!({ "code": error.code, "reason": error.message }),
            );
            connection.close_with(error);
            // One try: it has sent nothing that we would wait for.
            let _ = connection.write();
            return;
        }
        self.connections.insert(self.next_connection, connection);
        self.next_connection += 1;
    }

    fn refusal_of(&self, stream: &UnixStream) -> Option<CommandError> {
        let uid = match peer_uid(stream.as_fd()) {
            Ok(uid) => uid,
            Err(error) => {
                return Some(CommandError::new(codes::NOT_ALLOWED, error.to_string()));
            }
        };
        if uid != ROOT && !self.config.allowed_uids.contains(&uid) {
            let message = format!("uid {uid} may not use this socket");
            return Some(CommandError::new(codes::NOT_ALLOWED, message));
        }
        if self.connections.len() >= MAX_CLIENTS {
            let message = format!("{MAX_CLIENTS} clients already");
            return Some(CommandError::new(codes::TOO_MANY_CLIENTS, message));
        }
        None
    }
}

/// `hello` is answered here; every other command goes to the packet loop, once the client has said hello.
fn hand_on(
    id: u64,
    connection: &mut Connection,
    request: Request,
    hello: &HelloResult,
    port: &ServerPort,
) {
    match request.command {
        Command::Hello(HelloCommand { protocol }) if protocol == PROTOCOL_VERSION => {
            connection.greet();
            connection.reply(request.id, Ok(CommandResult::Hello(hello.clone())));
        }
        Command::Hello(HelloCommand { protocol }) => {
            let message = format!("protocol {protocol}, this engine speaks {PROTOCOL_VERSION}");
            let error = CommandError::new(codes::PROTOCOL_UNSUPPORTED, message);
            connection.reply(request.id, Err(error));
        }
        _ if !connection.is_greeted() => {
            let error = CommandError::new(codes::HELLO_REQUIRED, "say hello first");
            connection.reply(request.id, Err(error));
        }
        command => {
            let ticket = Ticket {
                connection: id,
                request: request.id,
            };
            if !port.submit(Submitted { ticket, command }) {
                let error = CommandError::new(codes::BACKPRESSURE, "too many commands wait");
                connection.reply(request.id, Err(error));
            }
        }
    }
}

fn wanted_flags(connection: &Connection) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, connection.wants_to_read());
    flags.set(PollFlags::OUT, connection.wants_to_write());
    flags
}

fn accept_flags(paused: bool) -> PollFlags {
    match paused {
        true => PollFlags::empty(),
        false => PollFlags::IN,
    }
}
