//! What tests of the running engine share: a certificate authority, an engine process with its socket, and a peer whose every
//! byte the test decides.
#![allow(dead_code)] // each test program uses its part

pub mod authority;
pub mod engine;
pub mod network;
pub mod peer;
pub mod relay;
pub mod wire;
