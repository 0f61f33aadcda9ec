//! The engine's root-owned configuration: who may command it and which limits no command can pass.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de};

use crate::policy::Prefix;
use crate::tun::TunOffloads;

/// A configuration of this engine is a few hundred bytes.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// One address of each family, and one more of each.
pub const MAX_LISTEN: usize = 4;
/// Root-owned limits name whole ranges, a handful of them.
const MAX_PREFIXES: usize = 64;
/// The kernel's IFNAMSIZ less its terminating zero.
const MAX_INTERFACE_BYTES: usize = 15;
/// IPv6 needs 1280 on every link (RFC 8200 §5); no inner packet of ours is larger than 9000.
pub const MTU_RANGE: std::ops::RangeInclusive<u16> = 1280..=9000;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    pub socket: PathBuf,
    /// Permissions of the socket; who may use it is decided by `allowed_uids`.
    #[serde(default = "default_socket_mode")]
    pub socket_mode: u32,
    pub allowed_uids: Vec<u32>,
    /// The node's private key, PKCS#8 PEM.
    pub key_file: PathBuf,
    /// The engine's own directory: the key of stateless resets.
    pub state_dir: PathBuf,
    pub listen: Vec<SocketAddr>,
    /// `None`: this engine carries control sessions only.
    pub tunnel: Option<TunnelLimits>,
    /// Ask for real-time priority for the packet thread.
    #[serde(default = "yes")]
    pub real_time: bool,
    #[serde(default)]
    pub offloads: Offloads,
}

/// What may be left to the kernel or the network card; all of it, unless one of them does it wrong.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Offloads {
    pub tun_checksum: bool,
    pub tun_tcp_segmentation: bool,
    pub tun_udp_segmentation: bool,
    /// Several packets in one send (UDP_SEGMENT).
    pub udp_segmentation: bool,
    /// Several packets in one receive (UDP_GRO).
    pub udp_coalescing: bool,
}

impl Default for Offloads {
    fn default() -> Offloads {
        Offloads {
            tun_checksum: true,
            tun_tcp_segmentation: true,
            tun_udp_segmentation: true,
            udp_segmentation: true,
            udp_coalescing: true,
        }
    }
}

impl Offloads {
    pub fn tun(&self) -> TunOffloads {
        TunOffloads {
            checksum: self.tun_checksum,
            tcp_segmentation: self.tun_tcp_segmentation,
            udp_segmentation: self.tun_udp_segmentation,
        }
    }
}

fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TunnelLimits {
    pub interface: String,
    #[serde(deserialize_with = "prefixes")]
    pub prefixes: Vec<Prefix>,
    pub max_mtu: u16,
}

#[derive(Debug)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

fn default_socket_mode() -> u32 {
    0o660
}

fn prefixes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Prefix>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts
        .iter()
        .map(|text| {
            text.parse()
                .map_err(|error| de::Error::custom(format!("{text}: {error}")))
        })
        .collect()
}

impl Config {
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let file = File::open(path)
            .map_err(|error| ConfigError(format!("{}: {error}", path.display())))?;
        let mut text = String::new();
        file.take(MAX_FILE_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| ConfigError(format!("{}: {error}", path.display())))?;
        Config::parse(&text)
    }

    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        let config: Config =
            serde_json::from_str(text).map_err(|error| ConfigError(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.listen.is_empty() || self.listen.len() > MAX_LISTEN {
            return Err(ConfigError(format!(
                "listen: one to {MAX_LISTEN} addresses"
            )));
        }
        self.tunnel.as_ref().map_or(Ok(()), TunnelLimits::check)
    }
}

impl TunnelLimits {
    fn check(&self) -> Result<(), ConfigError> {
        let name = &self.interface;
        let plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if name.is_empty()
            || name.len() > MAX_INTERFACE_BYTES
            || !plain
            || name == "."
            || name == ".."
        {
            return Err(ConfigError(format!(
                "tunnel.interface: {name} is no interface name"
            )));
        }
        if self.prefixes.is_empty() || self.prefixes.len() > MAX_PREFIXES {
            return Err(ConfigError(format!(
                "tunnel.prefixes: one to {MAX_PREFIXES} prefixes"
            )));
        }
        if !MTU_RANGE.contains(&self.max_mtu) {
            return Err(ConfigError(format!(
                "tunnel.maxMtu: {} to {}",
                MTU_RANGE.start(),
                MTU_RANGE.end()
            )));
        }
        Ok(())
    }

    /// Whether the agent may ever use this prefix.
    pub fn allows(&self, prefix: &Prefix) -> bool {
        self.prefixes.iter().any(|allowed| allowed.covers(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATOR: &str = r#"{"socket":"/run/x","allowedUids":[7],"keyFile":"/k","stateDir":"/s","listen":["0.0.0.0:7443"],"tunnel":null}"#;

    fn node(tunnel: &str) -> String {
        OPERATOR.replace("null", tunnel)
    }

    #[test]
    fn reads_both_kinds() {
        let operator = Config::parse(OPERATOR).expect("operator");
        assert!(operator.tunnel.is_none());
        assert_eq!(operator.socket_mode, 432);
        let node = Config::parse(&node(
            r#"{"interface":"fabric0","prefixes":["100.64.0.0/10","fd00::/8"],"maxMtu":9000}"#,
        ))
        .expect("node");
        let limits = node.tunnel.expect("limits");
        assert!(limits.allows(&"100.96.0.0/16".parse().expect("prefix")));
        assert!(!limits.allows(&"100.0.0.0/8".parse().expect("prefix")));
    }

    #[test]
    fn refuses_limits_that_make_no_sense() {
        for tunnel in [
            r#"{"interface":"../x","prefixes":["10.0.0.0/8"],"maxMtu":1280}"#,
            r#"{"interface":"fabric0","prefixes":[],"maxMtu":1280}"#,
            r#"{"interface":"fabric0","prefixes":["10.0.0.1/8"],"maxMtu":1280}"#,
            r#"{"interface":"fabric0","prefixes":["10.0.0.0/8"],"maxMtu":100}"#,
            r#"{"interface":"fabric0","prefixes":["10.0.0.0/8"],"maxMtu":1280,"extra":1}"#,
        ] {
            assert!(Config::parse(&node(tunnel)).is_err(), "{tunnel}");
        }
    }
}
