//! Rows as bytes, in memory and on disk: a packed row takes a third of the memory of an event.

use super::super::mapping::RepeatRule;
use super::super::row::{LogRow, RowBody};
use portrait_proto::v1::Event;
use prost::Message;
use std::io;
use xxhash_rust::xxh64::xxh64;

/// Position of a row in the order of time: rows of the same time are in the order of the file. If equal rows are repeats, those of one
/// time are grouped by user first: days without a time have millions of rows, and repeats are counted among those of one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    seconds: i64,
    nanos: i32,
    /// Hash of the user if equal rows are repeats, else 0.
    group: u64,
    /// Number of the row in the file.
    number: u64,
}

/// Sorted row, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) key: Key,
    pub(super) bytes: Vec<u8>,
}

impl Key {
    /// Length of an encoded key.
    pub(super) const BYTES: usize = 28;
    /// Key before all others.
    pub(super) const MIN: Self = Self { seconds: i64::MIN, nanos: 0, group: 0, number: 0 };

    /// Returns the key of the event in row `number`.
    pub(super) fn of(event: &Event, number: u64, repeats: RepeatRule) -> Self {
        // Readers reject rows without a time.
        let (seconds, nanos) = event.occurred_at.as_ref().map_or((0, 0), |at| (at.seconds, at.nanos));
        let group = match repeats {
            RepeatRule::Count => xxh64(event.user_id.as_bytes(), 0),
            RepeatRule::Drop => 0,
        };
        Self { seconds, nanos, group, number }
    }

    pub(super) fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.seconds.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.nanos.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.group.to_le_bytes());
        bytes[20..].copy_from_slice(&self.number.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: [u8; Self::BYTES]) -> Self {
        Self {
            seconds: i64::from_le_bytes(array(&bytes[..8])),
            nanos: i32::from_le_bytes(array(&bytes[8..12])),
            group: u64::from_le_bytes(array(&bytes[12..20])),
            number: u64::from_le_bytes(array(&bytes[20..])),
        }
    }
}

/// Appends line, raw bytes and event of a row.
pub(super) fn pack(row: &LogRow, event: &Event, bytes: &mut Vec<u8>) {
    bytes.push(u8::from(row.has_own_id));
    bytes.extend_from_slice(&row.line.to_le_bytes());
    let raw_bytes = row.raw.as_ref().map_or(u32::MAX, |raw| u32::try_from(raw.len()).unwrap_or(0));
    bytes.extend_from_slice(&raw_bytes.to_le_bytes());
    bytes.extend_from_slice(row.raw.as_deref().unwrap_or_default());
    // Encoding into a vector cannot run out of space.
    event.encode_raw(bytes);
}

/// Returns the row of bytes that [`pack`] wrote.
///
/// # Errors
/// If the bytes were changed on disk.
pub(super) fn unpack(bytes: &[u8]) -> io::Result<LogRow> {
    let (has_own_id, rest) = bytes.split_first().ok_or_else(damaged)?;
    let (line, rest) = rest.split_at_checked(8).ok_or_else(damaged)?;
    let (raw_bytes, rest) = rest.split_at_checked(4).ok_or_else(damaged)?;
    let raw_bytes = u32::from_le_bytes(array(raw_bytes));
    let (raw, event) = match raw_bytes {
        u32::MAX => (None, rest),
        raw_bytes => {
            let (raw, event) = rest.split_at_checked(raw_bytes as usize).ok_or_else(damaged)?;
            (Some(raw.into()), event)
        }
    };
    let event = Event::decode(event).map_err(|_| damaged())?;
    let line = u64::from_le_bytes(array(line));
    Ok(LogRow { line, body: RowBody::Event(event), raw, has_own_id: *has_own_id != 0 })
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a sorted row was changed")
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}
