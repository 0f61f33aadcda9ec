//! The queue of packets to one peer.

use std::collections::VecDeque;

use bytes::Bytes;

use super::records::{LANE_PREAMBLE, record};
use crate::policy::DropReason;
use crate::quic::{Connection, DatagramRefused};

/// 4 ms at 1 Gbit/s: enough for the bursts of one turn, too little to build up delay.
const MAX_QUEUED_BYTES: usize = 512 << 10;

/// What carries packets to the peer.
pub trait Carrier {
    fn send_datagram(&mut self, packet: Bytes) -> Result<(), DatagramRefused>;
    /// Returns what the lane stream did not take.
    fn write_lane(&mut self, bytes: Bytes) -> Option<Bytes>;
}

impl Carrier for Connection {
    fn send_datagram(&mut self, packet: Bytes) -> Result<(), DatagramRefused> {
        Connection::send_datagram(self, packet)
    }

    fn write_lane(&mut self, bytes: Bytes) -> Option<Bytes> {
        Connection::write_lane(self, bytes)
    }
}

#[derive(Default)]
pub struct Lane {
    packets: VecDeque<Bytes>,
    queued_bytes: usize,
    /// Rest of a record that the stream did not take yet.
    unsent: Option<Bytes>,
    stream_begun: bool,
}

impl Lane {
    pub fn push(&mut self, packet: Bytes) -> Result<(), DropReason> {
        if self.queued_bytes + packet.len() > MAX_QUEUED_BYTES {
            return Err(DropReason::QueueFull);
        }
        self.queued_bytes += packet.len();
        self.packets.push_back(packet);
        Ok(())
    }

    /// Gives the carrier as much as it takes, in order.
    pub fn feed(&mut self, carrier: &mut impl Carrier) {
        while self.finish_record(carrier) {
            let Some(packet) = self.packets.pop_front() else {
                return;
            };
            let bytes = packet.len();
            match carrier.send_datagram(packet) {
                Ok(()) => {}
                Err(DatagramRefused::TooLarge(packet) | DatagramRefused::Unsupported(packet)) => {
                    self.begin_record(&packet)
                }
                Err(DatagramRefused::Full(packet)) => {
                    self.packets.push_front(packet);
                    return;
                }
            }
            self.queued_bytes -= bytes;
        }
    }

    fn begin_record(&mut self, packet: &[u8]) {
        let preamble = if self.stream_begun {
            &[][..]
        } else {
            &LANE_PREAMBLE
        };
        self.stream_begun = true;
        self.unsent = Some(record(preamble, packet));
    }

    /// Whether no record is left half-written.
    fn finish_record(&mut self, carrier: &mut impl Carrier) -> bool {
        self.unsent = self
            .unsent
            .take()
            .and_then(|bytes| carrier.write_lane(bytes));
        self.unsent.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::RecordReader;

    /// Takes datagrams of up to 100 bytes while there is room, and stream bytes likewise.
    #[derive(Default)]
    struct Fake {
        datagram_room: usize,
        stream_room: usize,
        datagrams: Vec<Bytes>,
        stream: Vec<u8>,
    }

    impl Carrier for Fake {
        fn send_datagram(&mut self, packet: Bytes) -> Result<(), DatagramRefused> {
            if packet.len() > 100 {
                return Err(DatagramRefused::TooLarge(packet));
            }
            if self.datagram_room == 0 {
                return Err(DatagramRefused::Full(packet));
            }
            self.datagram_room -= 1;
            self.datagrams.push(packet);
            Ok(())
        }

        fn write_lane(&mut self, mut bytes: Bytes) -> Option<Bytes> {
            let taken = bytes.split_to(self.stream_room.min(bytes.len()));
            self.stream_room -= taken.len();
            self.stream.extend_from_slice(&taken);
            (!bytes.is_empty()).then_some(bytes)
        }
    }

    fn packet(bytes: usize, fill: u8) -> Bytes {
        Bytes::from(vec![fill; bytes])
    }

    #[test]
    fn holds_back_what_the_carrier_does_not_take() {
        let mut lane = Lane::default();
        let mut fake = Fake {
            datagram_room: 1,
            ..Fake::default()
        };
        lane.push(packet(10, 1)).expect("room");
        lane.push(packet(10, 2)).expect("room");
        lane.feed(&mut fake);
        assert_eq!(fake.datagrams, [packet(10, 1)]);
        fake.datagram_room = 5;
        lane.feed(&mut fake);
        assert_eq!(fake.datagrams, [packet(10, 1), packet(10, 2)]);
        assert_eq!(lane.queued_bytes, 0);
    }

    #[test]
    fn a_large_packet_goes_as_a_record_however_slowly_the_stream_takes_it() {
        let mut lane = Lane::default();
        let mut fake = Fake {
            datagram_room: 9,
            ..Fake::default()
        };
        lane.push(packet(200, 1)).expect("room");
        lane.push(packet(300, 2)).expect("room");
        lane.push(packet(10, 3)).expect("room");
        for _ in 0..600 {
            fake.stream_room = 1;
            lane.feed(&mut fake);
        }
        let mut reader = RecordReader::default();
        reader.push(&fake.stream);
        assert_eq!(reader.next(), Ok(Some(packet(200, 1))));
        assert_eq!(reader.next(), Ok(Some(packet(300, 2))));
        assert_eq!(reader.next(), Ok(None));
        assert_eq!(fake.datagrams, [packet(10, 3)]);
    }

    #[test]
    fn drops_beyond_its_bound() {
        let mut lane = Lane::default();
        for _ in 0..MAX_QUEUED_BYTES / 1000 {
            lane.push(packet(1000, 0)).expect("room");
        }
        assert_eq!(lane.push(packet(1000, 0)), Err(DropReason::QueueFull));
    }
}
