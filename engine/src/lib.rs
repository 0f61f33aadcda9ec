//! The packet engine of the Secure Access Fabric.
//!
//! One packet thread runs `engine::Engine`: UDP in, QUIC, TUN out, TUN in, QUIC, UDP out. One thread
//! serves the unix socket of the agent or operator. The engine knows no policy: it does what `apply` says,
//! within the limits of its root-owned configuration, until that intent expires.
//!
//! `unsafe` is allowed in three places only: `os`, `tun` and `udp`, which call the kernel.

#![deny(unsafe_code)]

pub mod clock;
pub mod config;
pub mod desired;
pub mod engine;
pub mod frames;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
pub mod lanes;
pub mod log;
#[allow(unsafe_code)]
pub mod os;
pub mod packet;
pub mod panics;
pub mod policy;
pub mod pressure;
pub mod quic;
pub mod relay;
pub mod session;
pub mod socket;
pub mod timers;
#[allow(unsafe_code)]
pub mod tun;
#[allow(unsafe_code)]
pub mod udp;
