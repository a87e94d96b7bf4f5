//! Fit of the score weights on holdout examples: histories and the item that followed each. Weights move one at a time over a grid of
//! factors (coordinate ascent; Metzler and Croft, "Linear Feature-based Models for Information Retrieval", 2007, section 4.3), from the
//! terms that rank best alone. The objective is a smooth step around the last rank that counts as a hit (as Taylor, Guiver, Robertson
//! and Minka smooth ranks, "SoftRank", WSDM 2008): the hit rate itself changes with a few examples by chance.

use super::history::History;
use super::recommender::{ItemTerms, Recommender};
use super::weights::{ScorePart, ScoreTerms, ScoreWeights, TERMS};
use rayon::prelude::*;

/// Number of top ranks that count as a hit by default.
pub(super) const HIT_TOP: usize = 20;
/// Number of best items of each term that become candidates.
const CANDIDATES_MAX: usize = 60;
/// Factors that a weight is multiplied with.
const FACTORS: [f32; 10] = [0.0, 0.1, 0.25, 0.5, 0.8, 1.25, 2.0, 4.0, 10.0, 30.0];
/// First values of a weight that was 0, for terms scaled so that their best item has 1 on average.
const INITIAL_WEIGHTS: [f32; 4] = [0.003, 0.03, 0.3, 3.0];
/// Number of single terms, the best ones, that the search starts from.
const STARTS: usize = 3;
/// Largest number of passes over all weights.
const SWEEPS: usize = 6;
/// Least scale (mean over the examples of a term's best value) at which a term gets a weight. Below it the term is numerically 0 for all
/// examples: factors of 153,000 items learned from 20,000 histories had a scale of 1e-39, whose reciprocal is infinite.
const SCALE_MIN: f32 = 1e-6;
/// Largest contribution of a term to a score, in units of its scale. Terms are at most 1 apart on that scale, so a larger weight ranks
/// items no differently; without the bound six sweeps could multiply a weight by 30 each.
const CONTRIBUTION_MAX: f32 = 1e4;
/// Width of the smooth step, as a share of the ranks that count as a hit.
const STEP: f64 = 0.25;
/// Weight of the reciprocal rank beside the step: it separates weights with equally many hits.
const RANK_WEIGHT: f64 = 0.2;

/// Relative difference of scores that counts as a tie: sums are not always made in the same order.
const GAIN_TIE: f32 = 1e-6;

/// History and the item that followed it.
#[derive(Clone, Debug)]
pub struct HoldoutExample {
    /// History before the item.
    pub history: History,
    /// Index of the item that followed.
    pub next: u32,
}

/// Options of a fit.
#[derive(Clone, Copy, Debug)]
pub struct WeightFitOptions<'a> {
    /// Parts that may get a weight.
    pub parts: &'a [ScorePart],
    /// Number of top ranks that count as a hit.
    pub hit_top: usize,
}

/// Candidates of one example: the values of each term, the item that followed first.
struct CandidateSet {
    terms: [Vec<f32>; TERMS],
}

/// State of the search: weights, and the scores of all candidates under them.
struct CoordinateAscent<'a> {
    examples: &'a [CandidateSet],
    weights: [f32; TERMS],
    scores: Vec<Vec<f32>>,
    hit_top: f64,
    objective: f64,
}

impl WeightFitOptions<'_> {
    /// All parts, with a hit among the top 20.
    pub const ALL: WeightFitOptions<'static> = WeightFitOptions { parts: &ScorePart::ALL, hit_top: HIT_TOP };
}

/// Fits weights; returns them with their hit rate on the examples, 0 to 1.
pub fn fit_weights(
    recommender: &Recommender,
    examples: &[HoldoutExample],
    options: WeightFitOptions<'_>,
) -> (ScoreWeights, f64) {
    let examples: Vec<CandidateSet> = examples
        .par_iter()
        .map_init(ItemTerms::default, |terms, example| CandidateSet::of(recommender, example, terms))
        .collect();
    let scales = scales(&examples);
    let terms: Vec<usize> = (0..TERMS)
        .filter(|term| options.parts.contains(&ScorePart::of_term(*term)) && scales[*term] >= SCALE_MIN)
        .collect();
    let hit_top = options.hit_top as f64;
    let mut starts: Vec<CoordinateAscent<'_>> = Vec::with_capacity(terms.len());
    for term in &terms {
        let mut weights = [0.0; TERMS];
        weights[*term] = 1.0 / scales[*term];
        starts.push(CoordinateAscent::from(&examples, weights, hit_top));
    }
    starts.sort_by(|left, right| right.objective.total_cmp(&left.objective));
    starts.truncate(STARTS);
    starts.iter_mut().for_each(|ascent| ascent.ascend(&terms, &scales));
    let best = starts.into_iter().max_by(|left, right| left.objective.total_cmp(&right.objective));
    let weights = best.map_or([0.0; TERMS], |ascent| ascent.weights);
    let hits = examples.iter().filter(|example| rank(&example.scores(&weights)) < hit_top).count();
    let weights = ScoreWeights { terms: ScoreTerms::from_array(&weights) };
    (weights, hits as f64 / examples.len().max(1) as f64)
}

