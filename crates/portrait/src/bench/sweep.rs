//! What it costs events when everybody is looked at for a new model: the same load in pairs of runs, one while a sweep goes on
//! and one without. Judged by processor time an event and by freshness, with the spread over the pairs, since single runs on a
//! shared machine differ.

use super::freshness::{self, Pace};
use super::ground::Ground;
use super::{Figure, load};
use crate::client::{self, Line};
use crate::node::{Node, Role};
use anyhow::{Context, Result, bail};
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::{ActivateModelRequest, TrainModelRequest};
use std::time::{Duration, Instant};

/// Pairs of runs.
const PAIRS: usize = 4;
/// The load of every run.
const EVENTS_PER_SECOND: f64 = 20_000.0;

/// One run.
struct Run {
    micros_an_event: f64,
    p99_ms: f64,
}

/// Measures.
pub(super) async fn measure(
    shoppers: usize,
    seconds: u64,
    ground: &Ground,
    figures: &mut Vec<Figure>,
) -> Result<()> {
    let fresh = ground.fresh().await?;
    let node = Node::start(Role::All, fresh.config()).await?;
    let channel = client::connect(&node.grpc_url()).await?;
    let events = load::distinct_users(shoppers);
    client::send_all(channel.clone(), &events).await?;
    client::wait_until_applied(channel.clone()).await?;
    for segments in [4, 6] {
        let request = TrainModelRequest { segments, force: true, ..Default::default() };
        let outcome = crate::train::train(channel.clone(), request, |_, _| {}).await?;
        if !outcome.published {
            bail!("no model to sweep for: {}", outcome.refusal);
        }
    }
    let load = load::distinct_users(shoppers.min(50_000));
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        // Whoever is swept is swept for the other model: most of them move.
        let (before, after) = (2 - (pair % 2) as u64, 1 + (pair % 2) as u64);
        client::wait_until_swept(channel.clone(), before).await?;
        without.push(run(&node, &load, seconds).await?);
        activate(&channel, after).await?;
        with.push(run(&node, &load, seconds).await?);
    }
    node.stop().await?;
    figures.push(figure(shoppers, &with, &without));
    Ok(())
}

async fn activate(channel: &Line, version: u64) -> Result<()> {
    ModelServiceClient::new(channel.clone()).activate_model(ActivateModelRequest { version }).await?;
    Ok(())
}

async fn run(node: &Node, events: &[portrait_proto::v1::Event], seconds: u64) -> Result<Run> {
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

/// What this process has used of the processors, in user and kernel, to a hundredth of a second.
fn processor_time() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat").context("this process's /proc cannot be read")?;
    // The name of the process comes in brackets and may have spaces in it; the times are the 12th and 13th field after it.
    let (_, fields) = text.rsplit_once(')').context("/proc/self/stat has no name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    let each_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / each_second as f64))
}

fn figure(shoppers: usize, with: &[Run], without: &[Run]) -> Figure {
    let mean = |runs: &[Run], of: fn(&Run) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
    let ratios: Vec<f64> =
        with.iter().zip(without).map(|(with, without)| with.p99_ms / without.p99_ms).collect();
    let ratio = ratios.iter().sum::<f64>() / ratios.len() as f64;
    let variance = ratios.iter().map(|one| (one - ratio).powi(2)).sum::<f64>() / (ratios.len() - 1) as f64;
    // Two standard errors of the mean.
    let spread = 2.0 * (variance / ratios.len() as f64).sqrt();
    let (p99, p99_without) = (mean(with, |run| run.p99_ms), mean(without, |run| run.p99_ms));
    let (spent, spent_without) =
        (mean(with, |run| run.micros_an_event), mean(without, |run| run.micros_an_event));
    Figure {
        path: format!("accepted to queryable while {shoppers} shoppers are swept, {PAIRS} pairs of runs"),
        measured: format!("p99 {p99:.1} ms, {spent:.1} µs of processor an event"),
        beside: format!(
            "without: p99 {p99_without:.1} ms, {spent_without:.1} µs; p99 ratio {ratio:.2} ± {spread:.2}"
        ),
        ratio: Some(ratio),
        values: [
            ("p99_ms", p99),
            ("p99_ms_without", p99_without),
            ("processor_us_an_event", spent),
            ("processor_us_an_event_without", spent_without),
            ("p99_ratio_spread", spread),
        ]
        .into(),
        target: "p99 <= 50 ms",
        met: p99 <= 50.0,
    }
}
