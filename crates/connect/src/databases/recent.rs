//! Memory of the rows that were handed out lately, so that an overlap is not handed out again.

use super::pages::TableRow;
use std::collections::{HashSet, VecDeque};
use xxhash_rust::xxh3::Xxh3;

/// Set of (key, version) with a bound: the oldest entries are forgotten first, and their rows are then handed out again.
#[derive(Debug)]
pub(super) struct RecentRows {
    seen: HashSet<u128>,
    /// Entries from the oldest to the newest.
    order: VecDeque<u128>,
    max: usize,
}

impl RecentRows {
    /// Remembers at most `max` rows.
    pub(super) fn new(max: usize) -> Self {
        Self { seen: HashSet::new(), order: VecDeque::new(), max: max.max(1) }
    }

    /// Remembers a row, and returns whether it is new.
    pub(super) fn insert(&mut self, row: &TableRow) -> bool {
        let hash = hash(&row.key, &row.version);
        if !self.seen.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }
}

/// Hash of 128 bits, so that two rows of a lifetime do not share one: a row that collides would be lost.
fn hash(key: &str, version: &str) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key.as_bytes());
    hasher.update(version.as_bytes());
    hasher.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, version: &str) -> TableRow {
        TableRow { columns: [].into(), values: Vec::new(), key: key.into(), version: version.into() }
    }

    #[test]
    fn a_row_is_new_once_in_each_version() {
        let mut recent = RecentRows::new(10);
        for (key, version, is_new) in
            [("1", "a", true), ("1", "a", false), ("1", "b", true), ("1a", "", true), ("", "1a", true)]
        {
            assert_eq!(recent.insert(&row(key, version)), is_new, "{key} {version}");
        }
    }

    #[test]
    fn the_oldest_rows_are_forgotten_beyond_the_bound() {
        let mut recent = RecentRows::new(2);
        for key in ["1", "2", "3"] {
            assert!(recent.insert(&row(key, "")));
        }
        assert!(!recent.insert(&row("3", "")));
        assert!(recent.insert(&row("1", "")));
        assert_eq!((recent.seen.len(), recent.order.len()), (2, 2));
    }
}
