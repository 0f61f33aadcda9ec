//! Which cipher packets are sealed with: the one that this CPU is faster at.
//!
//! Some CPUs have no instructions for AES, and what they say of themselves differs from kind to kind; so both are timed, once, in
//! about a millisecond.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use noq_proto::rustls::SupportedCipherSuite;
use noq_proto::rustls::crypto::ring::cipher_suite;
use ring::aead::{AES_128_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// A full packet of an Ethernet path.
const PACKET_BYTES: usize = 1_432;
const SEALS: u32 = 32;
/// The fastest counts: others were interrupted.
const ROUNDS: u32 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    Aes128Gcm,
    ChaCha20Poly1305,
}

impl Cipher {
    /// Measured when it is first asked for.
    pub fn fastest() -> Cipher {
        static FASTEST: OnceLock<Cipher> = OnceLock::new();
        *FASTEST.get_or_init(|| faster(time(&AES_128_GCM), time(&CHACHA20_POLY1305)))
    }

    /// Both suites, this one first.
    pub(super) fn suites(self) -> Vec<SupportedCipherSuite> {
        let aes = cipher_suite::TLS13_AES_128_GCM_SHA256;
        let chacha = cipher_suite::TLS13_CHACHA20_POLY1305_SHA256;
        match self {
            Cipher::Aes128Gcm => vec![aes, chacha],
            Cipher::ChaCha20Poly1305 => vec![chacha, aes],
        }
    }
}

/// AES when they are equal.
fn faster(aes: Duration, chacha: Duration) -> Cipher {
    if chacha < aes {
        Cipher::ChaCha20Poly1305
    } else {
        Cipher::Aes128Gcm
    }
}

fn time(algorithm: &'static Algorithm) -> Duration {
    let key = UnboundKey::new(algorithm, &vec![7; algorithm.key_len()]);
    // A cipher that can't be used is never the faster.
    let Ok(key) = key.map(LessSafeKey::new) else {
        return Duration::MAX;
    };
    let mut packet = [7; PACKET_BYTES];
    let mut round = || {
        let begin = Instant::now();
        for number in 0..SEALS {
            let mut nonce = [0; 12];
            nonce[..4].copy_from_slice(&number.to_ne_bytes());
            let nonce = Nonce::assume_unique_for_key(nonce);
            let _ = black_box(key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut packet));
        }
        begin.elapsed()
    };
    (0..ROUNDS).map(|_| round()).min().unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faster_is_offered_first_and_the_other_still() {
        let micros = Duration::from_micros;
        assert_eq!(faster(micros(20), micros(60)), Cipher::Aes128Gcm);
        assert_eq!(faster(micros(300), micros(60)), Cipher::ChaCha20Poly1305);
        assert_eq!(faster(micros(60), micros(60)), Cipher::Aes128Gcm);
        for (cipher, first) in [
            (Cipher::Aes128Gcm, cipher_suite::TLS13_AES_128_GCM_SHA256),
            (
                Cipher::ChaCha20Poly1305,
                cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            ),
        ] {
            let suites = cipher.suites();
            assert_eq!((suites.len(), suites[0]), (2, first));
        }
    }

    #[test]
    fn both_are_really_timed() {
        for algorithm in [&AES_128_GCM, &CHACHA20_POLY1305] {
            let time = time(algorithm);
            assert!(!time.is_zero() && time < Duration::from_secs(1), "{time:?}");
        }
    }
}
