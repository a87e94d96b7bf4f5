//! How much each part of a recommendation counts.

use super::history::{EXPONENTS, REPEAT_TERMS, SEQUENCE_RANKS};
use serde::{Deserialize, Serialize};

/// What a score is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ScorePart {
    /// The shopper had it before.
    Repeat,
    /// It goes with what the shopper had.
    Cooccurrence,
    /// It follows what the shopper had last.
    Sequence,
    /// Shoppers of such taste have it.
    Latent,
    /// The shopper's segment has it.
    Segment,
    /// Everybody has it.
    Popular,
    /// Everybody has it lately.
    Trending,
}

/// Terms of a score: parts that fade with rank are there once for each exponent, what follows once for each rank.
pub(super) const TERMS: usize = LATENT + 4;
/// Where the terms of each part begin.
pub(super) const COOCCURRENCE: usize = REPEAT_TERMS;
pub(super) const SEQUENCE: usize = COOCCURRENCE + EXPONENTS.len();
pub(super) const LATENT: usize = SEQUENCE + SEQUENCE_RANKS;
/// How many parts there are.
pub const PARTS: usize = 7;

/// A weight for each term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreWeights {
    pub(super) repeat: [f32; REPEAT_TERMS],
    pub(super) cooccurrence: [f32; EXPONENTS.len()],
    /// For the newest things, newest first.
    pub(super) sequence: [f32; SEQUENCE_RANKS],
    pub(super) latent: f32,
    pub(super) segment: f32,
    pub(super) popular: f32,
    pub(super) trending: f32,
}

impl ScorePart {
    /// All of them.
    pub const ALL: [Self; PARTS] = [
        Self::Repeat,
        Self::Cooccurrence,
        Self::Sequence,
        Self::Latent,
        Self::Segment,
        Self::Popular,
        Self::Trending,
    ];

    /// The part that a term belongs to.
    pub(super) const fn of_term(term: usize) -> Self {
        match term {
            0..COOCCURRENCE => Self::Repeat,
            COOCCURRENCE..SEQUENCE => Self::Cooccurrence,
            SEQUENCE..LATENT => Self::Sequence,
            _ => [Self::Latent, Self::Segment, Self::Popular, Self::Trending][term - LATENT],
        }
    }
}

impl ScoreWeights {
    /// What recommends before anything is known of how much parts count.
    pub fn default_weights() -> Self {
        Self {
            repeat: [0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0],
            cooccurrence: [0.0, 0.0, 1.0],
            sequence: [0.2, 0.1, 0.05],
            latent: 0.1,
            segment: 0.0,
            popular: 0.01,
            trending: 0.01,
        }
    }

    /// For a shopper without a past: what the segment has, and what everybody has.
    pub(super) fn for_unknown_user() -> Self {
        Self { segment: 1.0, popular: 0.5, trending: 0.5, ..Self::default() }
    }

    /// Only what everybody has.
    pub fn popularity() -> Self {
        Self { popular: 1.0, ..Self::default() }
    }

    /// The weights of the terms, in their order.
    pub(super) fn to_array(&self) -> [f32; TERMS] {
        let mut weights = [0.0; TERMS];
        weights[..COOCCURRENCE].copy_from_slice(&self.repeat);
        weights[COOCCURRENCE..SEQUENCE].copy_from_slice(&self.cooccurrence);
        weights[SEQUENCE..LATENT].copy_from_slice(&self.sequence);
        weights[LATENT..].copy_from_slice(&[self.latent, self.segment, self.popular, self.trending]);
        weights
    }

    /// The blend of such weights.
    pub(super) fn from_array(weights: &[f32; TERMS]) -> Self {
        let three = |from: usize| [weights[from], weights[from + 1], weights[from + 2]];
        let own = std::array::from_fn(|term| weights[term]);
        let [latent, segment, popular, lately] = std::array::from_fn(|rest| weights[LATENT + rest]);
        Self {
            repeat: own,
            cooccurrence: three(COOCCURRENCE),
            sequence: three(SEQUENCE),
            latent,
            segment,
            popular,
            trending: lately,
        }
    }

    /// Whether every weight is a number.
    pub(super) fn is_finite(&self) -> bool {
        self.to_array().iter().all(|weight| weight.is_finite())
    }
}
