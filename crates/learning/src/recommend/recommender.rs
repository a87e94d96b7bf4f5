//! What was learned of things, and scores for a past. A score is a pure function of past, recommender and blend.

use super::blend::{Blend, LATENT, NEXT, PARTS, Part, TERMS, TOGETHER};
use super::neighbours::Neighbours;
use super::past::{FOLLOWED, Past, Recency};
use crate::error::Error;
use crate::factors::{self, Factors, Interactions, Params};
use ndarray::Array1;
use portrait_profile::Timestamp;
use serde::{Deserialize, Serialize};

/// The version byte of an encoded recommender.
const FORMAT: u8 = 1;
/// "Lately" halves with this share of the time that the pasts span.
const LATELY_SHARE: f64 = 0.1;
/// Shoppers must have had so many things to teach what goes together.
const PAST_MIN: usize = 2;

/// What a recommender is taught from.
#[derive(Clone, Copy, Debug)]
pub struct Teaching<'a> {
    /// How many things there are; their numbers are below it.
    pub things: usize,
    /// How many segments there are.
    pub segments: usize,
    /// What shoppers had.
    pub pasts: &'a [Past],
    /// How latent factors are learned; none leaves them out.
    pub latent: Option<&'a Params>,
}

/// What was learned of things.
#[derive(Debug)]
pub struct Recommender {
    learned: Learned,
    factors: Option<Factors>,
    recency: Recency,
}

/// What is encoded, beside the factors.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Learned {
    together: Neighbours,
    /// What is had one place after a thing, two places, and so on.
    following: [Neighbours; FOLLOWED],
    /// How often each thing was had, as a share of the most.
    popular: Vec<f32>,
    /// The same, lately.
    lately: Vec<f32>,
    /// The same in each segment, one after the other.
    by_segment: Vec<f32>,
    /// How much each part counts.
    blend: Blend,
}

/// A thing and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommended {
    /// Its number.
    pub thing: u32,
    /// What it is ordered by.
    pub score: f32,
    /// What each part adds to the score, or takes from it; only those that do, most first. They add up to it.
    pub parts: Vec<(Part, f32)>,
    /// The thing of the past that it goes with most, if one has a part in it.
    pub because: Option<u32>,
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
pub(super) struct Terms {
    /// One row a term.
    pub(super) of: [Vec<f32>; TERMS],
}

impl Recommended {
    /// A thing that nobody had: what adds to others of its kind, on average and without what the shopper had of them before.
    pub(super) fn like(thing: u32, kin: &[Self]) -> Self {
        let mut sums = [0.0; PARTS];
        for (part, adds) in kin.iter().flat_map(|one| &one.parts) {
            sums[*part as usize] += adds;
        }
        sums[Part::Own as usize] = 0.0;
        let parts = sums.map(|sum| sum / kin.len().max(1) as f32);
        let score = parts.iter().sum();
        Self { thing, score, parts: in_order(parts), because: None }
    }
}

/// What adds to a score, most first.
fn in_order(parts: [f32; PARTS]) -> Vec<(Part, f32)> {
    let mut parts: Vec<(Part, f32)> =
        Part::ALL.into_iter().zip(parts).filter(|(_, adds)| *adds != 0.0).collect();
    parts.sort_by(|one, other| other.1.total_cmp(&one.1));
    parts
}

impl Recommender {
    /// Learns.
    ///
    /// # Errors
    /// If a number of a thing or segment is too large, or factors cannot be learned with these parameters.
    pub fn learn(teaching: &Teaching<'_>) -> Result<Self, Error> {
        teaching.check()?;
        let counts = teaching.counts(|_| 1.0);
        let (lately, by_segment) = (shares(&teaching.lately()), teaching.by_segment());
        let learned = Learned {
            together: Neighbours::together(teaching.pasts, &counts),
            following: std::array::from_fn(|rank| {
                Neighbours::following(teaching.pasts, teaching.things, rank + 1)
            }),
            popular: shares(&counts),
            lately,
            by_segment,
            blend: Blend::usual(),
        };
        Ok(Self { learned, factors: teaching.factors()?, recency: Recency::default() })
    }

    /// The same with other weights of the parts.
    #[must_use]
    pub fn with_blend(mut self, blend: Blend) -> Self {
        self.learned.blend = blend;
        self
    }

