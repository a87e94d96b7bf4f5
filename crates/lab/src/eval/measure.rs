//! One time slice of the evaluation: a recommender learned from the events before it, the events of the slice to
//! predict, and the rank that each contender gives to what happened.

use super::probabilities::{ProbabilityModel, RankedLoss};
use super::history::{ItemIndex, LogUser};
use super::staleness::Staleness;
use anyhow::Result;
use indicatif::ProgressBar;
use portrait_learning::prediction::factors::Params;
use portrait_learning::prediction::recommend::{ScoreWeights, HoldoutExample, History, Recommender, TrainingSet};
use portrait_profile::{Profile, Timestamp};
use rand::Rng;
use rand::seq::index;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Recommender of the events before `split`, and targets from there on.
pub(super) struct TimeSlice {
    pub(super) split: Timestamp,
    pub(super) recommender: Recommender,
    /// Targets grouped by user.
    pub(super) targets: Vec<EvalTarget>,
}

/// Event whose item is to be predicted.
#[derive(Clone, Copy, Debug)]
pub(super) struct EvalTarget {
    pub(super) user: usize,
    /// Index among the user's events.
    pub(super) index: usize,
}

/// Age of the profile and weights of the recommendation under evaluation.
#[derive(Clone, Debug)]
pub(super) struct EvalContender {
    pub(super) staleness: Staleness,
    pub(super) weights: ScoreWeights,
    /// Mapping from scores to probabilities; none if no probabilities are needed.
    pub(super) probabilities: Option<ProbabilityModel>,
}

/// Result of a contender on a target.
#[derive(Clone, Copy, Debug)]
pub(super) struct EvalOutcome {
    /// Rank from 0; ties count half.
    pub(super) rank: f64,
    /// True if the profile was not empty.
    pub(super) known: bool,
    /// Probabilities, for contenders that have a mapping.
    pub(super) prediction: Option<RankedLoss>,
}

/// Difference of scores below which they tie.
const TIE: f32 = 1e-6;

