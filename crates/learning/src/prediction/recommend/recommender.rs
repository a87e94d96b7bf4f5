//! What was learned of things, and scores for a past. A score is a pure function of past, recommender and blend.

use super::approx::{ApproxScores, best};
use super::history::{DECAY_SPANS, History, REPEAT_TERMS, Recency, SEQUENCE_RANKS};
use super::neighbours::Neighbours;
use super::training_set::{TrainingSet, shares};
use super::weights::{COOCCURRENCE, LATENT, PARTS, SEQUENCE, ScorePart, ScoreWeights, TERMS};
use crate::error::Error;
use crate::prediction::factors::Factors;
use ndarray::Array1;
use serde::{Deserialize, Serialize};

/// The version byte of an encoded recommender.
const FORMAT: u8 = 2;

/// What was learned of things.
#[derive(Debug)]
pub struct Recommender {
    model: ItemModel,
    factors: Option<Factors>,
    recency: Recency,
}

/// What is encoded, beside the factors.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ItemModel {
    cooccurrence: Neighbours,
    /// What is had one place after a thing, two places, and so on.
    successors: [Neighbours; SEQUENCE_RANKS],
    /// How often each thing was had, as a share of the most.
    popular: Vec<f32>,
    /// The same, lately.
    trending: Vec<f32>,
    /// The same in each segment, one after the other.
    by_segment: Vec<f32>,
    /// How much of what is had of each thing is had again, as a share.
    repeat_rate: Vec<f32>,
    /// Milliseconds in which habits halve, quickly and slowly.
    half_lives: [f32; DECAY_SPANS.len()],
    /// How much each part counts.
    weights: ScoreWeights,
}

/// A thing and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommended {
    /// Its number.
    pub item: u32,
    /// What it is ordered by.
    pub score: f32,
    /// What each part adds to the score, or takes from it; only those that do, most first. They add up to it.
    pub parts: Vec<(ScorePart, f32)>,
    /// The thing of the past that it goes with most, if one has a part in it.
    pub because_item: Option<u32>,
}

/// Why bytes are no recommender that can be served.
#[derive(Debug, thiserror::Error)]
pub enum RecommenderError {
    /// They are not what was encoded.
    #[error("the recommender's bytes are damaged: {0}")]
    Damaged(String),
    /// Another release made it.
    #[error("the recommender has format {found}, this release reads {FORMAT}: train one here")]
    OtherFormat {
        /// Its format.
        found: u8,
    },
}

/// Scores of all things, and room to work in; used again and again.
#[derive(Debug, Default)]
pub(super) struct ItemTerms {
    /// One row a term.
    pub(super) of: [Vec<f32>; TERMS],
}

impl Recommended {
    /// A thing that nobody had: what adds to others of its kind, on average and without what the shopper had of them before.
    pub(super) fn from_item(thing: u32, kin: &[Self]) -> Self {
        let mut sums = [0.0; PARTS];
        for (part, adds) in kin.iter().flat_map(|one| &one.parts) {
            sums[*part as usize] += adds;
        }
        sums[ScorePart::Repeat as usize] = 0.0;
        let parts = sums.map(|sum| sum / kin.len().max(1) as f32);
        let score = parts.iter().sum();
        Self { item: thing, score, parts: in_order(parts), because_item: None }
    }
}

/// What adds to a score, most first.
fn in_order(parts: [f32; PARTS]) -> Vec<(ScorePart, f32)> {
    let mut parts: Vec<(ScorePart, f32)> =
        ScorePart::ALL.into_iter().zip(parts).filter(|(_, adds)| *adds != 0.0).collect();
    parts.sort_by(|one, other| other.1.total_cmp(&one.1));
    parts
}

impl Recommender {
    /// Learns.
    ///
    /// # Errors
    /// If a number of a thing or segment is too large, or factors cannot be learned with these parameters.
    pub fn learn(teaching: &TrainingSet<'_>) -> Result<Self, Error> {
        teaching.check()?;
        let counts = teaching.counts(|_| 1.0);
        let (lately, by_segment) = (shares(&teaching.trending()), teaching.by_segment());
        let learned = ItemModel {
            cooccurrence: Neighbours::cooccurring(teaching.histories, &counts),
            successors: std::array::from_fn(|rank| {
                Neighbours::successors(teaching.histories, teaching.items, rank + 1)
            }),
            popular: shares(&counts),
            trending: lately,
            by_segment,
            repeat_rate: teaching.repeat_rates(),
            half_lives: teaching.half_lives(),
            weights: ScoreWeights::default_weights(),
        };
        Ok(Self { model: learned, factors: teaching.factors()?, recency: Recency::default() })
    }

