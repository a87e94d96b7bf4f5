//! How much each part of a recommendation counts.

use super::past::EXPONENTS;
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

/// Terms of a score: parts that fade with rank are there once for each exponent.
pub(super) const TERMS: usize = 2 * EXPONENTS.len() + 5;
/// How many parts there are.
pub const PARTS: usize = 7;

/// A weight for each term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Blend {
    pub(super) own: [f32; EXPONENTS.len()],
    pub(super) together: [f32; EXPONENTS.len()],
    pub(super) next: f32,
    pub(super) latent: f32,
    pub(super) segment: f32,
    pub(super) popular: f32,
    pub(super) lately: f32,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; PARTS] = [
        Self::Own,
        Self::Together,
        Self::Next,
        Self::Latent,
        Self::Segment,
        Self::Popular,
        Self::Lately,
    ];

    /// The part that a term belongs to.
    pub(super) const fn of_term(term: usize) -> Self {
        const FADING: usize = EXPONENTS.len();
        match term {
            0..FADING => Self::Own,
            FADING..6 => Self::Together,
            6 => Self::Next,
            7 => Self::Latent,
            8 => Self::Segment,
            9 => Self::Popular,
            _ => Self::Lately,
        }
    }
}

impl Blend {
    /// What recommends before anything is known of how much parts count.
    pub fn usual() -> Self {
        Self {
            own: [0.0, 0.0, 0.1],
            together: [0.0, 0.0, 1.0],
            next: 0.2,
            latent: 0.1,
            segment: 0.0,
            popular: 0.01,
            lately: 0.01,
        }
    }

    /// Only what everybody has.
    pub fn popularity() -> Self {
        Self { popular: 1.0, ..Self::default() }
    }

    /// The weights of the terms, in their order.
    pub(super) fn weights(&self) -> [f32; TERMS] {
        let [own0, own1, own2] = self.own;
        let [together0, together1, together2] = self.together;
        let rest = [self.next, self.latent, self.segment, self.popular, self.lately];
        let [next, latent, segment, popular, lately] = rest;
        [own0, own1, own2, together0, together1, together2, next, latent, segment, popular, lately]
    }

    /// The blend of such weights.
    pub(super) fn of_weights(weights: [f32; TERMS]) -> Self {
        let [own0, own1, own2, together0, together1, together2, next, latent, segment, popular, lately] = weights;
        Self {
            own: [own0, own1, own2],
            together: [together0, together1, together2],
            next,
            latent,
            segment,
            popular,
            lately,
        }
    }

    /// Whether every weight is a number.
    pub(super) fn is_finite(&self) -> bool {
        self.weights().iter().all(|weight| weight.is_finite())
    }
}
