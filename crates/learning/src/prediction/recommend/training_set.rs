//! What a recommender is taught from, and the plain sums of it: how often things were had, by whom, when, and again. In come pasts, out go a
//! number a thing, and latent factors.

use super::history::{DECAY_SPANS, History};
use crate::error::Error;
use crate::prediction::factors::{self, Factors, InteractionMatrix, Params};
use portrait_profile::Timestamp;

/// "Lately" halves with this share of the time that the pasts span.
const TRENDING_SHARE: f64 = 0.1;
/// Shoppers must have had so many things to teach what goes together.
const HISTORY_MIN: usize = 2;
/// How much a thing's share of being had again leans on that of all, as if it had been had so often.
const REPEAT_RATE_PRIOR: f32 = 10.0;

/// What a recommender is taught from.
#[derive(Clone, Copy, Debug)]
pub struct TrainingSet<'a> {
    /// How many things there are; their numbers are below it.
    pub items: usize,
    /// How many segments there are.
    pub segments: usize,
    /// What shoppers had.
    pub histories: &'a [History],
    /// How latent factors are learned; none leaves them out.
    pub latent: Option<&'a Params>,
}

impl TrainingSet<'_> {
    pub(super) fn check(&self) -> Result<(), Error> {
        let refused =
            |problem: &str| Err(Error::Parameter { parameter: "pasts", problem: problem.to_owned() });
        let known =
            |past: &History| past.interactions.iter().all(|touched| (touched.item as usize) < self.items);
        if !self.histories.iter().all(known) {
            return refused("name a thing beyond their number");
        }
        let segment = |past: &History| past.segment.is_none_or(|segment| (segment as usize) < self.segments);
        if self.histories.iter().all(segment) {
            Ok(())
        } else {
            refused("name a segment beyond their number")
        }
    }

    /// The oldest and the newest moment at which anything was had last.
    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let times = self.histories.iter().flat_map(|past| &past.interactions).map(|touched| touched.at);
        times.clone().min().zip(times.max())
    }

    /// A share of it in milliseconds, at least one.
    fn part_of_span(&self, share: f64) -> f64 {
        let span = self.span().map_or(0, |(oldest, newest)| newest.since(oldest).millis());
        (span as f64 * share).max(1.0)
    }

    /// Milliseconds in which habits halve.
    pub(super) fn half_lives(&self) -> [f32; DECAY_SPANS.len()] {
        DECAY_SPANS.map(|share| self.part_of_span(share) as f32)
    }

    /// How much of what is had of each thing is had again: `(sum of times - 1) / sum of times`, leaning on the share of all things.
    pub(super) fn repeat_rates(&self) -> Vec<f32> {
        let (mut again, mut all) = (vec![0.0; self.items], vec![0.0; self.items]);
        for touched in self.histories.iter().flat_map(|past| &past.interactions) {
            again[touched.item as usize] += (touched.count - 1.0).max(0.0);
            all[touched.item as usize] += touched.count;
        }
        let share = again.iter().sum::<f32>() / all.iter().sum::<f32>().max(f32::MIN_POSITIVE);
        let leaning =
            |(again, all): (&f32, &f32)| (again + REPEAT_RATE_PRIOR * share) / (all + REPEAT_RATE_PRIOR);
        again.iter().zip(&all).map(leaning).collect()
    }

    /// For each thing the sum of what having had it weighs.
    pub(super) fn counts(&self, weight: impl Fn(Timestamp) -> f32) -> Vec<f32> {
        let mut counts = vec![0.0; self.items];
        for touched in self.histories.iter().flat_map(|past| &past.interactions) {
            counts[touched.item as usize] += touched.count * weight(touched.at);
        }
        counts
    }

    pub(super) fn trending(&self) -> Vec<f32> {
        let Some((_, newest)) = self.span() else { return vec![0.0; self.items] };
        let half_life = self.part_of_span(TRENDING_SHARE);
        self.counts(|at| (-(newest.since(at).millis() as f64) / half_life).exp2() as f32)
    }

    pub(super) fn by_segment(&self) -> Vec<f32> {
        let of = |segment: usize| {
            let mut counts = vec![0.0; self.items];
            let members = self.histories.iter().filter(|past| past.segment == Some(segment as u32));
            members
                .flat_map(|past| &past.interactions)
                .for_each(|touched| counts[touched.item as usize] += touched.count);
            shares(&counts)
        };
        (0..self.segments).flat_map(of).collect()
    }

    pub(super) fn factors(&self) -> Result<Option<Factors>, Error> {
        let Some(params) = self.latent.filter(|_| self.items > 0) else { return Ok(None) };
        let pasts: Vec<&History> =
            self.histories.iter().filter(|past| past.interactions.len() >= HISTORY_MIN).collect();
        if pasts.is_empty() {
            return Ok(None);
        }
        let entries = pasts.iter().enumerate().flat_map(|(row, past)| {
            past.interactions.iter().map(move |touched| (row as u32, touched.item, 1.0))
        });
        let interactions = InteractionMatrix::from_entries(pasts.len(), self.items, entries.collect())?;
        Ok(Some(factors::train(&interactions, params)?.factors))
    }
}

/// Counts as shares of the most.
pub(super) fn shares(counts: &[f32]) -> Vec<f32> {
    let most = counts.iter().copied().fold(0.0, f32::max);
    counts.iter().map(|count| if most > 0.0 { count / most } else { 0.0 }).collect()
}
