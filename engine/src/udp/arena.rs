//! Packet memory: big blocks from which each received packet is cut without copying, and which are used again when
//! the last packet cut from them is gone.

use std::collections::VecDeque;

use bytes::BytesMut;

/// One block holds many packets, so that taking one is a pointer's move.
const BLOCK_BYTES: usize = 512 << 10;
/// Blocks of which packets are still held: 16 MiB. Whoever holds one small packet of each holds them all, so beyond it packets are
/// copied: then a packet holds no more than itself.
const MAX_OLD_BLOCKS: usize = 32;

pub struct Arena {
    /// Every byte is initialised; packets are cut off its front, or copied from there while it is `scarce`.
    current: BytesMut,
    old: VecDeque<BytesMut>,
    /// All old blocks are held: `current` must stay whole.
    scarce: bool,
}

impl Default for Arena {
    fn default() -> Self {
        Arena {
            current: BytesMut::zeroed(BLOCK_BYTES),
            old: VecDeque::new(),
            scarce: false,
        }
    }
}

impl Arena {
    /// Room for at least `bytes` bytes, whose content is undefined but initialised.
    pub fn room(&mut self, bytes: usize) -> &mut [u8] {
        assert!(bytes <= BLOCK_BYTES, "no packet is as large as a block");
        if self.scarce {
            self.scarce = !self.old.pop_front().is_some_and(|block| self.reuse(block));
        } else if self.current.len() < bytes {
            self.next_block();
        }
        &mut self.current[..bytes]
    }

    /// Takes the first `bytes` bytes of the room.
    pub fn take(&mut self, bytes: usize) -> BytesMut {
        if self.scarce {
            BytesMut::from(&self.current[..bytes])
        } else {
            self.current.split_to(bytes)
        }
    }

    /// A packet of what was taken, which may be kept longer than the others.
    pub fn apart(&self, packet: BytesMut) -> BytesMut {
        if self.scarce {
            BytesMut::from(&packet[..])
        } else {
            packet
        }
    }

    /// Puts another block in the place of the spent one: the oldest that nobody holds, or a new one.
    fn next_block(&mut self) {
        for _ in 0..self.old.len() {
            if let Some(block) = self.old.pop_front()
                && self.reuse(block)
            {
                return;
            }
        }
        let spent = std::mem::replace(&mut self.current, BytesMut::zeroed(BLOCK_BYTES));
        self.old.push_back(spent);
        self.scarce = self.old.len() >= MAX_OLD_BLOCKS;
    }

    /// Makes `block` the current one, unless somebody holds packets of it; the other of the two becomes the newest of the old.
    fn reuse(&mut self, mut block: BytesMut) -> bool {
        block.clear();
        let is_free = block.try_reclaim(BLOCK_BYTES);
        if is_free {
            // SAFETY: `try_reclaim` gave back the block's whole capacity of BLOCK_BYTES, and all of it was
            // initialised when `zeroed` made the block.
            unsafe { block.set_len(BLOCK_BYTES) };
            std::mem::swap(&mut self.current, &mut block);
        }
        self.old.push_back(block);
        is_free
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

    #[test]
    fn a_packet_of_every_block_holds_no_more_than_so_many_blocks() {
        let mut arena = Arena::default();
        let mut held = Vec::new();
        for index in 0..20 * MAX_OLD_BLOCKS {
            for _ in 0..BLOCK_BYTES / 64_000 {
                arena.room(64_000).fill(index as u8);
                let mut packets = arena.take(64_000);
                if held.len() <= index {
                    held.push(arena.apart(packets.split_to(1_000)));
                }
            }
        }
        assert_eq!(arena.old.len(), MAX_OLD_BLOCKS);
        let copied = held.split_off(2 * MAX_OLD_BLOCKS);
        assert!(copied.iter().all(|packet| packet.capacity() < 2_000));
        for (index, packet) in copied.iter().enumerate() {
            let filled = (2 * MAX_OLD_BLOCKS + index) as u8;
            assert!(packet.iter().all(|byte| *byte == filled));
        }
        // As soon as the blocks are free again they are used.
        drop(held);
        arena.room(1_000);
        assert!(!arena.scarce);
        let begin = arena.current.as_ptr();
        assert_eq!(arena.take(1_000).as_ptr(), begin);
    }
}
