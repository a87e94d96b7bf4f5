//! History of a user as the recommender reads it: items, newest first, each once, with a count; and the terms that depend on it alone.

use portrait_profile::{Profile, Timestamp};
use serde::{Deserialize, Serialize};

/// Exponents `b` of the rank decays `(1 + r)^-b`, in the order of the fields of [`RankDecays`].
const RANK_EXPONENTS: [f32; RANK_DECAYS] = [0.0, 0.5, 1.0];
/// Number of rank decays.
pub(super) const RANK_DECAYS: usize = 3;
/// Number of terms of a repeated item.
pub(super) const REPEAT_TERMS: usize = 7;
/// Number of newest items that the next one is expected to follow.
pub(super) const SEQUENCE_RANKS: usize = 3;
/// Ranks beyond this one decay no further.
const RANKS_MAX: usize = 256;

/// Item of a history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interaction {
    /// Index of the item.
    pub item: u32,
    /// Time of the newest interaction with the item.
    pub at: Timestamp,
    /// Number (or decayed weight) of interactions, above 0.
    pub count: f32,
}

/// History of one user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Interactions, newest first, each item once. Ranks are counted from 0.
    pub interactions: Vec<Interaction>,
    /// Index of the user's segment in the model.
    pub segment: Option<u32>,
}

/// Values for the three rank decays `(1 + r)^-b`: the decays of one rank, or their weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RankDecays {
    /// Exponent 0: every rank counts the same.
    pub(super) flat: f32,
    /// Exponent 1/2: the square root of the rank.
    pub(super) root: f32,
    /// Exponent 1: the rank itself.
    pub(super) inverse: f32,
}

/// Values for the terms of a repeated item: the terms themselves, or their weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RepeatTerms {
    /// Count of interactions with the item.
    pub(super) count: f32,
    /// Strength, decayed by rank with exponent 1/2.
    pub(super) root_rank: f32,
    /// Strength, decayed by rank with exponent 1.
    pub(super) inverse_rank: f32,
    /// Count, decayed by age with the short half-life.
    pub(super) short_age: f32,
    /// Count, decayed by age with the long half-life.
    pub(super) long_age: f32,
    /// Count times the repeat rate of the item.
    pub(super) repeat_count: f32,
    /// Strength times the repeat rate of the item.
    pub(super) repeat_strength: f32,
}

/// Half-lives of repeated interest, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct HalfLives {
    pub(super) short: f32,
    pub(super) long: f32,
}

impl History {
    /// Reads the recent items of a profile, of those that have an index. What the user returned or removed from the cart is left out:
    /// it is no evidence of interest.
    pub fn from_items(profile: &Profile, index: impl Fn(&str) -> Option<u32>) -> Self {
        let interactions = profile.recent_items().filter(|item| !item.is_rejected()).filter_map(|item| {
            Some(Interaction { item: index(item.item_id.as_str())?, at: item.at, count: item.count as f32 })
        });
        Self { interactions: interactions.collect(), segment: None }
    }

    /// Reads the preferred categories of a profile, of those that have an index, with the weight of 90 days as count.
    pub fn from_categories(profile: &Profile, index: impl Fn(&str) -> Option<u32>) -> Self {
        let categories = profile.categories().filter_map(|(name, at, weight)| {
            Some(Interaction { item: index(name)?, at, count: weight.quarter.max(0.0) as f32 })
        });
        let mut interactions: Vec<Interaction> = categories.collect();
        interactions.sort_by(|left, right| right.at.cmp(&left.at).then(right.count.total_cmp(&left.count)));
        Self { interactions, segment: None }
    }
}

impl Interaction {
    /// Terms of a repeated item, given the decays of its rank, its age in milliseconds, and the repeat rate of the item. Regular
    /// purchases depend on the count, impulses on recency, and not every item is bought again.
    pub(super) fn repeat_terms(
        &self,
        decays: RankDecays,
        age: f32,
        half_lives: HalfLives,
        repeat_rate: f32,
    ) -> RepeatTerms {
        let strength = self.strength();
        RepeatTerms {
            count: self.count,
            root_rank: decays.root * strength,
            inverse_rank: decays.inverse * strength,
            short_age: (-age / half_lives.short).exp2() * self.count,
            long_age: (-age / half_lives.long).exp2() * self.count,
            repeat_count: self.count * repeat_rate,
            repeat_strength: strength * repeat_rate,
        }
    }

    /// Strength of the interaction for related items, `1 + ln(count)`: the tenth purchase says less than the first.
    pub(super) fn strength(&self) -> f32 {
        1.0 + self.count.max(1.0).ln()
    }
}

impl RankDecays {
    pub(super) fn to_array(self) -> [f32; RANK_DECAYS] {
        [self.flat, self.root, self.inverse]
    }

    pub(super) fn from_array([flat, root, inverse]: [f32; RANK_DECAYS]) -> Self {
        Self { flat, root, inverse }
    }

    /// Sum of the products of equal fields.
    pub(super) fn dot(self, other: Self) -> f32 {
        dot(self.to_array(), other.to_array())
    }
}

impl RepeatTerms {
    pub(super) fn to_array(self) -> [f32; REPEAT_TERMS] {
        [
            self.count,
            self.root_rank,
            self.inverse_rank,
            self.short_age,
            self.long_age,
            self.repeat_count,
            self.repeat_strength,
        ]
    }

    pub(super) fn from_array(terms: [f32; REPEAT_TERMS]) -> Self {
        let [count, root_rank, inverse_rank, short_age, long_age, repeat_count, repeat_strength] = terms;
        Self { count, root_rank, inverse_rank, short_age, long_age, repeat_count, repeat_strength }
    }

    /// Sum of the products of equal fields.
    pub(super) fn dot(self, other: Self) -> f32 {
        dot(self.to_array(), other.to_array())
    }
}

fn dot<const N: usize>(left: [f32; N], right: [f32; N]) -> f32 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// Precomputed rank decays: a power per interaction and exponent would dominate scoring.
#[derive(Clone, Debug)]
pub(super) struct Recency(Vec<RankDecays>);

impl Default for Recency {
    fn default() -> Self {
        Self(
            (0..RANKS_MAX)
                .map(|rank| {
                    let decays = RANK_EXPONENTS.map(|exponent| (1.0 + rank as f32).powf(-exponent));
                    RankDecays::from_array(decays)
                })
                .collect(),
        )
    }
}

impl Recency {
    /// Decays of a rank, 0 the newest.
    pub(super) fn at_rank(&self, rank: usize) -> RankDecays {
        self.0[rank.min(RANKS_MAX - 1)]
    }
}
