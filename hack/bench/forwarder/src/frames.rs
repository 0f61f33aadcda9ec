//! A superframe in datagrams of one size, and back.
//!
//! Each datagram: frame number (u16), index (u8), count (u8), what the seal adds, a piece of the frame.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::ops::Range;

use crate::device::MAX_PACKET_BYTES;
use crate::seal::Seal;

/// An Ethernet packet of 1500 bytes less the headers of IPv4 and UDP.
pub const DATAGRAM_BYTES: usize = 1472;
const HEAD_BYTES: usize = 4;

/// Cuts what the TUN has into sealed datagrams, without a copy: the TUN writes into their places.
pub struct Cutter {
    buffer: Vec<u8>,
    frame: u16,
}

impl Cutter {
    pub fn new(seal: &Seal) -> Cutter {
        let (_, room) = layout(seal);
        Cutter {
            buffer: vec![0; MAX_PACKET_BYTES.div_ceil(room) * DATAGRAM_BYTES],
            frame: 0,
        }
    }

    /// The datagrams of the next superframe; `None` when nothing is there.
    pub fn next(&mut self, mut tun: &File, seal: &mut Seal) -> io::Result<Option<&[u8]>> {
        let (start, room) = layout(seal);
        let mut places: Vec<IoSliceMut> = self
            .buffer
            .chunks_exact_mut(DATAGRAM_BYTES)
            .map(|datagram| IoSliceMut::new(&mut datagram[start..start + room]))
            .collect();
        let bytes = match tun.read_vectored(&mut places) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let count = bytes.div_ceil(room);
        self.frame = self.frame.wrapping_add(1);
        let behind = seal.overhead().1;
        let mut end = 0;
        for index in 0..count {
            let begin = index * DATAGRAM_BYTES;
            end = begin + start + room.min(bytes - index * room) + behind;
            let datagram = &mut self.buffer[begin..end];
            datagram[..2].copy_from_slice(&self.frame.to_le_bytes());
            datagram[2] = index as u8;
            datagram[3] = count as u8;
            seal.seal(datagram, HEAD_BYTES);
        }
        Ok(Some(&self.buffer[..end]))
    }
}

/// Puts frames together whose datagrams come in order; drops all others.
#[derive(Default)]
pub struct Joiner {
    frame: u16,
    next: u8,
    /// Pieces that came with an earlier receive.
    spill: Vec<u8>,
    /// Pieces in the buffer of this receive.
    pieces: Vec<Range<usize>>,
}

impl Joiner {
    /// Takes the datagrams of one receive and writes every frame that became whole.
    pub fn take(
        &mut self,
        tun: &File,
        seal: &Seal,
        received: &mut [u8],
        datagram_bytes: usize,
    ) -> io::Result<()> {
        let (start, _) = layout(seal);
        let behind = seal.overhead().1;
        self.pieces.clear();
        let mut begin = 0;
        while begin < received.len() {
            let end = (begin + datagram_bytes).min(received.len());
            let datagram = &mut received[begin..end];
            if datagram.len() > start + behind && seal.open(datagram, HEAD_BYTES) {
                let (frame, index, count) = head(datagram);
                if index == 0 {
                    (self.frame, self.next) = (frame, 0);
                    self.spill.clear();
                    self.pieces.clear();
                }
                if frame == self.frame && index == self.next {
                    self.next += 1;
                    self.pieces.push(begin + start..end - behind);
                    if self.next == count {
                        self.write(tun, received)?;
                    }
                }
            }
            begin = end;
        }
        for piece in self.pieces.drain(..) {
            self.spill.extend_from_slice(&received[piece]);
        }
        Ok(())
    }

    fn write(&mut self, mut tun: &File, received: &[u8]) -> io::Result<()> {
        let spilled = (!self.spill.is_empty()).then(|| IoSlice::new(&self.spill));
        let fresh = self
            .pieces
            .iter()
            .map(|piece| IoSlice::new(&received[piece.clone()]));
        let slices: Vec<IoSlice> = spilled.into_iter().chain(fresh).collect();
        let written = tun.write_vectored(&slices);
        self.spill.clear();
        self.pieces.clear();
        match written {
            Ok(_) => Ok(()),
            // EIO until the interface is up, EINVAL for what the kernel cannot read: a packet lost, as on any wire.
            Err(error) if matches!(error.raw_os_error(), Some(5 | 22)) => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Where the payload of a datagram starts, and the room for it.
fn layout(seal: &Seal) -> (usize, usize) {
    let (before, behind) = seal.overhead();
    let start = HEAD_BYTES + before;
    (start, DATAGRAM_BYTES - start - behind)
}

fn head(datagram: &[u8]) -> (u16, u8, u8) {
    (
        u16::from_le_bytes([datagram[0], datagram[1]]),
        datagram[2],
        datagram[3],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek;

    fn file_with(content: &[u8]) -> File {
        let path = std::env::temp_dir().join(format!(
            "bench-forwarder-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)
            .expect("file");
        std::fs::remove_file(&path).expect("remove");
        file.write_all(content).expect("write");
        file.rewind().expect("rewind");
        file
    }

    fn content(mut file: File) -> Vec<u8> {
        let mut bytes = Vec::new();
        file.rewind().expect("rewind");
        file.read_to_end(&mut bytes).expect("read");
        bytes
    }

    fn cut(frame: &[u8], seal: &mut Seal) -> Vec<u8> {
        let mut cutter = Cutter::new(seal);
        let cut = cutter.next(&file_with(frame), seal).expect("cut");
        cut.expect("a frame").to_vec()
    }

    fn frame() -> Vec<u8> {
        (0..60_000u32).map(|i| (i % 251) as u8).collect()
    }

    #[test]
    fn joins_what_was_cut_also_over_several_receives() {
        for aes in [false, true] {
            let end = |first| if aes { Seal::aes(first) } else { Seal::Plain };
            let datagrams = cut(&frame(), &mut end(true));
            let (tun, mut joiner) = (file_with(&[]), Joiner::default());
            let (one, two) = datagrams.split_at(DATAGRAM_BYTES * 20);
            for part in [one, two] {
                joiner
                    .take(&tun, &end(false), &mut part.to_vec(), DATAGRAM_BYTES)
                    .expect("take");
            }
            assert!(content(tun) == frame());
        }
    }

    #[test]
    fn drops_a_frame_with_a_hole_and_takes_the_next() {
        let mut seal = Seal::Plain;
        let mut holed = cut(&frame(), &mut seal);
        holed.drain(DATAGRAM_BYTES * 3..DATAGRAM_BYTES * 4);
        let (tun, mut joiner) = (file_with(&[]), Joiner::default());
        joiner
            .take(&tun, &seal, &mut holed, DATAGRAM_BYTES)
            .expect("take");
        joiner
            .take(&tun, &seal, &mut [1, 2, 3], DATAGRAM_BYTES)
            .expect("too short to be one");
        let mut whole = cut(b"a small one", &mut seal);
        joiner
            .take(&tun, &seal, &mut whole, DATAGRAM_BYTES)
            .expect("take");
        assert_eq!(content(tun), b"a small one");
    }
}
