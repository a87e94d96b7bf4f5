//! Which things go with which: sparse rows of the nearest, learned from pasts. In come pasts, out goes one row a thing.

use super::history::History;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::RangeInclusive;

/// Things that were had at most so many places apart are had together.
const COOCCURRENCE_WINDOW: usize = 10;
/// What having been had before the other counts, where having been had after counts 1.
const BACKWARD_WEIGHT: f32 = 0.5;
/// Added to the counts of things, so that what was had once is near to nothing.
const SMOOTHING: f32 = 5.0;
/// How many neighbours of a thing are kept at most.
const NEIGHBOURS_MAX: usize = 200;
/// How many pairs a table of what is had together has at most, and one of what follows: in a shop of very many things fewer
/// neighbours of each are kept, so that a model stays small enough to send.
const COOCCURRENCE_PAIRS_MAX: usize = 2_000_000;
const SEQUENCE_PAIRS_MAX: usize = 1_000_000;

/// Rows of things and weights: row `i` has what goes with thing `i`, strongest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Neighbours {
    starts: Vec<u32>,
    items: Vec<u32>,
    weights: Vec<f32>,
}

/// Sparse sums by pair of things.
type Pairs = HashMap<(u32, u32), f32>;

impl Neighbours {
    /// What is had together, with cosine weights: the sum over pairs `1 / distance`, forwards once and backwards half, over the
    /// root of how often each of the two was had.
    pub(super) fn cooccurring(pasts: &[History], counts: &[f32]) -> Self {
        let pairs = pairs(pasts, 1..=COOCCURRENCE_WINDOW);
        let mut both: Pairs = HashMap::with_capacity(pairs.len() * 2);
        for ((before, after), weight) in pairs {
            *both.entry((before, after)).or_default() += weight;
            *both.entry((after, before)).or_default() += BACKWARD_WEIGHT * weight;
        }
        let count = |thing: u32| counts.get(thing as usize).copied().unwrap_or_default() + SMOOTHING;
        both.iter_mut().for_each(|((one, other), weight)| *weight /= (count(*one) * count(*other)).sqrt());
        Self::of(counts.len(), both, COOCCURRENCE_PAIRS_MAX)
    }

    /// What is had `distance` places later, as shares of all that was had so many places after a thing.
    pub(super) fn successors(pasts: &[History], things: usize, distance: usize) -> Self {
        let mut pairs = pairs(pasts, distance..=distance);
        let mut totals = vec![0.0; things];
        pairs.iter().for_each(|((before, _), weight)| totals[*before as usize] += weight);
        let smoothing = SMOOTHING / distance as f32;
        pairs.iter_mut().for_each(|((before, _), weight)| *weight /= totals[*before as usize] + smoothing);
        Self::of(things, pairs, SEQUENCE_PAIRS_MAX)
    }

    /// The strongest of each thing, as many of each as fit into `pairs_max` of all.
    fn of(things: usize, pairs: Pairs, pairs_max: usize) -> Self {
        let mut rows: Vec<Vec<(u32, f32)>> = vec![Vec::new(); things];
        pairs.into_iter().for_each(|((one, other), weight)| rows[one as usize].push((other, weight)));
        let kept = longest(rows.iter().map(Vec::len), pairs_max);
        rows.par_iter_mut().for_each(|row| {
            row.sort_unstable_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
            row.truncate(kept);
        });
        let mut neighbours = Self { starts: vec![0], ..Self::default() };
        for row in rows {
            neighbours.items.extend(row.iter().map(|(thing, _)| *thing));
            neighbours.weights.extend(row.iter().map(|(_, weight)| *weight));
            neighbours.starts.push(neighbours.items.len() as u32);
        }
        neighbours
    }

    /// What goes with a thing; nothing for a thing that is not known.
    pub(super) fn of_item(&self, thing: u32) -> impl Iterator<Item = (usize, f32)> {
        let at = |place: usize| self.starts.get(place).map_or(0, |start| *start as usize);
        let row = at(thing as usize)..at(thing as usize + 1).max(at(thing as usize));
        self.items[row.clone()].iter().map(|thing| *thing as usize).zip(self.weights[row].iter().copied())
    }

    /// How much `other` goes with `thing`.
    pub(super) fn weight(&self, thing: u32, other: u32) -> f32 {
        self.of_item(thing).find(|(known, _)| *known == other as usize).map_or(0.0, |(_, weight)| weight)
    }

    /// That it is a whole of rows of so many things, and finite.
    pub(super) fn is_sound(&self, things: usize) -> bool {
        let ends = self.starts.first() == Some(&0)
            && self.starts.len() == things + 1
            && self.starts.last().is_some_and(|end| *end as usize == self.items.len());
        ends && self.starts.is_sorted()
            && self.items.len() == self.weights.len()
            && self.items.iter().all(|thing| (*thing as usize) < things)
            && self.weights.iter().all(|weight| weight.is_finite())
    }
}

/// For each two things of a past that are so many places apart, the older first, the sum of `1 / distance`.
fn pairs(pasts: &[History], distances: RangeInclusive<usize>) -> Pairs {
    let mut pairs = Pairs::new();
    // One past after the other, so that sums are the same on every machine.
    for past in pasts {
        for (rank, newer) in past.interactions.iter().enumerate() {
            for distance in distances.clone() {
                let Some(older) = past.interactions.get(rank + distance) else { break };
                *pairs.entry((older.item, newer.item)).or_default() += 1.0 / distance as f32;
            }
        }
    }
    pairs
}

/// How long rows of these lengths may be at most, so that all of them have no more than `pairs_max` entries: 1 to [`KEPT`].
fn longest(lengths: impl Iterator<Item = usize>, pairs_max: usize) -> usize {
    let mut of_length = [0_usize; NEIGHBOURS_MAX + 1];
    lengths.for_each(|length| of_length[length.min(NEIGHBOURS_MAX)] += 1);
    // Of a length each row that is at least as long has one entry more than of the length before.
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
    fn rows_are_cut_at_the_length_by_which_all_fit() {
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
    fn the_strongest_neighbours_are_kept_and_a_row_that_is_short_stays() {
        let row = |from: u32, count: u32| (1..=count).map(move |to| ((from, to), to as f32));
        let pairs: Pairs = row(0, 9).chain(row(1, 2)).chain(row(2, 9)).collect();
        let table = Neighbours::of(10, pairs, 12);
        let kept = |thing: u32| table.of_item(thing).collect::<Vec<_>>();
        assert_eq!(kept(0), [(9, 9.0), (8, 8.0), (7, 7.0), (6, 6.0), (5, 5.0)]);
        assert_eq!((kept(1), kept(2)), (vec![(2, 2.0), (1, 1.0)], kept(0)));
        assert!(table.is_sound(10) && table.items.len() == 12);
    }
}
