//! Keys, channels and slots. All keys of one step share a hash tag, and so a slot and a server: the keys of a partition, those of
//! the models and their parts, and each shard of the catalogue.
//!
//! The names are stored, so they stay as they are within a format. That includes the channel `bell`: processes of two releases
//! notify each other during an upgrade.
//!
//! ```text
//! {prefix:7}:meta      hash    numbers, token, generations        {prefix:layout}        hash   settings fixed at creation
//! {prefix:7}:log       stream  blocks of records                  {prefix:models}        hash   registry, training lease
//! {prefix:7}:profiles  hash    key -> profile                     {prefix:models}:part:N hash   chunks of a part
//! {prefix:7}:changes   stream  blocks of changes                  {prefix:items:3}       hash   item id -> item
//! {prefix:7}:dead      stream  dead letters
//! {prefix:7}:windows   zset    numbers of existing windows        {prefix:7}:bell        channel of a partition
//! {prefix:workers}     hash    id -> expiry, name                 {prefix:workers}:list  string version and list of the members
//! {prefix:workers}:expiries zset ids by expiry, an index of it
//! {prefix:7}:tombstones hash  pseudonym -> tombstone
//! {prefix:7}:seen:N    string  ids of window N, in order            {prefix:models}:bell   channel of the models
//!                                                                 {prefix:models}:parts  set    names of all parts
//! ```

use bytes::Bytes;
use portrait_profile::{PartitionId, SourceDay};
use portrait_store::backend::seen_sets::SeenSet;
use portrait_store::{Error, PartName, Result};
use xxhash_rust::xxh64::xxh64;

/// Number of slots of a cluster.
pub(super) const SLOTS: u16 = 16384;
/// Number of hashes of the catalogue; part of the format.
pub(super) const ITEM_SHARDS: u64 = 64;
/// Largest size of a window of ids in bytes: the largest string of Redis, 512 MiB, less one commit.
pub(super) const WINDOW_BYTES_MAX: usize = 500 << 20;
/// Largest length of a prefix in bytes.
const PREFIX_MAX: usize = 64;

/// Slot of a cluster; all keys of a tag are in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) u16);

/// Keys of one deployment.
#[derive(Clone, Debug)]
pub(super) struct RedisKeys {
    prefix: String,
}

/// Keys of one hash tag.
#[derive(Clone, Debug)]
pub(super) struct TaggedKeys {
    /// Tag including its braces.
    tag: String,
    /// Slot of the tag.
    pub(super) slot: Slot,
}

impl Slot {
    fn of(tag: &str) -> Self {
        Self(crc16::State::<crc16::XMODEM>::calculate(tag.as_bytes()) % SLOTS)
    }
}

impl RedisKeys {
    /// Returns the keys of the deployment with `prefix`.
    ///
    /// # Errors
    /// `Incompatible` if the prefix is empty, too long or has other characters than letters, digits and `-_.:`.
    pub(super) fn new(prefix: &str) -> Result<Self> {
        // Braces would move the hash tag, and keys of one partition to different slots.
        let is_plain =
            prefix.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-_.:".contains(&letter));
        if prefix.is_empty() || prefix.len() > PREFIX_MAX || !is_plain {
            let detail = format!(
                "store.prefix is empty, longer than {PREFIX_MAX} bytes or has other characters than letters, digits and \
                 -_.: : use one such as portrait"
            );
            return Err(Error::Incompatible { detail });
        }
        Ok(Self { prefix: prefix.to_owned() })
    }

    /// Returns the prefix of all keys.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    fn tagged(&self, name: impl std::fmt::Display) -> TaggedKeys {
        let inner = format!("{}:{name}", self.prefix);
        let slot = Slot::of(&inner);
        TaggedKeys { tag: format!("{{{inner}}}"), slot }
    }

    /// Returns the keys of a partition.
    pub(super) fn partition(&self, partition: PartitionId) -> TaggedKeys {
        self.tagged(partition.get())
    }

    /// Returns the key of the settings fixed at creation.
    pub(super) fn layout(&self) -> TaggedKeys {
        self.tagged("layout")
    }

    /// Returns the key of the members.
    pub(super) fn members(&self) -> TaggedKeys {
        // The stored key keeps its first name.
        self.tagged("workers")
    }

    /// Returns the keys of the models.
    pub(super) fn models(&self) -> TaggedKeys {
        self.tagged("models")
    }

    /// Returns the keys of the catalogue shard of an item.
    pub(super) fn items(&self, id: &[u8]) -> TaggedKeys {
        self.item_shard(xxh64(id, 0) % ITEM_SHARDS)
    }

    /// Returns the keys of a catalogue shard, from 0 to below [`ITEM_SHARDS`].
    pub(super) fn item_shard(&self, shard: u64) -> TaggedKeys {
        self.tagged(format_args!("items:{shard}"))
    }
}

impl TaggedKeys {
    /// Returns the key that is the tag itself.
    pub(super) fn base(&self) -> Bytes {
        Bytes::copy_from_slice(self.tag.as_bytes())
    }

    /// Returns the key or channel named `name`.
    pub(super) fn key(&self, name: &str) -> Bytes {
        Bytes::from(format!("{}:{name}", self.tag))
    }

    /// Returns the channel of notifications.
    pub(super) fn channel(&self) -> Bytes {
        // The name of the channel is part of the protocol between processes of different releases.
        self.key("bell")
    }

    /// Returns the key of a set of remembered ids.
    pub(super) fn seen(&self, set: SeenSet) -> Bytes {
        Bytes::from(match set {
            SeenSet::Window(number) => format!("{}:seen:{number}", self.tag),
            SeenSet::Ledger(SourceDay { source, day }) => {
                format!("{}:source:{:016x}:{day}", self.tag, source.get())
            }
        })
    }

    /// Returns the key of a model part's chunks.
    pub(super) fn part(&self, name: PartName) -> Bytes {
        Bytes::from(format!("{}:part:{:032x}", self.tag, name.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_profile::{PartitionCount, SourceId};

    #[test]
    fn slots_are_those_of_redis() {
        // From the specification of Redis Cluster.
        assert_eq!(Slot::of("123456789"), Slot(0x31C3 % SLOTS));
        assert_eq!(Slot::of("foo"), Slot(12182));
    }

    #[test]
    fn keys_of_a_partition_share_a_tag() {
        let keys = RedisKeys::new("portrait").expect("a prefix");
        let partition = PartitionCount::new(9).and_then(|count| count.partition(7)).expect("a partition");
        let tagged = keys.partition(partition);
        assert_eq!(tagged.key("meta"), "{portrait:7}:meta");
        assert_eq!(tagged.slot, Slot::of("portrait:7"));
        assert_eq!(tagged.seen(SeenSet::Window(20_000)), "{portrait:7}:seen:20000");
        let source = SourceId::parse("orders").expect("a name");
        let day = SeenSet::Ledger(SourceDay { source, day: 19_000 });
        assert_eq!(tagged.seen(day), format!("{{portrait:7}}:source:{:016x}:19000", source.get()));
    }

    #[test]
    fn a_prefix_cannot_break_the_tag() {
        for prefix in ["", "a{b", "a}", "a b", &"x".repeat(65)] {
            assert!(matches!(RedisKeys::new(prefix), Err(Error::Incompatible { .. })), "{prefix:?}");
        }
    }
}
