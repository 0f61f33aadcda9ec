//! The engine's local socket: commands in, replies and events out, no packets.

mod bounded;
pub mod messages;

#[cfg(test)]
mod bindings;
