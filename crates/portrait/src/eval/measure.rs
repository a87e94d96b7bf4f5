//! One slice of time: what was learned before it, what is to be foretold in it, and how well contenders do. In go histories, out
//! come the places at which what happened was ranked.

use super::chances::{Chances, Told};
use super::history::{Numbers, Shopper};
use super::staleness::Staleness;
use anyhow::Result;
use indicatif::ProgressBar;
use portrait_learning::prediction::factors::Params;
use portrait_learning::prediction::recommend::{Blend, Continued, Past, Recommender, Teaching};
use portrait_profile::{Profile, Timestamp};
use rand::Rng;
use rand::seq::index;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What was learned up to a moment, and what is to be foretold from there.
pub(super) struct Slice {
    pub(super) split: Timestamp,
    pub(super) recommender: Recommender,
    /// In the order of their shoppers.
    pub(super) targets: Vec<Target>,
}

/// An event to foretell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) shopper: usize,
    /// Its place among the shopper's events.
    pub(super) place: usize,
}

/// A way to foretell.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    pub(super) staleness: Staleness,
    pub(super) blend: Blend,
    /// How its scores become probabilities; none if nobody asks for any.
    pub(super) chances: Option<Chances>,
}

/// What a contender did with a target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// How many things came before it, of those that tie half.
    pub(super) place: f64,
    /// Whether the contender knew anything of the shopper.
    pub(super) known: bool,
    /// What it said of it, if it was asked.
    pub(super) told: Option<Told>,
}

/// Scores closer than this tie.
const TIE: f32 = 1e-6;

impl Slice {
    /// Learns from what happened before `split` and draws at most `most` targets between there and `end`.
    pub(super) fn of(
        shoppers: &[Shopper],
        numbers: &Numbers,
        split: Timestamp,
        end: Option<Timestamp>,
        most: usize,
        chance: &mut impl Rng,
    ) -> Result<Self> {
        let past = |shopper: &Shopper| {
            let before = shopper.records.partition_point(|record| record.occurred_at < split);
            numbers.past(&shopper.profile(before))
        };
        let pasts: Vec<Past> =
            shoppers.par_iter().map(past).filter(|past| !past.touched.is_empty()).collect();
        let latent = Params::default();
        let teaching = Teaching { things: numbers.len(), segments: 0, pasts: &pasts, latent: Some(&latent) };
        let recommender = Recommender::learn(&teaching)?;
        let known = known(shoppers, numbers, split);
        let mut targets = Vec::new();
        for (index, shopper) in shoppers.iter().enumerate() {
            for (place, record) in shopper.records.iter().enumerate() {
                let at = record.occurred_at;
                let within = at >= split && end.is_none_or(|end| at < end);
                let has_past = shopper.records[0].occurred_at < at;
                let thing = numbers.number(record).filter(|thing| known[*thing as usize]);
                if within && has_past && thing.is_some() {
                    targets.push(Target { shopper: index, place });
                }
            }
        }
        if targets.len() > most {
            let mut drawn = index::sample(chance, targets.len(), most).into_vec();
            drawn.sort_unstable();
            targets = drawn.into_iter().map(|index| targets[index]).collect();
        }
        Ok(Self { split, recommender, targets })
    }

    /// The pasts of all targets at this age, and what followed.
    pub(super) fn continued(
        &self,
        shoppers: &[Shopper],
        numbers: &Numbers,
        staleness: Staleness,
    ) -> Vec<Continued> {
        let of = |targets: &[Target]| -> Vec<Continued> {
            let Some(first) = targets.first() else { return Vec::new() };
            let shopper = &shoppers[first.shopper];
            let times = shopper.times();
            let count = |target: &Target| staleness.known(&times, times[target.place], self.split);
            let pasts = pasts(shopper, numbers, targets.iter().map(count).collect());
            let next = |target: &Target| numbers.number(&shopper.records[target.place]);
            let one = |target: &Target| {
                Some(Continued { past: pasts[&count(target)].clone(), next: next(target)? })
            };
            targets.iter().filter_map(one).collect()
        };
        self.by_shopper().par_iter().flat_map_iter(|targets| of(targets)).collect()
    }

