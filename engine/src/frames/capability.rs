//! What a peer can do beyond its protocol version: one number, and number n means everything up to n. The numbered and dated
//! list is in docs/wire/frames.md.

/// The last line of that list.
pub const CAPABILITY: u16 = 2;

/// From here on a peer knows NODE_PRESSURE and STREAM_CREDIT.
pub const KNOWS_PRESSURE: u16 = 2;
