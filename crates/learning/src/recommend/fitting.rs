//! How much parts should count: in come pasts and what followed each of them, out goes the blend that ranks what followed
//! highest. Weights are moved one at a time on a grid of factors (coordinate ascent; Metzler and Croft, "Linear Feature-based
//! Models for Information Retrieval", 2007, section 4.3), from the few terms that do best alone.

use super::blend::{Blend, Part, TERMS};
use super::past::Past;
use super::recommender::{Recommender, Terms};
use rayon::prelude::*;

/// Things that count as found are among so many first ones.
pub(super) const FOUND_WITHIN: usize = 20;
/// How many of the best things of each term compete.
const CANDIDATES: usize = 60;
/// Factors that a weight is tried with.
const FACTORS: [f32; 6] = [0.0, 0.25, 0.5, 2.0, 4.0, 16.0];
/// Weights that one is tried with that was 0, for terms whose best thing has 1 on the mean.
const BEGINNINGS: [f32; 3] = [0.01, 0.1, 1.0];
/// From how many terms, those that find most alone, the search begins.
const STARTS: usize = 3;
/// How often all weights are gone through at most.
const SWEEPS: usize = 3;
/// What the place itself counts beside having been found: it tells apart blends that find as many.
const PLACE_WEIGHT: f64 = 0.2;

/// A past and what followed.
#[derive(Clone, Debug)]
pub struct Continued {
    /// The past.
    pub past: Past,
    /// The thing that was had next.
    pub next: u32,
}

/// What fitting is to look at.
#[derive(Clone, Copy, Debug)]
pub struct Fitting<'a> {
    /// Which parts may count.
    pub parts: &'a [Part],
    /// How many first things count as found.
    pub found_within: usize,
}

/// What competes in one example: the terms of each candidate, what followed first.
struct Race {
    candidates: Vec<[f32; TERMS]>,
}

impl Fitting<'_> {
    /// With all parts, 20 things.
    pub const ALL: Fitting<'static> = Fitting { parts: &Part::ALL, found_within: FOUND_WITHIN };
}

/// The blend that finds most of what followed, and how much it finds (0 to 1).
pub fn fit_blend(recommender: &Recommender, examples: &[Continued], fitting: Fitting<'_>) -> (Blend, f64) {
    let races: Vec<Race> = examples
        .par_iter()
        .map_init(Terms::default, |terms, example| Race::of(recommender, example, terms))
        .collect();
    let scales = scales(&races);
    let may = |term: &usize| fitting.parts.contains(&Part::of_term(*term)) && scales[*term] > 0.0;
    let terms: Vec<usize> = (0..TERMS).filter(may).collect();
    let alone = |first: &usize| {
        let mut weights = [0.0; TERMS];
        weights[*first] = 1.0 / scales[*first];
        (weights, worth(&races, &weights, fitting.found_within))
    };
    let mut starts: Vec<([f32; TERMS], f64)> = terms.iter().map(alone).collect();
    starts.sort_by(|one, other| other.1.total_cmp(&one.1));
    let fits = starts.into_iter().take(STARTS);
    let fits = fits.map(|(weights, _)| ascend(&races, weights, &terms, &scales, fitting.found_within));
    let best = fits.max_by(|one, other| one.1.total_cmp(&other.1));
    let (weights, _) = best.unwrap_or(([0.0; TERMS], 0.0));
    let found = races.iter().filter(|race| race.place(&weights) < fitting.found_within as f64).count();
    (Blend::of_weights(&weights), found as f64 / races.len().max(1) as f64)
}

impl Race {
    fn of(recommender: &Recommender, example: &Continued, terms: &mut Terms) -> Self {
        recommender.terms(&example.past, terms);
        let mut candidates: Vec<u32> = Vec::new();
        let mut order: Vec<u32> = Vec::new();
        for term in &terms.of {
            order.clear();
            order.extend((0..term.len() as u32).filter(|thing| term[*thing as usize] > 0.0));
            let better = |one: &u32, other: &u32| {
                term[*other as usize].total_cmp(&term[*one as usize]).then(one.cmp(other))
            };
            if order.len() > CANDIDATES {
                order.select_nth_unstable_by(CANDIDATES, better);
                order.truncate(CANDIDATES);
            }
            candidates.extend_from_slice(&order);
        }
        candidates.sort_unstable();
        candidates.dedup();
        let row = |thing: u32| {
            std::array::from_fn(|term| terms.of[term].get(thing as usize).copied().unwrap_or_default())
        };
        let others = candidates.into_iter().filter(|thing| *thing != example.next);
        Self { candidates: std::iter::once(example.next).chain(others).map(row).collect() }
    }

    /// How many come before what followed, of those that tie half.
    fn place(&self, weights: &[f32; TERMS]) -> f64 {
        let score = |terms: &[f32; TERMS]| -> f32 {
            terms.iter().zip(weights).map(|(term, weight)| term * weight).sum()
        };
        let Some((next, others)) = self.candidates.split_first() else { return f64::INFINITY };
        let next = score(next);
        others
            .iter()
            .map(|other| score(other) - next)
            .map(|ahead| {
                if ahead > 0.0 {
                    1.0
                } else if ahead < 0.0 {
                    0.0
                } else {
                    0.5
                }
            })
            .sum()
    }
}

/// The mean of the best value of each term.
fn scales(races: &[Race]) -> [f32; TERMS] {
    let mut sums = [0.0; TERMS];
    for race in races {
        for (term, sum) in sums.iter_mut().enumerate() {
            *sum += race.candidates.iter().map(|candidate| candidate[term]).fold(0.0, f32::max);
        }
    }
    sums.map(|sum| sum / races.len().max(1) as f32)
}

/// How much a blend is worth: what it finds, and a little for the places.
fn worth(races: &[Race], weights: &[f32; TERMS], within: usize) -> f64 {
    let of = |race: &Race| {
        let place = race.place(weights);
        f64::from(u8::from(place < within as f64)) + PLACE_WEIGHT / (1.0 + place)
    };
    // In their order, so that the sum is the same on every machine.
    races.par_iter().map(of).collect::<Vec<f64>>().iter().sum()
}

/// From a start to where no step of one weight is better.
fn ascend(
    races: &[Race],
    mut weights: [f32; TERMS],
    terms: &[usize],
    scales: &[f32; TERMS],
    within: usize,
) -> ([f32; TERMS], f64) {
    let mut best = worth(races, &weights, within);
    for _ in 0..SWEEPS {
        let before = best;
        for term in terms {
            let now = weights[*term];
            let tries: Vec<f32> = if now == 0.0 {
                BEGINNINGS.map(|weight| weight / scales[*term]).to_vec()
            } else {
                FACTORS.map(|factor| factor * now).to_vec()
            };
            for tried in tries {
                let mut other = weights;
                other[*term] = tried;
                let found = worth(races, &other, within);
                if found > best {
                    (weights, best) = (other, found);
                }
            }
        }
        if best == before {
            break;
        }
    }
    (weights, best)
}
