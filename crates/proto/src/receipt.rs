//! Receipt of an erasure: the log positions of its records in all partitions, opaque to the caller and without a user id.
//! The bytes carry a checksum; altered, truncated or invented bytes are refused.
//!
//! ```text
//! 'P' 'E' version | accepted at, i64 | (partition u16, generation u128, seq u64)* | XXH64 of all before
//! ```

use crate::token::{self, ConsistencyToken, InvalidConsistencyToken};
use portrait_profile::Timestamp;

// Another prefix than that of a consistency token, so that neither is ever taken for the other.
const MAGIC: [u8; 3] = *b"PE\x01";

/// Receipt of an erasure.
///
/// ```
/// use portrait_profile::Timestamp;
/// use portrait_proto::receipt::Receipt;
/// use portrait_proto::token::{ConsistencyToken, TokenEntry};
///
/// let entry = TokenEntry { partition: 3, generation: 1, seq: 40 };
/// let receipt = Receipt {
///     accepted_at: Timestamp::from_millis(1_700_000_000_000),
///     log_positions: ConsistencyToken { entries: vec![entry] },
/// };
/// let bytes = receipt.encode();
/// assert_eq!(Receipt::decode(&bytes)?, receipt);
/// assert!(Receipt::decode(&bytes[1..]).is_err());
/// # Ok::<(), portrait_proto::token::InvalidConsistencyToken>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Time at which ingest accepted the erasure.
    pub accepted_at: Timestamp,
    /// Positions of its records, one in each partition.
    pub log_positions: ConsistencyToken,
}

impl Receipt {
    /// Encodes the receipt for the caller.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.accepted_at.millis().to_be_bytes());
        token::write_entries(&self.log_positions.entries, &mut bytes);
        token::seal(bytes)
    }

    /// Decodes a receipt from the bytes of [`Self::encode`].
    ///
    /// # Errors
    /// If the bytes are not those of a receipt.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidConsistencyToken> {
        let body = token::unseal(bytes)?.strip_prefix(&MAGIC).ok_or(InvalidConsistencyToken)?;
        let (accepted_at, entries) = body.split_first_chunk::<8>().ok_or(InvalidConsistencyToken)?;
        let log_positions = ConsistencyToken { entries: token::read_entries(entries)? };
        // An erasure is in every partition, so a receipt without positions was never issued.
        if log_positions.entries.is_empty() {
            return Err(InvalidConsistencyToken);
        }
        Ok(Self { accepted_at: Timestamp::from_millis(i64::from_be_bytes(*accepted_at)), log_positions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::TokenEntry;

    fn receipt() -> Receipt {
        let entry = |partition, seq| TokenEntry { partition, generation: 7 << 100 | 5, seq };
        let log_positions = ConsistencyToken { entries: vec![entry(0, 1), entry(15, u64::MAX)] };
        Receipt { accepted_at: Timestamp::from_millis(1_767_225_600_000), log_positions }
    }

    #[test]
    fn a_receipt_survives_a_round_trip() {
        assert_eq!(Receipt::decode(&receipt().encode()), Ok(receipt()));
    }

    #[test]
    fn altered_truncated_and_foreign_bytes_are_refused() {
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
