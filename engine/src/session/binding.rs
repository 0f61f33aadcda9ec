//! The binding in AUTH: an HMAC-SHA256 keyed by the TLS exporter (RFC 8446 §7.5, as RFC 9266 uses it), so that a statement
//! about an authority can't be carried from one connection to another, nor sent back to who made it.

use ring::hmac;

use crate::frames::Authority;

/// Label for `export_keying_material`, with an empty context.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-saf-session-1";
pub const EXPORTER_BYTES: usize = 32;

/// Which end of the QUIC connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// TLS client.
    Dialler,
    /// TLS server.
    Acceptor,
}

impl Role {
    pub fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Acceptor,
            Self::Acceptor => Self::Dialler,
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Dialler => 1,
            Self::Acceptor => 2,
        }
    }
}

pub(super) struct Binding {
    key: hmac::Key,
}

impl Binding {
    pub fn new(exporter: &[u8; EXPORTER_BYTES]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, exporter);
        Self { key }
    }

    pub fn make(&self, sender: Role, authority: Authority, node: &str) -> [u8; 32] {
        let tag = hmac::sign(&self.key, &statement(sender, authority, node));
        tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    pub fn holds(&self, binding: &[u8], sender: Role, authority: Authority, node: &str) -> bool {
        hmac::verify(&self.key, &statement(sender, authority, node), binding).is_ok()
    }
}

/// `role u8 | term u64 | epoch u64 | SPIFFE id of the sender`.
fn statement(sender: Role, authority: Authority, node: &str) -> Vec<u8> {
    let mut statement = vec![sender.number()];
    statement.extend(authority.term.to_be_bytes());
    statement.extend(authority.epoch.to_be_bytes());
    statement.extend(node.as_bytes());
    statement
}
