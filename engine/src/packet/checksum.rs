//! The Internet checksum (RFC 1071) of IPv4 headers, TCP and UDP.

#[cfg(test)]
use super::headers::Headers;
use super::headers::Transport;

const IPV4_CHECKSUM: usize = 10;

/// The one's complement sum of `bytes` as 16-bit words, on top of `sum`.
fn add(sum: u64, bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(4);
    let mut sum = words.by_ref().fold(sum, |sum, word| {
        sum + u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
    });
    let mut rest = [0u8; 4];
    rest[..words.remainder().len()].copy_from_slice(words.remainder());
    sum += u64::from(u32::from_be_bytes(rest));
    sum
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Writes the checksum of an IPv4 header; IPv6 has none.
pub fn write_ip_checksum(packet: &mut [u8]) {
    if packet[0] >> 4 == 4 {
        let header_bytes = usize::from(packet[0] & 0x0f) * 4;
        packet[IPV4_CHECKSUM..IPV4_CHECKSUM + 2].fill(0);
        let sum = !fold(add(0, &packet[..header_bytes]));
        packet[IPV4_CHECKSUM..IPV4_CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// The sum over the pseudo-header of a transport of `bytes` bytes (RFC 9293 §3.1, RFC 8200 §8.1). `header` is the IP header.
fn pseudo_header(header: &[u8], protocol: u8, bytes: usize) -> u64 {
    let addresses = if header[0] >> 4 == 4 {
        &header[12..20]
    } else {
        &header[8..40]
    };
    add(u64::from(protocol) + bytes as u64, addresses)
}

/// Writes the checksum of the pseudo-header alone, as a kernel does that leaves the rest to an offload.
pub fn write_partial_checksum(packet: &mut [u8], transport: &Transport, transport_bytes: usize) {
    let sum = fold(pseudo_header(
        packet,
        transport.kind.protocol(),
        transport_bytes,
    ));
    let at = transport.checksum_offset();
    packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Turns the checksum that covers the pseudo-header alone into the whole one.
pub fn finish_transport_checksum(packet: &mut [u8], transport: &Transport) {
    finish_checksum(packet, transport.offset, transport.checksum_offset());
}

/// Sums from `start` to the end, the partial sum at `at` included, and writes the checksum there. Does nothing when they are
/// beyond the end.
pub fn finish_checksum(packet: &mut [u8], start: usize, at: usize) {
    if start > at || at + 2 > packet.len() {
        return;
    }
    let sum = match !fold(add(0, &packet[start..])) {
        // RFC 768: zero says that there is none.
        0 => 0xffff,
        sum => sum,
    };
    packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Whether the checksums of a complete packet are right: for tests.
#[cfg(test)]
pub fn is_right(packet: &[u8]) -> bool {
    let headers = Headers::parse(packet).expect("a packet");
    let transport = headers.transport.expect("a transport");
    let ip_bytes = transport.offset;
    let ip = packet[0] >> 4 == 6 || fold(add(0, &packet[..ip_bytes])) == 0xffff;
    let payload = &packet[ip_bytes..];
    let pseudo = pseudo_header(packet, transport.kind.protocol(), payload.len());
    ip && fold(add(pseudo, payload)) == 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(add(0, &bytes)), 0xddf2);
        assert_eq!(fold(add(0, &bytes[..7])), 0xddf2 - 0xf7);
    }
}
