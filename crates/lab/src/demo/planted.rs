//! Comparison of learned segments with planted types: a table by segment, and their agreement. The planted types are
//! known to the demo only; the server never receives them.

use super::summary::MatchRate;
use crate::simulate::UserType;
use comfy_table::{CellAlignment, Table, presets};
use portrait_client::text::words;
use portrait_learning::evaluation::adjusted_rand_index;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Users of each planted type in each segment.
#[derive(Debug, Default)]
pub(super) struct PlantedTypes {
    /// Number of users by segment and planted type.
    counts: BTreeMap<String, BTreeMap<UserType, u64>>,
}

impl PlantedTypes {
    /// Counts a user of a planted type in a segment.
    pub(super) fn take(&mut self, segment_id: &str, kind: UserType) {
        if !self.counts.contains_key(segment_id) {
            self.counts.insert(segment_id.to_owned(), BTreeMap::new());
        }
        if let Some(kinds) = self.counts.get_mut(segment_id) {
            *kinds.entry(kind).or_default() += 1;
        }
    }

    /// Users whose planted type is the most frequent one of their segment.
    pub(super) fn purity(&self) -> MatchRate {
        self.counts.values().map(purity).fold(MatchRate::default(), |sum, share| MatchRate {
            hits: sum.hits + share.hits,
            of: sum.of + share.of,
        })
    }

    /// Adjusted Rand index of segments and planted types: 1 for the same partition, 0 for a random one.
    pub(super) fn agreement(&self) -> f64 {
        // The index compares two labellings: one label of each kind for every user.
        let mut segments = Vec::new();
        let mut kinds = Vec::new();
        for (segment, counts) in (0..).zip(self.counts.values()) {
            for (kind, count) in counts {
                let count = usize::try_from(*count).unwrap_or(usize::MAX);
                segments.extend(std::iter::repeat_n(segment, count));
                kinds.extend(std::iter::repeat_n(index(*kind), count));
            }
        }
        adjusted_rand_index(&kinds, &segments)
    }

    /// Table with a row for each segment, the largest first; `name` maps a segment id to its name.
    pub(super) fn table(&self, name: impl Fn(&str) -> String) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN);
        table.set_header(["segment", "shoppers", "most frequent type", "purity", "then"]);
        let mut segments: Vec<(&String, &BTreeMap<UserType, u64>)> = self.counts.iter().collect();
        // The largest segments first: they decide the agreement.
        segments.sort_by_key(|(_, kinds)| Reverse(purity(kinds).of));
        for (segment_id, kinds) in segments {
            let share = purity(kinds);
            let mut kinds: Vec<(&UserType, &u64)> = kinds.iter().collect();
            kinds.sort_by_key(|(_, count)| Reverse(**count));
            let of = share.of.max(1) as f64;
            let then =
                kinds.get(1).map(|(kind, count)| format!("{kind} {}", words::percent(**count as f64 / of)));
            table.add_row([
                name(segment_id),
                words::count(share.of),
                kinds.first().map_or_else(String::new, |(kind, _)| kind.to_string()),
                words::percent(share.ratio()),
                then.unwrap_or_default(),
            ]);
        }
        for column in table.column_iter_mut().filter(|column| matches!(column.index, 1 | 3)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

fn purity(kinds: &BTreeMap<UserType, u64>) -> MatchRate {
    MatchRate { hits: kinds.values().max().copied().unwrap_or(0), of: kinds.values().sum() }
}

fn index(kind: UserType) -> u32 {
    UserType::ALL
        .iter()
        .zip(0..)
        .find(|(candidate, _)| **candidate == kind)
        .map_or(u32::MAX, |(_, index)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use UserType::{BargainHunter, NightBuyer};

    fn planted(users: &[(&str, UserType)]) -> PlantedTypes {
        let mut planted = PlantedTypes::default();
        users.iter().for_each(|(segment_id, kind)| planted.take(segment_id, *kind));
        planted
    }

    #[test]
    fn segments_that_are_the_planted_types_agree_and_mixed_ones_do_not() {
        let same = [("s1", BargainHunter), ("s1", BargainHunter), ("s2", NightBuyer), ("s2", NightBuyer)];
        let mixed = [("s1", BargainHunter), ("s1", NightBuyer), ("s2", BargainHunter), ("s2", NightBuyer)];
        let one_off = [("s1", BargainHunter), ("s1", BargainHunter), ("s1", NightBuyer), ("s2", NightBuyer)];
        for (users, hits) in [(same, 4), (mixed, 2), (one_off, 3)] {
            assert_eq!(planted(&users).purity(), MatchRate { hits, of: 4 }, "{users:?}");
        }
        assert!((planted(&same).agreement() - 1.0).abs() < 1e-9);
        assert!(planted(&mixed).agreement() < 0.0);
        assert!((0.0..0.9).contains(&planted(&one_off).agreement()));
    }

    #[test]
    fn the_table_names_the_type_that_most_are_of() {
        let users = [("s1", NightBuyer), ("s2", BargainHunter), ("s2", BargainHunter), ("s2", NightBuyer)];
        let table = planted(&users).table(|id| format!("people of {id}")).to_string();
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert!(rows[0].contains("people of s2") && rows[0].contains("67%"), "{table}");
        assert!(rows[0].contains(BargainHunter.name()), "{table}");
        assert!(rows[1].contains("people of s1") && rows[1].contains("100%"), "{table}");
    }
}
