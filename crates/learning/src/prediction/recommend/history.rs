//! A shopper's past as a recommender takes it: things, newest first, each once, with how often it was had.

use portrait_profile::{Profile, Timestamp};

/// Recency exponents: how fast what was had longer ago counts for less, by rank.
pub(super) const EXPONENTS: [f32; 3] = [0.0, 0.5, 1.0];
/// Terms of what was had before: see [`Interaction::own`].
pub(super) const REPEAT_TERMS: usize = 7;
/// How fast habits fade: with these shares of the time that the pasts of a training span.
pub(super) const DECAY_SPANS: [f64; 2] = [0.01, 0.05];
/// How many of the newest things the next one is expected to follow.
pub(super) const SEQUENCE_RANKS: usize = 3;
/// Ranks are told apart up to here.
const RANKS_MAX: usize = 256;

/// One thing in a past.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interaction {
    /// Its number.
    pub item: u32,
    /// When it was had last.
    pub at: Timestamp,
    /// How often, or how much: above 0.
    pub count: f32,
}

/// What is known of a shopper when something is to be recommended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// What was had, newest first, each thing once.
    pub interactions: Vec<Interaction>,
    /// The shopper's segment, by its place in the model; none if there is none.
    pub segment: Option<u32>,
}

impl History {
    /// The newest items of a profile, those that have a number.
    pub fn from_items(profile: &Profile, number: impl Fn(&str) -> Option<u32>) -> Self {
        let items = profile.recent_items();
        let touched = items.filter_map(|item| {
            let thing = number(item.item_id.as_str())?;
            Some(Interaction { item: thing, at: item.at, count: item.count as f32 })
        });
        Self { interactions: touched.collect(), segment: None }
    }

    /// The categories that a profile likes, those that have a number: what weighs most in 90 days was had most often.
    pub fn from_categories(profile: &Profile, number: impl Fn(&str) -> Option<u32>) -> Self {
        let categories = profile.categories();
        let touched = categories.filter_map(|(name, at, weight)| {
            Some(Interaction { item: number(name)?, at, count: weight.quarter.max(0.0) as f32 })
        });
        let mut touched: Vec<Interaction> = touched.collect();
        touched.sort_by(|one, other| other.at.cmp(&one.at).then(other.count.total_cmp(&one.count)));
        Self { interactions: touched, segment: None }
    }
}

impl Interaction {
    /// How much each of the terms of what was had before counts it, with `recency` of its rank, `faded` by its age, where `again` is how
    /// much of what is had of such a thing is had again: habits go by how often, whims by how lately, and not all are kept.
    pub(super) fn repeat_terms(
        &self,
        recency: [f32; EXPONENTS.len()],
        faded: [f32; DECAY_SPANS.len()],
        again: f32,
    ) -> [f32; REPEAT_TERMS] {
        let (times, strength) = (self.count, self.strength());
        let [_, slow, fast] = recency.map(|left| left * strength);
        let [short, long] = faded.map(|left| left * times);
        [times, slow, fast, short, long, times * again, strength * again]
    }

    /// How much it counts for what goes with it: the tenth time tells less than the first.
    pub(super) fn strength(&self) -> f32 {
        1.0 + self.count.max(1.0).ln()
    }
}

/// `(1 + rank)^-exponent` for each of [`EXPONENTS`], for every rank; those beyond count as the last.
#[derive(Clone, Debug)]
pub(super) struct Recency(Vec<[f32; EXPONENTS.len()]>);

impl Default for Recency {
    fn default() -> Self {
        let of = |rank: usize| EXPONENTS.map(|exponent| (1.0 + rank as f32).powf(-exponent));
        Self((0..RANKS_MAX).map(of).collect())
    }
}

impl Recency {
    /// Of what was had at this rank, 0 the newest.
    pub(super) fn at_rank(&self, rank: usize) -> [f32; EXPONENTS.len()] {
        self.0[rank.min(RANKS_MAX - 1)]
    }
}
