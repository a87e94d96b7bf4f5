//! Forged resume tokens with a valid format (`query/watch/token.rs`), derived from a real one: of an unknown generation, of a position
//! beyond the end of the feed, or of another number of partitions. With the key of the store they are sealed as no caller can.

use portrait_profile::{PseudonymKey, SEAL_BYTES};
use prost::encoding::{decode_varint, encode_varint};

const MAGIC: &[u8] = b"PR\x02";
/// Kind of a position up to which the subscriber has all changes; another kind is the reason of a pending resync.
const KIND_AT: u64 = 0;

/// Decoded resume token.
#[derive(Debug)]
pub struct Forged {
    /// Shard, number of shards, number of partitions.
    head: [u64; 3],
    positions: Vec<ForgedPosition>,
}

#[derive(Debug)]
enum ForgedPosition {
    At { generation: [u8; 8], seq: u64 },
    NeedsResync(u64),
}

impl Forged {
    /// Decodes a token; `None` for invalid bytes.
    pub fn read(token: &[u8]) -> Option<Self> {
        let (body, _) = token.split_last_chunk::<SEAL_BYTES>()?;
        let mut rest = body.strip_prefix(MAGIC)?;
        let mut head = [0; 3];
        for number in &mut head {
            *number = decode_varint(&mut rest).ok()?;
        }
        let mut positions = Vec::new();
        while !rest.is_empty() {
            let kind = decode_varint(&mut rest).ok()?;
            if kind != KIND_AT {
                positions.push(ForgedPosition::NeedsResync(kind));
                continue;
            }
            let (generation, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            positions
                .push(ForgedPosition::At { generation: *generation, seq: decode_varint(&mut rest).ok()? });
        }
        Some(Self { head, positions })
    }

    /// True if no partition needs a resync.
    pub fn needs_no_resync(&self) -> bool {
        self.positions.iter().all(|position| matches!(position, ForgedPosition::At { .. }))
    }

    /// Token with an unknown generation of the partition's feed.
    pub fn with_unknown_generation(mut self, partition: u32) -> Self {
        if let ForgedPosition::At { generation, .. } = &mut self.positions[partition as usize] {
            generation[0] ^= 0x80;
        }
        self
    }

    /// Token with a position `changes` later in the partition.
    pub fn ahead_by(mut self, changes: u64, partition: u32) -> Self {
        if let ForgedPosition::At { seq, .. } = &mut self.positions[partition as usize] {
            *seq += changes;
        }
        self
    }

    /// Token of a deployment with one more partition.
    pub fn with_extra_partition(mut self) -> Self {
        self.head[2] += 1;
        self.positions.push(ForgedPosition::NeedsResync(1));
        self
    }

    /// Encodes the token, sealed with a key.
    pub fn token(&self, key: PseudonymKey) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        self.head.iter().for_each(|number| encode_varint(*number, &mut bytes));
        for position in &self.positions {
            match position {
                ForgedPosition::At { generation, seq } => {
                    encode_varint(KIND_AT, &mut bytes);
                    bytes.extend_from_slice(generation);
                    encode_varint(*seq, &mut bytes);
                }
                ForgedPosition::NeedsResync(reason) => encode_varint(*reason, &mut bytes),
            }
        }
        key.seal(bytes)
    }
}
