//! Encoding of a range of a log or feed: one value for everything that one step appended, the same in every backend. Decoding
//! returns the records with their positions, without copying.
//!
//! ```text
//! at: i64 | count: u32 | (length: u32 | bytes)*        all little endian; the key holds the position
//! ```

use crate::error::{Error, Result};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use portrait_profile::Timestamp;

/// Bytes before the records of a block: time and count.
const HEADER_BYTES: usize = 8 + 4;

/// Records that one step appended, still encoded.
#[derive(Clone, Debug)]
pub struct Block {
    /// Position of the first record.
    first: u64,
    /// Number of records, at least 1.
    count: u64,
    /// Header and records, as encoded.
    bytes: Bytes,
}

/// Bound of one read.
#[derive(Clone, Copy)]
pub struct ReadLimit {
    /// Largest number of records.
    pub records: usize,
    /// Largest number of bytes; the first record may exceed it.
    pub bytes: usize,
}

/// Returns the encoded block of `records`, written at `at`.
pub fn encode(at: Timestamp, records: &[Bytes]) -> Bytes {
    // The exact size is reserved, since a block is on the path of every append.
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

/// Returns the time at which a block was written; none if the value is cut.
pub fn written_at(mut value: &[u8]) -> Option<Timestamp> {
    // Trimming needs the time alone, so the records are not decoded.
    (value.len() >= HEADER_BYTES).then(|| Timestamp::from_millis(value.get_i64_le()))
}

impl Block {
    /// Returns the block whose first record is at `first`.
    ///
    /// # Errors
    /// `Damaged` if the header is cut or counts no record.
    pub fn new(first: u64, bytes: Bytes) -> Result<Self> {
        let count = bytes.get(8..HEADER_BYTES).map(|mut count| u64::from(count.get_u32_le()));
        match count {
            Some(count) if count > 0 => Ok(Self { first, count, bytes }),
            _ => Err(damaged(first)),
        }
    }

    /// Returns the position of the first record.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Returns the size of the encoded block in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the position of the last record.
    pub fn last(&self) -> u64 {
        self.first + self.count - 1
    }

    /// Calls `take` with the position and the value of each record after `after`, until it returns false. Returns true at the end
    /// of the block.
    ///
    /// # Errors
    /// `Damaged` if the block is cut.
    pub fn read(&self, after: u64, mut take: impl FnMut(u64, Bytes) -> bool) -> Result<bool> {
        let mut rest = self.bytes.slice(HEADER_BYTES..);
        for seq in self.first..=self.last() {
            if rest.len() < 4 {
                return Err(damaged(self.first));
            }
            let length = rest.get_u32_le() as usize;
            // A length beyond the block is damage; without the check `split_to` would panic.
            if rest.len() < length {
                return Err(damaged(self.first));
            }
            // Records before `after` are skipped by their lengths alone: `Bytes` shares the block and copies nothing.
            let record = rest.split_to(length);
            if seq > after && !take(seq, record) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Returns the records after `after` with their positions, within the limit; at least one if there is one.
///
/// # Errors
/// The error of the first block that cannot be read.
pub fn take(
    blocks: impl Iterator<Item = Result<Block>>,
    after: u64,
    limit: ReadLimit,
) -> Result<Vec<(u64, Bytes)>> {
    let mut records = Vec::new();
    let mut bytes = 0;
    for block in blocks {
        let used_up = block?.read(after, |seq, record| {
            // A record above the byte limit is still returned when it is the first: a reader must always make progress.
            if !records.is_empty() && (records.len() >= limit.records || bytes + record.len() > limit.bytes) {
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
    Error::Damaged { detail: format!("the block that begins at {first} is truncated") }
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
    fn a_block_is_read_between_any_positions() {
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
    fn a_truncated_block_is_an_error() {
        let whole = block(1, &["abc", "def"]).bytes;
        for length in 0..whole.len() {
            let read = Block::new(1, whole.slice(..length)).and_then(|block| block.read(0, |_, _| true));
            assert!(read.is_err(), "{length} bytes");
        }
    }
}
