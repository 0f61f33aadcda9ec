//! Generates the client's TypeScript types from the Rust ones.
//!
//! `cargo test --lib bindings` fails when the checked-in file is stale; with `UPDATE_BINDINGS=1` it writes the file.

use std::{env, fs, path::Path};

use ts_rs::{Config, TS};

use super::messages::*;

const FILE: &str = "client/generated/messages.ts";
const HEADER: &str = "// Generated from engine/src/socket/messages.rs by `UPDATE_BINDINGS=1 cargo test --lib bindings`. Do not edit.\n";

#[test]
fn bindings_are_current() {
    // Asked for when it runs: a build may have been moved since.
    let package = env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    let path = Path::new(&package).join(FILE);
    let generated = generate();
    if env::var_os("UPDATE_BINDINGS").is_some() {
        fs::write(&path, &generated).expect("write the bindings");
    }
    let checked_in = fs::read_to_string(&path).expect("read the bindings");
    assert_eq!(
        checked_in, generated,
        "stale: run UPDATE_BINDINGS=1 cargo test --lib bindings"
    );
}

fn generate() -> String {
    let config = Config::new().with_large_int("number");
    let mut file = String::from(HEADER);
    for (name, value) in [
        ("PROTOCOL_VERSION", PROTOCOL_VERSION as usize),
        ("MAX_FRAME_BYTES", MAX_FRAME_BYTES),
        ("MAX_PAYLOAD_BYTES", MAX_PAYLOAD_BYTES),
        ("MAX_KIND_BYTES", MAX_KIND_BYTES),
        ("MAX_PEERS", MAX_PEERS),
        ("MAX_CANDIDATES", MAX_CANDIDATES),
        ("MAX_PREFIXES", MAX_PREFIXES),
        ("MAX_REVOKED", MAX_REVOKED),
        ("MAX_TRAFFIC_RULES", MAX_TRAFFIC_RULES),
        ("MAX_RULE_PORTS", MAX_RULE_PORTS),
        ("MAX_RULE_DSCP", MAX_RULE_DSCP),
    ] {
        file += &format!("\nexport const {name} = {value};");
    }
    file += "\n";
    declare::<Request>(&config, &mut file);
    declare::<Command>(&config, &mut file);
    declare::<HelloCommand>(&config, &mut file);
    declare::<ApplyCommand>(&config, &mut file);
    declare::<SendCommand>(&config, &mut file);
    declare::<Desired>(&config, &mut file);
    declare::<Authority>(&config, &mut file);
    declare::<IdentityIntent>(&config, &mut file);
    declare::<TunnelIntent>(&config, &mut file);
    declare::<PeerIntent>(&config, &mut file);
    declare::<TrafficClass>(&config, &mut file);
    declare::<TrafficProtocol>(&config, &mut file);
    declare::<TrafficRule>(&config, &mut file);
    declare::<PortRange>(&config, &mut file);
    declare::<ServerMessage>(&config, &mut file);
    declare::<CommandResult>(&config, &mut file);
    declare::<CommandError>(&config, &mut file);
    declare::<HelloResult>(&config, &mut file);
    declare::<ApplyResult>(&config, &mut file);
    declare::<State>(&config, &mut file);
    declare::<IdentityState>(&config, &mut file);
    declare::<Pressure>(&config, &mut file);
    declare::<PressureLevel>(&config, &mut file);
    declare::<PressureReason>(&config, &mut file);
    declare::<RemotePressure>(&config, &mut file);
    declare::<OffloadState>(&config, &mut file);
    declare::<ClassState>(&config, &mut file);
    declare::<TunnelState>(&config, &mut file);
    declare::<SessionState>(&config, &mut file);
    declare::<PeerState>(&config, &mut file);
    declare::<PeerPath>(&config, &mut file);
    declare::<PathStatus>(&config, &mut file);
    declare::<PeerFailure>(&config, &mut file);
    declare::<Event>(&config, &mut file);
    file
}

fn declare<T: TS>(config: &Config, file: &mut String) {
    if let Some(docs) = T::docs() {
        *file += &format!("\n{}", docs.trim_end());
    }
    *file += &format!("\nexport {}\n", T::decl(config));
}
