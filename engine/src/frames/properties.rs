//! Properties of the decoder: what is written is read again, however it is cut; nothing makes it panic or keep too much.

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use super::*;

/// So many cases in every test run; a longer hunt is `PROPTEST_CASES=1000000 cargo test --release --lib properties`.
pub(crate) fn at_least(cases: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig {
        cases: config.cases.max(cases),
        ..config
    }
}

fn authority() -> impl Strategy<Value = Authority> {
    (any::<u64>(), any::<u64>()).prop_map(|(term, epoch)| Authority { term, epoch })
}

fn hello() -> impl Strategy<Value = Frame> {
    (1..=u8::MAX, any::<u8>(), any::<u16>(), "\\PC{0,60}").prop_map(
        |(min_version, above, capability, node)| {
            Frame::Hello(Hello {
                min_version,
                max_version: min_version.saturating_add(above),
                capability,
                node,
            })
        },
    )
}

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        hello(),
        (authority(), any::<[u8; 32]>())
            .prop_map(|(authority, binding)| Frame::Auth(Auth { authority, binding })),
        (any::<u32>(), authority()).prop_map(|(max_frame_bytes, authority)| {
            Frame::SessionReady(SessionReady {
                max_frame_bytes,
                authority,
            })
        }),
        any::<u64>().prop_map(|id| Frame::Ping { id }),
        any::<u64>().prop_map(|id| Frame::Pong { id }),
        (any::<u32>(), "\\PC{0,60}").prop_map(|(code, reason)| Frame::GoAway { code, reason }),
        ("[!-~]{1,64}", vec(any::<u8>(), 0..300)).prop_map(|(kind, payload)| Frame::Message {
            kind,
            payload: payload.into()
        }),
        (0u8..=2, 0u8..=100, any::<u16>()).prop_map(|(level, score, reasons)| {
            Frame::NodePressure(NodePressure {
                level,
                score,
                reasons,
            })
        }),
        (0u8..=5, any::<u64>()).prop_map(|(class, bytes_per_second)| {
            Frame::StreamCredit(StreamCredit {
                class,
                bytes_per_second,
            })
        }),
    ]
}

fn written(frames: &[Frame]) -> Vec<u8> {
    let mut chunks: Vec<Bytes> = Vec::new();
    for frame in frames {
        frame.clone().write(VERSION, &mut chunks);
    }
    chunks.concat()
}

/// Gives the pieces to one decoder, checking its bound after each.
fn decode<'a>(
    limit: u32,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<RawFrame>, FrameError> {
    let mut decoder = Decoder::new(limit);
    let mut frames = Vec::new();
    for mut piece in pieces {
        while let Some(raw) = decoder.next(&mut piece)? {
            assert!(raw.fields.len() <= limit as usize);
            frames.push(raw);
        }
        assert!(piece.is_empty(), "all input is taken");
        assert!(decoder.buffered_bytes() <= MAX_HEADER_BYTES + limit as usize);
    }
    Ok(frames)
}

fn read_all(raw: Vec<RawFrame>) -> Result<Vec<Frame>, FrameError> {
    raw.into_iter()
        .filter_map(|raw| Frame::read(raw).transpose())
        .collect()
}

/// Bytes that look enough like frames to get past the header often.
fn almost_frames() -> impl Strategy<Value = Vec<u8>> {
    let almost = (
        prop_oneof![9 => Just(VERSION), 1 => any::<u8>()],
        prop_oneof![9 => 0u8..0x18, 1 => any::<u8>()],
        prop_oneof![9 => 0u8..2, 1 => any::<u8>()],
        vec(any::<u8>(), 0..63),
        -2i8..=2,
    )
        .prop_map(|(version, frame_type, flags, fields, error)| {
            let length = (fields.len() as i8).saturating_add(error).clamp(0, 63) as u8;
            let mut bytes = vec![version, frame_type, flags, length];
            bytes.extend(fields);
            bytes
        });
    vec(almost, 0..20).prop_map(|frames| frames.concat())
}

proptest! {
    #![proptest_config(at_least(1_000))]

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut(
        frames in vec(frame(), 0..8),
        cuts in vec(1usize..80, 1..40),
    ) {
        let bytes = written(&frames);
        let mut rest = bytes.as_slice();
        let mut pieces = Vec::new();
        for cut in cuts.into_iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        let raw = decode(MAX_FRAME_BYTES, pieces).expect("valid frames");
        prop_assert_eq!(read_all(raw), Ok(frames));
    }

    #[test]
    fn a_frame_split_at_any_byte_is_the_same_frame(frame in frame()) {
        let bytes = written(std::slice::from_ref(&frame));
        for at in 0..=bytes.len() {
            let (front, back) = bytes.split_at(at);
            let raw = decode(MAX_FRAME_BYTES, [front, back]).expect("a valid frame");
            prop_assert_eq!(read_all(raw), Ok(vec![frame.clone()]));
        }
    }

    #[test]
    fn arbitrary_bytes_neither_panic_nor_pass_the_bound(
        bytes in vec(any::<u8>(), 0..2_000), limit in 0u32..600, piece_bytes in 1usize..100,
    ) {
        let raw = decode(limit, bytes.chunks(piece_bytes));
        let _ = raw.and_then(read_all);
    }

    #[test]
    fn almost_frames_end_alike_whole_or_byte_by_byte(bytes in almost_frames()) {
        let whole = decode(MAX_FRAME_BYTES, [bytes.as_slice()]).and_then(read_all);
        let bytewise = decode(MAX_FRAME_BYTES, bytes.chunks(1)).and_then(read_all);
        prop_assert_eq!(&whole, &bytewise);
        if let Ok(frames) = whole {
            // Every accepted frame has exactly one encoding.
            prop_assert!(is_subsequence(&written(&frames), &bytes));
        }
    }
}

/// Skipped and incomplete frames may stand between and after those that were read.
fn is_subsequence(part: &[u8], whole: &[u8]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|byte| whole.any(|other| other == byte))
}
