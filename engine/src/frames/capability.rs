//! What a peer can do beyond its protocol version: one number, and number n means everything up to n.
//!
//! | n | date       | what it adds                                                                       |
//! |---|------------|------------------------------------------------------------------------------------|
//! | 1 | 2026-11-21 | HELLO AUTH SESSION_READY PING PONG GOAWAY MESSAGE; AUTH again announces a new authority |
//!
//! A new line is added for each change that a peer can notice; a line is never changed.

/// The last line of the list above.
pub const CAPABILITY: u16 = 1;
