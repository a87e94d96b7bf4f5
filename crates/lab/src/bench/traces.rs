//! Cost of tracing one request in a hundred: the same load in pairs of runs, to a server with a collector and to one
//! without. The collector runs in this process, so that its cost counts as well.

use super::env::{BenchEnv, FreshStore};
use super::figure::Figure;
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
pub(super) async fn measure(seconds: u64, env: &BenchEnv, figures: &mut Vec<Figure>) -> Result<()> {
    let spans = Arc::new(AtomicU64::new(0));
    let (endpoint, collecting) = collector(Arc::clone(&spans)).await?;
    let traced_store = env.new_store().await?;
    let untraced_store = env.new_store().await?;
    let traced = start_node(&traced_store, TraceConfig { endpoint, sample: SAMPLE }).await?;
    let untraced = start_node(&untraced_store, TraceConfig::default()).await?;
    let events = load::distinct_users(USERS);
    let mut with = Vec::new();
    let mut without = Vec::new();
    for _ in 0..PAIRS {
        without.push(pairs::run(&untraced, &events, seconds).await?);
        with.push(pairs::run(&traced, &events, seconds).await?);
    }
    traced.stop().await?;
    untraced.stop().await?;
    collecting.abort();
    let ratio = pairs::ratio(&with, &without, |run| run.micros_per_event);
    let micros_with = pairs::mean(&with, |run| run.micros_per_event);
    let micros_without = pairs::mean(&without, |run| run.micros_per_event);
    let exported = spans.load(Ordering::Relaxed);
    figures.push(Figure {
        path: format!("processor time per event when 1% of requests are traced, {PAIRS} pairs of runs"),
        measured: format!("{micros_with:.1} µs, {exported} spans exported"),
        baseline: format!(
            "without tracing: {micros_without:.1} µs; ratio {:.3} ± {:.3}",
            ratio.mean, ratio.spread
        ),
        ratio: Some(ratio.mean),
        values: [
            ("processor_us_per_event", micros_with),
            ("processor_us_per_event_without", micros_without),
            ("ratio_spread", ratio.spread),
            ("spans", exported as f64),
            ("events_per_second", EVENTS_PER_SECOND),
        ]
        .into(),
        target: "< 1.05",
        // Without spans the cost of tracing was not measured at all.
        met: ratio.mean < 1.05 && exported > 0,
    });
    Ok(())
}

async fn start_node(store: &FreshStore, trace: TraceConfig) -> Result<Node> {
    // Both nodes differ in the trace configuration only.
    let config = portrait_node::Config { trace, ..store.config() };
    let node = Node::start(NodeRole::All, config).await?;
    let channel = client::connect(&node.grpc_url()).await?;
    // Every partition gets its worker before the measurement.
    client::send_all(channel.clone(), &load::warm_up_users()).await?;
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
        let received: usize = scopes.map(|scope| scope.spans.len()).sum();
        // A counter alone: decoding is the cost that a real collector has as well.
        self.0.fetch_add(received as u64, Ordering::Relaxed);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn collector(spans: Arc<AtomicU64>) -> Result<(String, tokio::task::JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let server =
        tonic::transport::Server::builder().add_service(TraceServiceServer::new(CountingCollector(spans)));
    let collecting = tokio::spawn(async move {
        if let Err(error) = server.serve_with_incoming(TcpListenerStream::new(listener)).await {
            tracing::error!(%error, "trace collector stopped");
        }
    });
    Ok((endpoint, collecting))
}
