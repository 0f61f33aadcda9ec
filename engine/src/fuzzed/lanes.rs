use bytes::Bytes;

use super::portions;
use crate::lanes::{Datagram, RecordReader, Rejoin, TrafficClass};
use crate::packet::{Headers, MAX_PACKET_BYTES, Merge, Offload};
use crate::tun::vnet::VnetHeader;

/// Records of a lane stream: the same whatever the portions.
pub fn records(data: &[u8]) {
    if let Some((bytes, in_portions)) = portions(data) {
        assert_eq!(read(in_portions), read(std::iter::once(bytes)));
    }
}

type Records = (Vec<(TrafficClass, Offload, Vec<u8>)>, bool);

/// The records until the first that is none, and whether there was one.
fn read<'a>(portions: impl Iterator<Item = &'a [u8]>) -> Records {
    let mut reader = RecordReader::default();
    let (mut records, mut parts) = (Vec::new(), Vec::new());
    for portion in portions {
        reader.push(Bytes::copy_from_slice(portion));
        loop {
            match reader.next(&mut parts) {
                Ok(Some((class, offload))) => {
                    let packet = parts.concat();
                    assert!(packet.len() <= MAX_PACKET_BYTES);
                    assert_ne!(offload, Offload::Segments(0));
                    records.push((class, offload, packet));
                }
                Ok(None) => break,
                Err(_) => return (records, false),
            }
        }
    }
    (records, true)
}

/// Datagrams of a peer, each behind its length of two bytes, joined as the engine does it.
pub fn datagrams(data: &[u8]) {
    let (mut rest, mut rejoin) = (data, Rejoin::default());
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (datagram, after) = after.split_at(length);
        rest = after;
        let Some(Datagram::Part(part, packet)) = Datagram::parse(Bytes::copy_from_slice(datagram))
        else {
            continue;
        };
        let whole = packet.len();
        let ready = rejoin.push(part, packet);
        if let Some(single) = ready.single {
            assert_eq!(single.len(), whole, "it passes as it is");
        }
        ready.joined.into_iter().for_each(check);
        ready.completed.into_iter().for_each(check);
    }
    rejoin.flush().into_iter().for_each(check);
}

/// What was joined is one packet of one flow, of a length that a kernel takes.
fn check(mut merge: Merge) {
    let (headers, payloads, offload) = merge.finish();
    let total = headers.len() + payloads.iter().map(Bytes::len).sum::<usize>();
    assert!(total <= MAX_PACKET_BYTES);
    let parsed = Headers::parse_start(headers, total).expect("a packet");
    let transport = parsed.transport.expect("only these are joined");
    assert_eq!(transport.payload, headers.len());
    if let Offload::Segments(segment) = offload {
        let (last, full) = payloads.split_last().expect("more than one");
        assert!(full.iter().all(|part| part.len() == usize::from(segment)));
        assert!((1..=usize::from(segment)).contains(&last.len()));
    }
    assert!(VnetHeader::of(&parsed, offload).is_some());
}
