//! Randomness for jitter and names; keys and connection ids are made elsewhere.

use std::io;

use ring::rand::{SecureRandom, SystemRandom};

/// xorshift64*: even enough to spread redials.
pub struct Random(u64);

impl Random {
    pub fn new() -> io::Result<Random> {
        Ok(Random(u64::from_ne_bytes(random_bytes()?) | 1))
    }

    /// A number of 0..=1.
    pub fn fraction(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A name for this life of the engine that no other has.
pub fn instance_id() -> io::Result<String> {
    Ok(random_bytes::<16>()?
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("no randomness"))?;
    Ok(bytes)
}
