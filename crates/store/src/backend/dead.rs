//! Encoding of dead letters, the same in every backend: the reason and the record. The key holds the position.

use crate::contract::DeadLetter;
use crate::error::{Error, Result};
use crate::position::LogSeq;
use bytes::Bytes;

/// Returns the encoded dead letter: length of the reason (`u32`, little endian), reason, record.
pub fn encode(letter: &DeadLetter) -> Vec<u8> {
    let reason = letter.reason.as_bytes();
    let mut bytes = Vec::with_capacity(4 + reason.len() + letter.record.len());
    bytes.extend_from_slice(&(reason.len() as u32).to_le_bytes());
    bytes.extend_from_slice(reason);
    bytes.extend_from_slice(&letter.record);
    bytes
}

/// Returns the dead letter at `seq`, decoded from `value`.
///
/// # Errors
/// `Damaged` if the value is truncated.
pub fn decode(seq: u64, value: &[u8]) -> Result<DeadLetter> {
    let damaged = || Error::Damaged { detail: format!("the dead letter at position {seq}") };
    let (length, rest) = value.split_first_chunk::<4>().ok_or_else(damaged)?;
    let (reason, record) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
    Ok(DeadLetter {
        seq: LogSeq::new(seq),
        // A reason is for people: one with a byte error is still worth more than a dead letter that cannot be read.
        reason: String::from_utf8_lossy(reason).into_owned(),
        record: Bytes::copy_from_slice(record),
    })
}
