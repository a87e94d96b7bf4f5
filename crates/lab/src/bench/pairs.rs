//! The same load in pairs of runs, one with something beside it and one without. Judged by processor time an event and by freshness,
//! with the spread over the pairs, since single runs on a shared machine differ.

use super::freshness::{self, Pace};
use anyhow::{Context, Result};
use portrait_node::Node;
use portrait_proto::v1::Event;
use std::time::{Duration, Instant};

/// Pairs of runs.
pub(super) const PAIRS: usize = 4;
/// The load of every run.
pub(super) const EVENTS_PER_SECOND: f64 = 20_000.0;

/// One run.
pub(super) struct Run {
    /// Processor time an event, in microseconds.
    pub(super) micros_an_event: f64,
    /// Accepted to queryable, in milliseconds.
    pub(super) p99_ms: f64,
}

/// A ratio of runs with to runs without, over the pairs: its mean, and two standard errors of that.
pub(super) struct Ratio {
    /// The mean.
    pub(super) mean: f64,
    /// The spread.
    pub(super) spread: f64,
}

/// One run: `events` are sent to `node` for `seconds`.
pub(super) async fn run(node: &Node, events: &[Event], seconds: u64) -> Result<Run> {
    let before = processor_time()?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let pace = Pace { events_per_second: EVENTS_PER_SECOND, until };
    let (histogram, sent) = freshness::under_load(&node.grpc_url(), events, pace).await?;
    let spent = processor_time()?.saturating_sub(before);
    Ok(Run {
        micros_an_event: spent.as_micros() as f64 / sent.max(1) as f64,
        p99_ms: histogram.value_at_quantile(0.99) as f64 / 1000.0,
    })
}

/// The mean of something over runs.
pub(super) fn mean<R>(runs: &[R], of: fn(&R) -> f64) -> f64 {
    runs.iter().map(of).sum::<f64>() / runs.len() as f64
}

/// How runs with compare to those without, pair by pair.
pub(super) fn ratio<R>(with: &[R], without: &[R], of: fn(&R) -> f64) -> Ratio {
    let ratios: Vec<f64> = with.iter().zip(without).map(|(with, without)| of(with) / of(without)).collect();
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    let variance = ratios.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (ratios.len() - 1) as f64;
    Ratio { mean, spread: 2.0 * (variance / ratios.len() as f64).sqrt() }
}

/// What this process has used of the processors, in user and kernel, to a hundredth of a second.
fn processor_time() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat").context("this process's /proc cannot be read")?;
    // The name of the process comes in brackets and may have spaces in it; the times are the 12th and 13th field after it.
    let (_, fields) = text.rsplit_once(')').context("/proc/self/stat has no name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    let each_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / each_second as f64))
}
