//! What the segments say, held against what was planted: in go shoppers with their segment and the truth, out come a table by
//! segment and how far the two agree. The planted types are the demo's own knowledge; no server was told of them.

use super::summary::Share;
use crate::card::words;
use crate::simulate::ShopperType;
use comfy_table::{CellAlignment, Table, presets};
use portrait_learning::evaluation::adjusted_rand_index;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The shoppers so far.
#[derive(Debug, Default)]
pub(super) struct Planted {
    /// Shoppers by segment and planted type.
    counts: BTreeMap<String, BTreeMap<ShopperType, u64>>,
}

impl Planted {
    /// Takes a shopper of that type who is in that segment.
    pub(super) fn take(&mut self, segment_id: &str, kind: ShopperType) {
        if !self.counts.contains_key(segment_id) {
            self.counts.insert(segment_id.to_owned(), BTreeMap::new());
        }
        if let Some(kinds) = self.counts.get_mut(segment_id) {
            *kinds.entry(kind).or_default() += 1;
        }
    }

    /// Those who are of the type that most of their segment are.
    pub(super) fn purity(&self) -> Share {
        self.counts.values().map(purity).fold(Share::default(), |sum, share| Share {
            found: sum.found + share.found,
            of: sum.of + share.of,
        })
    }

    /// How far segments and planted types are the same partition of the shoppers: 1 if they are, 0 if by chance.
    pub(super) fn agreement(&self) -> f64 {
        let (mut segments, mut kinds) = (Vec::new(), Vec::new());
        for (segment, counts) in (0..).zip(self.counts.values()) {
            for (kind, count) in counts {
                let count = usize::try_from(*count).unwrap_or(usize::MAX);
                segments.extend(std::iter::repeat_n(segment, count));
                kinds.extend(std::iter::repeat_n(number(*kind), count));
            }
        }
        adjusted_rand_index(&kinds, &segments)
    }

    /// A line for each segment, the largest first; `name` says what one is called.
    pub(super) fn table(&self, name: impl Fn(&str) -> String) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN);
        table.set_header(["segment", "shoppers", "most are planted as", "purity", "then"]);
        let mut segments: Vec<(&String, &BTreeMap<ShopperType, u64>)> = self.counts.iter().collect();
        segments.sort_by_key(|(_, kinds)| Reverse(purity(kinds).of));
        for (segment_id, kinds) in segments {
            let share = purity(kinds);
            let mut kinds: Vec<(&ShopperType, &u64)> = kinds.iter().collect();
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

fn purity(kinds: &BTreeMap<ShopperType, u64>) -> Share {
    Share { found: kinds.values().max().copied().unwrap_or(0), of: kinds.values().sum() }
}

fn number(kind: ShopperType) -> u32 {
    ShopperType::ALL.iter().zip(0..).find(|(other, _)| **other == kind).map_or(u32::MAX, |(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ShopperType::{BargainHunter, NightBuyer};

    fn planted(shoppers: &[(&str, ShopperType)]) -> Planted {
        let mut planted = Planted::default();
        shoppers.iter().for_each(|(segment_id, kind)| planted.take(segment_id, *kind));
        planted
    }

    #[test]
    fn segments_that_are_the_planted_types_agree_and_mixed_ones_do_not() {
        let same = [("s1", BargainHunter), ("s1", BargainHunter), ("s2", NightBuyer), ("s2", NightBuyer)];
        let mixed = [("s1", BargainHunter), ("s1", NightBuyer), ("s2", BargainHunter), ("s2", NightBuyer)];
        let one_off = [("s1", BargainHunter), ("s1", BargainHunter), ("s1", NightBuyer), ("s2", NightBuyer)];
        for (shoppers, found) in [(same, 4), (mixed, 2), (one_off, 3)] {
            assert_eq!(planted(&shoppers).purity(), Share { found, of: 4 }, "{shoppers:?}");
        }
        assert!((planted(&same).agreement() - 1.0).abs() < 1e-9);
        assert!(planted(&mixed).agreement() < 0.0);
        assert!((0.0..0.9).contains(&planted(&one_off).agreement()));
    }

    #[test]
    fn the_table_names_the_type_that_most_are_of() {
        let shoppers = [("s1", NightBuyer), ("s2", BargainHunter), ("s2", BargainHunter), ("s2", NightBuyer)];
        let table = planted(&shoppers).table(|id| format!("people of {id}")).to_string();
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert!(rows[0].contains("people of s2") && rows[0].contains("67%"), "{table}");
        assert!(rows[0].contains(BargainHunter.name()), "{table}");
        assert!(rows[1].contains("people of s1") && rows[1].contains("100%"), "{table}");
    }
}
