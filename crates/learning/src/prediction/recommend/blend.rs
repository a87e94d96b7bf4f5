//! How much each part of a recommendation counts.

use super::past::{EXPONENTS, FOLLOWED, OWN};
use serde::{Deserialize, Serialize};

/// What a score is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Part {
    /// The shopper had it before.
    Own,
    /// It goes with what the shopper had.
    Together,
    /// It follows what the shopper had last.
    Next,
    /// Shoppers of such taste have it.
    Latent,
    /// The shopper's segment has it.
    Segment,
    /// Everybody has it.
    Popular,
    /// Everybody has it lately.
    Lately,
}

/// Terms of a score: parts that fade with rank are there once for each exponent, what follows once for each rank.
pub(super) const TERMS: usize = LATENT + 4;
/// Where the terms of each part begin.
pub(super) const TOGETHER: usize = OWN;
pub(super) const NEXT: usize = TOGETHER + EXPONENTS.len();
pub(super) const LATENT: usize = NEXT + FOLLOWED;
/// How many parts there are.
pub const PARTS: usize = 7;

/// A weight for each term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Blend {
    pub(super) own: [f32; OWN],
    pub(super) together: [f32; EXPONENTS.len()],
    /// For the newest things, newest first.
    pub(super) next: [f32; FOLLOWED],
    pub(super) latent: f32,
    pub(super) segment: f32,
    pub(super) popular: f32,
    pub(super) lately: f32,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; PARTS] =
        [Self::Own, Self::Together, Self::Next, Self::Latent, Self::Segment, Self::Popular, Self::Lately];

    /// The part that a term belongs to.
    pub(super) const fn of_term(term: usize) -> Self {
        match term {
            0..TOGETHER => Self::Own,
            TOGETHER..NEXT => Self::Together,
            NEXT..LATENT => Self::Next,
            _ => [Self::Latent, Self::Segment, Self::Popular, Self::Lately][term - LATENT],
        }
    }
}

impl Blend {
    /// What recommends before anything is known of how much parts count.
    pub fn usual() -> Self {
        Self {
            own: [0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0],
            together: [0.0, 0.0, 1.0],
            next: [0.2, 0.1, 0.05],
            latent: 0.1,
            segment: 0.0,
            popular: 0.01,
            lately: 0.01,
        }
    }

    /// For a shopper without a past: what the segment has, and what everybody has.
    pub(super) fn of_nobody() -> Self {
        Self { segment: 1.0, popular: 0.5, lately: 0.5, ..Self::default() }
    }

    /// Only what everybody has.
    pub fn popularity() -> Self {
        Self { popular: 1.0, ..Self::default() }
    }

    /// The weights of the terms, in their order.
    pub(super) fn weights(&self) -> [f32; TERMS] {
        let mut weights = [0.0; TERMS];
        weights[..TOGETHER].copy_from_slice(&self.own);
        weights[TOGETHER..NEXT].copy_from_slice(&self.together);
        weights[NEXT..LATENT].copy_from_slice(&self.next);
        weights[LATENT..].copy_from_slice(&[self.latent, self.segment, self.popular, self.lately]);
        weights
    }

    /// The blend of such weights.
    pub(super) fn of_weights(weights: &[f32; TERMS]) -> Self {
        let three = |from: usize| [weights[from], weights[from + 1], weights[from + 2]];
        let own = std::array::from_fn(|term| weights[term]);
        let [latent, segment, popular, lately] = std::array::from_fn(|rest| weights[LATENT + rest]);
        Self { own, together: three(TOGETHER), next: three(NEXT), latent, segment, popular, lately }
    }

    /// Whether every weight is a number.
    pub(super) fn is_finite(&self) -> bool {
        self.weights().iter().all(|weight| weight.is_finite())
    }
}
