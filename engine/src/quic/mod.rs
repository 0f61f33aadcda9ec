//! QUIC (noq-proto, used without its I/O). All types of the library stay in here: packets and time go in; packets to send,
//! connections, control bytes, datagrams and lane bytes come out.

mod carrier;
mod certificate;
mod cipher;
mod congestion;
mod connection;
mod connection_paths;
mod contained;
mod dialer;
mod endpoint;
#[cfg(test)]
mod endpoint_tests;
#[cfg(test)]
mod hostile_tests;
mod identity;
#[cfg(test)]
mod library_tests;
#[cfg(test)]
mod network;
mod paths;
mod reset_key;
mod transport;
mod trust;
mod verifier;
#[cfg(test)]
mod verifier_tests;

pub use cipher::Cipher;
pub use connection::{
    Closed, Connection, ConnectionEvent, Established, PathFacts, StreamBytes, StreamRead, Transmit,
};
pub use dialer::{Dialer, Rest};
pub use endpoint::{ConnectionKey, DialError, Endpoint, Received};
pub use identity::{Identity, IdentityError, IdentityParts};
pub use paths::{MAX_TARGETS, PathChange, PathReason, PathReport, PathState};
pub use reset_key::ResetKey;
pub use trust::{Fingerprint, Trust, TrustTable, TrustedPeer};
pub use verifier::{Refusal, trust_domain};
