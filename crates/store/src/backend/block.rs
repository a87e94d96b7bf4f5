//! How a stretch of a log or feed is kept: one value for everything that was appended in one step, the same in every room. In
//! come records with the place of the first; out go the same records, without copying.
//!
//! ```text
//! at: i64 | count: u32 | (length: u32 | bytes)*        all little endian; the key tells the place
//! ```

use crate::error::{Error, Result};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use portrait_profile::Timestamp;

/// What precedes the records of a block.
const HEADER_BYTES: usize = 8 + 4;

/// One appended stretch.
#[derive(Clone, Debug)]
pub struct Block {
    /// Place of the first record.
    first: u64,
    /// How many records there are, at least 1.
    count: u64,
    /// Header and records.
    bytes: Bytes,
}

/// How much a read gives at most.
#[derive(Clone, Copy)]
pub struct Room {
    /// Records at most.
    pub records: usize,
    /// Bytes at most, but for the first record.
    pub bytes: usize,
}

/// The value of a block of `records`.
pub fn encode(at: Timestamp, records: &[Bytes]) -> Bytes {
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
pub fn written_at(mut value: &[u8]) -> Option<Timestamp> {
    (value.len() >= HEADER_BYTES).then(|| Timestamp::from_millis(value.get_i64_le()))
}

impl Block {
    /// A block whose first record is at `first`.
    pub fn new(first: u64, bytes: Bytes) -> Result<Self> {
        let count = bytes.get(8..HEADER_BYTES).map(|mut count| u64::from(count.get_u32_le()));
        match count {
            Some(count) if count > 0 => Ok(Self { first, count, bytes }),
            _ => Err(damaged(first)),
        }
    }

    /// Place of the first record.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Place of the last record.
    pub fn last(&self) -> u64 {
        self.first + self.count - 1
    }

    /// Calls `take` with each record after `after` and its place, until it says no. True: the block is used up.
    pub fn read(&self, after: u64, mut take: impl FnMut(u64, Bytes) -> bool) -> Result<bool> {
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

/// The records after `after` with their places, as far as they fit into `room`; at least one if there is one.
pub fn take(
    blocks: impl Iterator<Item = Result<Block>>,
    after: u64,
    room: Room,
) -> Result<Vec<(u64, Bytes)>> {
    let mut records = Vec::new();
    let mut bytes = 0;
    for block in blocks {
        let used_up = block?.read(after, |seq, record| {
            if !records.is_empty() && (records.len() >= room.records || bytes + record.len() > room.bytes) {
                return false;
            }
            bytes += record.len();
            records.push((seq, record));
            true
        })?;
        if !used_up {
            break;
        }
    }
    Ok(records)
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
}
