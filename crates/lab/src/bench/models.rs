//! Propagation of model activations: eight nodes watch one model service, two versions alternate, and the time from
//! the call until the last node serves the version is recorded.

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
/// Number of measured activations.
const TURNS: usize = 200;
/// Time limit for the last node.
const ACTIVATION_TIMEOUT: Duration = Duration::from_secs(30);

/// Measures the time until all nodes serve an activated model.
pub(super) async fn measure(events: &[Event], env: &BenchEnv, figures: &mut Vec<Figure>) -> Result<()> {
    let store = env.new_store().await?;
    let node = Node::start(NodeRole::All, store.config()).await?;
    let channel = client::connect(&node.grpc_url()).await?;
    client::send_all(channel.clone(), &events[..events.len().min(100_000)]).await?;
    client::wait_until_applied(channel.clone()).await?;
    for segments in [4, 6] {
        // Forced: the second model is no better than the first, and would not be published otherwise.
        let request = TrainModelRequest { segments, force: true, ..Default::default() };
        let outcome = client::train(channel.clone(), request, |_, _| {}).await?;
        if !outcome.published {
            bail!("no model to activate: {}", outcome.refusal);
        }
    }
    let stop = CancellationToken::new();
    let mut served = Vec::new();
    for index in 0..NODES {
        served.push(start_follower(&node, index, &stop).await?);
    }
    let histogram = activate(&channel, &mut served).await?;
    stop.cancel();
    node.stop().await?;
    let p50 = histogram.value_at_quantile(0.5) as f64 / 1000.0;
    let p99 = histogram.value_at_quantile(0.99) as f64 / 1000.0;
    figures.push(Figure {
        path: format!("`ActivateModel` to served by {NODES} nodes, {TURNS} times"),
        measured: format!("p50 {p50:.1} ms, p99 {p99:.1} ms"),
        baseline: String::new(),
        ratio: None,
        values: [("p50_ms", p50), ("p99_ms", p99)].into(),
        target: "p99 <= 200 ms",
        met: p99 <= 200.0,
    });
    Ok(())
}

/// Starts the model follower of another node on the same store.
async fn start_follower(
    node: &Node,
    index: usize,
    stop: &CancellationToken,
) -> Result<watch::Receiver<ServedModel>> {
    let peer = client::connect_lazy(&node.grpc_url())?.into();
    let status = ModelStatus::new(&Instruments::disabled().meter, Health::default());
    let kept_bytes = Config::default().profiles.models_kept.bytes();
    let name = format!("node-{index}");
    let (follower, served) = ModelFollower::start(node.store(), peer, name, kept_bytes, status).await;
    tokio::spawn(follower.run(stop.clone()));
    Ok(served)
}

async fn activate(
    channel: &RoleRouter,
    served: &mut [watch::Receiver<ServedModel>],
) -> Result<Histogram<u64>> {
    let mut models = ModelServiceClient::new(channel.clone());
    let mut histogram = Histogram::new(3)?;
    // The first turn waits for nodes that are still connecting and is not counted.
    for turn in 0..=TURNS {
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
