//! Where everything lies: keys, channels and slots. All that one step touches shares a tag, and so a slot and a server:
//! a partition's keys that of the partition, the models and their parts one, and each shard of the catalogue its own.
//!
//! ```text
//! {prefix:7}:meta      hash    numbers, token, generations        {prefix:layout}        hash   what was fixed at creation
//! {prefix:7}:log       stream  blocks of records                  {prefix:models}        hash   registry, right to train
//! {prefix:7}:profiles  hash    key -> profile                     {prefix:models}:part:N hash   chunks of a part
//! {prefix:7}:changes   stream  blocks of changes                  {prefix:items:3}       hash   item id -> item
//! {prefix:7}:dead      stream  dead letters
//! {prefix:7}:windows   zset    numbers of the windows there are   {prefix:7}:bell        channel of a partition
//! {prefix:workers}     hash    nonce -> until when, name
//! {prefix:7}:tombstones hash  pseudonym -> tombstone
//! {prefix:7}:seen:N    string  ids of window N, as they came       {prefix:models}:bell   channel of the models
//! ```

use bytes::Bytes;
use portrait_profile::PartitionId;
use portrait_store::{Error, PartName, Result};
use xxhash_rust::xxh64::xxh64;

/// How many slots a cluster has.
pub(super) const SLOTS: u16 = 16384;
/// Over how many hashes the catalogue is spread; a part of the format.
pub(super) const ITEM_SHARDS: u64 = 64;
/// How many bytes of ids a window may have: what a string of the server holds, less what one step adds.
pub(super) const WINDOW_BYTES_MAX: usize = 500 << 20;
/// How long a prefix may be, in bytes.
const PREFIX_MAX: usize = 64;

/// A slot of a cluster; the server that has it has all keys of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) u16);

/// The keys of one deployment.
#[derive(Clone, Debug)]
pub(super) struct RedisKeys {
    prefix: String,
}

/// The keys of one tag.
#[derive(Clone, Debug)]
pub(super) struct TaggedKeys {
    /// With braces.
    tag: String,
    /// Where it lies.
    pub(super) slot: Slot,
}

impl Slot {
    fn of(tag: &str) -> Self {
        Self(crc16::State::<crc16::XMODEM>::calculate(tag.as_bytes()) % SLOTS)
    }
}

impl RedisKeys {
    /// Keys that begin with `prefix`.
    ///
    /// # Errors
    /// `Incompatible` if no key can begin so.
    pub(super) fn new(prefix: &str) -> Result<Self> {
        let fine = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.:".contains(&letter);
        if prefix.is_empty() || prefix.len() > PREFIX_MAX || !prefix.bytes().all(fine) {
            let detail = format!(
                "store.prefix is empty, longer than {PREFIX_MAX} bytes or has other signs than letters, digits and \
                 -_.: : name one like portrait"
            );
            return Err(Error::Incompatible { detail });
        }
        Ok(Self { prefix: prefix.to_owned() })
    }

    fn tagged(&self, name: impl std::fmt::Display) -> TaggedKeys {
        let inner = format!("{}:{name}", self.prefix);
        let slot = Slot::of(&inner);
        TaggedKeys { tag: format!("{{{inner}}}"), slot }
    }

    /// Those of a partition.
    pub(super) fn partition(&self, partition: PartitionId) -> TaggedKeys {
        self.tagged(partition.get())
    }

    /// That of what was fixed at creation.
    pub(super) fn layout(&self) -> TaggedKeys {
        self.tagged("layout")
    }

    /// That of who is there.
    pub(super) fn members(&self) -> TaggedKeys {
        self.tagged("workers")
    }

    /// Those of the models.
    pub(super) fn models(&self) -> TaggedKeys {
        self.tagged("models")
    }

    /// Those of the shard of the catalogue that has an item.
    pub(super) fn items(&self, id: &[u8]) -> TaggedKeys {
        self.item_shard(xxh64(id, 0) % ITEM_SHARDS)
    }

    /// Those of a shard of the catalogue, from 0 to below [`ITEM_SHARDS`].
    pub(super) fn item_shard(&self, shard: u64) -> TaggedKeys {
        self.tagged(format_args!("items:{shard}"))
    }
}

impl TaggedKeys {
    /// The key that is the tag itself.
    pub(super) fn base(&self) -> Bytes {
        Bytes::copy_from_slice(self.tag.as_bytes())
    }

    /// The key, or channel, of that name.
    pub(super) fn key(&self, name: &str) -> Bytes {
        Bytes::from(format!("{}:{name}", self.tag))
    }

    /// The channel that is told of changes.
    pub(super) fn channel(&self) -> Bytes {
        self.key("bell")
    }

    /// The ids of a window.
    pub(super) fn seen(&self, window: u32) -> Bytes {
        Bytes::from(format!("{}:seen:{window}", self.tag))
    }

    /// The chunks of a part of a model.
    pub(super) fn part(&self, name: PartName) -> Bytes {
        Bytes::from(format!("{}:part:{:032x}", self.tag, name.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_profile::PartitionCount;

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
        assert_eq!(tagged.seen(20_000), "{portrait:7}:seen:20000");
    }

    #[test]
    fn a_prefix_cannot_break_the_tag() {
        for prefix in ["", "a{b", "a}", "a b", &"x".repeat(65)] {
            assert!(matches!(RedisKeys::new(prefix), Err(Error::Incompatible { .. })), "{prefix:?}");
        }
    }
}
