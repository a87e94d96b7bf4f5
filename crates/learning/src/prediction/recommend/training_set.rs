//! Training set of a recommender, and its plain statistics: counts, recent counts, counts by segment, repeat rates, and latent factors.

use super::history::{HalfLives, History};
use crate::error::Error;
use crate::prediction::factors::{self, Factors, InteractionMatrix, Params};
use portrait_profile::Timestamp;

/// Half-life of "trending", as a share of the time that the histories span.
const TRENDING_SHARE: f64 = 0.1;
/// Half-lives of repeated interest, as shares of the time that the histories span.
const HALF_LIFE_SHORT_SHARE: f64 = 0.01;
const HALF_LIFE_LONG_SHARE: f64 = 0.05;
/// Least number of items of a history that factors are trained on: a single item says nothing about pairs.
const HISTORY_MIN: usize = 2;
/// Pseudo-count by which an item's repeat rate is smoothed towards that of all items.
const REPEAT_RATE_PRIOR: f32 = 10.0;

/// Training set of a recommender.
#[derive(Clone, Copy, Debug)]
pub struct TrainingSet<'a> {
    /// Number of items; all indices are below it.
    pub items: usize,
    /// Number of segments; all segment indices are below it.
    pub segments: usize,
    /// Histories of the training users.
    pub histories: &'a [History],
    /// Parameters of the latent factors; `None` for a recommender without them.
    pub latent: Option<&'a Params>,
}

impl TrainingSet<'_> {
    /// Checks that all indices are in range.
    pub(super) fn check(&self) -> Result<(), Error> {
        for history in self.histories {
            if history.interactions.iter().any(|interaction| (interaction.item as usize) >= self.items) {
                return Err(Error::parameter("histories", "have an item beyond their number"));
            }
            if history.segment.is_some_and(|segment| (segment as usize) >= self.segments) {
                return Err(Error::parameter("histories", "have a segment beyond their number"));
            }
        }
        Ok(())
    }

    /// Oldest and newest time of an interaction.
    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let times =
            self.histories.iter().flat_map(|history| &history.interactions).map(|interaction| interaction.at);
        times.clone().min().zip(times.max())
    }

    /// Share of the span in milliseconds, at least 1.
    fn part_of_span(&self, share: f64) -> f64 {
        let span = self.span().map_or(0, |(oldest, newest)| newest.since(oldest).millis());
        (span as f64 * share).max(1.0)
    }

    /// Half-lives of repeated interest, in milliseconds.
    pub(super) fn half_lives(&self) -> HalfLives {
        HalfLives {
            short: self.part_of_span(HALF_LIFE_SHORT_SHARE) as f32,
            long: self.part_of_span(HALF_LIFE_LONG_SHARE) as f32,
        }
    }

    /// Repeat rate of each item: `(sum of (counts - 1)) / (sum of counts)`, smoothed towards the rate of all items.
    pub(super) fn repeat_rates(&self) -> Vec<f32> {
        let mut repeats = vec![0.0; self.items];
        let mut counts = vec![0.0; self.items];
        for interaction in self.histories.iter().flat_map(|history| &history.interactions) {
            repeats[interaction.item as usize] += (interaction.count - 1.0).max(0.0);
            counts[interaction.item as usize] += interaction.count;
        }
        let rate = repeats.iter().sum::<f32>() / counts.iter().sum::<f32>().max(f32::MIN_POSITIVE);
        repeats
            .iter()
            .zip(&counts)
            .map(|(repeats, count)| (repeats + REPEAT_RATE_PRIOR * rate) / (count + REPEAT_RATE_PRIOR))
            .collect()
    }

    /// Sum of the counts of each item, weighted by time.
    pub(super) fn counts(&self, weight: impl Fn(Timestamp) -> f32) -> Vec<f32> {
        let mut counts = vec![0.0; self.items];
        for interaction in self.histories.iter().flat_map(|history| &history.interactions) {
            counts[interaction.item as usize] += interaction.count * weight(interaction.at);
        }
        counts
    }

    /// Sum of the counts of each item, decayed from the newest interaction on.
    pub(super) fn trending(&self) -> Vec<f32> {
        let Some((_, newest)) = self.span() else { return vec![0.0; self.items] };
        let half_life = self.part_of_span(TRENDING_SHARE);
        self.counts(|at| (-(newest.since(at).millis() as f64) / half_life).exp2() as f32)
    }

    /// Shares of items in each segment, row-major.
    pub(super) fn by_segment(&self) -> Vec<f32> {
        let mut rows = Vec::with_capacity(self.segments * self.items);
        for segment in 0..self.segments {
            let mut counts = vec![0.0; self.items];
            let members = self.histories.iter().filter(|history| history.segment == Some(segment as u32));
            for interaction in members.flat_map(|history| &history.interactions) {
                counts[interaction.item as usize] += interaction.count;
            }
            rows.extend(shares(&counts));
        }
        rows
    }

    /// Trains latent factors; `None` if they are not wanted, or no history is long enough.
    pub(super) fn factors(&self) -> Result<Option<Factors>, Error> {
        let Some(params) = self.latent.filter(|_| self.items > 0) else { return Ok(None) };
        let histories: Vec<&History> =
            self.histories.iter().filter(|history| history.interactions.len() >= HISTORY_MIN).collect();
        if histories.is_empty() {
            return Ok(None);
        }
        let mut entries = Vec::new();
        for (row, history) in (0_u32..).zip(&histories) {
            entries.extend(history.interactions.iter().map(|interaction| (row, interaction.item, 1.0)));
        }
        let interactions = InteractionMatrix::from_entries(histories.len(), self.items, entries)?;
        Ok(Some(factors::train(&interactions, params)?.factors))
    }
}

/// Counts as shares of the largest one; zeros if all are 0.
pub(super) fn shares(counts: &[f32]) -> Vec<f32> {
    let largest = counts.iter().copied().fold(0.0, f32::max);
    counts.iter().map(|count| if largest > 0.0 { count / largest } else { 0.0 }).collect()
}
