//! One time slice of the evaluation: a recommender learned from the events before it, the events of the slice to
//! predict, and the rank that each contender gives to what happened.

use super::history::{ItemIndex, LogUser};
use super::probabilities::{ProbabilityModel, RankedLoss};
use super::staleness::Staleness;
use anyhow::Result;
use indicatif::ProgressBar;
use portrait_learning::prediction::factors::Params;
use portrait_learning::prediction::recommend::{
    History, HoldoutExample, Recommender, ScoreWeights, TrainingSet,
};
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
        users: &[LogUser],
        items: &ItemIndex,
        split: Timestamp,
        end: Option<Timestamp>,
        targets_max: usize,
        rng: &mut impl Rng,
    ) -> Result<Self> {
        let histories: Vec<History> = users
            .par_iter()
            .map(|user| {
                let before = user.records.partition_point(|record| record.occurred_at < split);
                items.history(&user.profile(before))
            })
            .filter(|history| !history.interactions.is_empty())
            .collect();
        // The served recommender has latent factors as well: the evaluation must not test a weaker one.
        let latent = Params::default();
        let training =
            TrainingSet { items: items.len(), segments: 0, histories: &histories, latent: Some(&latent) };
        let recommender = Recommender::learn(&training)?;
        let known = known_items(users, items, split);
        let mut targets = Vec::new();
        for (user_index, user) in users.iter().enumerate() {
            for (index, record) in user.records.iter().enumerate() {
                let at = record.occurred_at;
                let within = at >= split && end.is_none_or(|end| at < end);
                let has_history = user.records[0].occurred_at < at;
                // An item that first appears within the slice cannot be recommended: it would lower all contenders
                // alike.
                let item = items.index_of(record).filter(|item| known[*item as usize]);
                if within && has_history && item.is_some() {
                    targets.push(EvalTarget { user: user_index, index });
                }
            }
        }
        if targets.len() > targets_max {
            let mut drawn = index::sample(rng, targets.len(), targets_max).into_vec();
            // Targets stay grouped by user.
            drawn.sort_unstable();
            targets = drawn.into_iter().map(|index| targets[index]).collect();
        }
        Ok(Self { split, recommender, targets })
    }

    /// Histories of all targets at one age of the profile, with the item that followed.
    pub(super) fn examples(
        &self,
        users: &[LogUser],
        items: &ItemIndex,
        staleness: Staleness,
    ) -> Vec<HoldoutExample> {
        self.by_user()
            .par_iter()
            .flat_map_iter(|targets| self.examples_of(users, items, staleness, targets))
            .collect()
    }

    /// Examples of one user, whose targets are given.
    fn examples_of(
        &self,
        users: &[LogUser],
        items: &ItemIndex,
        staleness: Staleness,
        targets: &[EvalTarget],
    ) -> Vec<HoldoutExample> {
        let Some(first) = targets.first() else { return Vec::new() };
        let user = &users[first.user];
        let times = user.times();
        let count = |target: &EvalTarget| staleness.known(&times, times[target.index], self.split);
        let histories = histories(user, items, targets.iter().map(count).collect());
        targets
            .iter()
            .filter_map(|target| {
                let next = items.index_of(&user.records[target.index])?;
                Some(HoldoutExample { history: histories[&count(target)].clone(), next })
            })
            .collect()
    }

    /// Outcomes of each contender on each target: a row for each target, in their order.
    pub(super) fn outcomes(
        &self,
        users: &[LogUser],
        items: &ItemIndex,
        contenders: &[EvalContender],
        bar: &ProgressBar,
    ) -> Vec<Vec<EvalOutcome>> {
        self.by_user()
            .par_iter()
            // A buffer of scores for each thread: a catalogue of scores for each target would be allocated otherwise.
            .map_init(Vec::new, |scores, targets| {
                let outcomes = self.outcomes_of(users, items, contenders, targets, scores);
                bar.inc(targets.len() as u64);
                outcomes
            })
            .flatten_iter()
            .collect()
    }

    fn outcomes_of(
        &self,
        users: &[LogUser],
        items: &ItemIndex,
        contenders: &[EvalContender],
        targets: &[EvalTarget],
        scores: &mut Vec<f32>,
    ) -> Vec<Vec<EvalOutcome>> {
        let Some(first) = targets.first() else { return Vec::new() };
        let user = &users[first.user];
        let times = user.times();
        let count = |target: &EvalTarget, contender: &EvalContender| {
            contender.staleness.known(&times, times[target.index], self.split)
        };
        // Contenders share profiles of the same number of events: each is folded once for the user.
        let counts = targets
            .iter()
            .flat_map(|target| contenders.iter().map(move |contender| count(target, contender)));
        let histories = histories(user, items, counts.collect());
        let mut rows = Vec::with_capacity(targets.len());
        for target in targets {
            let item = items.index_of(&user.records[target.index]);
            let mut row = Vec::with_capacity(contenders.len());
            for contender in contenders {
                let history = &histories[&count(target, contender)];
                self.recommender.score(history, Some(&contender.weights), scores);
                row.push(EvalOutcome {
                    rank: item.map_or(f64::INFINITY, |item| rank_of(scores, item)),
                    known: !history.interactions.is_empty(),
                    prediction: contender
                        .probabilities
                        .zip(item)
                        .map(|(model, item)| model.evaluate(scores, item, items.subject().hit_top())),
                });
            }
            rows.push(row);
        }
        rows
    }

    fn by_user(&self) -> Vec<&[EvalTarget]> {
        self.targets.chunk_by(|a, b| a.user == b.user).collect()
    }
}

/// Histories of a user after each of these numbers of events, folded in one pass.
fn histories(user: &LogUser, items: &ItemIndex, counts: BTreeSet<usize>) -> BTreeMap<usize, History> {
    let mut profile = Profile::new(user.records[0].user_id.clone());
    let mut histories = BTreeMap::new();
    let mut folded = 0;
    // Counts ascend in the set: the profile only grows.
    for count in counts {
        for record in &user.records[folded..count] {
            profile.apply(record);
        }
        folded = count;
        histories.insert(count, items.history(&profile));
    }
    histories
}

/// Flags of the items that any user had before a timestamp.
fn known_items(users: &[LogUser], items: &ItemIndex, split: Timestamp) -> Vec<bool> {
    let mut known = vec![false; items.len()];
    let before = users.iter().flat_map(|user| &user.records).filter(|record| record.occurred_at < split);
    before.filter_map(|record| items.index_of(record)).for_each(|item| known[item as usize] = true);
    known
}

/// Rank of an item from 0; ties count half, so that a constant score gets the middle rank.
fn rank_of(scores: &[f32], item: u32) -> f64 {
    let score = scores[item as usize];
    let mut ahead = 0_u32;
    let mut tied = 0_u32;
    for other in scores {
        ahead += u32::from(*other > score + TIE);
        tied += u32::from((other - score).abs() <= TIE);
    }
    // The item ties with itself.
    f64::from(ahead) + 0.5 * f64::from(tied - 1)
}
