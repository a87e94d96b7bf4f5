//! Resume tokens as somebody makes them up who knows their format (`query/watch/token.rs`) and its checksum. In comes a token that was
//! given; out go others: of a feed that never was, of a place that is not there yet, of a deployment cut otherwise.

use prost::encoding::{decode_varint, encode_varint};
use xxhash_rust::xxh64::xxh64;

const MAGIC: &[u8] = b"PR\x01";
const CHECKSUM_BYTES: usize = 8;
/// The kind of a place up to which a subscriber has everything; another number says why it is owed all profiles.
const KIND_AT: u64 = 0;

/// What a token says.
#[derive(Debug)]
pub struct Forged {
    /// Shard, shards, partitions.
    head: [u64; 3],
    positions: Vec<ForgedPosition>,
}

#[derive(Debug)]
enum ForgedPosition {
    At { generation: [u8; 8], seq: u64 },
    NeedsResync(u64),
}

impl Forged {
    /// What a token says that was given; nothing for bytes that are none.
    pub fn read(token: &[u8]) -> Option<Self> {
        let (body, _) = token.split_last_chunk::<CHECKSUM_BYTES>()?;
        let mut rest = body.strip_prefix(MAGIC)?;
        let mut head = [0; 3];
        for number in &mut head {
            *number = decode_varint(&mut rest).ok()?;
        }
        let mut places = Vec::new();
        while !rest.is_empty() {
            let kind = decode_varint(&mut rest).ok()?;
            if kind != KIND_AT {
                places.push(ForgedPosition::NeedsResync(kind));
                continue;
            }
            let (generation, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            places.push(ForgedPosition::At { generation: *generation, seq: decode_varint(&mut rest).ok()? });
        }
        Some(Self { head, positions: places })
    }

    /// Whether nothing is owed to the subscriber.
    pub fn needs_no_resync(&self) -> bool {
        self.positions.iter().all(|place| matches!(place, ForgedPosition::At { .. }))
    }

    /// The same, of a feed of that partition that never was.
    pub fn in_a_foreign_feed(mut self, partition: u32) -> Self {
        if let ForgedPosition::At { generation, .. } = &mut self.positions[partition as usize] {
            generation[0] ^= 0x80;
        }
        self
    }

    /// The same, so many changes later in that partition than it was.
    pub fn later_by(mut self, changes: u64, partition: u32) -> Self {
        if let ForgedPosition::At { seq, .. } = &mut self.positions[partition as usize] {
            *seq += changes;
        }
        self
    }

    /// The same, of a deployment that has one partition more.
    pub fn with_one_partition_more(mut self) -> Self {
        self.head[2] += 1;
        self.positions.push(ForgedPosition::NeedsResync(1));
        self
    }

    /// The token, with its checksum.
    pub fn token(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        self.head.iter().for_each(|number| encode_varint(*number, &mut bytes));
        for place in &self.positions {
            match place {
                ForgedPosition::At { generation, seq } => {
                    encode_varint(KIND_AT, &mut bytes);
                    bytes.extend_from_slice(generation);
                    encode_varint(*seq, &mut bytes);
                }
                ForgedPosition::NeedsResync(reason) => encode_varint(*reason, &mut bytes),
            }
        }
        let checksum = xxh64(&bytes, 0);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        bytes
    }
}
