//! Cost of a sweep for a new model: the same load in pairs of runs, with a sweep in progress and without.

use super::figure::Figure;
use super::env::BenchEnv;
use super::load;
use super::pairs::{self, PAIRS, PairRun};
use anyhow::{Result, bail};
use portrait_client::{self as client, RoleRouter};
use portrait_node::{Node, NodeRole};
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::{ActivateModelRequest, TrainModelRequest};

/// Measures freshness and processor time during sweeps of `users` profiles.
pub(super) async fn measure(
    shoppers: usize,
    seconds: u64,
    ground: &BenchEnv,
    figures: &mut Vec<Figure>,
) -> Result<()> {
    let fresh = ground.fresh().await?;
    let node = Node::start(NodeRole::All, fresh.config()).await?;
    let channel = client::connect(&node.grpc_url()).await?;
    let events = load::distinct_users(shoppers);
    client::send_all(channel.clone(), &events).await?;
    client::wait_until_applied(channel.clone()).await?;
    for segments in [4, 6] {
        let request = TrainModelRequest { segments, force: true, ..Default::default() };
        let outcome = client::train(channel.clone(), request, |_, _| {}).await?;
        if !outcome.published {
            bail!("no model to sweep for: {}", outcome.refusal);
        }
    }
    let load = load::distinct_users(shoppers.min(50_000));
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        // Two models alternate: each sweep moves most users to another segment, which is the expensive case.
        let (before, after) = (2 - (pair % 2) as u64, 1 + (pair % 2) as u64);
        client::wait_until_swept(channel.clone(), before).await?;
        without.push(pairs::run(&node, &load, seconds).await?);
        activate(&channel, after).await?;
        with.push(pairs::run(&node, &load, seconds).await?);
    }
    node.stop().await?;
    figures.push(figure(shoppers, &with, &without));
    Ok(())
}

async fn activate(channel: &RoleRouter, version: u64) -> Result<()> {
    ModelServiceClient::new(channel.clone()).activate_model(ActivateModelRequest { version }).await?;
    Ok(())
}

fn figure(shoppers: usize, with: &[PairRun], without: &[PairRun]) -> Figure {
    let (p99_of, spent_of) = (|run: &PairRun| run.p99_ms, |run: &PairRun| run.micros_an_event);
    let pairs::PairRatio { mean: ratio, spread } = pairs::ratio(with, without, p99_of);
    let (p99, p99_without) = (pairs::mean(with, p99_of), pairs::mean(without, p99_of));
    let (spent, spent_without) = (pairs::mean(with, spent_of), pairs::mean(without, spent_of));
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
