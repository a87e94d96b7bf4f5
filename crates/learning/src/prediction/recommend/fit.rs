//! How much parts should count: in come pasts and what followed each of them, out goes the blend that ranks what followed
//! highest. Weights are moved one at a time on a grid of factors (coordinate ascent; Metzler and Croft, "Linear Feature-based
//! Models for Information Retrieval", 2007, section 4.3), from the few terms that do best alone. What is sought is not how often
//! what followed is among the first, which a few examples decide by chance, but a smooth step around that place (as Taylor,
//! Guiver, Robertson and Minka smooth ranks, "SoftRank", WSDM 2008).

use super::history::History;
use super::recommender::{ItemTerms, Recommender};
use super::weights::{ScorePart, ScoreWeights, TERMS};
use rayon::prelude::*;

/// Things that count as found are among so many first ones.
pub(super) const HIT_TOP: usize = 20;
/// How many of the best things of each term compete.
const CANDIDATES_MAX: usize = 60;
/// Factors that a weight is tried with.
const FACTORS: [f32; 10] = [0.0, 0.1, 0.25, 0.5, 0.8, 1.25, 2.0, 4.0, 10.0, 30.0];
/// Weights that one is tried with that was 0, for terms whose best thing has 1 on the mean.
const INITIAL_WEIGHTS: [f32; 4] = [0.003, 0.03, 0.3, 3.0];
/// From how many terms, those that find most alone, the search begins.
const STARTS: usize = 3;
/// How often all weights are gone through at most.
const SWEEPS: usize = 6;
/// The step around the last place that counts as found is so wide, as a share of the places that do.
const STEP: f64 = 0.25;
/// What the place itself counts beside having been found: it tells apart blends that find as many.
const RANK_WEIGHT: f64 = 0.2;

/// Scores this close, as a share of the score itself, tie: sums are not always made in the same order.
const GAIN_TIE: f32 = 1e-6;

/// A past and what followed.
#[derive(Clone, Debug)]
pub struct HoldoutExample {
    /// The past.
    pub history: History,
    /// The thing that was had next.
    pub next: u32,
}

/// What fitting is to look at.
#[derive(Clone, Copy, Debug)]
pub struct WeightFitOptions<'a> {
    /// Which parts may count.
    pub parts: &'a [ScorePart],
    /// How many first things count as found.
    pub hit_top: usize,
}

/// What competes in one example: by term the values of all candidates, what followed first.
struct CandidateSet {
    terms: [Vec<f32>; TERMS],
}

/// Weights on the way, with the score of each candidate of each race.
struct CoordinateAscent<'a> {
    examples: &'a [CandidateSet],
    weights: [f32; TERMS],
    scores: Vec<Vec<f32>>,
    within: f64,
    objective: f64,
}

impl WeightFitOptions<'_> {
    /// With all parts, 20 things.
    pub const ALL: WeightFitOptions<'static> = WeightFitOptions { parts: &ScorePart::ALL, hit_top: HIT_TOP };
}

/// The blend that finds most of what followed, and how much it finds (0 to 1).
pub fn fit_weights(
    recommender: &Recommender,
    examples: &[HoldoutExample],
    fitting: WeightFitOptions<'_>,
) -> (ScoreWeights, f64) {
    let races: Vec<CandidateSet> = examples
        .par_iter()
        .map_init(ItemTerms::default, |terms, example| CandidateSet::of(recommender, example, terms))
        .collect();
    let scales = scales(&races);
    let may = |term: &usize| fitting.parts.contains(&ScorePart::of_term(*term)) && scales[*term] > 0.0;
    let terms: Vec<usize> = (0..TERMS).filter(may).collect();
    let within = fitting.hit_top as f64;
    let alone = |first: &usize| {
        let mut weights = [0.0; TERMS];
        weights[*first] = 1.0 / scales[*first];
        CoordinateAscent::from(&races, weights, within)
    };
    let mut starts: Vec<CoordinateAscent<'_>> = terms.iter().map(alone).collect();
    starts.sort_by(|one, other| other.objective.total_cmp(&one.objective));
    starts.truncate(STARTS);
    starts.iter_mut().for_each(|climb| climb.ascend(&terms, &scales));
    let best = starts.into_iter().max_by(|one, other| one.objective.total_cmp(&other.objective));
    let weights = best.map_or([0.0; TERMS], |climb| climb.weights);
    let found = races.iter().filter(|race| rank(&race.scores(&weights)) < within).count();
    (ScoreWeights::from_array(&weights), found as f64 / races.len().max(1) as f64)
}

