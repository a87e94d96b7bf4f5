//! Receipt of an erasure: its pseudonym and two log positions, opaque to the caller, without a user id, and of one length for
//! any number of partitions. The bytes carry a checksum; altered, truncated or invented bytes are refused.
//!
//! ```text
//! 'P' 'E' version | accepted at, i64 | pseudonym, 16 bytes | home | coordinator | XXH64 of all before
//!                                                            └─ partition u16, generation u128, seq u64
//! ```

use crate::token::{self, TokenEntry};
use portrait_profile::{Pseudonym, Timestamp};

// Another prefix than that of a consistency token, so that neither is ever taken for the other.
const PREFIX: [u8; 2] = *b"PE";
/// Version of the format. 1: the positions in all partitions, 26 bytes for each, which no release issued.
const VERSION: u8 = 2;
const PSEUDONYM_BYTES: usize = 16;

/// Receipt of an erasure.
///
/// ```
/// use portrait_profile::{PseudonymKey, Timestamp, UserId};
/// use portrait_proto::receipt::Receipt;
/// use portrait_proto::token::TokenEntry;
///
/// let receipt = Receipt {
///     accepted_at: Timestamp::from_millis(1_700_000_000_000),
///     pseudonym: PseudonymKey::new(7).of(&UserId::parse("lena")?),
///     home: TokenEntry { partition: 3, generation: 1, seq: 40 },
///     coordinator: TokenEntry { partition: 9, generation: 2, seq: 12 },
/// };
/// let bytes = receipt.encode();
/// assert_eq!(Receipt::decode(&bytes)?, receipt);
/// assert!(Receipt::decode(&bytes[1..]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Time at which ingest accepted the erasure.
    pub accepted_at: Timestamp,
    /// Pseudonym of the erased user, the key of the tombstones.
    pub pseudonym: Pseudonym,
    /// Position of its record in the user's own partition.
    pub home: TokenEntry,
    /// Position of its record in the partition that coordinates the erasure.
    pub coordinator: TokenEntry,
}

/// Error for bytes that are no receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReceipt {
    /// Altered, truncated or foreign bytes.
    #[error("the bytes are no receipt")]
    Damaged,
    /// Receipt in a format that is not read any more, or not yet.
    #[error("it has format {found}, and only format {VERSION} is read")]
    Format {
        /// Version of the format.
        found: u8,
    },
}

impl Receipt {
    /// Encodes the receipt for the caller, in 87 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = PREFIX.to_vec();
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.accepted_at.millis().to_be_bytes());
        bytes.extend_from_slice(self.pseudonym.bytes());
        token::write_entries(&[self.home, self.coordinator], &mut bytes);
        token::seal(bytes)
    }

    /// Decodes a receipt from the bytes of [`Self::encode`].
    ///
    /// # Errors
    /// If the bytes are not those of a receipt, or of one in another format.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidReceipt> {
        let body = token::unseal(bytes).map_err(|_| InvalidReceipt::Damaged)?;
        match body.strip_prefix(&PREFIX).and_then(<[u8]>::split_first) {
            Some((&VERSION, fields)) => Self::from_fields(fields).ok_or(InvalidReceipt::Damaged),
            Some((&found, _)) => Err(InvalidReceipt::Format { found }),
            None => Err(InvalidReceipt::Damaged),
        }
    }

    fn from_fields(fields: &[u8]) -> Option<Self> {
        let (accepted_at, rest) = fields.split_first_chunk::<8>()?;
        let (pseudonym, rest) = rest.split_first_chunk::<PSEUDONYM_BYTES>()?;
        let [home, coordinator] = <[TokenEntry; 2]>::try_from(token::read_entries(rest).ok()?).ok()?;
        let accepted_at = Timestamp::from_millis(i64::from_be_bytes(*accepted_at));
        Some(Self { accepted_at, pseudonym: Pseudonym::new(*pseudonym), home, coordinator })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::ConsistencyToken;

    fn receipt() -> Receipt {
        let entry = |partition, seq| TokenEntry { partition, generation: 7 << 100 | 5, seq };
        Receipt {
            accepted_at: Timestamp::from_millis(1_767_225_600_000),
            pseudonym: Pseudonym::new([9; 16]),
            home: entry(255, u64::MAX),
            coordinator: entry(15, 1),
        }
    }

    #[test]
    fn a_receipt_survives_a_round_trip() {
        assert_eq!(Receipt::decode(&receipt().encode()), Ok(receipt()));
        assert_eq!(receipt().encode().len(), 87);
    }

    #[test]
    fn altered_truncated_and_foreign_bytes_are_refused() {
        let bytes = receipt().encode();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Receipt::decode(&changed), Err(InvalidReceipt::Damaged), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(Receipt::decode(&bytes[..length]), Err(InvalidReceipt::Damaged), "length {length}");
        }
        let token = ConsistencyToken { entries: vec![receipt().home] }.encode();
        assert_eq!(Receipt::decode(&token), Err(InvalidReceipt::Damaged));
        assert!(ConsistencyToken::decode(&bytes).is_err());
    }

    #[test]
    fn a_receipt_with_the_positions_of_all_partitions_is_refused_by_its_format() {
        let mut bytes = b"PE\x01".to_vec();
        bytes.extend_from_slice(&[0; 8]);
        token::write_entries(&[receipt().home, receipt().coordinator], &mut bytes);
        assert_eq!(Receipt::decode(&token::seal(bytes)), Err(InvalidReceipt::Format { found: 1 }));
    }
}
