//! The receipt of an erasure: where in the logs of all partitions its records are, opaque to the caller. In come places, out go bytes
//! that carry a checksum; bytes that were changed, cut or made up are refused. It names nobody.
//!
//! ```text
//! 'P' 'E' version | accepted at, i64 | (partition u16, generation u128, seq u64)* | XXH64 of all before
//! ```

use crate::token::{self, InvalidConsistencyToken, ConsistencyToken};
use portrait_profile::Timestamp;

const MAGIC: [u8; 3] = *b"PE\x01";

/// What an erasure is found again by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// When ingest took it.
    pub accepted_at: Timestamp,
    /// Where its records are: one place in each partition.
    pub log_positions: ConsistencyToken,
}

impl Receipt {
    /// The bytes for the caller.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.accepted_at.millis().to_be_bytes());
        token::write_entries(&self.log_positions.entries, &mut bytes);
        token::seal(bytes)
    }

    /// The receipt of such bytes.
    ///
    /// # Errors
    /// If nobody gave them.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidConsistencyToken> {
        let body = token::unsealed(bytes)?.strip_prefix(&MAGIC).ok_or(InvalidConsistencyToken)?;
        let (accepted_at, entries) = body.split_first_chunk::<8>().ok_or(InvalidConsistencyToken)?;
        let places = ConsistencyToken { entries: token::read_entries(entries)? };
        if places.entries.is_empty() {
            return Err(InvalidConsistencyToken);
        }
        Ok(Self { accepted_at: Timestamp::from_millis(i64::from_be_bytes(*accepted_at)), log_positions: places })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::TokenEntry;

    fn receipt() -> Receipt {
        let entry = |partition, seq| TokenEntry { partition, generation: 7 << 100 | 5, seq };
        let places = ConsistencyToken { entries: vec![entry(0, 1), entry(15, u64::MAX)] };
        Receipt { accepted_at: Timestamp::from_millis(1_767_225_600_000), log_positions: places }
    }

    #[test]
    fn a_receipt_comes_back_as_it_went() {
        assert_eq!(Receipt::decode(&receipt().encode()), Ok(receipt()));
    }

    #[test]
    fn what_is_changed_cut_or_another_token_is_refused() {
        let bytes = receipt().encode();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Receipt::decode(&changed), Err(InvalidConsistencyToken), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(Receipt::decode(&bytes[..length]), Err(InvalidConsistencyToken), "length {length}");
        }
        assert_eq!(Receipt::decode(&receipt().log_positions.encode()), Err(InvalidConsistencyToken));
        assert_eq!(ConsistencyToken::decode(&bytes), Err(InvalidConsistencyToken));
    }
}
