//! Resume token: position of a subscriber in each partition of its shard, opaque to the subscriber. Sealed with the key of the
//! deployment; modified, truncated or invented bytes are refused.
//!
//! ```text
//! 'P' 'R' version | shard index, shard count, partitions | position* | HMAC-SHA-256, 16 bytes      numbers are varints
//! position: kind 0 | generation, 8 bytes | seq     complete up to this position
//!           kind 1 to 4                            needs a resync, for the ResyncReason of that number
//! ```
//!
//! A generation is identified by half of its random bits: it must differ only from the few generations of one
//! partition.

use portrait_profile::{PartitionCount, PseudonymKey, SEAL_BYTES};
use portrait_proto::request::Shard;
use portrait_proto::v1::ResyncReason;
use portrait_store::{FeedSeq, GenerationId};
use prost::encoding::{decode_varint, encode_varint};

/// Two letters and the version of the format. 1: a checksum without a key.
const MAGIC: [u8; 3] = *b"PR\x02";
const KIND_AT: u64 = 0;

/// Decoded resume token of a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResumeToken {
    /// Shard that the token was issued to.
    pub(crate) shard: Shard,
    /// One position per partition of the shard, in order.
    pub(crate) positions: Vec<TokenPosition>,
}

/// Position in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenPosition {
    /// Complete up to this position.
    At {
        /// Generation of the feed.
        generation: GenerationTag,
        /// Position in the feed.
        seq: FeedSeq,
    },
    /// The partition needs a resync for this reason.
    NeedsResync(ResyncReason),
}

/// Low 64 bits of a generation id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GenerationTag(u64);

/// Error of bytes that are no token of this deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this deployment: pass it unchanged, or start without it")]
pub(crate) struct InvalidResumeToken;

impl GenerationTag {
    /// Returns the tag of a generation.
    pub(crate) fn of(id: GenerationId) -> Self {
        Self((id.nonce().get() & u128::from(u64::MAX)) as u64)
    }
}

impl ResumeToken {
    /// Encodes a token with the given positions.
    pub(crate) fn encode(
        shard: Shard,
        partitions: PartitionCount,
        positions: impl ExactSizeIterator<Item = TokenPosition>,
        key: PseudonymKey,
    ) -> Vec<u8> {
        // Per position: 1 byte of kind, 8 of generation, and 5 of a sequence number up to 2^35.
        let mut bytes = Vec::with_capacity(MAGIC.len() + 13 + positions.len() * 14 + SEAL_BYTES);
        bytes.extend_from_slice(&MAGIC);
        encode_varint(u64::from(shard.index), &mut bytes);
        encode_varint(u64::from(shard.count), &mut bytes);
        encode_varint(u64::from(partitions.get()), &mut bytes);
        for position in positions {
            match position {
                TokenPosition::At { generation, seq } => {
                    encode_varint(KIND_AT, &mut bytes);
                    bytes.extend_from_slice(&generation.0.to_be_bytes());
                    encode_varint(seq.get(), &mut bytes);
                }
                TokenPosition::NeedsResync(reason) => {
                    encode_varint(i32::from(reason).unsigned_abs().into(), &mut bytes);
                }
            }
        }
        key.seal(bytes)
    }

    /// Decodes a token issued by a store with `partitions` and `key`.
    pub(crate) fn decode(
        bytes: &[u8],
        partitions: PartitionCount,
        key: PseudonymKey,
    ) -> Result<Self, InvalidResumeToken> {
        // Before any field is read: damaged bytes get one answer, and no field of theirs is trusted.
        let body = key.unseal(bytes).ok_or(InvalidResumeToken)?;
        let mut rest = body.strip_prefix(&MAGIC).ok_or(InvalidResumeToken)?;
        let index = u32::try_from(number(&mut rest)?).map_err(|_| InvalidResumeToken)?;
        let count = u32::try_from(number(&mut rest)?).map_err(|_| InvalidResumeToken)?;
        // With another partition count the positions mean other partitions.
        if index >= count || number(&mut rest)? != u64::from(partitions.get()) {
            return Err(InvalidResumeToken);
        }
        let shard = Shard { index, count };
        // As many as the shard has: a count in the token could claim any number, and the memory for it.
        let positions = shard.partitions(partitions).map(|_| TokenPosition::decode(&mut rest));
        let positions = positions.collect::<Result<_, _>>()?;
        if rest.is_empty() { Ok(Self { shard, positions }) } else { Err(InvalidResumeToken) }
    }
}