    /// The same with other weights of the parts.
    #[must_use]
    pub fn with_weights(mut self, blend: ScoreWeights) -> Self {
        self.model.weights = blend;
        self
    }

    /// How much each part counts.
    pub fn weights(&self) -> &ScoreWeights {
        &self.model.weights
    }

    /// What counts for a past: without one, what others have.
    pub(super) fn weights_for(&self, past: &History, blend: Option<&ScoreWeights>) -> ScoreWeights {
        if past.interactions.is_empty() {
            ScoreWeights::for_unknown_user()
        } else {
            *blend.unwrap_or(&self.model.weights)
        }
    }

    /// How many things it knows.
    pub fn item_count(&self) -> usize {
        self.model.popular.len()
    }

    /// The scores of all things, into `scores`, by another blend than the recommender's own if one is given.
    pub fn score(&self, past: &History, blend: Option<&ScoreWeights>, scores: &mut Vec<f32>) {
        let blend = self.weights_for(past, blend);
        let latent = if blend.latent == 0.0 { Vec::new() } else { self.latent(past) };
        self.add_up(past, &blend, &latent, scores);
    }

    /// About the same by the recommender's own blend, in a fraction of the time, and what is not yet sure of it.
    pub(super) fn approx_scores(&self, past: &History, scores: &mut Vec<f32>) -> ApproxScores<'_> {
        let blend = self.weights_for(past, None);
        let taste = self.user_factors(past).filter(|_| blend.latent != 0.0);
        let rough = match taste.zip(self.factors.as_ref()) {
            Some((taste, factors)) => ApproxScores::of(factors, taste, blend.latent),
            None => ApproxScores::exact(self.item_count()),
        };
        self.add_up(past, &blend, rough.latent(), scores);
        rough
    }

    /// The sum of all parts, where `latent` is how much each thing is wanted by the taste of the past; nothing without one.
    fn add_up(&self, past: &History, blend: &ScoreWeights, latent: &[f32], scores: &mut Vec<f32>) {
        let learned = &self.model;
        scores.clear();
        scores.extend(
            learned
                .popular
                .iter()
                .zip(&learned.trending)
                .map(|(popular, lately)| blend.popular * popular + blend.trending * lately),
        );
        if blend.segment != 0.0 {
            let row = self.segment_row(past);
            scores.iter_mut().zip(row).for_each(|(score, share)| *score += blend.segment * share);
        }
        scores.iter_mut().zip(latent).for_each(|(score, wanted)| *score += blend.latent * wanted);
        for (thing, own) in self.repeat_scores(past, blend) {
            scores[thing as usize] += own;
        }
        for (rank, touched) in past.interactions.iter().enumerate() {
            let weights = blend.cooccurrence.iter().zip(self.recency.at_rank(rank));
            let together = weights.map(|(weight, left)| weight * left).sum::<f32>() * touched.strength();
            for (thing, weight) in learned.cooccurrence.of_item(touched.item) {
                scores[thing] += together * weight;
            }
        }
        for ((touched, following), next) in
            past.interactions.iter().zip(&learned.successors).zip(blend.sequence)
        {
            following.of_item(touched.item).for_each(|(thing, weight)| scores[thing] += next * weight);
        }
    }

    /// What having had things before adds to their scores.
    pub(super) fn repeat_scores<'a>(
        &'a self,
        past: &'a History,
        blend: &'a ScoreWeights,
    ) -> impl Iterator<Item = (u32, f32)> + 'a {
        let known =
            past.interactions.iter().enumerate().filter(|(_, one)| (one.item as usize) < self.item_count());
        known.map(|(rank, touched)| {
            let own = blend.repeat.iter().zip(self.repeat_terms(past, rank));
            (touched.item, own.map(|(weight, own)| weight * own).sum())
        })
    }

    /// The terms of having had the thing of a rank, as of the newest: a past is no younger than that.
    fn repeat_terms(&self, past: &History, rank: usize) -> [f32; REPEAT_TERMS] {
        let touched = &past.interactions[rank];
        let age = past.interactions[0].at.since(touched.at).millis() as f32;
        let faded = self.model.half_lives.map(|half_life| (-age / half_life).exp2());
        let again = self.model.repeat_rate.get(touched.item as usize).copied().unwrap_or_default();
        touched.repeat_terms(self.recency.at_rank(rank), faded, again)
    }

    /// The best things for a past, best first, of those that are `allowed`, and why.
    pub fn recommend(&self, past: &History, count: usize, allowed: impl Fn(u32) -> bool) -> Vec<Recommended> {
        self.explained(past, &self.ranked(past, count, allowed))
    }

    /// The best things for a past, best first, of those that are `allowed`.
    pub fn ranked(&self, past: &History, count: usize, allowed: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut scores = Vec::new();
        let rough = self.approx_scores(past, &mut scores);
        best(&scores, rough.error_bounds(), count, allowed, |thing| rough.correction(thing))
    }

    /// Why things are recommended for a past, each with its score.
    pub fn explained(&self, past: &History, things: &[u32]) -> Vec<Recommended> {
        let taste = self.user_factors(past);
        let known = things.iter().filter(|thing| (**thing as usize) < self.item_count());
        known.map(|thing| self.explained_one(past, *thing, taste.as_ref())).collect()
    }

    fn explained_one(&self, past: &History, thing: u32, taste: Option<&Array1<f32>>) -> Recommended {
        let weights = self.weights_for(past, None).to_array();
        let mut parts = [0.0; PARTS];
        for (term, value) in self.terms_of(past, thing, taste).into_iter().enumerate() {
            parts[ScorePart::of_term(term) as usize] += weights[term] * value;
        }
        let score = parts.iter().sum();
        let pull = |rank: usize| {
            let touched = &past.interactions[rank];
            self.model.cooccurrence.weight(touched.item, thing) * self.recency.at_rank(rank)[1]
        };
        let nearest = (0..past.interactions.len()).max_by(|one, other| pull(*one).total_cmp(&pull(*other)));
        let because = nearest.filter(|rank| pull(*rank) > 0.0).map(|rank| past.interactions[rank].item);
        Recommended { item: thing, score, parts: in_order(parts), because_item: because }
    }

    /// The terms of one thing.
    fn terms_of(&self, past: &History, thing: u32, taste: Option<&Array1<f32>>) -> [f32; TERMS] {
        let learned = &self.model;
        let index = thing as usize;
        let mut terms = [0.0; TERMS];
        for (rank, touched) in past.interactions.iter().enumerate() {
            if touched.item == thing {
                terms[..REPEAT_TERMS].copy_from_slice(&self.repeat_terms(past, rank));
            }
            let together = learned.cooccurrence.weight(touched.item, thing) * touched.strength();
            for (exponent, left) in self.recency.at_rank(rank).into_iter().enumerate() {
                terms[COOCCURRENCE + exponent] += left * together;
            }
        }
        for (rank, (touched, following)) in past.interactions.iter().zip(&learned.successors).enumerate() {
            terms[SEQUENCE + rank] = following.weight(touched.item, thing);
        }
        let row = self.segment_row(past);
        let latent = taste.zip(self.factors.as_ref());
        let latent = latent.map_or(0.0, |(taste, factors)| factors.items().row(index).dot(taste));
        let or_none = |values: &[f32]| values.get(index).copied().unwrap_or_default();
        terms[LATENT..].copy_from_slice(&[
            latent,
            or_none(row),
            learned.popular[index],
            learned.trending[index],
        ]);
        terms
    }

    /// The terms of all things.
    pub(super) fn terms(&self, past: &History, terms: &mut ItemTerms) {
        let learned = &self.model;
        terms.of.iter_mut().for_each(|term| {
            term.clear();
            term.resize(self.item_count(), 0.0);
        });
        for (rank, touched) in past.interactions.iter().enumerate() {
            if (touched.item as usize) < self.item_count() {
                let own = self.repeat_terms(past, rank);
                own.into_iter().zip(&mut terms.of).for_each(|(own, term)| term[touched.item as usize] = own);
            }
            for (exponent, left) in self.recency.at_rank(rank).into_iter().enumerate() {
                let together = &mut terms.of[COOCCURRENCE + exponent];
                let left = left * touched.strength();
                learned
                    .cooccurrence
                    .of_item(touched.item)
                    .for_each(|(thing, weight)| together[thing] += left * weight);
            }
        }
        for (rank, (touched, following)) in past.interactions.iter().zip(&learned.successors).enumerate() {
            following
                .of_item(touched.item)
                .for_each(|(thing, weight)| terms.of[SEQUENCE + rank][thing] = weight);
        }
        let row = self.segment_row(past);
        let rest = [&self.latent(past)[..], row, &learned.popular, &learned.trending];
        for (term, values) in terms.of[LATENT..].iter_mut().zip(rest) {
            term.iter_mut().zip(values).for_each(|(term, value)| *term = *value);
        }
    }

    /// The taste that a past shows, as a vector; none without factors or a past.
    fn user_factors(&self, past: &History) -> Option<Array1<f32>> {
        let factors = self.factors.as_ref().filter(|_| !past.interactions.is_empty())?;
        let taken: Vec<(u32, f32)> = past.interactions.iter().map(|touched| (touched.item, 1.0)).collect();
        Some(factors.fold_in(&taken))
    }

    /// How much each thing is wanted by that taste; nothing without one.
    fn latent(&self, past: &History) -> Vec<f32> {
        let wanted = self.user_factors(past).zip(self.factors.as_ref());
        wanted.map(|(taste, factors)| factors.scores(taste.view()).to_vec()).unwrap_or_default()
    }

    fn segment_row(&self, past: &History) -> &[f32] {
        let things = self.item_count();
        let row = past.segment.and_then(|segment| {
            let from = segment as usize * things;
            self.model.by_segment.get(from..from + things)
        });
        row.unwrap_or_default()
    }

    /// Its bytes: a version byte, and in postcard what was learned and the bytes of the factors.
    pub fn encode(&self) -> Vec<u8> {
        let factors = self.factors.as_ref().map(Factors::encode);
        postcard::to_extend(&(&self.model, factors), vec![FORMAT])
            .expect("writing to memory cannot fail: every type here has a known length")
    }

    /// The recommender of such bytes, checked whole.
    ///
    /// # Errors
    /// Whatever makes it unfit to be served.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecommenderError> {
        let damaged = |what: &str| RecommenderError::Damaged(what.to_owned());
        let (&found, rest) = bytes.split_first().ok_or_else(|| damaged("there are none"))?;
        if found != FORMAT {
            return Err(RecommenderError::OtherFormat { found });
        }
        let (learned, factors): (ItemModel, Option<Vec<u8>>) =
            postcard::from_bytes(rest).map_err(|error| damaged(&error.to_string()))?;
        let factors = factors.map(|bytes| Factors::decode(&bytes)).transpose();
        let factors = factors.map_err(|error| damaged(&error.to_string()))?;
        let things = learned.popular.len();
        let numbers = [&learned.popular, &learned.trending, &learned.by_segment, &learned.repeat_rate];
        let finite = numbers.into_iter().flatten().all(|number| number.is_finite())
            && learned.weights.is_finite()
            && learned.half_lives.iter().all(|half_life| half_life.is_finite() && *half_life >= 1.0);
        let fits = learned.trending.len() == things
            && learned.repeat_rate.len() == things
            && (things == 0 || learned.by_segment.len().is_multiple_of(things))
            && factors.as_ref().is_none_or(|factors| factors.items().nrows() == things);
        if !finite
            || !fits
            || !learned.cooccurrence.is_sound(things)
            || !learned.successors.iter().all(|following| following.is_sound(things))
        {
            return Err(damaged("they do not fit together"));
        }
        Ok(Self { model: learned, factors, recency: Recency::default() })
    }
}

impl PartialEq for Recommender {
    /// By what they would be sent as.
    fn eq(&self, other: &Self) -> bool {
        self.encode() == other.encode()
    }
}
