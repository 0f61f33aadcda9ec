//! delay-line TAP TAP MICROSECONDS: a wire between two TAP devices on which each frame takes that long, in both directions.

use std::collections::VecDeque;
use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use bench_forwarder::device::{self, Kind, MAX_PACKET_BYTES};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

/// What is on the wire in one direction: 100 ms at 10 Gbit/s. What comes on top is lost.
const MAX_WIRE_BYTES: usize = 128 << 20;
/// Frames a turn from each side, so that neither starves.
const BATCH_FRAMES: usize = 64;

struct Direction<'a> {
    from: &'a File,
    to: &'a File,
    frames: VecDeque<(Instant, Box<[u8]>)>,
    bytes: usize,
}

impl Direction<'_> {
    fn take(&mut self, buffer: &mut [u8], delay: Duration) -> io::Result<()> {
        for _ in 0..BATCH_FRAMES {
            let bytes = match self.from.read(buffer) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            if self.bytes + bytes <= MAX_WIRE_BYTES {
                self.bytes += bytes;
                self.frames
                    .push_back((Instant::now() + delay, buffer[..bytes].into()));
            }
        }
        Ok(())
    }

    fn deliver(&mut self) -> io::Result<()> {
        let now = Instant::now();
        while let Some((_, frame)) = self.frames.pop_front_if(|(due, _)| *due <= now) {
            self.bytes -= frame.len();
            match self.to.write(&frame) {
                Ok(_) => {}
                // EIO while the interface is down, EINVAL for a frame the kernel does not take: lost.
                Err(error) if matches!(error.raw_os_error(), Some(5 | 22)) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [left, right, micros] = words.as_slice() else {
        return Err("delay-line TAP TAP MICROSECONDS".into());
    };
    let delay = Duration::from_micros(micros.parse()?);
    let (left, right) = (
        device::open(left, Kind::Tap)?,
        device::open(right, Kind::Tap)?,
    );
    println!("ready");
    let mut buffer = vec![0; MAX_PACKET_BYTES];
    let direction = |from, to| Direction {
        from,
        to,
        frames: VecDeque::new(),
        bytes: 0,
    };
    let mut directions = [direction(&left, &right), direction(&right, &left)];
    loop {
        let due = directions
            .iter()
            .filter_map(|one| one.frames.front().map(|(due, _)| *due))
            .min();
        let wait =
            due.map(|due| TimeSpec::from_duration(due.saturating_duration_since(Instant::now())));
        let mut ready = [
            PollFd::new(left.as_fd(), PollFlags::POLLIN),
            PollFd::new(right.as_fd(), PollFlags::POLLIN),
        ];
        ppoll(&mut ready, wait, None)?;
        for direction in &mut directions {
            direction.deliver()?;
            direction.take(&mut buffer, delay)?;
        }
    }
}
