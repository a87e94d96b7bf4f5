//! Table of the simulation: hand-over times, skew and calls of each phase.

use super::store::CallCounts;
use std::fmt;
use std::time::Duration;

/// Figures of one phase.
pub(super) struct PhaseFigures {
    pub(super) phase: &'static str,
    /// Durations without an owner, one for each partition that changed owners.
    pub(super) handovers: Vec<Duration>,
    /// Partitions of each worker at the end.
    pub(super) loads: Vec<usize>,
    pub(super) calls: CallCounts,
    /// Virtual time of the phase.
    pub(super) elapsed: Duration,
    /// Tokens of former holders whose commit was refused at the end.
    pub(super) fenced: usize,
}

/// Spread of the partitions over the workers.
struct Skew {
    min: usize,
    mean: f64,
    max: usize,
    /// Standard deviation divided by the mean.
    variation: f64,
}

/// Header of the table of phases.
pub(super) const HEADER: &str = "\
| phase | hand-overs | p50 ms | p99 ms | max ms | partitions per worker: min / mean / max | variation | claims/s | fenced |
|---|--:|--:|--:|--:|---|--:|--:|--:|";

impl PhaseFigures {
    /// Returns the longest time that a partition was without an owner.
    pub(super) fn longest(&self) -> Duration {
        self.handovers.iter().copied().max().unwrap_or_default()
    }

    fn quantile_ms(&self, quantile: f64) -> u128 {
        let mut sorted = self.handovers.clone();
        sorted.sort_unstable();
        let index = (quantile * sorted.len() as f64).ceil() as usize;
        sorted.get(index.saturating_sub(1)).map_or(0, Duration::as_millis)
    }

    fn skew(&self) -> Skew {
        let count = self.loads.len().max(1) as f64;
        let mean = self.loads.iter().sum::<usize>() as f64 / count;
        let variance = self.loads.iter().map(|load| (*load as f64 - mean).powi(2)).sum::<f64>() / count;
        Skew {
            min: self.loads.iter().copied().min().unwrap_or(0),
            mean,
            max: self.loads.iter().copied().max().unwrap_or(0),
            variation: variance.sqrt() / mean.max(f64::MIN_POSITIVE),
        }
    }
}

impl fmt::Display for PhaseFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Skew { min, mean, max, variation } = self.skew();
        write!(
            f,
            "| {} | {} | {} | {} | {} | {min} / {mean:.1} / {max} | {variation:.2} | {:.0} | {} |",
            self.phase,
            self.handovers.len(),
            self.quantile_ms(0.5),
            self.quantile_ms(0.99),
            self.longest().as_millis(),
            self.calls.claims as f64 / self.elapsed.as_secs_f64(),
            self.fenced,
        )
    }
}