    /// How much each part counts.
    pub fn blend(&self) -> &Blend {
        &self.learned.blend
    }

    /// What counts for a past: without one, what others have.
    pub(super) fn blend_for(&self, past: &Past, blend: Option<&Blend>) -> Blend {
        if past.touched.is_empty() { Blend::of_nobody() } else { *blend.unwrap_or(&self.learned.blend) }
    }

    /// How many things it knows.
    pub fn things(&self) -> usize {
        self.learned.popular.len()
    }

    /// The scores of all things, into `scores`, by another blend than the recommender's own if one is given.
    pub fn score(&self, past: &Past, blend: Option<&Blend>, scores: &mut Vec<f32>) {
        let blend = self.blend_for(past, blend);
        let learned = &self.learned;
        scores.clear();
        scores.extend(
            learned
                .popular
                .iter()
                .zip(&learned.lately)
                .map(|(popular, lately)| blend.popular * popular + blend.lately * lately),
        );
        if blend.segment != 0.0 {
            let row = self.segment_row(past);
            scores.iter_mut().zip(row).for_each(|(score, share)| *score += blend.segment * share);
        }
        if blend.latent != 0.0 {
            let wanted = self.latent(past);
            scores.iter_mut().zip(&wanted).for_each(|(score, wanted)| *score += blend.latent * wanted);
        }
        for (thing, own) in self.own(past, &blend) {
            scores[thing as usize] += own;
        }
        for (rank, touched) in past.touched.iter().enumerate() {
            let weights = blend.together.iter().zip(self.recency.of(rank));
            let together = weights.map(|(weight, left)| weight * left).sum::<f32>() * touched.strength();
            for (thing, weight) in learned.together.of_thing(touched.thing) {
                scores[thing] += together * weight;
            }
        }
        for ((touched, following), next) in past.touched.iter().zip(&learned.following).zip(blend.next) {
            following.of_thing(touched.thing).for_each(|(thing, weight)| scores[thing] += next * weight);
        }
    }

