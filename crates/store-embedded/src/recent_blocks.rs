//! Newest blocks of a log or feed in memory, so that a reader that is current never waits for the disk.

use portrait_store::backend::block::Block;
use std::collections::VecDeque;

/// Newest blocks of one log or feed.
#[derive(Debug)]
pub(super) struct RecentBlocks {
    blocks: VecDeque<Block>,
    bytes: usize,
    capacity_bytes: usize,
}

impl RecentBlocks {
    /// Returns an empty list that holds at most `capacity_bytes`, and always the newest block.
    pub(super) fn new(capacity_bytes: usize) -> Self {
        Self { blocks: VecDeque::new(), bytes: 0, capacity_bytes }
    }

    /// Adds the newest block, and drops the oldest beyond the capacity.
    pub(super) fn push(&mut self, block: Block) {
        self.bytes += block.size();
        self.blocks.push_back(block);
        while self.bytes > self.capacity_bytes && self.blocks.len() > 1 {
            self.bytes -= self.blocks.pop_front().map_or(0, |block| block.size());
        }
    }

    /// Returns at most `max` blocks, beginning with the block that contains the position after `after`; none if that block is not in
    /// memory.
    pub(super) fn after(&self, after: u64, max: usize) -> Vec<Block> {
        match self.blocks.front() {
            Some(oldest) if oldest.first() <= after + 1 => {
                let begin = self.blocks.partition_point(|block| block.last() <= after);
                self.blocks.range(begin..).take(max).cloned().collect()
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use portrait_profile::Timestamp;
    use portrait_store::backend::block;

    fn block(first: u64, records: &[&'static str]) -> Block {
        let records: Vec<Bytes> =
            records.iter().map(|record| Bytes::from_static(record.as_bytes())).collect();
        Block::new(first, block::encode(Timestamp::from_millis(7), &records)).expect("a block of records")
    }

    #[test]
    fn the_newest_blocks_are_retained_within_the_capacity() {
        let mut recent = RecentBlocks::new(100);
        (0..50).for_each(|index| recent.push(block(1 + index * 2, &["0123456789", "0123456789"])));
        assert!(recent.bytes <= 100);
        assert!(recent.after(0, 10).is_empty());
        let newest = recent.after(98, 10);
        assert_eq!(newest.iter().map(Block::last).collect::<Vec<_>>(), [100]);
        assert!(recent.after(100, 10).is_empty());
    }
}
