//! The consistency token: where in the logs a caller's records are, opaque to the caller. In come places, out go bytes that
//! carry a checksum; bytes that were changed, cut or made up are refused.
//!
//! ```text
//! 'P' 'C' version | (partition u16, generation u128, seq u64)* | XXH64 of all before
//! ```

use xxhash_rust::xxh64::xxh64;

const MAGIC: [u8; 3] = *b"PC\x01";
const ENTRY_BYTES: usize = 2 + 16 + 8;
const CHECKSUM_BYTES: usize = 8;

/// Places in the logs that a reader wants to have applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsistencyToken {
    /// At most one for each partition.
    pub entries: Vec<TokenEntry>,
}

/// A place in the log of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenEntry {
    /// The partition's number.
    pub partition: u16,
    /// The generation of its log.
    pub generation: u128,
    /// The place of the newest record.
    pub seq: u64,
}

/// The bytes are not a token of this deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this deployment: pass it as it was given, or leave it out")]
pub struct InvalidConsistencyToken;

impl ConsistencyToken {
    /// Adds a place; of two in one partition the later one stays.
    pub fn cover(&mut self, entry: TokenEntry) {
        match self.entries.iter_mut().find(|known| known.partition == entry.partition) {
            Some(known) if known.generation != entry.generation || known.seq < entry.seq => *known = entry,
            Some(_) => {}
            None => self.entries.push(entry),
        }
    }

    /// The bytes for the caller; none if there is nothing to wait for.
    pub fn encode(&self) -> Vec<u8> {
        if self.entries.is_empty() {
            return Vec::new();
        }
        let mut bytes = Vec::with_capacity(MAGIC.len() + self.entries.len() * ENTRY_BYTES + CHECKSUM_BYTES);
        bytes.extend_from_slice(&MAGIC);
        write_entries(&self.entries, &mut bytes);
        seal(bytes)
    }

    /// The token of such bytes; no bytes are the token that waits for nothing.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidConsistencyToken> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let entries = unsealed(bytes)?.strip_prefix(&MAGIC).ok_or(InvalidConsistencyToken)?;
        Ok(Self { entries: read_entries(entries)? })
    }
}

/// Writes places.
pub(crate) fn write_entries(entries: &[TokenEntry], bytes: &mut Vec<u8>) {
    for entry in entries {
        bytes.extend_from_slice(&entry.partition.to_be_bytes());
        bytes.extend_from_slice(&entry.generation.to_be_bytes());
        bytes.extend_from_slice(&entry.seq.to_be_bytes());
    }
}

/// Reads what [`write_entries`] wrote.
pub(crate) fn read_entries(bytes: &[u8]) -> Result<Vec<TokenEntry>, InvalidConsistencyToken> {
    match bytes.as_chunks::<ENTRY_BYTES>() {
        (entries, []) => Ok(entries.iter().map(TokenEntry::from_bytes).collect()),
        _ => Err(InvalidConsistencyToken),
    }
}

/// The bytes behind which their checksum is.
pub(crate) fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend_from_slice(&xxh64(&bytes, 0).to_be_bytes());
    bytes
}

/// The bytes before the checksum, if it is theirs.
pub(crate) fn unsealed(bytes: &[u8]) -> Result<&[u8], InvalidConsistencyToken> {
    let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(InvalidConsistencyToken)?;
    if xxh64(body, 0) == u64::from_be_bytes(*checksum) { Ok(body) } else { Err(InvalidConsistencyToken) }
}

impl TokenEntry {
    fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let [p0, p1, rest @ ..] = *bytes;
        let (generation, seq) = rest.split_at(16);
        let mut entry = Self { partition: u16::from_be_bytes([p0, p1]), generation: 0, seq: 0 };
        entry.generation = generation.iter().fold(0, |value, byte| value << 8 | u128::from(*byte));
        entry.seq = seq.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> ConsistencyToken {
        let entry = |partition, seq| TokenEntry { partition, generation: 7 << 100 | 5, seq };
        ConsistencyToken { entries: vec![entry(0, 1), entry(15, u64::MAX)] }
    }

    #[test]
    fn a_token_comes_back_as_it_went() {
        assert_eq!(ConsistencyToken::decode(&token().encode()), Ok(token()));
        assert_eq!(ConsistencyToken::decode(&[]), Ok(ConsistencyToken::default()));
        assert_eq!(ConsistencyToken::default().encode(), Vec::<u8>::new());
    }

    #[test]
    fn any_changed_bit_and_any_cut_is_refused() {
        let bytes = token().encode();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ConsistencyToken::decode(&changed), Err(InvalidConsistencyToken), "bit {bit}");
        }
        for length in 1..bytes.len() {
            assert_eq!(ConsistencyToken::decode(&bytes[..length]), Err(InvalidConsistencyToken), "length {length}");
        }
    }
}
