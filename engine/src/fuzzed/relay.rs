use crate::relay::{HEADER_BYTES, Outer, RelaySession, unwrap, wrap};

/// What is put behind headers comes out as it was, and any other bytes are one of the three things that a packet can be.
pub fn relay(data: &[u8]) {
    let Some((&[segment, ref session @ ..], packets)) = data.split_first_chunk::<9>() else {
        return assert!(!matches!(unwrap(data), Outer::Relayed(_)), "too short");
    };
    let segment = usize::from(segment) + 1;
    let session = RelaySession(u64::from_be_bytes(*session));
    let mut wrapped = Vec::new();
    wrap(session, packets, segment, &mut wrapped);
    let inner = packets.chunks(segment);
    assert_eq!(wrapped.len(), packets.len() + inner.len() * HEADER_BYTES);
    for (outer, inner) in wrapped.chunks(segment + HEADER_BYTES).zip(inner) {
        assert_eq!(outer[HEADER_BYTES..], *inner);
        let expected = match unwrap(inner) {
            Outer::Quic => Outer::Relayed(session),
            _ => Outer::Unknown,
        };
        assert_eq!(unwrap(outer), expected);
    }
    if let Outer::Relayed(session) = unwrap(data) {
        let mut again = Vec::new();
        wrap(session, &data[HEADER_BYTES..], data.len(), &mut again);
        assert_eq!(again, data);
    }
}
