//! AES-128-GCM over each datagram, or nothing.

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

const TAG_BYTES: usize = 16;
/// The part of the nonce that counts.
const COUNTER_BYTES: usize = 8;

pub enum Seal {
    Plain,
    Aes(Box<AesGcm>),
}

pub struct AesGcm {
    key: LessSafeKey,
    /// Tells the two directions apart, which share the key.
    own_side: u8,
    sent: u64,
}

impl Seal {
    /// `first` at exactly one of the two ends.
    pub fn aes(first: bool) -> Seal {
        let key = UnboundKey::new(&AES_128_GCM, &[7; 16]).expect("16 bytes are a key");
        Seal::Aes(Box::new(AesGcm {
            key: LessSafeKey::new(key),
            own_side: u8::from(first),
            sent: 0,
        }))
    }

    /// What it adds in front of the payload and behind it.
    pub fn overhead(&self) -> (usize, usize) {
        match self {
            Seal::Plain => (0, 0),
            Seal::Aes(_) => (COUNTER_BYTES, TAG_BYTES),
        }
    }

    /// `datagram` is head, counter, payload, room for the tag. The head is authenticated, the payload encrypted.
    pub fn seal(&mut self, datagram: &mut [u8], head_bytes: usize) {
        let Seal::Aes(aes) = self else { return };
        aes.sent += 1;
        datagram[head_bytes..head_bytes + COUNTER_BYTES].copy_from_slice(&aes.sent.to_le_bytes());
        let nonce = nonce(aes.own_side, aes.sent);
        let (head, rest) = datagram.split_at_mut(head_bytes + COUNTER_BYTES);
        let (payload, tag) = rest.split_at_mut(rest.len() - TAG_BYTES);
        let made = aes
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(&*head), payload)
            .expect("a datagram is short enough");
        tag.copy_from_slice(made.as_ref());
    }

    /// Whether the datagram is the peer's; its payload is then in the clear.
    pub fn open(&self, datagram: &mut [u8], head_bytes: usize) -> bool {
        let Seal::Aes(aes) = self else { return true };
        if datagram.len() < head_bytes + COUNTER_BYTES + TAG_BYTES {
            return false;
        }
        let (head, sealed) = datagram.split_at_mut(head_bytes + COUNTER_BYTES);
        let counter = head[head_bytes..].try_into().expect("split at its 8 bytes");
        let nonce = nonce(1 - aes.own_side, u64::from_le_bytes(counter));
        aes.key
            .open_in_place(nonce, Aad::from(&*head), sealed)
            .is_ok()
    }
}

fn nonce(side: u8, counter: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[..COUNTER_BYTES].copy_from_slice(&counter.to_le_bytes());
    bytes[COUNTER_BYTES] = side;
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_what_the_other_side_sealed_and_nothing_else() {
        let (mut first, second) = (Seal::aes(true), Seal::aes(false));
        let mut datagram = vec![5; 4 + COUNTER_BYTES + 100 + TAG_BYTES];
        first.seal(&mut datagram, 4);
        assert_ne!(&datagram[4 + COUNTER_BYTES..][..100], &[5; 100]);
        assert!(
            !first.open(&mut datagram.clone(), 4),
            "its own side's nonce"
        );
        let mut bent = datagram.clone();
        bent[0] ^= 1;
        assert!(!second.open(&mut bent, 4), "the head is authenticated");
        assert!(!second.open(&mut [0; 20], 4), "too short for a tag");
        assert!(second.open(&mut datagram, 4));
        assert_eq!(&datagram[4 + COUNTER_BYTES..][..100], &[5; 100]);
    }
}