impl CandidateSet {
    /// Best items of each term: an item outside all of them cannot reach a top rank.
    fn of(recommender: &Recommender, example: &HoldoutExample, terms: &mut ItemTerms) -> Self {
        recommender.terms(&example.history, terms);
        let mut candidates: Vec<u32> = Vec::new();
        let mut order: Vec<u32> = Vec::new();
        for term in &terms.rows {
            order.clear();
            order.extend((0..term.len() as u32).filter(|item| term[*item as usize] > 0.0));
            if order.len() > CANDIDATES_MAX {
                // A selection, not a sort: a term has a value for every item of the shop.
                order.select_nth_unstable_by(CANDIDATES_MAX, |left, right| {
                    term[*right as usize].total_cmp(&term[*left as usize]).then(left.cmp(right))
                });
                order.truncate(CANDIDATES_MAX);
            }
            candidates.extend_from_slice(&order);
        }
        candidates.sort_unstable();
        candidates.dedup();
        let others = candidates.into_iter().filter(|item| *item != example.next);
        let items: Vec<u32> = std::iter::once(example.next).chain(others).collect();
        let terms = std::array::from_fn(|term| {
            let values = &terms.rows[term];
            items.iter().map(|item| values.get(*item as usize).copied().unwrap_or_default()).collect()
        });
        Self { terms }
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
    fn from(examples: &'a [CandidateSet], weights: [f32; TERMS], hit_top: f64) -> Self {
        let scores: Vec<Vec<f32>> = examples.par_iter().map(|example| example.scores(&weights)).collect();
        let objective = total(scores.par_iter().map(|scores| objective(rank(scores), hit_top)));
        Self { examples, weights, scores, hit_top, objective }
    }

    /// Moves weights until no single change improves the objective.
    fn ascend(&mut self, terms: &[usize], scales: &[f32; TERMS]) {
        for _ in 0..SWEEPS {
            let before = self.objective;
            for term in terms {
                let weight = self.weights[*term];
                let values: Vec<f32> = if weight == 0.0 {
                    INITIAL_WEIGHTS.map(|initial| initial / scales[*term]).to_vec()
                } else {
                    FACTORS.map(|factor| (factor * weight).min(CONTRIBUTION_MAX / scales[*term])).to_vec()
                };
                let best = values
                    .into_iter()
                    .map(|weight| (weight, self.with(*term, weight)))
                    .max_by(|left, right| left.1.total_cmp(&right.1));
                if let Some((weight, _)) = best.filter(|(_, objective)| *objective > self.objective) {
                    let mut weights = self.weights;
                    weights[*term] = weight;
                    *self = Self::from(self.examples, weights, self.hit_top);
                }
            }
            if self.objective <= before {
                break;
            }
        }
    }

    /// Objective with another weight of one term. Only the change is added to the scores.
    fn with(&self, term: usize, weight: f32) -> f64 {
        let change = weight - self.weights[term];
        total(self.examples.par_iter().zip(&self.scores).map(|(example, scores)| {
            let scores = scores.iter().zip(&example.terms[term]).map(|(score, value)| score + change * value);
            objective(rank_of_next(scores), self.hit_top)
        }))
    }
}

/// Value of a rank, from 0: a logistic step at `hit_top`, and a fifth of the reciprocal rank.
fn objective(rank: f64, hit_top: f64) -> f64 {
    let step = 1.0 / (1.0 + ((rank - hit_top + 0.5) / (STEP * hit_top)).exp());
    step + RANK_WEIGHT / (1.0 + rank)
}

/// Sum in the order of the examples, so that it is the same on every machine.
fn total(values: impl IndexedParallelIterator<Item = f64>) -> f64 {
    values.collect::<Vec<f64>>().iter().sum()
}

fn rank(scores: &[f32]) -> f64 {
    rank_of_next(scores.iter().copied())
}

/// Rank, from 0, of the first score among all; a tie counts half.
fn rank_of_next(mut scores: impl Iterator<Item = f32>) -> f64 {
    let Some(next) = scores.next() else { return f64::INFINITY };
    let tie = GAIN_TIE * next.abs();
    let mut above = 0_u32;
    let mut tied = 0_u32;
    for score in scores {
        above += u32::from(score > next + tie);
        tied += u32::from((score - next).abs() <= tie);
    }
    f64::from(above) + 0.5 * f64::from(tied)
}

/// Mean over the examples of the best value of each term.
fn scales(examples: &[CandidateSet]) -> [f32; TERMS] {
    std::array::from_fn(|term| {
        let best = examples.iter().map(|example| example.terms[term].iter().copied().fold(0.0, f32::max));
        best.sum::<f32>() / examples.len().max(1) as f32
    })
}
