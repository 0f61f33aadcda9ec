//! Explicit congestion notification in an inner packet's IP header (RFC 3168 §5).

use super::checksum::write_ip_checksum;

/// Both bits set: congestion was met on the way.
const CONGESTED: u8 = 0b11;

/// Marks the packet as having met congestion, where its sender can be told so instead of losing it. Says whether it could.
/// `packet` has a whole IP header.
pub fn mark_congested(packet: &mut [u8]) -> bool {
    // The second byte: in IPv4 the bits are its last two, in IPv6 those after the upper half of the flow label's byte.
    let shift = if packet[0] >> 4 == 4 { 0 } else { 4 };
    let is_capable = packet[1] >> shift & CONGESTED != 0;
    if is_capable {
        packet[1] |= CONGESTED << shift;
        write_ip_checksum(packet);
    }
    is_capable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_who_can_be_told_and_nobody_else() {
        for (before, after) in [
            (0b00, None),
            (0b01, Some(0b11)),
            (0b10, Some(0b11)),
            (0b11, Some(0b11)),
        ] {
            let mut v4 = [0u8; 20];
            (v4[0], v4[1], v4[8]) = (0x45, 0b1011_1000 | before, 64);
            write_ip_checksum(&mut v4);
            let mut v6 = [0u8; 40];
            (v6[0], v6[1]) = (0x6b, 0x80 | before << 4 | 0x0f);
            let (v4_before, v6_before) = (v4, v6);
            assert_eq!(mark_congested(&mut v4), after.is_some());
            assert_eq!(mark_congested(&mut v6), after.is_some());
            let after = after.unwrap_or(before);
            assert_eq!(v4[1], 0b1011_1000 | after);
            assert_eq!(v6[1], 0x80 | after << 4 | 0x0f);
            assert_eq!(
                (v4[0], &v4[2..10], &v4[12..]),
                (v4_before[0], &v4_before[2..10], &v4_before[12..])
            );
            assert_eq!((v6[0], &v6[2..]), (v6_before[0], &v6_before[2..]));
            let sent = v4;
            write_ip_checksum(&mut v4);
            assert_eq!(v4, sent, "the checksum was right");
        }
    }
}
