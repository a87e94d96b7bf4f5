//! Parts of a recommendation score, the terms that each consists of, and a weight for each term.

use super::history::{RANK_DECAYS, REPEAT_TERMS, RankDecays, RepeatTerms, SEQUENCE_RANKS};
use serde::{Deserialize, Serialize};

/// Part of a score, by the kind of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ScorePart {
    /// Earlier interactions of the user with the item.
    Repeat,
    /// Co-occurrence with items of the user's history.
    Cooccurrence,
    /// Sequences: items that follow the user's newest items.
    Sequence,
    /// Latent factors of the user and the item.
    Latent,
    /// Popularity in the user's segment.
    Segment,
    /// Popularity among all users.
    Popular,
    /// Recent popularity among all users.
    Trending,
}

/// Number of terms of a score.
pub(super) const TERMS: usize = LATENT + 4;
/// Index of the first co-occurrence term; the repeat terms come before.
pub(super) const COOCCURRENCE: usize = REPEAT_TERMS;
/// Index of the first sequence term.
pub(super) const SEQUENCE: usize = COOCCURRENCE + RANK_DECAYS;
/// Index of the latent term; segment, popular and trending follow.
pub(super) const LATENT: usize = SEQUENCE + SEQUENCE_RANKS;
/// Number of parts of a score.
pub const PARTS: usize = 7;

/// Values for all terms of a score: the terms of one item, or their weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ScoreTerms {
    pub(super) repeat: RepeatTerms,
    pub(super) cooccurrence: RankDecays,
    /// By rank of the item that is followed, newest first.
    pub(super) sequence: [f32; SEQUENCE_RANKS],
    pub(super) latent: f32,
    pub(super) segment: f32,
    pub(super) popular: f32,
    pub(super) trending: f32,
}

/// Weights of the terms of a score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreWeights {
    pub(super) terms: ScoreTerms,
}

impl ScorePart {
    /// All parts, in the order of their terms.
    pub const ALL: [Self; PARTS] = [
        Self::Repeat,
        Self::Cooccurrence,
        Self::Sequence,
        Self::Latent,
        Self::Segment,
        Self::Popular,
        Self::Trending,
    ];

    /// Part of the term with an index below [`TERMS`].
    pub(super) const fn of_term(term: usize) -> Self {
        match term {
            0..COOCCURRENCE => Self::Repeat,
            COOCCURRENCE..SEQUENCE => Self::Cooccurrence,
            SEQUENCE..LATENT => Self::Sequence,
            _ => [Self::Latent, Self::Segment, Self::Popular, Self::Trending][term - LATENT],
        }
    }
}

impl ScoreTerms {
    /// Values in the order of their terms, for code that goes through all of them.
    pub(super) fn to_array(self) -> [f32; TERMS] {
        let mut values = [0.0; TERMS];
        values[..COOCCURRENCE].copy_from_slice(&self.repeat.to_array());
        values[COOCCURRENCE..SEQUENCE].copy_from_slice(&self.cooccurrence.to_array());
        values[SEQUENCE..LATENT].copy_from_slice(&self.sequence);
        values[LATENT..].copy_from_slice(&[self.latent, self.segment, self.popular, self.trending]);
        values
    }

    /// Inverse of [`Self::to_array`].
    pub(super) fn from_array(values: &[f32; TERMS]) -> Self {
        let [latent, segment, popular, trending] = std::array::from_fn(|index| values[LATENT + index]);
        Self {
            repeat: RepeatTerms::from_array(std::array::from_fn(|index| values[index])),
            cooccurrence: RankDecays::from_array(std::array::from_fn(|index| values[COOCCURRENCE + index])),
            sequence: std::array::from_fn(|index| values[SEQUENCE + index]),
            latent,
            segment,
            popular,
            trending,
        }
    }
}

impl ScoreWeights {
    /// Weights for too little data to fit any.
    pub fn default_weights() -> Self {
        let terms = ScoreTerms {
            repeat: RepeatTerms { inverse_rank: 0.1, ..RepeatTerms::default() },
            cooccurrence: RankDecays { inverse: 1.0, ..RankDecays::default() },
            sequence: [0.2, 0.1, 0.05],
            latent: 0.1,
            segment: 0.0,
            popular: 0.01,
            trending: 0.01,
        };
        Self { terms }
    }

    /// Weights for a user without a history: segment + (popular + trending) / 2.
    pub(super) fn for_unknown_user() -> Self {
        let terms = ScoreTerms { segment: 1.0, popular: 0.5, trending: 0.5, ..ScoreTerms::default() };
        Self { terms }
    }

    /// Weights of popularity among all users alone.
    pub fn popularity() -> Self {
        Self { terms: ScoreTerms { popular: 1.0, ..ScoreTerms::default() } }
    }

    /// Returns the part and value of the first weight that is not finite.
    pub(super) fn not_finite(&self) -> Option<(ScorePart, f32)> {
        let mut weights = self.terms.to_array().into_iter().enumerate();
        let (term, weight) = weights.find(|(_, weight)| !weight.is_finite())?;
        Some((ScorePart::of_term(term), weight))
    }
}
