//! What the headers of an inner IP packet say, and whether they say the truth about its length.
//!
//! Fields after RFC 791 §3.1, RFC 8200 §3, RFC 9293 §3.1 and RFC 768.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Offload;

/// RFC 791 §3.1, without options.
const IPV4_HEADER_BYTES: usize = 20;
/// RFC 8200 §3.
const IPV6_HEADER_BYTES: usize = 40;
/// RFC 9293 §3.1, without options.
const TCP_HEADER_BYTES: usize = 20;
/// RFC 768.
const UDP_HEADER_BYTES: usize = 8;
/// Linux sends no smaller ones (TCP_MIN_SND_MSS).
const MIN_TCP_SEGMENT: u16 = 48;
/// Linux cuts no more (UDP_MAX_SEGMENTS).
const MAX_UDP_SEGMENTS: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// The number of what follows the IP header (extension headers are not followed).
    pub protocol: u8,
    /// The differentiated services code point (RFC 2474).
    pub dscp: u8,
    /// Of TCP and UDP packets that are no fragments.
    pub transport: Option<Transport>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    pub kind: TransportKind,
    pub source_port: u16,
    pub destination_port: u16,
    /// Where its header begins.
    pub offset: usize,
    /// Where its payload begins: all before is headers.
    pub payload: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    Tcp { flags: u8 },
    Udp,
}

impl TransportKind {
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;

    pub fn protocol(self) -> u8 {
        match self {
            TransportKind::Tcp { .. } => TransportKind::TCP,
            TransportKind::Udp => TransportKind::UDP,
        }
    }
}

impl Transport {
    /// Where the checksum stands.
    pub fn checksum_offset(&self) -> usize {
        self.offset
            + match self.kind {
                TransportKind::Tcp { .. } => 16,
                TransportKind::Udp => 6,
            }
    }

    fn parse(bytes: &[u8], offset: usize, protocol: u8) -> Option<Transport> {
        let header = bytes.get(offset..)?;
        let (kind, header_bytes) = match protocol {
            TransportKind::TCP => {
                let header = header.first_chunk::<TCP_HEADER_BYTES>()?;
                let header_bytes = usize::from(header[12] >> 4) * 4;
                if header_bytes < TCP_HEADER_BYTES {
                    return None;
                }
                (TransportKind::Tcp { flags: header[13] }, header_bytes)
            }
            TransportKind::UDP => (TransportKind::Udp, UDP_HEADER_BYTES),
            _ => return None,
        };
        let payload = offset + header_bytes;
        let ports = header
            .first_chunk::<4>()
            .filter(|_| payload <= bytes.len())?;
        Some(Transport {
            kind,
            source_port: u16::from_be_bytes([ports[0], ports[1]]),
            destination_port: u16::from_be_bytes([ports[2], ports[3]]),
            offset,
            payload,
        })
    }
}

impl Headers {
    /// `None` unless the bytes are one whole IPv4 or IPv6 packet: the header complete, its length exactly the bytes given.
    pub fn parse(bytes: &[u8]) -> Option<Headers> {
        Headers::parse_start(bytes, bytes.len())
    }

    /// Whether a packet of `total` bytes with these headers can be unfinished in this way: a sender that asks for more cuts than
    /// any kernel makes wants to have its work done by us.
    pub fn allow(&self, offload: Offload, total: usize) -> bool {
        let Some(transport) = &self.transport else {
            return offload == Offload::Complete;
        };
        let Offload::Segments(segment) = offload else {
            return true;
        };
        let payload = total.saturating_sub(transport.payload);
        if payload == 0 {
            return false;
        }
        match transport.kind {
            TransportKind::Tcp { .. } => segment >= MIN_TCP_SEGMENT,
            TransportKind::Udp => payload.div_ceil(segment.into()) <= MAX_UDP_SEGMENTS,
        }
    }

    /// As `parse`, of a packet of `total` bytes of which `start` is the beginning, at least `MAX_HEADER_BYTES` if there are as many.
    pub fn parse_start(start: &[u8], total: usize) -> Option<Headers> {
        match start.first()? >> 4 {
            4 => parse_ipv4(start, total),
            6 => parse_ipv6(start, total),
            _ => None,
        }
    }
}

fn parse_ipv4(bytes: &[u8], total: usize) -> Option<Headers> {
    let header = bytes.first_chunk::<IPV4_HEADER_BYTES>()?;
    let header_bytes = usize::from(header[0] & 0x0f) * 4;
    let said_bytes = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header_bytes < IPV4_HEADER_BYTES || said_bytes < header_bytes || said_bytes != total {
        return None;
    }
    // More fragments, or a fragment's offset.
    let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    let protocol = header[9];
    let transport = Transport::parse(bytes, header_bytes, protocol).filter(|_| !is_fragment);
    Some(Headers {
        source: IpAddr::V4(Ipv4Addr::new(
            header[12], header[13], header[14], header[15],
        )),
        destination: IpAddr::V4(Ipv4Addr::new(
            header[16], header[17], header[18], header[19],
        )),
        protocol,
        dscp: header[1] >> 2,
        transport,
    })
}

fn parse_ipv6(bytes: &[u8], total: usize) -> Option<Headers> {
    let header = bytes.first_chunk::<IPV6_HEADER_BYTES>()?;
    let payload_bytes = usize::from(u16::from_be_bytes([header[4], header[5]]));
    // A jumbogram (length 0 with a payload, RFC 2675) does not fit any tunnel of ours.
    if IPV6_HEADER_BYTES + payload_bytes != total {
        return None;
    }
    let protocol = header[6];
    Some(Headers {
        source: IpAddr::V6(Ipv6Addr::from(*header[8..].first_chunk::<16>()?)),
        destination: IpAddr::V6(Ipv6Addr::from(*header[24..].first_chunk::<16>()?)),
        protocol,
        dscp: (header[0] << 4 | header[1] >> 4) >> 2,
        transport: Transport::parse(bytes, IPV6_HEADER_BYTES, protocol),
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
        let packet = Headers::parse(&ipv4(28)).expect("ipv4");
        assert_eq!(packet.source.to_string(), "10.0.0.1");
        assert_eq!(packet.destination.to_string(), "10.0.0.2");

        let mut six = vec![0u8; 48];
        six[0] = 0x60;
        six[5] = 8;
        six[23] = 1;
        six[39] = 2;
        let packet = Headers::parse(&six).expect("ipv6");
        assert_eq!(packet.source.to_string(), "::1");
        assert_eq!(packet.destination.to_string(), "::2");
    }

    #[test]
    fn refuses_a_length_that_lies() {
        let mut bytes = ipv4(28);
        bytes.push(0);
        assert_eq!(Headers::parse(&bytes), None);
        bytes.truncate(27);
        assert_eq!(Headers::parse(&bytes), None);
    }

    #[test]
    fn refuses_an_impossible_header_length() {
        let mut bytes = ipv4(28);
        bytes[0] = 0x44;
        assert_eq!(Headers::parse(&bytes), None);
        bytes[0] = 0x48; // 32 bytes of header in a packet of 28
        assert_eq!(Headers::parse(&bytes), None);
    }

    proptest! {
        #[test]
        fn never_panics_and_never_accepts_a_wrong_length(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if Headers::parse(&bytes).is_some() {
                let said = match bytes[0] >> 4 {
                    4 => usize::from(u16::from_be_bytes([bytes[2], bytes[3]])),
                    _ => 40 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]])),
                };
                prop_assert_eq!(said, bytes.len());
            }
        }
    }
}
