//! Consistency token: the log positions of a caller's records, opaque to the caller. The bytes are sealed with the key of the
//! deployment; altered, truncated or invented bytes are refused.
//!
//! ```text
//! 'P' 'C' version | (partition u16, generation u128, seq u64)* | HMAC-SHA-256 of all before, 16 bytes
//! ```
//!
//! A manifest has log positions in version 1, with an XXH64 of 8 bytes: it comes from the store, not from a caller.

use portrait_profile::{PseudonymKey, SEAL_BYTES};
use xxhash_rust::xxh64::xxh64;

// Two letters for people who meet the bytes, and the version of the format.
const MAGIC: [u8; 3] = *b"PC\x02";
/// Magic of the positions in a manifest.
const STORED_MAGIC: [u8; 3] = *b"PC\x01";
const ENTRY_BYTES: usize = 2 + 16 + 8;
const CHECKSUM_BYTES: usize = 8;

/// Log positions that a read must cover.
///
/// ```
/// use portrait_profile::PseudonymKey;
/// use portrait_proto::token::{ConsistencyToken, TokenEntry};
///
/// let key = PseudonymKey::new(7);
/// let mut token = ConsistencyToken::default();
/// token.cover(TokenEntry { partition: 3, generation: 1, seq: 40 });
/// token.cover(TokenEntry { partition: 3, generation: 1, seq: 41 });
/// assert_eq!(token.entries.len(), 1);
/// assert_eq!(ConsistencyToken::decode(&token.encode(key), key)?, token);
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

    /// Encodes the token for the caller, sealed with the key of the deployment; empty without positions.
    pub fn encode(&self, key: PseudonymKey) -> Vec<u8> {
        // The common case of a call that accepted nothing: clients pass the empty token on and wait for nothing.
        if self.entries.is_empty() { Vec::new() } else { key.seal(self.with_magic(MAGIC)) }
    }

    /// Decodes a token from the bytes of [`Self::encode`]; no bytes are a token without positions.
    ///
    /// # Errors
    /// If the bytes are altered, truncated, of another token or of another deployment.
    pub fn decode(bytes: &[u8], key: PseudonymKey) -> Result<Self, InvalidConsistencyToken> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let opened = key.unseal(bytes).ok_or(InvalidConsistencyToken)?;
        let entries = opened.strip_prefix(&MAGIC).ok_or(InvalidConsistencyToken)?;
        Ok(Self { entries: read_entries(entries)? })
    }

    /// Encodes the positions for a manifest, with a checksum against damage.
    pub fn to_stored(&self) -> Vec<u8> {
        let mut bytes = self.with_magic(STORED_MAGIC);
        bytes.extend_from_slice(&xxh64(&bytes, 0).to_be_bytes());
        bytes
    }

    /// Decodes the positions of a manifest from the bytes of [`Self::to_stored`].
    ///
    /// # Errors
    /// If the bytes are damaged, or none.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, InvalidConsistencyToken> {
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(InvalidConsistencyToken)?;
        if xxh64(body, 0) != u64::from_be_bytes(*checksum) {
            return Err(InvalidConsistencyToken);
        }
        let entries = body.strip_prefix(&STORED_MAGIC).ok_or(InvalidConsistencyToken)?;
        Ok(Self { entries: read_entries(entries)? })
    }

    fn with_magic(&self, magic: [u8; 3]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(magic.len() + self.entries.len() * ENTRY_BYTES + SEAL_BYTES);
        bytes.extend_from_slice(&magic);
        write_entries(&self.entries, &mut bytes);
        bytes
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

    const KEY: PseudonymKey = PseudonymKey::new(7);

    fn token() -> ConsistencyToken {
        let entry = |partition, seq| TokenEntry { partition, generation: 7 << 100 | 5, seq };
        ConsistencyToken { entries: vec![entry(0, 1), entry(15, u64::MAX)] }
    }

    #[test]
    fn a_token_survives_a_round_trip() {
        assert_eq!(ConsistencyToken::decode(&token().encode(KEY), KEY), Ok(token()));
        assert_eq!(ConsistencyToken::decode(&[], KEY), Ok(ConsistencyToken::default()));
        assert_eq!(ConsistencyToken::default().encode(KEY), Vec::<u8>::new());
        assert_eq!(ConsistencyToken::from_stored(&token().to_stored()), Ok(token()));
    }

    #[test]
    fn altered_truncated_and_invented_tokens_are_refused() {
        for (bytes, decode) in [
            (token().encode(KEY), (|bytes| ConsistencyToken::decode(bytes, KEY)) as fn(&[u8]) -> _),
            (token().to_stored(), ConsistencyToken::from_stored),
        ] {
            for bit in 0..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode(&changed), Err(InvalidConsistencyToken), "bit {bit}");
            }
            for length in 1..bytes.len() {
                assert_eq!(decode(&bytes[..length]), Err(InvalidConsistencyToken), "length {length}");
            }
        }
        let of_another = token().encode(PseudonymKey::new(8));
        let with_a_checksum = token().to_stored();
        for invented in [of_another, with_a_checksum] {
            assert_eq!(ConsistencyToken::decode(&invented, KEY), Err(InvalidConsistencyToken));
        }
        // The positions of a manifest are no token for a caller, and no token passes for them.
        assert!(ConsistencyToken::from_stored(&token().encode(KEY)).is_err());
    }
}
