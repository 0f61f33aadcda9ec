//! Packet memory: big blocks from which each received packet is cut without copying, and which are used again when
//! the last packet cut from them is gone.

use std::collections::VecDeque;

use bytes::BytesMut;

/// One block holds many packets, so that taking one is a pointer's move.
const BLOCK_BYTES: usize = 512 << 10;
/// Blocks kept for reuse while packets of theirs are still held: 16 MiB at most; beyond it blocks are simply freed.
const MAX_OLD_BLOCKS: usize = 32;

pub struct Arena {
    /// Every byte is initialised; packets are cut off its front.
    current: BytesMut,
    old: VecDeque<BytesMut>,
}

impl Default for Arena {
    fn default() -> Self {
        Arena {
            current: BytesMut::zeroed(BLOCK_BYTES),
            old: VecDeque::new(),
        }
    }
}

impl Arena {
    /// Room for at least `bytes` bytes, whose content is undefined but initialised.
    pub fn room(&mut self, bytes: usize) -> &mut [u8] {
        assert!(bytes <= BLOCK_BYTES, "no packet is as large as a block");
        if self.current.len() < bytes {
            let next = self.next_block();
            let spent = std::mem::replace(&mut self.current, next);
            if self.old.len() < MAX_OLD_BLOCKS {
                self.old.push_back(spent);
            }
        }
        &mut self.current[..bytes]
    }

    /// Takes the first `bytes` bytes of the room.
    pub fn take(&mut self, bytes: usize) -> BytesMut {
        self.current.split_to(bytes)
    }

    fn next_block(&mut self) -> BytesMut {
        let reusable = self.old.front_mut().is_some_and(|block| {
            block.clear();
            block.try_reclaim(BLOCK_BYTES)
        });
        match self.old.pop_front().filter(|_| reusable) {
            Some(mut block) => {
                // SAFETY: `try_reclaim` gave back the block's whole capacity of BLOCK_BYTES, and all of it was
                // initialised when `zeroed` made the block.
                unsafe { block.set_len(BLOCK_BYTES) };
                block
            }
            None => BytesMut::zeroed(BLOCK_BYTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_used_again_when_its_packets_are_gone() {
        let mut arena = Arena::default();
        let first = arena.room(100).as_ptr();
        for _ in 0..3 * BLOCK_BYTES / 1000 {
            arena.room(1000).fill(7);
            drop(arena.take(1000));
        }
        let mut seen = false;
        for _ in 0..2 * BLOCK_BYTES / 1000 {
            seen |= arena.room(1000).as_ptr() == first;
            drop(arena.take(1000));
        }
        assert!(seen, "the first block came round again");
    }

    #[test]
    fn held_packets_keep_their_content() {
        let mut arena = Arena::default();
        let mut held = Vec::new();
        for index in 0..2000u32 {
            arena.room(1000)[..4].copy_from_slice(&index.to_ne_bytes());
            held.push(arena.take(1000));
        }
        for (index, packet) in held.iter().enumerate() {
            assert_eq!(packet[..4], (index as u32).to_ne_bytes());
        }
    }
}