    /// What having had things before adds to their scores.
    pub(super) fn own<'a>(
        &'a self,
        past: &'a Past,
        blend: &'a Blend,
    ) -> impl Iterator<Item = (u32, f32)> + 'a {
        let known = past.touched.iter().enumerate().filter(|(_, one)| (one.thing as usize) < self.things());
        known.map(|(rank, touched)| {
            let own = blend.own.iter().zip(self.recency.of(rank)).zip(touched.own());
            (touched.thing, own.map(|((weight, left), own)| weight * left * own).sum())
        })
    }

    /// The best things for a past, best first, of those that are `allowed`, and why.
    pub fn recommend(&self, past: &Past, count: usize, allowed: impl Fn(u32) -> bool) -> Vec<Recommended> {
        self.explained(past, &self.ranked(past, count, allowed))
    }

    /// The best things for a past, best first, of those that are `allowed`.
    pub fn ranked(&self, past: &Past, count: usize, allowed: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut scores = Vec::new();
        self.score(past, None, &mut scores);
        best(&scores, count, allowed)
    }

    /// Why things are recommended for a past, each with its score.
    pub fn explained(&self, past: &Past, things: &[u32]) -> Vec<Recommended> {
        let taste = self.taste(past);
        let known = things.iter().filter(|thing| (**thing as usize) < self.things());
        known.map(|thing| self.explained_one(past, *thing, taste.as_ref())).collect()
    }

    fn explained_one(&self, past: &Past, thing: u32, taste: Option<&Array1<f32>>) -> Recommended {
        let weights = self.blend_for(past, None).weights();
        let mut parts = [0.0; PARTS];
        for (term, value) in self.terms_of(past, thing, taste).into_iter().enumerate() {
            parts[Part::of_term(term) as usize] += weights[term] * value;
        }
        let score = parts.iter().sum();
        let pull = |rank: usize| {
            let touched = &past.touched[rank];
            self.learned.together.weight(touched.thing, thing) * self.recency.of(rank)[1]
        };
        let nearest = (0..past.touched.len()).max_by(|one, other| pull(*one).total_cmp(&pull(*other)));
        let because = nearest.filter(|rank| pull(*rank) > 0.0).map(|rank| past.touched[rank].thing);
        Recommended { thing, score, parts: in_order(parts), because }
    }

    /// The terms of one thing.
    fn terms_of(&self, past: &Past, thing: u32, taste: Option<&Array1<f32>>) -> [f32; TERMS] {
        let learned = &self.learned;
        let index = thing as usize;
        let mut terms = [0.0; TERMS];
        for (rank, touched) in past.touched.iter().enumerate() {
            let own = if touched.thing == thing { touched.own() } else { [0.0; 3] };
            let together = learned.together.weight(touched.thing, thing) * touched.strength();
            for (exponent, left) in self.recency.of(rank).into_iter().enumerate() {
                terms[exponent] += left * own[exponent];
                terms[TOGETHER + exponent] += left * together;
            }
        }
        for (rank, (touched, following)) in past.touched.iter().zip(&learned.following).enumerate() {
            terms[NEXT + rank] = following.weight(touched.thing, thing);
        }
        let row = self.segment_row(past);
        let latent = taste.zip(self.factors.as_ref());
        let latent = latent.map_or(0.0, |(taste, factors)| factors.items().row(index).dot(taste));
        let or_none = |values: &[f32]| values.get(index).copied().unwrap_or_default();
        terms[LATENT..].copy_from_slice(&[
            latent,
            or_none(row),
            learned.popular[index],
            learned.lately[index],
        ]);
        terms
    }

    /// The terms of all things.
    pub(super) fn terms(&self, past: &Past, terms: &mut Terms) {
        let learned = &self.learned;
        terms.of.iter_mut().for_each(|term| {
            term.clear();
            term.resize(self.things(), 0.0);
        });
        for (rank, touched) in past.touched.iter().enumerate() {
            let recency = self.recency.of(rank);
            for (exponent, left) in recency.into_iter().enumerate() {
                if let Some(own) = terms.of[exponent].get_mut(touched.thing as usize) {
                    *own += left * touched.own()[exponent];
                }
                let together = &mut terms.of[TOGETHER + exponent];
                let left = left * touched.strength();
                learned
                    .together
                    .of_thing(touched.thing)
                    .for_each(|(thing, weight)| together[thing] += left * weight);
            }
        }
        for (rank, (touched, following)) in past.touched.iter().zip(&learned.following).enumerate() {
            following
                .of_thing(touched.thing)
                .for_each(|(thing, weight)| terms.of[NEXT + rank][thing] = weight);
        }
        let row = self.segment_row(past);
        let rest = [&self.latent(past)[..], row, &learned.popular, &learned.lately];
        for (term, values) in terms.of[LATENT..].iter_mut().zip(rest) {
            term.iter_mut().zip(values).for_each(|(term, value)| *term = *value);
        }
    }

    /// The taste that a past shows, as a vector; none without factors or a past.
    fn taste(&self, past: &Past) -> Option<Array1<f32>> {
        let factors = self.factors.as_ref().filter(|_| !past.touched.is_empty())?;
        let taken: Vec<(u32, f32)> = past.touched.iter().map(|touched| (touched.thing, 1.0)).collect();
        Some(factors.fold_in(&taken))
    }

    /// How much each thing is wanted by that taste; nothing without one.
    fn latent(&self, past: &Past) -> Vec<f32> {
        let wanted = self.taste(past).zip(self.factors.as_ref());
        wanted.map(|(taste, factors)| factors.scores(taste.view()).to_vec()).unwrap_or_default()
    }

    fn segment_row(&self, past: &Past) -> &[f32] {
        let things = self.things();
        let row = past.segment.and_then(|segment| {
            let from = segment as usize * things;
            self.learned.by_segment.get(from..from + things)
        });
        row.unwrap_or_default()
    }

    /// Its bytes: a version byte, and in postcard what was learned and the bytes of the factors.
    pub fn encode(&self) -> Vec<u8> {
        let factors = self.factors.as_ref().map(Factors::encode);
        postcard::to_extend(&(&self.learned, factors), vec![FORMAT])
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
        let (learned, factors): (Learned, Option<Vec<u8>>) =
            postcard::from_bytes(rest).map_err(|error| damaged(&error.to_string()))?;
        let factors = factors.map(|bytes| Factors::decode(&bytes)).transpose();
        let factors = factors.map_err(|error| damaged(&error.to_string()))?;
        let things = learned.popular.len();
        let numbers = [&learned.popular, &learned.lately, &learned.by_segment];
        let finite =
            numbers.into_iter().flatten().all(|number| number.is_finite()) && learned.blend.is_finite();
        let fits = learned.lately.len() == things
            && (things == 0 || learned.by_segment.len().is_multiple_of(things))
            && factors.as_ref().is_none_or(|factors| factors.items().nrows() == things);
        if !finite
            || !fits
            || !learned.together.is_sound(things)
            || !learned.following.iter().all(|following| following.is_sound(things))
        {
            return Err(damaged("they do not fit together"));
        }
        Ok(Self { learned, factors, recency: Recency::default() })
    }
}