impl TokenPosition {
    fn decode(rest: &mut &[u8]) -> Result<Self, InvalidResumeToken> {
        let kind = number(rest)?;
        if kind != KIND_AT {
            let reason = i32::try_from(kind).ok().and_then(|kind| ResyncReason::try_from(kind).ok());
            return reason.map(Self::NeedsResync).ok_or(InvalidResumeToken);
        }
        let (generation, after) = rest.split_first_chunk::<8>().ok_or(InvalidResumeToken)?;
        *rest = after;
        let generation = GenerationTag(u64::from_be_bytes(*generation));
        Ok(Self::At { generation, seq: FeedSeq::new(number(rest)?) })
    }
}

fn number(rest: &mut &[u8]) -> Result<u64, InvalidResumeToken> {
    decode_varint(rest).map_err(|_| InvalidResumeToken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_store::Nonce;

    const KEY: PseudonymKey = PseudonymKey::new(7);
    const SHARD: Shard = Shard { index: 1, count: 3 };

    fn partitions(count: u16) -> PartitionCount {
        PartitionCount::new(count).expect("more than none")
    }

    fn test_positions() -> Vec<TokenPosition> {
        let at = |nonce, seq| TokenPosition::At {
            generation: GenerationTag::of(GenerationId::new(Nonce::new(nonce))),
            seq: FeedSeq::new(seq),
        };
        vec![
            at(1 << 127 | 5, 0),
            at(u128::MAX, u64::MAX),
            TokenPosition::NeedsResync(ResyncReason::Snapshot),
            TokenPosition::NeedsResync(ResyncReason::BeyondEnd),
            at(7, 300),
        ]
    }

    fn encoded() -> Vec<u8> {
        ResumeToken::encode(SHARD, partitions(16), test_positions().into_iter(), KEY)
    }

    /// Seals invalid fields, as only a faulty process of the deployment could.
    fn forged(body: &[u8]) -> Vec<u8> {
        KEY.seal(body.to_vec())
    }

    #[test]
    fn a_token_round_trips() {
        let token = ResumeToken { shard: SHARD, positions: test_positions() };
        assert_eq!(ResumeToken::decode(&encoded(), partitions(16), KEY), Ok(token));
    }

    #[test]
    fn any_changed_bit_and_any_truncation_is_refused() {
        let bytes = encoded();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                ResumeToken::decode(&changed, partitions(16), KEY),
                Err(InvalidResumeToken),
                "bit {bit}"
            );
        }
        for length in 0..bytes.len() {
            assert_eq!(
                ResumeToken::decode(&bytes[..length], partitions(16), KEY),
                Err(InvalidResumeToken),
                "length {length}"
            );
        }
    }

    #[test]
    fn an_invalid_token_with_a_valid_seal_is_refused() {
        let bytes = encoded();
        let body = &bytes[..bytes.len() - SEAL_BYTES];
        assert!(ResumeToken::decode(&forged(body), partitions(16), KEY).is_ok());
        assert_eq!(ResumeToken::decode(&bytes, partitions(15), KEY), Err(InvalidResumeToken));
        for length in 0..body.len() {
            assert_eq!(
                ResumeToken::decode(&forged(&body[..length]), partitions(16), KEY),
                Err(InvalidResumeToken),
                "{length}"
            );
        }
        let longer = [body, &[0]].concat();
        assert_eq!(ResumeToken::decode(&forged(&longer), partitions(16), KEY), Err(InvalidResumeToken));
        let rows: [&[u8]; 4] = [
            b"PR\x02\x00\x00\x01\x01",             // shard 0 of 0
            b"PR\x02\x00\x01\x01\x05",             // an unknown reason
            b"PR\x03\x00\x01\x01\x01",             // another version
            b"PR\x02\x00\xff\xff\xff\xff\x7f\x01", // more shards than a number holds
        ];
        for row in rows {
            assert_eq!(
                ResumeToken::decode(&forged(row), partitions(1), KEY),
                Err(InvalidResumeToken),
                "{row:?}"
            );
        }
    }

    #[test]
    fn a_token_of_64_partitions_stays_below_one_kibibyte() {
        let shard = Shard { index: 0, count: 1 };
        let position =
            |_| TokenPosition::At { generation: GenerationTag(u64::MAX), seq: FeedSeq::new(50_000_000) };
        let bytes = ResumeToken::encode(shard, partitions(64), (0..64).map(position), KEY);
        assert!(bytes.len() < 1024, "{} bytes", bytes.len());
    }
}
