//! Memory and shape of the database's files. Options of a keyspace are stored at its creation: a store that was created with
//! others opens with those.
//!
//! The figures are processor time per event of `benches/users.rs` with 2 million new users, in microseconds, on 2 busy cores.

use fjall::KeyspaceCreateOptions;
use fjall::compaction::Leveled;
use fjall::config::{BlockSizePolicy, FilterPolicy, PinningPolicy};
use std::sync::Arc;

/// Threads that flush and merge. The first one never merges: while all others do, it passes the waiting merges around without a
/// pause. With the default on 2 cores, which is 2, a single merge made it spin: 23% of the time of these threads.
pub(super) const BACKGROUND_THREADS: usize = 4;

/// Journals are flushed beyond this size. An open reads all of them: up to 128 MiB, in 0.7 s of processor time after 2 million new
/// users. The default is 512 MiB.
pub(super) const JOURNALS_BYTES: u64 = 128 << 20;

/// Options of one keyspace.
///
/// The bound of memory is 5 memtables a keyspace, since writes pause while 4 of them wait for their flush: 320 MiB with those of
/// log, feed, profiles and ids, and less than half of it while flushes keep up. The default, 64 MiB each, is 1.3 GiB.
#[derive(Clone, Copy)]
pub(super) struct Tuning {
    /// Size in bytes at which a memtable is flushed to a table.
    memtable_bytes: u64,
    /// Size in bytes of a table. The second level holds `first_level_tables` of them, so it should be near that of a flushed
    /// memtable: a larger one makes every merge of the first level rewrite a multiple of it.
    table_bytes: u64,
    /// Tables of the first level at which they are merged into the second. Writes are slowed down from 20 on.
    first_level_tables: u8,
    /// Size of a block in bytes: what a lookup reads.
    block_bytes: u32,
    /// Whether lookups of absent keys are common enough for a filter.
    has_filter: bool,
}

impl Tuning {
    /// Profiles, looked up by key, and often absent. Flushes and merges of all keyspaces took 5.6 with 32 MiB and 8 tables, 8.5 with
    /// 16 MiB and 8 tables, 7.4 with 32 MiB and 4 tables. With 16 tables and larger blocks it was 4.0, but a merge is then so long that
    /// writes reach the 20 tables at which they stall. Values in files of their own, which merges leave alone, took 7.1.
    pub(super) const PROFILES: Self = Self {
        memtable_bytes: 32 << 20,
        table_bytes: 32 << 20,
        first_level_tables: 8,
        block_bytes: 4 << 10,
        has_filter: true,
    };
    /// Items of the catalogue, looked up by key.
    pub(super) const ITEMS: Self = Self { memtable_bytes: 8 << 20, table_bytes: 8 << 20, ..Self::PROFILES };
    /// Logs, feeds and dead letters: large values that are read in order, the newest from memory.
    pub(super) const STREAM: Self = Self {
        memtable_bytes: 8 << 20,
        table_bytes: 8 << 20,
        first_level_tables: 12,
        block_bytes: 16 << 10,
        has_filter: false,
    };
    /// Remembered ids. An id takes 78 bytes in a memtable and about 20 in a table, hence the smaller tables. Absent ids are known
    /// from memory, so that a filter would only cost its construction.
    pub(super) const SEEN: Self = Self { memtable_bytes: 16 << 20, table_bytes: 4 << 20, ..Self::STREAM };
    /// Few keys: states, tombstones, models. They hold back journals until they are flushed, but have little to flush.
    pub(super) const SMALL: Self = Self { memtable_bytes: 2 << 20, first_level_tables: 4, ..Self::PROFILES };
    /// Scratch writes that fill a journal. They must fit into one memtable: every flush before the journal is full syncs it, and 33
    /// of them took the 20 s of a rewrite's time limit on a busy disk.
    pub(super) const FILLER: Self = Self { memtable_bytes: 64 << 20, ..Self::SMALL };

    /// Returns the options of the database.
    pub(super) fn options(self) -> KeyspaceCreateOptions {
        let merges = Leveled::default()
            .with_l0_threshold(self.first_level_tables)
            .with_table_target_size(self.table_bytes);
        let options = KeyspaceCreateOptions::default()
            .max_memtable_size(self.memtable_bytes)
            .compaction_strategy(Arc::new(merges))
            .data_block_size_policy(BlockSizePolicy::all(self.block_bytes));
        if !self.has_filter {
            return options.filter_policy(FilterPolicy::disabled());
        }
        // Filters of three levels, about 1.3 bytes a key for 8 million profiles, stay in memory: the lookup of an absent key asks the
        // filter of every level, and each would be a lookup in the block cache. Deeper ones are cached, so memory stays bounded.
        options.filter_block_pinning_policy(PinningPolicy::new([true, true, true, false]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memtables_stay_within_the_documented_bound() {
        let busy = [Tuning::PROFILES, Tuning::SEEN, Tuning::STREAM, Tuning::STREAM];
        let active: u64 = busy.iter().map(|tuning| tuning.memtable_bytes).sum();
        // One that is written to, and four that wait for their flush.
        assert!(5 * active <= 320 << 20, "docs/operate/memory.md gives 320 MiB");
    }

    #[test]
    fn merges_begin_well_before_writes_are_slowed_down() {
        for tuning in [Tuning::PROFILES, Tuning::ITEMS, Tuning::SEEN, Tuning::STREAM, Tuning::SMALL] {
            assert!((4..=12).contains(&tuning.first_level_tables), "{}", tuning.first_level_tables);
        }
    }
}
