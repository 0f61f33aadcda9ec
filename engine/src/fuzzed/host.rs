use bytes::{Bytes, BytesMut};

use crate::packet::{Headers, MAX_HEADER_BYTES, Merge, Offload, split};
use crate::tun::vnet::{Undone, VnetHeader};
use crate::tun::{FromHost, from_host};

/// What the kernel gives at the TUN: header, packet, and the way through the fabric and back.
pub fn host_packets(data: &[u8]) {
    let start = &data[..data.len().min(MAX_HEADER_BYTES)];
    assert_eq!(
        Headers::parse_start(start, data.len()),
        Headers::parse(data),
        "the beginning says as much as the whole"
    );
    let FromHost::Packet(packet, headers) = from_host(BytesMut::from(data)) else {
        return;
    };
    assert_eq!(Headers::parse(packet.bytes()), Some(headers));
    if headers.allow(packet.offload(), packet.bytes().len()) {
        let vnet = VnetHeader::of(&headers, packet.offload()).expect("allowed");
        let undone = match packet.offload() {
            Offload::Complete => Undone::Nothing,
            offload => Undone::Known(offload),
        };
        let read = VnetHeader::read(&vnet.write());
        assert_eq!(read.undone(Some(&headers)), Some(undone));
    }
    let mut sent = 0;
    let fits = packet.datagrams(
        1400,
        headers.transport.as_ref(),
        1,
        &mut BytesMut::new(),
        |part| {
            assert!(part.len() <= 1400);
            sent += 1;
        },
    );
    assert!(fits || sent == 0);
    if let Offload::Segments(segment) = packet.offload() {
        cut_and_join(packet.bytes(), &headers, segment);
    }
}

/// Each part is a packet, and together they are the whole again, but for what a cut does not carry: lengths and sums that were
/// wrong before.
fn cut_and_join(packet: &[u8], headers: &Headers, segment: u16) {
    let transport = headers.transport.expect("segments have a transport");
    let mut parts: Vec<Bytes> = Vec::new();
    split(
        packet,
        &transport,
        segment,
        0,
        &mut BytesMut::new(),
        |_, _, part| {
            parts.push(part.freeze());
        },
    );
    let Some((first, rest)) = parts.split_first() else {
        assert_eq!(packet.len(), transport.payload);
        return;
    };
    let first_headers = Headers::parse(first).expect("a packet");
    let mut merge = Merge::begin(first, &first_headers).expect("a payload");
    for part in rest {
        let headers_of_part = Headers::parse(part).expect("a packet");
        assert_eq!(headers_of_part.source, headers.source);
        assert_eq!(headers_of_part.destination, headers.destination);
        merge.push(part.clone()).expect("the next of the cut");
    }
    let (joined, payloads, _) = merge.finish();
    assert_eq!(payloads.concat(), packet[transport.payload..]);
    let joined = Headers::parse_start(joined, packet.len()).expect("a packet");
    assert_eq!(
        (joined.source, joined.destination),
        (headers.source, headers.destination)
    );
}