    /// What each contender does with each target: a row a target, in their order.
    pub(super) fn outcomes(
        &self,
        shoppers: &[Shopper],
        numbers: &Numbers,
        contenders: &[Contender],
        bar: &ProgressBar,
    ) -> Vec<Vec<Outcome>> {
        let of = |scores: &mut Vec<f32>, targets: &&[Target]| {
            let outcomes = self.outcomes_of(shoppers, numbers, contenders, targets, scores);
            bar.inc(targets.len() as u64);
            outcomes
        };
        self.by_shopper().par_iter().map_init(Vec::new, of).flatten_iter().collect()
    }

    fn outcomes_of(
        &self,
        shoppers: &[Shopper],
        numbers: &Numbers,
        contenders: &[Contender],
        targets: &[Target],
        scores: &mut Vec<f32>,
    ) -> Vec<Vec<Outcome>> {
        let Some(first) = targets.first() else { return Vec::new() };
        let shopper = &shoppers[first.shopper];
        let times = shopper.times();
        let count = |target: &Target, contender: &Contender| {
            contender.staleness.known(&times, times[target.place], self.split)
        };
        let counts = targets
            .iter()
            .flat_map(|target| contenders.iter().map(move |contender| count(target, contender)));
        let pasts = pasts(shopper, numbers, counts.collect());
        let outcome = |target: &Target, contender: &Contender, scores: &mut Vec<f32>| {
            let past = &pasts[&count(target, contender)];
            self.recommender.score(past, Some(&contender.blend), scores);
            let thing = numbers.number(&shopper.records[target.place]);
            let within = numbers.subject().found_within();
            Outcome {
                place: thing.map_or(f64::INFINITY, |thing| place(scores, thing)),
                known: !past.touched.is_empty(),
                told: contender
                    .chances
                    .zip(thing)
                    .map(|(chances, thing)| chances.tell(scores, thing, within)),
            }
        };
        let row =
            |target: &Target| contenders.iter().map(|contender| outcome(target, contender, scores)).collect();
        targets.iter().map(row).collect()
    }

    fn by_shopper(&self) -> Vec<&[Target]> {
        self.targets.chunk_by(|one, other| one.shopper == other.shopper).collect()
    }
}

/// A shopper's past after each of these numbers of events, folded once.
fn pasts(shopper: &Shopper, numbers: &Numbers, counts: BTreeSet<usize>) -> BTreeMap<usize, Past> {
    let mut profile = Profile::new(shopper.records[0].user_id.clone());
    let (mut folded, mut pasts) = (0, BTreeMap::new());
    for count in counts {
        shopper.records[folded..count].iter().for_each(|record| {
            profile.apply(record);
        });
        folded = count;
        pasts.insert(count, numbers.past(&profile));
    }
    pasts
}

/// Which things anybody had before a moment.
fn known(shoppers: &[Shopper], numbers: &Numbers, split: Timestamp) -> Vec<bool> {
    let mut known = vec![false; numbers.len()];
    let before =
        shoppers.iter().flat_map(|shopper| &shopper.records).filter(|record| record.occurred_at < split);
    before.filter_map(|record| numbers.number(record)).for_each(|thing| known[thing as usize] = true);
    known
}

/// How many things are before one, of those that tie half.
fn place(scores: &[f32], thing: u32) -> f64 {
    let own = scores[thing as usize];
    let (mut ahead, mut tied) = (0_u32, 0_u32);
    for score in scores {
        ahead += u32::from(*score > own + TIE);
        tied += u32::from((score - own).abs() <= TIE);
    }
    f64::from(ahead) + 0.5 * f64::from(tied - 1)
}