impl Teaching<'_> {
    fn check(&self) -> Result<(), Error> {
        let refused =
            |problem: &str| Err(Error::Parameter { parameter: "pasts", problem: problem.to_owned() });
        let known = |past: &Past| past.touched.iter().all(|touched| (touched.thing as usize) < self.things);
        if !self.pasts.iter().all(known) {
            return refused("name a thing beyond their number");
        }
        let segment = |past: &Past| past.segment.is_none_or(|segment| (segment as usize) < self.segments);
        if self.pasts.iter().all(segment) { Ok(()) } else { refused("name a segment beyond their number") }
    }

    /// For each thing the sum of what having had it weighs.
    fn counts(&self, weight: impl Fn(Timestamp) -> f32) -> Vec<f32> {
        let mut counts = vec![0.0; self.things];
        for touched in self.pasts.iter().flat_map(|past| &past.touched) {
            counts[touched.thing as usize] += touched.times * weight(touched.at);
        }
        counts
    }

    fn lately(&self) -> Vec<f32> {
        let times = self.pasts.iter().flat_map(|past| &past.touched).map(|touched| touched.at);
        let (Some(oldest), Some(newest)) = (times.clone().min(), times.max()) else {
            return vec![0.0; self.things];
        };
        let half_life = (newest.since(oldest).millis() as f64 * LATELY_SHARE).max(1.0);
        self.counts(|at| (-(newest.since(at).millis() as f64) / half_life).exp2() as f32)
    }

    fn by_segment(&self) -> Vec<f32> {
        let of = |segment: usize| {
            let mut counts = vec![0.0; self.things];
            let members = self.pasts.iter().filter(|past| past.segment == Some(segment as u32));
            members
                .flat_map(|past| &past.touched)
                .for_each(|touched| counts[touched.thing as usize] += touched.times);
            shares(&counts)
        };
        (0..self.segments).flat_map(of).collect()
    }

    fn factors(&self) -> Result<Option<Factors>, Error> {
        let Some(params) = self.latent.filter(|_| self.things > 0) else { return Ok(None) };
        let pasts: Vec<&Past> = self.pasts.iter().filter(|past| past.touched.len() >= PAST_MIN).collect();
        if pasts.is_empty() {
            return Ok(None);
        }
        let entries = pasts
            .iter()
            .enumerate()
            .flat_map(|(row, past)| past.touched.iter().map(move |touched| (row as u32, touched.thing, 1.0)));
        let interactions = Interactions::from_entries(pasts.len(), self.things, entries.collect())?;
        Ok(Some(factors::train(&interactions, params)?.factors))
    }
}

/// The places of the highest scores, highest first, of those that are `allowed`.
pub(super) fn best(scores: &[f32], count: usize, allowed: impl Fn(u32) -> bool) -> Vec<u32> {
    let mut best: Vec<u32> = (0..scores.len() as u32).filter(|thing| allowed(*thing)).collect();
    let order = |one: &u32, other: &u32| {
        scores[*other as usize].total_cmp(&scores[*one as usize]).then(one.cmp(other))
    };
    if best.len() > count && count > 0 {
        best.select_nth_unstable_by(count - 1, order);
    }
    best.truncate(count);
    best.sort_unstable_by(order);
    best
}

/// Counts as shares of the most.
fn shares(counts: &[f32]) -> Vec<f32> {
    let most = counts.iter().copied().fold(0.0, f32::max);
    counts.iter().map(|count| if most > 0.0 { count / most } else { 0.0 }).collect()
}

impl PartialEq for Recommender {
    /// By what they would be sent as.
    fn eq(&self, other: &Self) -> bool {
        self.encode() == other.encode()
    }
}
