//! The addresses of an inner IP packet, and whether its header says the truth about its length.
//!
//! Fields after RFC 791 §3.1 and RFC 8200 §3.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const IPV4_HEADER_BYTES: usize = 20;
const IPV6_HEADER_BYTES: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InnerPacket {
    pub source: IpAddr,
    pub destination: IpAddr,
}

impl InnerPacket {
    /// `None` unless the bytes are one whole IPv4 or IPv6 packet: the header complete, its length exactly the bytes given.
    pub fn parse(bytes: &[u8]) -> Option<InnerPacket> {
        match bytes.first()? >> 4 {
            4 => parse_ipv4(bytes),
            6 => parse_ipv6(bytes),
            _ => None,
        }
    }
}

fn parse_ipv4(bytes: &[u8]) -> Option<InnerPacket> {
    let header = bytes.first_chunk::<IPV4_HEADER_BYTES>()?;
    let header_bytes = usize::from(header[0] & 0x0f) * 4;
    let total_bytes = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header_bytes < IPV4_HEADER_BYTES || total_bytes < header_bytes || total_bytes != bytes.len()
    {
        return None;
    }
    Some(InnerPacket {
        source: IpAddr::V4(Ipv4Addr::new(
            header[12], header[13], header[14], header[15],
        )),
        destination: IpAddr::V4(Ipv4Addr::new(
            header[16], header[17], header[18], header[19],
        )),
    })
}

fn parse_ipv6(bytes: &[u8]) -> Option<InnerPacket> {
    let header = bytes.first_chunk::<IPV6_HEADER_BYTES>()?;
    let payload_bytes = usize::from(u16::from_be_bytes([header[4], header[5]]));
    // A jumbogram (length 0 with a payload, RFC 2675) does not fit any tunnel of ours.
    if IPV6_HEADER_BYTES + payload_bytes != bytes.len() {
        return None;
    }
    Some(InnerPacket {
        source: IpAddr::V6(Ipv6Addr::from(*header[8..].first_chunk::<16>()?)),
        destination: IpAddr::V6(Ipv6Addr::from(*header[24..].first_chunk::<16>()?)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ipv4(total_bytes: usize) -> Vec<u8> {
        let mut bytes = vec![0u8; total_bytes];
        bytes[0] = 0x45;
        bytes[2..4].copy_from_slice(&(total_bytes as u16).to_be_bytes());
        bytes[12..16].copy_from_slice(&[10, 0, 0, 1]);
        bytes[16..20].copy_from_slice(&[10, 0, 0, 2]);
        bytes
    }

    #[test]
    fn reads_both_families() {
        let packet = InnerPacket::parse(&ipv4(28)).expect("ipv4");
        assert_eq!(packet.source.to_string(), "10.0.0.1");
        assert_eq!(packet.destination.to_string(), "10.0.0.2");

        let mut six = vec![0u8; 48];
        six[0] = 0x60;
        six[5] = 8;
        six[23] = 1;
        six[39] = 2;
        let packet = InnerPacket::parse(&six).expect("ipv6");
        assert_eq!(packet.source.to_string(), "::1");
        assert_eq!(packet.destination.to_string(), "::2");
    }

    #[test]
    fn refuses_a_length_that_lies() {
        let mut bytes = ipv4(28);
        bytes.push(0);
        assert_eq!(InnerPacket::parse(&bytes), None);
        bytes.truncate(27);
        assert_eq!(InnerPacket::parse(&bytes), None);
    }

    #[test]
    fn refuses_an_impossible_header_length() {
        let mut bytes = ipv4(28);
        bytes[0] = 0x44;
        assert_eq!(InnerPacket::parse(&bytes), None);
        bytes[0] = 0x48; // 32 bytes of header in a packet of 28
        assert_eq!(InnerPacket::parse(&bytes), None);
    }

    proptest! {
        #[test]
        fn never_panics_and_never_accepts_a_wrong_length(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if InnerPacket::parse(&bytes).is_some() {
                let said = match bytes[0] >> 4 {
                    4 => usize::from(u16::from_be_bytes([bytes[2], bytes[3]])),
                    _ => 40 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]])),
                };
                prop_assert_eq!(said, bytes.len());
            }
        }
    }
}
