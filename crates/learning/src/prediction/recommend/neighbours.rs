//! Neighbours of items: sparse rows of the strongest co-occurring or following items, computed from histories.

use super::history::History;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::RangeInclusive;

/// Largest distance of two items in a history that counts as co-occurrence.
const COOCCURRENCE_WINDOW: usize = 10;
/// Weight of having occurred before the other item, where having occurred after has 1.
const BACKWARD_WEIGHT: f32 = 0.5;
/// Addition to the counts of items, so that rare items have small weights.
const SMOOTHING: f32 = 5.0;
/// Largest number of neighbours of an item.
const NEIGHBOURS_MAX: usize = 200;
/// Largest number of entries of the co-occurrence table, and of one successor table. With very many items each has fewer neighbours,
/// so that a model stays small enough to send.
const COOCCURRENCE_PAIRS_MAX: usize = 2_000_000;
const SEQUENCE_PAIRS_MAX: usize = 1_000_000;

/// Sparse matrix of item weights: row `i` has the neighbours of item `i`, strongest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Neighbours {
    starts: Vec<u32>,
    items: Vec<u32>,
    weights: Vec<f32>,
    /// Entries before the rows were cut; not encoded.
    #[serde(skip)]
    found: usize,
}

/// Sparse sums by (first item, second item).
type Pairs = HashMap<(u32, u32), f32>;

impl Neighbours {
    /// Co-occurrence with cosine weights: the sum over pairs of `1 / distance`, forwards once and backwards half, divided by
    /// `sqrt((n_i + 5) (n_j + 5))` for the items' counts.
    pub(super) fn cooccurring(histories: &[History], counts: &[f32]) -> Self {
        let pairs = pairs(histories, 1..=COOCCURRENCE_WINDOW);
        let mut both: Pairs = HashMap::with_capacity(pairs.len() * 2);
        for ((before, after), weight) in pairs {
            *both.entry((before, after)).or_default() += weight;
            *both.entry((after, before)).or_default() += BACKWARD_WEIGHT * weight;
        }
        let smoothed = |item: u32| counts.get(item as usize).copied().unwrap_or_default() + SMOOTHING;
        both.iter_mut()
            .for_each(|((left, right), weight)| *weight /= (smoothed(*left) * smoothed(*right)).sqrt());
        Self::of(counts.len(), both, COOCCURRENCE_PAIRS_MAX)
    }

    /// Successors `distance` places later, as smoothed shares of all successors at that distance.
    pub(super) fn successors(histories: &[History], items: usize, distance: usize) -> Self {
        let mut pairs = pairs(histories, distance..=distance);
        let mut totals = vec![0.0; items];
        pairs.iter().for_each(|((before, _), weight)| totals[*before as usize] += weight);
        let smoothing = SMOOTHING / distance as f32;
        pairs.iter_mut().for_each(|((before, _), weight)| *weight /= totals[*before as usize] + smoothing);
        Self::of(items, pairs, SEQUENCE_PAIRS_MAX)
    }

