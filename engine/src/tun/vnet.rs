//! The header that the kernel puts in front of each packet of a TUN device (virtio-v1.2 §5.1.6, struct virtio_net_hdr): what it
//! left undone, and what it may leave undone for us.

use std::num::NonZeroU16;

use crate::packet::{Headers, Offload, TransportKind};

/// sizeof(struct virtio_net_hdr).
pub const VNET_BYTES: usize = 10;

const NEEDS_CHECKSUM: u8 = 1;
const TYPE_TCP4: u8 = 1;
const TYPE_TCP6: u8 = 4;
const TYPE_UDP: u8 = 5;
/// The first packet of a cut has the congestion-window-reduced flag, the others not.
const TYPE_ECN: u8 = 0x80;
/// RFC 3168 §6.1.2.
const CWR: u8 = 0x80;

/// The header in the byte order of the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VnetHeader {
    flags: u8,
    kind: u8,
    header_bytes: u16,
    segment_bytes: u16,
    checksum_start: u16,
    checksum_offset: u16,
}

/// What the kernel said of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undone {
    Nothing,
    /// Of a transport that we know.
    Known(Offload),
    /// The sum from the first offset to the end, to be written at the second: of any other.
    Checksum(usize, usize),
}

impl VnetHeader {
    pub fn read(bytes: &[u8; VNET_BYTES]) -> VnetHeader {
        let at = |index: usize| u16::from_ne_bytes([bytes[index], bytes[index + 1]]);
        VnetHeader {
            flags: bytes[0],
            kind: bytes[1],
            header_bytes: at(2),
            segment_bytes: at(4),
            checksum_start: at(6),
            checksum_offset: at(8),
        }
    }

    pub fn write(&self) -> [u8; VNET_BYTES] {
        let mut bytes = [self.flags, self.kind, 0, 0, 0, 0, 0, 0, 0, 0];
        let fields = [
            self.header_bytes,
            self.segment_bytes,
            self.checksum_start,
            self.checksum_offset,
        ];
        for (to, field) in bytes[2..].chunks_exact_mut(2).zip(fields) {
            to.copy_from_slice(&field.to_ne_bytes());
        }
        bytes
    }

    /// What is undone of the packet with these headers. `None` when the two contradict each other.
    pub fn undone(&self, headers: Option<&Headers>) -> Option<Undone> {
        let transport = headers.and_then(|headers| headers.transport.as_ref());
        if self.flags & NEEDS_CHECKSUM == 0 {
            return (self.kind == 0).then_some(Undone::Nothing);
        }
        let start = usize::from(self.checksum_start);
        let at = start + usize::from(self.checksum_offset);
        let known = transport
            .filter(|transport| transport.offset == start && transport.checksum_offset() == at);
        match (self.kind & !TYPE_ECN, known.map(|transport| transport.kind)) {
            (0, Some(_)) => Some(Undone::Known(Offload::Checksum)),
            (0, None) => Some(Undone::Checksum(start, at)),
            (TYPE_TCP4 | TYPE_TCP6, Some(TransportKind::Tcp { .. }))
            | (TYPE_UDP, Some(TransportKind::Udp)) => {
                let segment_bytes = NonZeroU16::new(self.segment_bytes)?;
                Some(Undone::Known(Offload::Segments(segment_bytes.get())))
            }
            _ => None,
        }
    }

    /// The header for a packet of a peer. It is made of what we know of the packet, never of what the peer said. `None` when
    /// the packet can't be what `offload` says it is.
    pub fn of(headers: &Headers, offload: Offload) -> Option<VnetHeader> {
        if offload == Offload::Complete {
            return Some(VnetHeader::default());
        }
        let transport = headers.transport.as_ref()?;
        let mut header = VnetHeader {
            flags: NEEDS_CHECKSUM,
            // Both are within MAX_HEADER_BYTES.
            checksum_start: transport.offset as u16,
            checksum_offset: (transport.checksum_offset() - transport.offset) as u16,
            ..VnetHeader::default()
        };
        if let Offload::Segments(segment_bytes) = offload {
            header.kind = match (transport.kind, headers.source.is_ipv4()) {
                (TransportKind::Udp, _) => TYPE_UDP,
                (TransportKind::Tcp { .. }, true) => TYPE_TCP4,
                (TransportKind::Tcp { .. }, false) => TYPE_TCP6,
            };
            if let TransportKind::Tcp { flags } = transport.kind
                && flags & CWR != 0
            {
                header.kind |= TYPE_ECN;
            }
            header.header_bytes = transport.payload as u16;
            header.segment_bytes = segment_bytes;
        }
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp_headers() -> Headers {
        let mut packet = vec![
            0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        packet.extend([
            0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0,
        ]);
        Headers::parse(&packet).expect("a packet")
    }

    #[test]
    fn the_kernel_reads_back_what_it_said() {
        let headers = tcp_headers();
        for offload in [Offload::Checksum, Offload::Segments(1360)] {
            let header = VnetHeader::of(&headers, offload).expect("a header");
            let read = VnetHeader::read(&header.write());
            assert_eq!(read, header);
            assert_eq!(read.undone(Some(&headers)), Some(Undone::Known(offload)));
        }
        let complete = VnetHeader::of(&headers, Offload::Complete).expect("a header");
        assert_eq!(complete.undone(Some(&headers)), Some(Undone::Nothing));
    }

    #[test]
    fn a_checksum_of_something_else_is_ours_to_finish() {
        let header = VnetHeader {
            flags: NEEDS_CHECKSUM,
            checksum_start: 60,
            checksum_offset: 8,
            ..VnetHeader::default()
        };
        assert_eq!(
            header.undone(Some(&tcp_headers())),
            Some(Undone::Checksum(60, 68))
        );
        assert_eq!(header.undone(None), Some(Undone::Checksum(60, 68)));
    }

    proptest! {
        #[test]
        fn segments_are_never_of_no_bytes_nor_of_another_transport(bytes: [u8; VNET_BYTES]) {
            let read = VnetHeader::read(&bytes);
            prop_assert_eq!(read.write(), bytes);
            if let Some(Undone::Known(Offload::Segments(bytes))) = read.undone(Some(&tcp_headers())) {
                prop_assert!(bytes > 0 && matches!(read.kind & !TYPE_ECN, TYPE_TCP4 | TYPE_TCP6));
            }
            let unknown = read.undone(None);
            prop_assert!(!matches!(unknown, Some(Undone::Known(_))));
        }
    }
}
