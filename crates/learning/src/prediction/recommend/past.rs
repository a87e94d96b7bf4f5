//! A shopper's past as a recommender takes it: things, newest first, each once, with how often it was had.

use portrait_profile::{Profile, Timestamp};

/// Recency exponents: how fast what was had longer ago counts for less, by rank.
pub(super) const EXPONENTS: [f32; 3] = [0.0, 0.5, 1.0];
/// Terms of what was had before: see [`Touched::own`].
pub(super) const OWN: usize = 7;
/// How fast habits fade: with these shares of the time that the pasts of a training span.
pub(super) const FADING: [f64; 2] = [0.01, 0.05];
/// How many of the newest things the next one is expected to follow.
pub(super) const FOLLOWED: usize = 3;
/// Ranks are told apart up to here.
const RANKS: usize = 256;

/// One thing in a past.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Touched {
    /// Its number.
    pub thing: u32,
    /// When it was had last.
    pub at: Timestamp,
    /// How often, or how much: above 0.
    pub times: f32,
}

/// What is known of a shopper when something is to be recommended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// What was had, newest first, each thing once.
    pub touched: Vec<Touched>,
    /// The shopper's segment, by its place in the model; none if there is none.
    pub segment: Option<u32>,
}

impl Past {
    /// The newest items of a profile, those that have a number.
    pub fn of_items(profile: &Profile, number: impl Fn(&str) -> Option<u32>) -> Self {
        let items = profile.recent_items();
        let touched = items.filter_map(|item| {
            let thing = number(item.item_id.as_str())?;
            Some(Touched { thing, at: item.at, times: item.times as f32 })
        });
        Self { touched: touched.collect(), segment: None }
    }

    /// The categories that a profile likes, those that have a number: what weighs most in 90 days was had most often.
    pub fn of_categories(profile: &Profile, number: impl Fn(&str) -> Option<u32>) -> Self {
        let categories = profile.categories();
        let touched = categories.filter_map(|(name, at, weight)| {
            Some(Touched { thing: number(name)?, at, times: weight.quarter.max(0.0) as f32 })
        });
        let mut touched: Vec<Touched> = touched.collect();
        touched.sort_by(|one, other| other.at.cmp(&one.at).then(other.times.total_cmp(&one.times)));
        Self { touched, segment: None }
    }
}

impl Touched {
    /// How much each of the terms of what was had before counts it, with `recency` of its rank, `faded` by its age, where `again` is how
    /// much of what is had of such a thing is had again: habits go by how often, whims by how lately, and not all are kept.
    pub(super) fn own(
        &self,
        recency: [f32; EXPONENTS.len()],
        faded: [f32; FADING.len()],
        again: f32,
    ) -> [f32; OWN] {
        let (times, strength) = (self.times, self.strength());
        let [_, slow, fast] = recency.map(|left| left * strength);
        let [short, long] = faded.map(|left| left * times);
        [times, slow, fast, short, long, times * again, strength * again]
    }

    /// How much it counts for what goes with it: the tenth time tells less than the first.
    pub(super) fn strength(&self) -> f32 {
        1.0 + self.times.max(1.0).ln()
    }
}

/// `(1 + rank)^-exponent` for each of [`EXPONENTS`], for every rank; those beyond count as the last.
#[derive(Clone, Debug)]
pub(super) struct Recency(Vec<[f32; EXPONENTS.len()]>);

impl Default for Recency {
    fn default() -> Self {
        let of = |rank: usize| EXPONENTS.map(|exponent| (1.0 + rank as f32).powf(-exponent));
        Self((0..RANKS).map(of).collect())
    }
}

impl Recency {
    /// Of what was had at this rank, 0 the newest.
    pub(super) fn of(&self, rank: usize) -> [f32; EXPONENTS.len()] {
        self.0[rank.min(RANKS - 1)]
    }
}
