//! Whom the engine believes: the table the verifiers look into, replaced whole when the desired state changes.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use ring::digest::{SHA256, digest};

/// SHA-256 of a public key (SPKI DER).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of_public_key(spki: &[u8]) -> Fingerprint {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, spki).as_ref());
        Fingerprint(bytes)
    }

    /// From 64 lowercase hexadecimal digits.
    pub fn parse(text: &str) -> Option<Fingerprint> {
        let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Some(Fingerprint(bytes))
    }
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A peer as the verifier needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedPeer {
    pub fingerprint: Fingerprint,
    pub expires_at_ms: u64,
}

#[derive(Clone, Debug, Default)]
pub struct TrustTable {
    pub trust_domain: String,
    /// By SPIFFE id.
    pub peers: HashMap<String, TrustedPeer>,
    pub revoked: HashSet<Fingerprint>,
}

/// The current table, shared between the engine, which replaces it, and the verifiers.
#[derive(Clone, Debug, Default)]
pub struct Trust(Arc<RwLock<Arc<TrustTable>>>);

impl Trust {
    pub fn current(&self) -> Arc<TrustTable> {
        // The lock guards one pointer, which no panic can leave half-written.
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn replace(&self, table: TrustTable) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_64_lowercase_digits() {
        let text = "00ff".repeat(16);
        assert_eq!(
            Fingerprint::parse(&text).expect("fingerprint").to_string(),
            text
        );
        assert_eq!(Fingerprint::parse(&text.to_uppercase()), None);
        assert_eq!(Fingerprint::parse(&text[1..]), None);
    }
}
