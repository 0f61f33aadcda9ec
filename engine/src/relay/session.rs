//! The number by which a relay knows two nodes that it may pass packets between.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Hexadecimal digits of a session's text.
const DIGITS: usize = 16;
/// The discard-only prefix 100::/64 (RFC 6666): no packet comes from there, and none that were sent there would arrive.
const KEY_PREFIX: u64 = 0x0100 << 48;
/// A key has the form of an address with a port, and port 0 is none.
const KEY_PORT: u16 = 1;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelaySession(pub u64);

impl RelaySession {
    /// The address that stands for this session as the remote of a path. It never leaves the engine.
    pub fn key(self) -> SocketAddr {
        let bits = u128::from(KEY_PREFIX) << 64 | u128::from(self.0);
        (Ipv6Addr::from_bits(bits), KEY_PORT).into()
    }

    /// The session that this address stands for, if it is a key.
    pub fn of(remote: SocketAddr) -> Option<RelaySession> {
        let IpAddr::V6(address) = remote.ip() else {
            return None;
        };
        let bits = address.to_bits();
        ((bits >> 64) as u64 == KEY_PREFIX).then_some(RelaySession(bits as u64))
    }
}

/// Sixteen lowercase hexadecimal digits.
impl fmt::Display for RelaySession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:0DIGITS$x}", self.0)
    }
}

impl fmt::Debug for RelaySession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct NoSession;

impl FromStr for RelaySession {
    type Err = NoSession;

    fn from_str(text: &str) -> Result<RelaySession, NoSession> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != DIGITS || !text.bytes().all(is_digit) {
            return Err(NoSession);
        }
        let number = u64::from_str_radix(text, 16).map_err(|_| NoSession)?;
        Ok(RelaySession(number))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_session_is_known_by_its_key_and_by_its_text(number: u64) {
            let session = RelaySession(number);
            prop_assert_eq!(RelaySession::of(session.key()), Some(session));
            prop_assert_eq!(session.to_string().parse(), Ok(session));
        }
    }

    #[test]
    fn no_other_address_is_a_key_and_no_other_text_a_session() {
        for address in [
            "192.0.2.1:1",
            "[::1]:1",
            "[2001:db8::1]:1",
            "[100:0:0:1::1]:1",
        ] {
            assert_eq!(RelaySession::of(address.parse().expect("an address")), None);
        }
        for text in [
            "",
            "0",
            "+00000000000000f",
            "000000000000000F",
            "00000000000000000",
        ] {
            assert_eq!(text.parse::<RelaySession>(), Err(NoSession), "{text}");
        }
    }
}
