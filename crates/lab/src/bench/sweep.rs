//! Cost of a sweep for a new model: the same load in pairs of runs, with a sweep in progress and without.

use super::env::BenchEnv;
use super::figure::Figure;
use super::load;
use super::pairs::{self, PAIRS, PairRun};
use anyhow::{Result, bail};
use portrait_client::{self as client, RoleRouter};
use portrait_node::{Node, NodeRole};
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::{ActivateModelRequest, TrainModelRequest};

/// Measures freshness and processor time during sweeps of `users` profiles.
pub(super) async fn measure(
    users: usize,
    seconds: u64,
    env: &BenchEnv,
    figures: &mut Vec<Figure>,
) -> Result<()> {
    let store = env.new_store().await?;
    let node = Node::start(NodeRole::All, store.config()).await?;
    let channel = client::connect(&node.grpc_url()).await?;
    let events = load::distinct_users(users);
    client::send_all(channel.clone(), &events).await?;
    client::wait_until_applied(channel.clone()).await?;
    // Different numbers of segments make two models that disagree on most users.
    for segments in [4, 6] {
        let request = TrainModelRequest { segments, force: true, ..Default::default() };
        let outcome = client::train(channel.clone(), request, |_, _| {}).await?;
        if !outcome.published {
            bail!("no model to sweep for: {}", outcome.refusal);
        }
    }
    // The load is of swept users: their profiles have both kinds of writes at once.
    let load = load::distinct_users(users.min(50_000));
    let mut with = Vec::new();
    let mut without = Vec::new();
    for pair in 0..PAIRS {
        // Two models alternate: each sweep moves most users to another segment, which is the expensive case.
        let before = 2 - (pair % 2) as u64;
        let after = 1 + (pair % 2) as u64;
        client::wait_until_swept(channel.clone(), before).await?;
        without.push(pairs::run(&node, &load, seconds).await?);
        activate(&channel, after).await?;
        with.push(pairs::run(&node, &load, seconds).await?);
    }
    node.stop().await?;
    figures.push(figure(users, &with, &without));
    Ok(())
}

async fn activate(channel: &RoleRouter, version: u64) -> Result<()> {
    ModelServiceClient::new(channel.clone()).activate_model(ActivateModelRequest { version }).await?;
    Ok(())
}

fn figure(users: usize, with: &[PairRun], without: &[PairRun]) -> Figure {
    let pairs::PairRatio { mean: ratio, spread } = pairs::ratio(with, without, |run| run.p99_ms);
    let p99 = pairs::mean(with, |run| run.p99_ms);
    let p99_without = pairs::mean(without, |run| run.p99_ms);
    let micros = pairs::mean(with, |run| run.micros_per_event);
    let micros_without = pairs::mean(without, |run| run.micros_per_event);
    Figure {
        path: format!("accepted to queryable while {users} users are swept, {PAIRS} pairs of runs"),
        measured: format!("p99 {p99:.1} ms, {micros:.1} µs of processor time per event"),
        baseline: format!(
            "without: p99 {p99_without:.1} ms, {micros_without:.1} µs; p99 ratio {ratio:.2} ± {spread:.2}"
        ),
        ratio: Some(ratio),
        values: [
            ("p99_ms", p99),
            ("p99_ms_without", p99_without),
            ("processor_us_per_event", micros),
            ("processor_us_per_event_without", micros_without),
            ("p99_ratio_spread", spread),
        ]
        .into(),
        target: "p99 <= 50 ms",
        met: p99 <= 50.0,
    }
}
