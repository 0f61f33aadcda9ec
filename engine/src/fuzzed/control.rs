use bytes::Bytes;

use super::portions;
use crate::frames::{
    Decoder, Frame, FrameError, MAX_FRAME_BYTES, MAX_HANDSHAKE_FRAME_BYTES, MAX_HEADER_BYTES,
    VERSION,
};

/// Frames of the control stream: the same whatever the portions, never more kept than one frame, and written as they were read.
pub fn frames(data: &[u8]) {
    let Some((bytes, in_portions)) = portions(data) else {
        return;
    };
    for limit in [MAX_HANDSHAKE_FRAME_BYTES, MAX_FRAME_BYTES] {
        let whole = decode(std::iter::once(bytes), limit);
        assert_eq!(decode(in_portions.clone(), limit), whole);
        for frame in whole.0 {
            let mut written: Vec<Bytes> = Vec::new();
            frame.clone().write(VERSION, &mut written);
            let written = written.concat();
            let again = decode(std::iter::once(&written[..]), MAX_FRAME_BYTES);
            assert_eq!(again, (vec![frame], None));
        }
    }
}

/// The frames until the first that is none, and why it is none.
fn decode<'a>(
    portions: impl Iterator<Item = &'a [u8]>,
    limit: u32,
) -> (Vec<Frame>, Option<FrameError>) {
    let mut decoder = Decoder::new(limit);
    let mut frames = Vec::new();
    for mut portion in portions {
        loop {
            match decoder
                .next(&mut portion)
                .and_then(|raw| raw.map_or(Ok(None), |raw| Frame::read(raw).map(Some)))
            {
                Ok(Some(frame)) => frames.extend(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(decoder.buffered_bytes() <= MAX_HEADER_BYTES + limit as usize);
    }
    (frames, None)
}
