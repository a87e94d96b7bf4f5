//! Cost of tracing one request in a hundred: the same load in pairs of runs, to a server with a collector and to one
//! without. The collector runs in this process, so that its cost counts as well.

use super::figure::Figure;
use super::env::{FreshStore, BenchEnv};
use super::load;
use super::pairs::{self, EVENTS_PER_SECOND, PAIRS};
use anyhow::Result;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use portrait_client as client;
use portrait_node::{Node, NodeRole};
use portrait_runtime::telemetry::trace::TraceConfig;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// Share of requests that is sampled.
const SAMPLE: f64 = 0.01;
/// Users of the load.
const USERS: usize = 50_000;

/// Measures processor time per event with tracing and without.
pub(super) async fn measure(seconds: u64, ground: &BenchEnv, figures: &mut Vec<Figure>) -> Result<()> {
    let spans = Arc::new(AtomicU64::new(0));
    let (endpoint, collecting) = collector(Arc::clone(&spans)).await?;
    let (there, nobody) = (ground.fresh().await?, ground.fresh().await?);
    let followed = started(&there, TraceConfig { endpoint, sample: SAMPLE }).await?;
    let alone = started(&nobody, TraceConfig::default()).await?;
    let events = load::distinct_users(USERS);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        without.push(pairs::run(&alone, &events, seconds).await?);
        with.push(pairs::run(&followed, &events, seconds).await?);
    }
    followed.stop().await?;
    alone.stop().await?;
    collecting.abort();
    let spent = |run: &pairs::PairRun| run.micros_an_event;
    let ratio = pairs::ratio(&with, &without, spent);
    let (spent_with, spent_without) = (pairs::mean(&with, spent), pairs::mean(&without, spent));
    let told = spans.load(Ordering::Relaxed);
    figures.push(Figure {
        path: format!("processor an event when 1% of requests are followed, {PAIRS} pairs of runs"),
        measured: format!("{spent_with:.1} µs, {told} spans told"),
        beside: format!(
            "nothing followed: {spent_without:.1} µs; ratio {:.3} ± {:.3}",
            ratio.mean, ratio.spread
        ),
        ratio: Some(ratio.mean),
        values: [
            ("processor_us_an_event", spent_with),
            ("processor_us_an_event_without", spent_without),
            ("ratio_spread", ratio.spread),
            ("spans", told as f64),
            ("events_per_second", EVENTS_PER_SECOND),
        ]
        .into(),
        target: "< 1.05",
        met: ratio.mean < 1.05 && told > 0,
    });
    Ok(())
}

async fn started(fresh: &FreshStore, trace: TraceConfig) -> Result<Node> {
    let config = portrait_node::Config { trace, ..fresh.config() };
    let node = Node::start(NodeRole::All, config).await?;
    let channel = client::connect(&node.grpc_url()).await?;
    // Every partition gets its worker before the measurement.
    client::send_all(channel.clone(), &load::strangers()).await?;
    client::wait_until_applied(channel).await?;
    Ok(node)
}

/// Collector that counts the spans it receives.
struct CountingCollector(Arc<AtomicU64>);

#[tonic::async_trait]
impl TraceService for CountingCollector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|process| process.scope_spans);
        let told: usize = scopes.map(|scope| scope.spans.len()).sum();
        self.0.fetch_add(told as u64, Ordering::Relaxed);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn collector(spans: Arc<AtomicU64>) -> Result<(String, tokio::task::JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(CountingCollector(spans)));
    let collecting = tokio::spawn(async move {
        if let Err(error) = server.serve_with_incoming(TcpListenerStream::new(listener)).await {
            tracing::error!(%error, "the collector ended");
        }
    });
    Ok((endpoint, collecting))
}
