//! Tables of a recommender: statistics of the training set, their encoded form and its checks.

use super::history::{HalfLives, SEQUENCE_RANKS};
use super::neighbours::Neighbours;
use super::training_set::{TrainingSet, shares};
use super::weights::ScoreWeights;
use serde::{Deserialize, Serialize};

/// Version byte of an encoded recommender.
pub(super) const FORMAT: u8 = 2;

/// Encoded tables, beside the factors. Lists have one number per item.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ItemModel {
    pub(super) cooccurrence: Neighbours,
    /// Successors one place after an item, two places, and so on.
    pub(super) successors: [Neighbours; SEQUENCE_RANKS],
    /// Number of interactions, as a share of the largest.
    pub(super) popular: Vec<f32>,
    /// Recent interactions, as a share of the largest.
    pub(super) trending: Vec<f32>,
    /// Interactions in each segment, as a share of the segment's largest; row-major, a row per segment.
    pub(super) by_segment: Vec<f32>,
    /// Share of an item's interactions that repeat an earlier one.
    pub(super) repeat_rate: Vec<f32>,
    /// Half-lives of repeated interest.
    pub(super) half_lives: HalfLives,
    /// Weights of the terms.
    pub(super) weights: ScoreWeights,
}

/// Size of a table of item pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairCount {
    /// Name of the table.
    pub name: &'static str,
    /// Pairs that the table holds.
    pub kept: usize,
    /// Pairs in the histories; 0 for a decoded table.
    pub found: usize,
}

/// Error of decoding a recommender.
#[derive(Debug, thiserror::Error)]
pub enum RecommenderError {
    /// The bytes are damaged.
    #[error("the recommender's bytes are damaged: {0}")]
    Damaged(String),
    /// A list of the recommender fails a check.
    #[error("{list} is not {check}: {value}")]
    Unsound {
        /// List or weight.
        list: String,
        /// Check that failed.
        check: &'static str,
        /// Value that failed it.
        value: String,
    },
    /// Another release wrote the recommender.
    #[error("the recommender has format {found}, this release reads {FORMAT}: train one here")]
    OtherFormat {
        /// Format of the recommender.
        found: u8,
    },
}

impl ItemModel {
    /// Computes the tables, with default weights.
    pub(super) fn learn(training_set: &TrainingSet<'_>) -> Self {
        let counts = training_set.counts(|_| 1.0);
        Self {
            cooccurrence: Neighbours::cooccurring(training_set.histories, &counts),
            successors: std::array::from_fn(|rank| {
                Neighbours::successors(training_set.histories, training_set.items, rank + 1)
            }),
            popular: shares(&counts),
            trending: shares(&training_set.trending()),
            by_segment: training_set.by_segment(),
            repeat_rate: training_set.repeat_rates(),
            half_lives: training_set.half_lives(),
            weights: ScoreWeights::default_weights(),
        }
    }

    /// Pairs of items in each table, and in the histories that it was trained on.
    pub(super) fn pair_counts(&self) -> Vec<PairCount> {
        let tables = std::iter::once(("cooccurrence_pairs", &self.cooccurrence));
        let tables = tables.chain(self.successors.iter().map(|table| ("successor_pairs", table)));
        tables.map(|(name, table)| PairCount { name, kept: table.len(), found: table.found() }).collect()
    }

    /// Checks all lengths and numbers, which decoded bytes do not guarantee; the error names the list, the check and the value.
    pub(super) fn check(&self, items: usize) -> Result<(), RecommenderError> {
        let lists = [
            ("popular", &self.popular),
            ("trending", &self.trending),
            ("repeat_rate", &self.repeat_rate),
            ("by_segment", &self.by_segment),
        ];
        for (list, values) in lists {
            // A row per segment; the other lists are one row.
            let rows_fit = if list == "by_segment" {
                values.len().is_multiple_of(items.max(1))
            } else {
                values.len() == items
            };
            if !rows_fit {
                return Err(unsound(list, "one number per item", &values.len()));
            }
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(unsound(list, "finite", value));
            }
        }
        if let Some((part, value)) = self.weights.not_finite() {
            return Err(unsound(&format!("weight of {part:?}"), "finite", &value));
        }
        for half_life in [self.half_lives.short, self.half_lives.long] {
            if !(half_life.is_finite() && half_life >= 1.0) {
                return Err(unsound("half_lives", "finite and at least 1 ms", &half_life));
            }
        }
        let tables = std::iter::once(("cooccurrence", &self.cooccurrence));
        for (table, neighbours) in tables.chain(self.successors.iter().map(|table| ("successors", table))) {
            if !neighbours.is_sound(items) {
                return Err(unsound(table, "rows, indices and weights", &format!("{items} items")));
            }
        }
        Ok(())
    }
}

fn unsound(list: &str, check: &'static str, value: &dyn std::fmt::Display) -> RecommenderError {
    RecommenderError::Unsound { list: list.to_owned(), check, value: value.to_string() }
}
