//! Pairs of runs of the same load, with and without a disturbance. The measures are processor time per event and
//! freshness, with the spread over the pairs, because single runs on a shared machine vary.

use super::freshness::{self, LoadPace};
use anyhow::{Context, Result};
use portrait_node::Node;
use portrait_proto::v1::Event;
use std::time::{Duration, Instant};

/// Number of pairs of runs.
pub(super) const PAIRS: usize = 4;
/// Load of every run.
pub(super) const EVENTS_PER_SECOND: f64 = 20_000.0;

/// Result of one run.
pub(super) struct PairRun {
    /// Processor time per event, in microseconds.
    pub(super) micros_per_event: f64,
    /// 99th percentile from acceptance to a profile with the event, in milliseconds.
    pub(super) p99_ms: f64,
}

/// Ratio of runs with the disturbance to runs without, over the pairs.
pub(super) struct PairRatio {
    /// Mean over the pairs.
    pub(super) mean: f64,
    /// Two standard errors of the mean.
    pub(super) spread: f64,
}

/// Sends `events` to `node` for `seconds` and measures the run.
pub(super) async fn run(node: &Node, events: &[Event], seconds: u64) -> Result<PairRun> {
    let before = processor_time()?;
    let until = Instant::now() + Duration::from_secs(seconds);
    // A fixed rate far below the maximum: at the maximum, processor time per event would depend on batching.
    let pace = LoadPace { events_per_second: EVENTS_PER_SECOND, until };
    let (histogram, sent) = freshness::under_load(&node.grpc_url(), events, pace).await?;
    let used = processor_time()?.saturating_sub(before);
    Ok(PairRun {
        micros_per_event: used.as_micros() as f64 / sent.max(1) as f64,
        p99_ms: histogram.value_at_quantile(0.99) as f64 / 1000.0,
    })
}

/// Mean of `of` over runs.
pub(super) fn mean<R>(runs: &[R], of: fn(&R) -> f64) -> f64 {
    runs.iter().map(of).sum::<f64>() / runs.len() as f64
}

/// Ratio of `of` with the disturbance to without, pair by pair.
pub(super) fn ratio<R>(with: &[R], without: &[R], of: fn(&R) -> f64) -> PairRatio {
    let ratios: Vec<f64> = with.iter().zip(without).map(|(with, without)| of(with) / of(without)).collect();
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    // The spread is over ratios of pairs, not over runs: slow drift of the machine cancels within a pair.
    let variance = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum::<f64>() / (ratios.len() - 1) as f64;
    PairRatio { mean, spread: 2.0 * (variance / ratios.len() as f64).sqrt() }
}

/// Processor time of this process in user and kernel mode, to a hundredth of a second.
fn processor_time() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat").context("this process's /proc cannot be read")?;
    // The process name is in brackets and may contain spaces; user and system time are the 12th and 13th field after
    // it.
    let (_, fields) = text.rsplit_once(')').context("/proc/self/stat has no name")?;
    // User and system time: tracing and sweeps cost both.
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / ticks_per_second as f64))
}
