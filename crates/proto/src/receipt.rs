//! Receipt of an erasure: its pseudonym and two log positions, opaque to the caller, without a user id, and of one length for
//! any number of partitions. The bytes are sealed with the key of the deployment; altered, truncated or invented bytes are refused,
//! since a receipt is shown as the proof of an erasure.
//!
//! ```text
//! 'P' 'E' version | accepted at, i64 | pseudonym, 16 bytes | home | coordinator | HMAC-SHA-256, 16 bytes
//!                                                            └─ partition u16, generation u128, seq u64
//! ```

use crate::token::{self, TokenEntry};
use portrait_profile::{Pseudonym, PseudonymKey, Timestamp};

// Another prefix than that of a consistency token, so that neither is ever taken for the other.
const PREFIX: [u8; 2] = *b"PE";
/// Version of the format. 1: the positions in all partitions, 26 bytes for each, which no release issued. 2: a checksum
/// without a key.
const VERSION: u8 = 3;
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
/// let key = PseudonymKey::new(7);
/// let bytes = receipt.encode(key);
/// assert_eq!(Receipt::decode(&bytes, key)?, receipt);
/// assert!(Receipt::decode(&bytes, PseudonymKey::new(8)).is_err());
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
    #[error("the bytes are no receipt of this deployment")]
    Damaged,
    /// Receipt in a format that is not read any more, or not yet.
    #[error(
        "it has format {found}, and only format {VERSION} is read: erase the user again for a new receipt"
    )]
    Format {
        /// Version of the format.
        found: u8,
    },
}

impl Receipt {
    /// Encodes the receipt for the caller, in 95 bytes, sealed with the key of the deployment.
    pub fn encode(&self, key: PseudonymKey) -> Vec<u8> {
        let mut bytes = PREFIX.to_vec();
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.accepted_at.millis().to_be_bytes());
        bytes.extend_from_slice(self.pseudonym.bytes());
        token::write_entries(&[self.home, self.coordinator], &mut bytes);
        key.seal(bytes)
    }

    /// Decodes a receipt from the bytes of [`Self::encode`].
    ///
    /// # Errors
    /// If the bytes are not those of a receipt of this deployment, or of one in another format.
    pub fn decode(bytes: &[u8], key: PseudonymKey) -> Result<Self, InvalidReceipt> {
        // The format first, so that a receipt of another release is named as such.
        match bytes.strip_prefix(&PREFIX).and_then(<[u8]>::split_first) {
            Some((&VERSION, _)) => {
                let body = key.unseal(bytes).ok_or(InvalidReceipt::Damaged)?;
                Self::from_fields(&body[PREFIX.len() + 1..]).ok_or(InvalidReceipt::Damaged)
            }
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

    const KEY: PseudonymKey = PseudonymKey::new(7);

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
        assert_eq!(Receipt::decode(&receipt().encode(KEY), KEY), Ok(receipt()));
        assert_eq!(receipt().encode(KEY).len(), 95);
    }

    #[test]
    fn altered_truncated_and_foreign_bytes_are_refused() {
        let bytes = receipt().encode(KEY);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Receipt::decode(&changed, KEY).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Receipt::decode(&bytes[..length], KEY).is_err(), "length {length}");
        }
        let foreign = receipt().encode(PseudonymKey::new(8));
        assert_eq!(Receipt::decode(&foreign, KEY), Err(InvalidReceipt::Damaged));
        let token = ConsistencyToken { entries: vec![receipt().home] }.encode(KEY);
        assert_eq!(Receipt::decode(&token, KEY), Err(InvalidReceipt::Damaged));
        assert!(ConsistencyToken::decode(&bytes, KEY).is_err());
    }

    #[test]
    fn a_receipt_of_another_format_is_refused_by_its_format() {
        for found in [1, 2, 4] {
            let mut bytes = receipt().encode(KEY);
            bytes[2] = found;
            assert_eq!(Receipt::decode(&bytes, KEY), Err(InvalidReceipt::Format { found }));
        }
    }
}
