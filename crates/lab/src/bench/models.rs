//! Propagation of model activations: eight nodes watch one model service, two versions alternate, and the time from
//! the call until the last node serves the version is recorded: of nodes that keep both versions, and of nodes that keep none and
//! read and decode all parts each time, as those of a new version.

use super::env::BenchEnv;
use super::figure::Figure;
use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use portrait_client::{self as client, RoleRouter};
use portrait_learning::ServedModel;
use portrait_node::{Config, ModelFollower, ModelStatus, Node, NodeRole};
use portrait_proto::v1::model_service_client::ModelServiceClient;
use portrait_proto::v1::{ActivateModelRequest, Event, TrainModelRequest};
use portrait_runtime::health::Health;
use portrait_runtime::telemetry::Instruments;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Watching nodes, besides the one with all roles.
const NODES: usize = 8;
/// Number of measured activations of known versions.
const TURNS: usize = 200;
/// Number of measured activations of new versions, which take longer.
const NEW_TURNS: usize = 20;
/// Time within which parts of 100 MB shall be served.
const NEW_SECONDS_PER_100_MB: f64 = 2.0;
/// Time limit for the last node.
const ACTIVATION_TIMEOUT: Duration = Duration::from_secs(30);

/// Measures the time until all nodes serve an activated model.
pub(super) async fn measure(events: &[Event], env: &BenchEnv, figures: &mut Vec<Figure>) -> Result<()> {
    let store = env.new_store().await?;
    let node = Node::start(NodeRole::All, store.config()).await?;
    let channel = client::connect(&node.grpc_url()).await?;
    client::send_all(channel.clone(), &events[..events.len().min(100_000)]).await?;
    client::wait_until_applied(channel.clone()).await?;
    let mut bytes = 0;
    for segments in [4, 6] {
        // Forced: the second model is no better than the first, and would not be published otherwise.
        let request = TrainModelRequest { segments, force: true, ..Default::default() };
        let outcome = client::train(channel.clone(), request, |_, _| {}).await?;
        if !outcome.published {
            bail!("no model to activate: {}", outcome.refusal);
        }
        bytes = outcome.manifest.map_or(0, |manifest| manifest.parts.iter().map(|part| part.size).sum());
    }
    let kept_bytes = Config::default().profiles.models_kept.bytes();
    let [p50, p99] = activate_on_nodes(&node, &channel, kept_bytes, TURNS).await?;
    figures.push(figure(
        format!("`ActivateModel` to served by {NODES} nodes, {TURNS} times"),
        [p50, p99],
        "p99 <= 200 ms",
        200.0,
    ));
    let [p50, p99] = activate_on_nodes(&node, &channel, 0, NEW_TURNS).await?;
    let megabytes = bytes as f64 / 1e6;
    let path =
        format!("the same of a version that the nodes lack, {megabytes:.1} MB of parts, {NEW_TURNS} times");
    // Reading and decoding grow with the bytes; a small model takes the time of the announcement.
    let max_ms = NEW_SECONDS_PER_100_MB * 1000.0 * (megabytes / 100.0).max(1.0);
    figures.push(figure(path, [p50, p99], "p99 <= 2 s for 100 MB", max_ms));
    node.stop().await?;
    Ok(())
}

fn figure(path: String, [p50, p99]: [f64; 2], target: &'static str, max_ms: f64) -> Figure {
    Figure {
        path,
        measured: format!("p50 {p50:.1} ms, p99 {p99:.1} ms"),
        baseline: String::new(),
        ratio: None,
        values: [("p50_ms", p50), ("p99_ms", p99)].into(),
        target,
        met: p99 <= max_ms,
    }
}

/// Returns p50 and p99, in milliseconds, of activations on nodes that keep decoded parts of `kept_bytes`.
async fn activate_on_nodes(
    node: &Node,
    channel: &RoleRouter,
    kept_bytes: u64,
    turns: usize,
) -> Result<[f64; 2]> {
    let stop = CancellationToken::new();
    let mut served = Vec::new();
    for index in 0..NODES {
        served.push(start_follower(node, index, kept_bytes, &stop).await?);
    }
    let histogram = activate(channel, &mut served, turns).await?;
    stop.cancel();
    Ok([0.5, 0.99].map(|quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0))
}

/// Starts the model follower of another node on the same store.
async fn start_follower(
    node: &Node,
    index: usize,
    kept_bytes: u64,
    stop: &CancellationToken,
) -> Result<watch::Receiver<ServedModel>> {
    let peer = client::connect_lazy(&node.grpc_url())?.into();
    let status = ModelStatus::new(&Instruments::disabled().meter, Health::default());
    let name = format!("node-{index}");
    let (follower, served) = ModelFollower::start(node.store(), peer, name, kept_bytes, status).await;
    tokio::spawn(follower.run(stop.clone()));
    Ok(served)
}

async fn activate(
    channel: &RoleRouter,
    served: &mut [watch::Receiver<ServedModel>],
    turns: usize,
) -> Result<Histogram<u64>> {
    let mut models = ModelServiceClient::new(channel.clone());
    let mut histogram = Histogram::new(3)?;
    // The first turn waits for nodes that are still connecting and is not counted.
    for turn in 0..=turns {
        let version = 1 + (turn % 2) as u64;
        let started = Instant::now();
        models.activate_model(ActivateModelRequest { version }).await?;
        // Waiting in sequence measures the slowest node, whichever it is.
        for node in served.iter_mut() {
            let serving =
                node.wait_for(|model| model.as_ref().is_some_and(|model| model.version.get() == version));
            tokio::time::timeout(ACTIVATION_TIMEOUT, serving)
                .await
                .context("a node does not serve the model")??;
        }
        if turn > 0 {
            histogram.record(u64::try_from(started.elapsed().as_micros())?)?;
        }
    }
    Ok(histogram)
}
