//! Consistency token: the log positions of a caller's records, opaque to the caller. The bytes carry a checksum; altered,
//! truncated or invented bytes are refused.
//!
//! ```text
//! 'P' 'C' version | (partition u16, generation u128, seq u64)* | XXH64 of all before
//! ```

use xxhash_rust::xxh64::xxh64;

// Two letters for people who meet the bytes, and the version of the format.
const MAGIC: [u8; 3] = *b"PC\x01";
const ENTRY_BYTES: usize = 2 + 16 + 8;
const CHECKSUM_BYTES: usize = 8;

/// Log positions that a read must cover.
///
/// ```
/// use portrait_proto::token::{ConsistencyToken, TokenEntry};
///
/// let mut token = ConsistencyToken::default();
/// token.cover(TokenEntry { partition: 3, generation: 1, seq: 40 });
/// token.cover(TokenEntry { partition: 3, generation: 1, seq: 41 });
/// assert_eq!(token.entries.len(), 1);
/// assert_eq!(ConsistencyToken::decode(&token.encode())?, token);
/// # Ok::<(), portrait_proto::token::InvalidConsistencyToken>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsistencyToken {
    /// Positions, at most one per partition.
    pub entries: Vec<TokenEntry>,
}

/// Log position in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenEntry {
    /// Number of the partition.
    pub partition: u16,
    /// Generation of the partition's log.
    pub generation: u128,
    /// Sequence number of the newest record.
    pub seq: u64,
}

/// Error for bytes that are no token of this deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this deployment: pass it as it was given, or leave it out")]
pub struct InvalidConsistencyToken;

impl ConsistencyToken {
    /// Adds a position; of two in one partition the newer one is kept.
    pub fn cover(&mut self, entry: TokenEntry) {
        match self.entries.iter_mut().find(|known| known.partition == entry.partition) {
            // Generations have no order, so of two generations the entry added last wins.
            Some(known) if known.generation != entry.generation || known.seq < entry.seq => *known = entry,
            Some(_) => {}
            None => self.entries.push(entry),
        }
    }

    /// Encodes the token for the caller; empty without positions.
    pub fn encode(&self) -> Vec<u8> {
        // The common case of a call that accepted nothing: clients pass the empty token on and wait for nothing.
        if self.entries.is_empty() {
            return Vec::new();
        }
        let mut bytes = Vec::with_capacity(MAGIC.len() + self.entries.len() * ENTRY_BYTES + CHECKSUM_BYTES);
        bytes.extend_from_slice(&MAGIC);
        write_entries(&self.entries, &mut bytes);
        seal(bytes)
    }

    /// Decodes a token from the bytes of [`Self::encode`]; no bytes are a token without positions.
    ///
    /// # Errors
    /// If the bytes are altered, truncated, or of another token.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidConsistencyToken> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let entries = unseal(bytes)?.strip_prefix(&MAGIC).ok_or(InvalidConsistencyToken)?;
        Ok(Self { entries: read_entries(entries)? })
    }
}

/// Appends the entries to `bytes`.
pub(crate) fn write_entries(entries: &[TokenEntry], bytes: &mut Vec<u8>) {
    for entry in entries {
        bytes.extend_from_slice(&entry.partition.to_be_bytes());
        bytes.extend_from_slice(&entry.generation.to_be_bytes());
        bytes.extend_from_slice(&entry.seq.to_be_bytes());
    }
}

/// Reads entries that [`write_entries`] wrote.
///
/// # Errors
/// If the bytes are not whole entries.
pub(crate) fn read_entries(bytes: &[u8]) -> Result<Vec<TokenEntry>, InvalidConsistencyToken> {
    match bytes.as_chunks::<ENTRY_BYTES>() {
        (entries, []) => Ok(entries.iter().map(TokenEntry::from_bytes).collect()),
        _ => Err(InvalidConsistencyToken),
    }
}

/// Appends the checksum of `bytes`.
pub(crate) fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    // The checksum guards against accidents; a token grants no access, so that no signature is needed.
    bytes.extend_from_slice(&xxh64(&bytes, 0).to_be_bytes());
    bytes
}

/// Returns the bytes before the checksum.
///
/// # Errors
/// If the checksum does not match.
pub(crate) fn unseal(bytes: &[u8]) -> Result<&[u8], InvalidConsistencyToken> {
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
    fn a_token_survives_a_round_trip() {
        assert_eq!(ConsistencyToken::decode(&token().encode()), Ok(token()));
        assert_eq!(ConsistencyToken::decode(&[]), Ok(ConsistencyToken::default()));
        assert_eq!(ConsistencyToken::default().encode(), Vec::<u8>::new());
    }

    #[test]
    fn any_flipped_bit_and_any_truncation_is_refused() {
        let bytes = token().encode();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ConsistencyToken::decode(&changed), Err(InvalidConsistencyToken), "bit {bit}");
        }
        for length in 1..bytes.len() {
            assert_eq!(
                ConsistencyToken::decode(&bytes[..length]),
                Err(InvalidConsistencyToken),
                "length {length}"
            );
        }
    }
}