impl CandidateSet {
    fn of(recommender: &Recommender, example: &HoldoutExample, terms: &mut ItemTerms) -> Self {
        recommender.terms(&example.history, terms);
        let mut candidates: Vec<u32> = Vec::new();
        let mut order: Vec<u32> = Vec::new();
        for term in &terms.of {
            order.clear();
            order.extend((0..term.len() as u32).filter(|thing| term[*thing as usize] > 0.0));
            let better = |one: &u32, other: &u32| {
                term[*other as usize].total_cmp(&term[*one as usize]).then(one.cmp(other))
            };
            if order.len() > CANDIDATES_MAX {
                order.select_nth_unstable_by(CANDIDATES_MAX, better);
                order.truncate(CANDIDATES_MAX);
            }
            candidates.extend_from_slice(&order);
        }
        candidates.sort_unstable();
        candidates.dedup();
        let others = candidates.into_iter().filter(|thing| *thing != example.next);
        let things: Vec<u32> = std::iter::once(example.next).chain(others).collect();
        let value = |term: &Vec<f32>, thing: &u32| term.get(*thing as usize).copied().unwrap_or_default();
        let of = |term: &Vec<f32>| things.iter().map(|thing| value(term, thing)).collect();
        Self { terms: std::array::from_fn(|term| of(&terms.of[term])) }
    }

    fn scores(&self, weights: &[f32; TERMS]) -> Vec<f32> {
        let mut scores = vec![0.0; self.terms[0].len()];
        for (term, weight) in self.terms.iter().zip(weights).filter(|(_, weight)| **weight != 0.0) {
            scores.iter_mut().zip(term).for_each(|(score, value)| *score += weight * value);
        }
        scores
    }
}

impl<'a> CoordinateAscent<'a> {
    fn from(races: &'a [CandidateSet], weights: [f32; TERMS], within: f64) -> Self {
        let scores: Vec<Vec<f32>> = races.par_iter().map(|race| race.scores(&weights)).collect();
        let worth = total(scores.par_iter().map(|scores| objective(rank(scores), within)));
        Self { examples: races, weights, scores, within, objective: worth }
    }

    /// To where no step of one weight is better.
    fn ascend(&mut self, terms: &[usize], scales: &[f32; TERMS]) {
        for _ in 0..SWEEPS {
            let before = self.objective;
            for term in terms {
                let now = self.weights[*term];
                let tries: Vec<f32> = if now == 0.0 {
                    INITIAL_WEIGHTS.map(|weight| weight / scales[*term]).to_vec()
                } else {
                    FACTORS.map(|factor| factor * now).to_vec()
                };
                let tried = tries.into_iter().map(|weight| (weight, self.with(*term, weight)));
                let best = tried.max_by(|one, other| one.1.total_cmp(&other.1));
                if let Some((weight, _)) = best.filter(|(_, worth)| *worth > self.objective) {
                    let weights =
                        std::array::from_fn(|one| if one == *term { weight } else { self.weights[one] });
                    *self = Self::from(self.examples, weights, self.within);
                }
            }
            if self.objective <= before {
                break;
            }
        }
    }

    /// The worth if one term had another weight.
    fn with(&self, term: usize, weight: f32) -> f64 {
        let more = weight - self.weights[term];
        total(self.examples.par_iter().zip(&self.scores).map(|(race, scores)| {
            let scores = scores.iter().zip(&race.terms[term]).map(|(score, value)| score + more * value);
            objective(rank_of_next(scores), self.within)
        }))
    }
}

/// How much it is worth that what followed is at a place.
fn objective(place: f64, within: f64) -> f64 {
    let step = 1.0 / (1.0 + ((place - within + 0.5) / (STEP * within)).exp());
    step + RANK_WEIGHT / (1.0 + place)
}

/// In their order, so that it is the same on every machine.
fn total(each: impl IndexedParallelIterator<Item = f64>) -> f64 {
    each.collect::<Vec<f64>>().iter().sum()
}

fn rank(scores: &[f32]) -> f64 {
    rank_of_next(scores.iter().copied())
}

/// How many scores are above the first one, of those that tie half.
fn rank_of_next(mut scores: impl Iterator<Item = f32>) -> f64 {
    let Some(first) = scores.next() else { return f64::INFINITY };
    let near = GAIN_TIE * first.abs();
    let (above, tied) = scores.fold((0_u32, 0_u32), |(above, tied), score| {
        (above + u32::from(score > first + near), tied + u32::from((score - first).abs() <= near))
    });
    f64::from(above) + 0.5 * f64::from(tied)
}

/// The mean of the best value of each term.
fn scales(races: &[CandidateSet]) -> [f32; TERMS] {
    let best = |race: &CandidateSet, term: usize| race.terms[term].iter().copied().fold(0.0, f32::max);
    std::array::from_fn(|term| {
        races.iter().map(|race| best(race, term)).sum::<f32>() / races.len().max(1) as f32
    })
}
