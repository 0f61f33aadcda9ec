//! Variable-length integers of QUIC (RFC 9000 §16), in their shortest form only, so that each frame has one encoding.

/// The longest varint (RFC 9000 §16).
pub(super) const MAX_BYTES: usize = 8;

/// What the beginning of some bytes says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Varint {
    /// More bytes are needed.
    Incomplete,
    Value {
        value: u64,
        bytes: usize,
    },
    /// Longer than needed for its value.
    NotShortest,
}

pub(super) fn read(input: &[u8]) -> Varint {
    let Some(first) = input.first() else {
        return Varint::Incomplete;
    };
    let bytes = 1 << (first >> 6);
    let Some(encoded) = input.get(..bytes) else {
        return Varint::Incomplete;
    };
    let first = u64::from(first & 0x3f);
    let value = encoded[1..]
        .iter()
        .fold(first, |value, byte| value << 8 | u64::from(*byte));
    if length(value) != bytes {
        return Varint::NotShortest;
    }
    Varint::Value { value, bytes }
}

/// Appends `value`, which must be below 2^62.
pub(super) fn write(value: u64, output: &mut Vec<u8>) {
    assert!(value < 1 << 62, "a QUIC varint holds 62 bits");
    let bytes = length(value);
    let tag = (bytes.trailing_zeros() as u64) << (bytes * 8 - 2);
    let encoded = (value | tag).to_be_bytes();
    output.extend_from_slice(&encoded[MAX_BYTES - bytes..]);
}

const fn length(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9000 appendix A.1.
    #[test]
    fn examples_of_the_rfc() {
        for (hex, value) in [
            (&[0x25][..], 37),
            (&[0x7b, 0xbd], 15_293),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c],
                151_288_809_941_952_652,
            ),
        ] {
            let mut written = Vec::new();
            write(value, &mut written);
            assert_eq!(written, hex);
            let bytes = hex.len();
            assert_eq!(read(hex), Varint::Value { value, bytes });
            assert_eq!(read(&hex[..bytes - 1]), Varint::Incomplete);
        }
    }

    #[test]
    fn a_longer_form_than_needed_is_not_accepted() {
        assert_eq!(read(&[0x40, 0x25]), Varint::NotShortest);
        assert_eq!(read(&[0x80, 0, 0, 1]), Varint::NotShortest);
    }
}
