//! fabric-engine: see `run_loop` for the packet loop.

pub mod socket;
