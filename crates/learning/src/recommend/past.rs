//! A shopper's past as a recommender takes it: things, newest first, each once, with how often it was had.

use portrait_profile::Timestamp;

/// Recency exponents: how fast what was had longer ago counts for less, by rank.
pub(super) const EXPONENTS: [f32; 3] = [0.0, 0.5, 1.0];
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

impl Touched {
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
