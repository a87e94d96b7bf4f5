//! What was learned of things, and scores for a past. A score is a pure function of past, recommender and blend.

use super::blend::{Blend, LATENT, NEXT, PARTS, Part, TERMS, TOGETHER};
use super::neighbours::Neighbours;
use super::past::{FADING, FOLLOWED, OWN, Past, Recency};
use super::rough::{Rough, best};
use super::teaching::{Teaching, shares};
use crate::error::Error;
use crate::prediction::factors::Factors;
use ndarray::Array1;
use serde::{Deserialize, Serialize};

/// The version byte of an encoded recommender.
const FORMAT: u8 = 2;

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
    /// How much of what is had of each thing is had again, as a share.
    again: Vec<f32>,
    /// Milliseconds in which habits halve, quickly and slowly.
    half_lives: [f32; FADING.len()],
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
            again: teaching.again(),
            half_lives: teaching.half_lives(),
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
        let latent = if blend.latent == 0.0 { Vec::new() } else { self.latent(past) };
        self.add_up(past, &blend, &latent, scores);
    }

    /// About the same by the recommender's own blend, in a fraction of the time, and what is not yet sure of it.
    pub(super) fn score_roughly(&self, past: &Past, scores: &mut Vec<f32>) -> Rough<'_> {
        let blend = self.blend_for(past, None);
        let taste = self.taste(past).filter(|_| blend.latent != 0.0);
        let rough = match taste.zip(self.factors.as_ref()) {
            Some((taste, factors)) => Rough::of(factors, taste, blend.latent),
            None => Rough::sure(self.things()),
        };
        self.add_up(past, &blend, rough.latent(), scores);
        rough
    }

    /// The sum of all parts, where `latent` is how much each thing is wanted by the taste of the past; nothing without one.
    fn add_up(&self, past: &Past, blend: &Blend, latent: &[f32], scores: &mut Vec<f32>) {
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
        scores.iter_mut().zip(latent).for_each(|(score, wanted)| *score += blend.latent * wanted);
        for (thing, own) in self.own(past, blend) {
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
            let own = blend.own.iter().zip(self.own_terms(past, rank));
            (touched.thing, own.map(|(weight, own)| weight * own).sum())
        })
    }

    /// The terms of having had the thing of a rank, as of the newest: a past is no younger than that.
    fn own_terms(&self, past: &Past, rank: usize) -> [f32; OWN] {
        let touched = &past.touched[rank];
        let age = past.touched[0].at.since(touched.at).millis() as f32;
        let faded = self.learned.half_lives.map(|half_life| (-age / half_life).exp2());
        let again = self.learned.again.get(touched.thing as usize).copied().unwrap_or_default();
        touched.own(self.recency.of(rank), faded, again)
    }

    /// The best things for a past, best first, of those that are `allowed`, and why.
    pub fn recommend(&self, past: &Past, count: usize, allowed: impl Fn(u32) -> bool) -> Vec<Recommended> {
        self.explained(past, &self.ranked(past, count, allowed))
    }

    /// The best things for a past, best first, of those that are `allowed`.
    pub fn ranked(&self, past: &Past, count: usize, allowed: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut scores = Vec::new();
        let rough = self.score_roughly(past, &mut scores);
        best(&scores, rough.doubts(), count, allowed, |thing| rough.correction(thing))
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
            if touched.thing == thing {
                terms[..OWN].copy_from_slice(&self.own_terms(past, rank));
            }
            let together = learned.together.weight(touched.thing, thing) * touched.strength();
            for (exponent, left) in self.recency.of(rank).into_iter().enumerate() {
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
            if (touched.thing as usize) < self.things() {
                let own = self.own_terms(past, rank);
                own.into_iter().zip(&mut terms.of).for_each(|(own, term)| term[touched.thing as usize] = own);
            }
            for (exponent, left) in self.recency.of(rank).into_iter().enumerate() {
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
        let numbers = [&learned.popular, &learned.lately, &learned.by_segment, &learned.again];
        let finite = numbers.into_iter().flatten().all(|number| number.is_finite())
            && learned.blend.is_finite()
            && learned.half_lives.iter().all(|half_life| half_life.is_finite() && *half_life >= 1.0);
        let fits = learned.lately.len() == things
            && learned.again.len() == things
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

impl PartialEq for Recommender {
    /// By what they would be sent as.
    fn eq(&self, other: &Self) -> bool {
        self.encode() == other.encode()
    }
}