    /// Strongest neighbours of each item, with rows as long as `pairs_max` entries in all allow.
    fn of(items: usize, pairs: Pairs, pairs_max: usize) -> Self {
        let found = pairs.len();
        let mut rows: Vec<Vec<(u32, f32)>> = vec![Vec::new(); items];
        pairs.into_iter().for_each(|((from, to), weight)| rows[from as usize].push((to, weight)));
        let row_max = longest(rows.iter().map(Vec::len), pairs_max);
        rows.par_iter_mut().for_each(|row| {
            // Ties by index: the order of a hash map differs from run to run.
            row.sort_unstable_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
            row.truncate(row_max);
        });
        let mut neighbours = Self { starts: vec![0], found, ..Self::default() };
        for row in rows {
            neighbours.items.extend(row.iter().map(|(item, _)| *item));
            neighbours.weights.extend(row.iter().map(|(_, weight)| *weight));
            neighbours.starts.push(neighbours.items.len() as u32);
        }
        neighbours
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Number of entries before the rows were cut; 0 for a decoded table.
    pub(super) fn found(&self) -> usize {
        self.found
    }

    /// Neighbours of an item with weights; none for an unknown item.
    pub(super) fn of_item(&self, item: u32) -> impl Iterator<Item = (usize, f32)> {
        let start = |index: usize| self.starts.get(index).map_or(0, |start| *start as usize);
        let row = start(item as usize)..start(item as usize + 1).max(start(item as usize));
        self.items[row.clone()].iter().map(|item| *item as usize).zip(self.weights[row].iter().copied())
    }

    /// Weight of `other` as a neighbour of `item`; 0 if it is none.
    pub(super) fn weight(&self, item: u32, other: u32) -> f32 {
        self.of_item(item).find(|(known, _)| *known == other as usize).map_or(0.0, |(_, weight)| weight)
    }

    /// Checks rows, indices and weights, which decoded bytes do not guarantee.
    pub(super) fn is_sound(&self, items: usize) -> bool {
        let ends = self.starts.first() == Some(&0)
            && self.starts.len() == items + 1
            && self.starts.last().is_some_and(|end| *end as usize == self.items.len());
        ends && self.starts.is_sorted()
            && self.items.len() == self.weights.len()
            && self.items.iter().all(|item| (*item as usize) < items)
            && self.weights.iter().all(|weight| weight.is_finite())
    }
}

/// Sum of `1 / distance` over all pairs of a history with the given distances, by (older item, newer item).
fn pairs(histories: &[History], distances: RangeInclusive<usize>) -> Pairs {
    let mut pairs = Pairs::new();
    // One history after the other, so that sums are the same on every machine.
    for history in histories {
        for (rank, newer) in history.interactions.iter().enumerate() {
            for distance in distances.clone() {
                let Some(older) = history.interactions.get(rank + distance) else { break };
                *pairs.entry((older.item, newer.item)).or_default() += 1.0 / distance as f32;
            }
        }
    }
    pairs
}

/// Largest row length, 1 to [`NEIGHBOURS_MAX`], with which rows of the given lengths have at most `pairs_max` entries in all.
fn longest(lengths: impl Iterator<Item = usize>, pairs_max: usize) -> usize {
    let mut of_length = [0_usize; NEIGHBOURS_MAX + 1];
    lengths.for_each(|length| of_length[length.min(NEIGHBOURS_MAX)] += 1);
    // Each row at least as long as a length adds one entry at that length.
    let mut at_least: usize = of_length[1..].iter().sum();
    let mut pairs = 0;
    for (length, rows) in of_length.into_iter().enumerate().skip(1) {
        pairs += at_least;
        if pairs > pairs_max {
            return (length - 1).max(1);
        }
        at_least -= rows;
    }
    NEIGHBOURS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_at_the_length_with_which_all_fit() {
        let rows: [(&[usize], usize, usize); 6] = [
            (&[], 10, NEIGHBOURS_MAX),
            (&[500, 3, 0], 203, NEIGHBOURS_MAX),
            (&[500, 3, 0], 202, NEIGHBOURS_MAX - 1),
            (&[5, 5, 5, 1], 10, 3),
            (&[5, 5, 5, 1], 9, 2),
            (&[2, 2, 2], 1, 1),
        ];
        for (lengths, pairs_max, expected) in rows {
            assert_eq!(longest(lengths.iter().copied(), pairs_max), expected, "{lengths:?} in {pairs_max}");
        }
    }

    #[test]
    fn the_strongest_neighbours_are_kept_and_short_rows_are_unchanged() {
        let row = |from: u32, count: u32| (1..=count).map(move |to| ((from, to), to as f32));
        let pairs: Pairs = row(0, 9).chain(row(1, 2)).chain(row(2, 9)).collect();
        let table = Neighbours::of(10, pairs, 12);
        let kept = |item: u32| table.of_item(item).collect::<Vec<_>>();
        assert_eq!(kept(0), [(9, 9.0), (8, 8.0), (7, 7.0), (6, 6.0), (5, 5.0)]);
        assert_eq!((kept(1), kept(2)), (vec![(2, 2.0), (1, 1.0)], kept(0)));
        assert!(table.is_sound(10) && table.items.len() == 12);
    }
}
