//! Joins the packets of a cut that arrive one after the other. What arrives otherwise passes as it is.

use bytes::Bytes;

use super::forms::Part;
use crate::packet::{Headers, Merge};

struct Open {
    merge: Merge,
    cut: u16,
    next: u8,
}

/// What is to be given to the host, in this order.
#[derive(Default)]
pub struct Ready {
    /// What was joined until now and is complete, or does not go on.
    pub joined: Option<Merge>,
    /// The packet itself, which joins nothing: its checksum covers the pseudo-header alone.
    pub single: Option<Bytes>,
    /// What it completed.
    pub completed: Option<Merge>,
}

#[derive(Default)]
pub struct Rejoin {
    open: Option<Open>,
}

impl Rejoin {
    /// Takes one part. The caller checks the policy for what comes out: all parts of a merge have the addresses of its first.
    pub fn push(&mut self, part: Part, packet: Bytes) -> Ready {
        let mut ready = Ready::default();
        let mut packet = Some(packet);
        if let Some(open) = &mut self.open
            && open.cut == part.cut
            && open.next == part.number
            && let Some(next) = packet.take()
        {
            packet = open.merge.push(next).err().map(|refused| refused.0);
        }
        match (packet, &mut self.open) {
            (None, Some(open)) => open.next = open.next.wrapping_add(1),
            (Some(packet), _) => {
                ready.joined = self.flush();
                let merge =
                    Headers::parse(&packet).and_then(|headers| Merge::begin(&packet, &headers));
                match merge {
                    Some(merge) => {
                        self.open = Some(Open {
                            merge,
                            cut: part.cut,
                            next: part.number.wrapping_add(1),
                        });
                    }
                    None => ready.single = Some(packet),
                }
            }
            (None, None) => {}
        }
        if part.is_last {
            ready.completed = self.flush();
        }
        ready
    }

    /// What was joined until now.
    pub fn flush(&mut self) -> Option<Merge> {
        self.open.take().map(|open| open.merge)
    }
}
