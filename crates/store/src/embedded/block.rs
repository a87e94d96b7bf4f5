//! How a stretch of a log or feed lies on disk: one value for everything that was appended in one step, and the newest of
//! them in memory. In come records with the place of the first; out go the same records, without copying.
//!
//! ```text
//! at: i64 | count: u32 | (length: u32 | bytes)*        all little endian; the key has partition and first place
//! ```

use crate::error::{Error, Result};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use portrait_profile::Timestamp;
use std::collections::VecDeque;

/// What precedes the records of a block.
const HEADER_BYTES: usize = 8 + 4;

/// One appended stretch.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Place of the first record.
    first: u64,
    /// How many records there are, at least 1.
    count: u64,
    /// Header and records.
    bytes: Bytes,
}

/// The newest blocks of one log or feed, in memory, so that a reader who is current never waits for the disk.
#[derive(Debug)]
pub(super) struct Tail {
    blocks: VecDeque<Block>,
    bytes: usize,
    capacity_bytes: usize,
}

/// The value of a block of `records`.
pub(super) fn encode(at: Timestamp, records: &[Bytes]) -> Bytes {
    let size = HEADER_BYTES + records.iter().map(|record| record.len() + 4).sum::<usize>();
    let mut bytes = BytesMut::with_capacity(size);
    bytes.put_i64_le(at.millis());
    bytes.put_u32_le(records.len() as u32);
    for record in records {
        bytes.put_u32_le(record.len() as u32);
        bytes.put_slice(record);
    }
    bytes.freeze()
}

/// When a block was written, from its value.
pub(super) fn written_at(mut value: &[u8]) -> Option<Timestamp> {
    (value.len() >= HEADER_BYTES).then(|| Timestamp::from_millis(value.get_i64_le()))
}

impl Block {
    /// A block whose first record is at `first`.
    pub(super) fn new(first: u64, bytes: Bytes) -> Result<Self> {
        let count = bytes.get(8..HEADER_BYTES).map(|mut count| u64::from(count.get_u32_le()));
        match count {
            Some(count) if count > 0 => Ok(Self { first, count, bytes }),
            _ => Err(damaged(first)),
        }
    }

    /// Place of the last record.
    pub(super) fn last(&self) -> u64 {
        self.first + self.count - 1
    }

    /// Calls `take` with each record after `after` and its place, until it says no. True: the block is used up.
    pub(super) fn read(&self, after: u64, mut take: impl FnMut(u64, Bytes) -> bool) -> Result<bool> {
        let mut rest = self.bytes.slice(HEADER_BYTES..);
        for seq in self.first..=self.last() {
            if rest.len() < 4 {
                return Err(damaged(self.first));
            }
            let length = rest.get_u32_le() as usize;
            if rest.len() < length {
                return Err(damaged(self.first));
            }
            let record = rest.split_to(length);
            if seq > after && !take(seq, record) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Tail {
    /// Nothing yet; at most `capacity_bytes`, and always the newest block.
    pub(super) fn new(capacity_bytes: usize) -> Self {
        Self { blocks: VecDeque::new(), bytes: 0, capacity_bytes }
    }

    /// Adds the newest block.
    pub(super) fn push(&mut self, block: Block) {
        self.bytes += block.bytes.len();
        self.blocks.push_back(block);
        while self.bytes > self.capacity_bytes && self.blocks.len() > 1 {
            self.bytes -= self.blocks.pop_front().map_or(0, |block| block.bytes.len());
        }
    }

    /// The blocks from the one that has the place after `after`; nothing if that one is not in memory.
    pub(super) fn after(&self, after: u64, most: usize) -> Vec<Block> {
        match self.blocks.front() {
            Some(oldest) if oldest.first <= after + 1 => {
                let begin = self.blocks.partition_point(|block| block.last() <= after);
                self.blocks.range(begin..).take(most).cloned().collect()
            }
            _ => Vec::new(),
        }
    }
}

fn damaged(first: u64) -> Error {
    Error::Damaged { detail: format!("the block that begins at {first} is cut short") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(first: u64, records: &[&'static str]) -> Block {
        let records: Vec<Bytes> =
            records.iter().map(|record| Bytes::from_static(record.as_bytes())).collect();
        Block::new(first, encode(Timestamp::from_millis(7), &records)).expect("a block of records")
    }

    #[test]
    fn a_block_is_read_from_any_place_to_any_place() {
        let block = block(5, &["a", "", "ccc"]);
        let mut seen = Vec::new();
        let used_up = block.read(5, |seq, record| {
            seen.push((seq, record));
            true
        });
        assert!(used_up.expect("the block is whole"));
        assert_eq!(seen, [(6, Bytes::new()), (7, Bytes::from_static(b"ccc"))]);
        assert!(!block.read(0, |seq, _| seq < 6).expect("the block is whole"));
    }

    #[test]
    fn a_cut_block_is_an_error() {
        let whole = block(1, &["abc", "def"]).bytes;
        for length in 0..whole.len() {
            let read = Block::new(1, whole.slice(..length)).and_then(|block| block.read(0, |_, _| true));
            assert!(read.is_err(), "{length} bytes");
        }
    }

    #[test]
    fn the_tail_keeps_the_newest_within_its_bound() {
        let mut tail = Tail::new(100);
        (0..50).for_each(|index| tail.push(block(1 + index * 2, &["0123456789", "0123456789"])));
        assert!(tail.bytes <= 100);
        assert!(tail.after(0, 10).is_empty());
        let newest = tail.after(98, 10);
        assert_eq!(newest.iter().map(Block::last).collect::<Vec<_>>(), [100]);
        assert!(tail.after(100, 10).is_empty());
    }
}
