//! fabric-engine: reads its configuration, gives up privileges, starts the socket thread and becomes the packet loop.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use fabric_engine::clock::Now;
use fabric_engine::config::Config;
use fabric_engine::engine::{Engine, Parts, instance_id};
use fabric_engine::log;
use fabric_engine::os::{Priority, TerminationSignals, drop_privileges, request_exact_waits};
use fabric_engine::panics;
use fabric_engine::quic::{Cipher, ResetKey};
use fabric_engine::socket::messages::{HelloResult, PROTOCOL_VERSION};
use fabric_engine::socket::{Server, ServerConfig};
use fabric_engine::udp::UdpSockets;
use serde_json::json;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    panics::end_process_unless_contained();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error(
                "the engine can't run",
                json!({ "error": error.to_string() }),
            );
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let config = Config::read(&config_path()?)?;
    // Both hold for threads started later, so they come first.
    let signals = TerminationSignals::block()?;
    drop_privileges()?;
    request_exact_waits()?;
    let sockets = UdpSockets::bind(&config.listen, config.offloads)?;
    let reset_key = ResetKey::load(&config.state_dir)?;
    let hello = HelloResult {
        protocol: PROTOCOL_VERSION,
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        instance_id: instance_id()?,
        started_at_ms: Now::read().unix_ms,
    };
    let (server, port) = Server::start(ServerConfig {
        path: config.socket.clone(),
        mode: config.socket_mode,
        allowed_uids: config.allowed_uids.clone(),
        hello: hello.clone(),
    })?;
    let priority = config.real_time.then(Priority::new).transpose();
    let notes = notes(&sockets, priority.as_ref().err());
    log::info(
        "engine started",
        json!({ "instanceId": hello.instance_id, "listen": config.listen, "notes": notes }),
    );
    let engine = Engine::new(Parts {
        config,
        hello,
        sockets,
        reset_key,
        port,
        signals,
        priority: priority.ok().flatten(),
        notes,
    })?;
    let outcome = engine.run();
    server.stop();
    log::info("engine stopped", json!({}));
    Ok(outcome?)
}

fn config_path() -> Result<PathBuf, Failure> {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(flag), Some(path), None) if flag == "--config" => Ok(path.into()),
        _ => Err("usage: fabric-engine --config <file.json>".into()),
    }
}

/// What the host did not grant or is slow at, for whoever looks after it.
fn notes(sockets: &UdpSockets, no_priority: Option<&io::Error>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(error) = no_priority {
        notes.push(format!("real-time priority refused: {error}"));
    }
    if Cipher::fastest() == Cipher::ChaCha20Poly1305 {
        notes.push("ChaCha20-Poly1305 is offered first: this CPU is slower at AES".to_owned());
    }
    if let Some(bytes) = sockets
        .iter()
        .filter_map(|socket| socket.limited_buffer_bytes())
        .min()
    {
        notes.push(format!("socket buffers limited to {bytes} bytes: set net.core.rmem_max and net.core.wmem_max to 4194304"));
    }
    notes
}
