//! Codes with which a session ends or is refused: the QUIC application error code, and the code field of GOAWAY.

/// Stable on the wire by number, in logs and on the local socket by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum CloseCode {
    /// An orderly end: shutdown, or the peer is no longer wanted.
    GoingAway = 0x01,
    /// Nothing came from the peer for too long.
    IdleTimeout = 0x02,
    /// Another connection between the same two nodes stays.
    Duplicate = 0x03,
    /// The intent or snapshot that allowed the session is over.
    Expired = 0x04,
    Revoked = 0x10,
    UnknownPeer = 0x11,
    WrongTrustDomain = 0x12,
    BadChain = 0x13,
    PinMismatch = 0x14,
    /// Malformed or out of state.
    ProtocolError = 0x20,
    FrameTooLarge = 0x21,
    /// A critical frame of a type that the receiver doesn't know.
    UnknownFrame = 0x22,
    /// The two version ranges don't meet.
    VersionUnsupported = 0x23,
    /// AUTH is not bound to this TLS session, or HELLO names another node than the certificate.
    AuthFailed = 0x24,
    HandshakeTimeout = 0x25,
}

impl CloseCode {
    pub const ALL: [Self; 15] = [
        Self::GoingAway,
        Self::IdleTimeout,
        Self::Duplicate,
        Self::Expired,
        Self::Revoked,
        Self::UnknownPeer,
        Self::WrongTrustDomain,
        Self::BadChain,
        Self::PinMismatch,
        Self::ProtocolError,
        Self::FrameTooLarge,
        Self::UnknownFrame,
        Self::VersionUnsupported,
        Self::AuthFailed,
        Self::HandshakeTimeout,
    ];

    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The code of a number from the wire, if this engine knows it.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|code| u64::from(code.number()) == number)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::GoingAway => "GOING_AWAY",
            Self::IdleTimeout => "IDLE_TIMEOUT",
            Self::Duplicate => "DUPLICATE",
            Self::Expired => "EXPIRED",
            Self::Revoked => "REVOKED",
            Self::UnknownPeer => "UNKNOWN_PEER",
            Self::WrongTrustDomain => "WRONG_TRUST_DOMAIN",
            Self::BadChain => "BAD_CHAIN",
            Self::PinMismatch => "PIN_MISMATCH",
            Self::ProtocolError => "PROTOCOL_ERROR",
            Self::FrameTooLarge => "FRAME_TOO_LARGE",
            Self::UnknownFrame => "UNKNOWN_FRAME",
            Self::VersionUnsupported => "VERSION_UNSUPPORTED",
            Self::AuthFailed => "AUTH_FAILED",
            Self::HandshakeTimeout => "HANDSHAKE_TIMEOUT",
        }
    }
}

impl std::fmt::Display for CloseCode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::CloseCode;

    #[test]
    fn every_code_has_its_own_number_and_is_found_by_it() {
        for code in CloseCode::ALL {
            assert_eq!(CloseCode::from_number(u64::from(code.number())), Some(code));
        }
        assert_eq!(CloseCode::from_number(0), None);
        assert_eq!(CloseCode::from_number(u64::MAX), None);
    }
}