impl TimeSlice {
    /// Learns from the events before `split` and draws at most `targets_max` targets between `split` and `end`.
    pub(super) fn of(
        shoppers: &[LogUser],
        numbers: &ItemIndex,
        split: Timestamp,
        end: Option<Timestamp>,
        most: usize,
        chance: &mut impl Rng,
    ) -> Result<Self> {
        let past = |shopper: &LogUser| {
            let before = shopper.records.partition_point(|record| record.occurred_at < split);
            numbers.history(&shopper.profile(before))
        };
        let pasts: Vec<History> =
            shoppers.par_iter().map(past).filter(|past| !past.interactions.is_empty()).collect();
        let latent = Params::default();
        let teaching = TrainingSet { items: numbers.len(), segments: 0, histories: &pasts, latent: Some(&latent) };
        let recommender = Recommender::learn(&teaching)?;
        let known = known_items(shoppers, numbers, split);
        let mut targets = Vec::new();
        for (index, shopper) in shoppers.iter().enumerate() {
            for (place, record) in shopper.records.iter().enumerate() {
                let at = record.occurred_at;
                let within = at >= split && end.is_none_or(|end| at < end);
                let has_past = shopper.records[0].occurred_at < at;
                // An item that first appears within the slice cannot be recommended: it would lower all contenders
                // alike.
                let thing = numbers.index_of(record).filter(|thing| known[*thing as usize]);
                if within && has_past && thing.is_some() {
                    targets.push(EvalTarget { user: index, index: place });
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

    /// Histories of all targets at one age of the profile, with the item that followed.
    pub(super) fn examples(
        &self,
        shoppers: &[LogUser],
        numbers: &ItemIndex,
        staleness: Staleness,
    ) -> Vec<HoldoutExample> {
        let of = |targets: &[EvalTarget]| -> Vec<HoldoutExample> {
            let Some(first) = targets.first() else { return Vec::new() };
            let shopper = &shoppers[first.user];
            let times = shopper.times();
            let count = |target: &EvalTarget| staleness.known(&times, times[target.index], self.split);
            let pasts = histories(shopper, numbers, targets.iter().map(count).collect());
            let next = |target: &EvalTarget| numbers.index_of(&shopper.records[target.index]);
            let one = |target: &EvalTarget| {
                Some(HoldoutExample { history: pasts[&count(target)].clone(), next: next(target)? })
            };
            targets.iter().filter_map(one).collect()
        };
        self.by_user().par_iter().flat_map_iter(|targets| of(targets)).collect()
    }

    /// Outcomes of each contender on each target: a row for each target, in their order.
    pub(super) fn outcomes(
        &self,
        shoppers: &[LogUser],
        numbers: &ItemIndex,
        contenders: &[EvalContender],
        bar: &ProgressBar,
    ) -> Vec<Vec<EvalOutcome>> {
        let of = |scores: &mut Vec<f32>, targets: &&[EvalTarget]| {
            let outcomes = self.outcomes_of(shoppers, numbers, contenders, targets, scores);
            bar.inc(targets.len() as u64);
            outcomes
        };
        self.by_user().par_iter().map_init(Vec::new, of).flatten_iter().collect()
    }

    fn outcomes_of(
        &self,
        shoppers: &[LogUser],
        numbers: &ItemIndex,
        contenders: &[EvalContender],
        targets: &[EvalTarget],
        scores: &mut Vec<f32>,
    ) -> Vec<Vec<EvalOutcome>> {
        let Some(first) = targets.first() else { return Vec::new() };
        let shopper = &shoppers[first.user];
        let times = shopper.times();
        let count = |target: &EvalTarget, contender: &EvalContender| {
            contender.staleness.known(&times, times[target.index], self.split)
        };
        // Contenders share profiles of the same number of events: each is folded once for the user.
        let counts = targets
            .iter()
            .flat_map(|target| contenders.iter().map(move |contender| count(target, contender)));
        let pasts = histories(shopper, numbers, counts.collect());
        let outcome = |target: &EvalTarget, contender: &EvalContender, scores: &mut Vec<f32>| {
            let past = &pasts[&count(target, contender)];
            self.recommender.score(past, Some(&contender.weights), scores);
            let thing = numbers.index_of(&shopper.records[target.index]);
            let within = numbers.subject().hit_top();
            EvalOutcome {
                rank: thing.map_or(f64::INFINITY, |thing| rank_of(scores, thing)),
                known: !past.interactions.is_empty(),
                prediction: contender
                    .probabilities
                    .zip(thing)
                    .map(|(chances, thing)| chances.evaluate(scores, thing, within)),
            }
        };
        let row =
            |target: &EvalTarget| contenders.iter().map(|contender| outcome(target, contender, scores)).collect();
        targets.iter().map(row).collect()
    }

    fn by_user(&self) -> Vec<&[EvalTarget]> {
        self.targets.chunk_by(|one, other| one.user == other.user).collect()
    }
}

/// Histories of a user after each of these numbers of events, folded in one pass.
fn histories(shopper: &LogUser, numbers: &ItemIndex, counts: BTreeSet<usize>) -> BTreeMap<usize, History> {
    let mut profile = Profile::new(shopper.records[0].user_id.clone());
    let (mut folded, mut pasts) = (0, BTreeMap::new());
    for count in counts {
        shopper.records[folded..count].iter().for_each(|record| {
            profile.apply(record);
        });
        folded = count;
        pasts.insert(count, numbers.history(&profile));
    }
    pasts
}

/// Flags of the items that any user had before a timestamp.
fn known_items(shoppers: &[LogUser], numbers: &ItemIndex, split: Timestamp) -> Vec<bool> {
    let mut known = vec![false; numbers.len()];
    let before =
        shoppers.iter().flat_map(|shopper| &shopper.records).filter(|record| record.occurred_at < split);
    before.filter_map(|record| numbers.index_of(record)).for_each(|thing| known[thing as usize] = true);
    known
}

/// Rank of an item from 0; ties count half, so that a constant score gets the middle rank.
fn rank_of(scores: &[f32], thing: u32) -> f64 {
    let own = scores[thing as usize];
    let (mut ahead, mut tied) = (0_u32, 0_u32);
    for score in scores {
        ahead += u32::from(*score > own + TIE);
        tied += u32::from((score - own).abs() <= TIE);
    }
    f64::from(ahead) + 0.5 * f64::from(tied - 1)
}
