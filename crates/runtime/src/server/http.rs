//! HTTP port for operators' tools: liveness, readiness and metrics.

use crate::connections::{ConnectionLimits, Connections};
use crate::health::Health;
use crate::telemetry::Metrics;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use std::io;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Fixed limits: few tools use the port (kubelet, Prometheus).
const LIMITS: ConnectionLimits = ConnectionLimits {
    max: 64,
    handshake: Duration::from_secs(30),
    idle: Some(Duration::from_secs(120)),
    age: None,
    admits_requests: true,
};

/// Serves health and metrics on `listener` until `stopped` is cancelled.
///
/// # Errors
/// If the port fails.
pub(super) async fn serve(
    listener: TcpListener,
    health: Health,
    metrics: Metrics,
    stopped: CancellationToken,
) -> io::Result<()> {
    let connections = Connections::new(listener, LIMITS, stopped.clone());
    axum::serve(connections, router(health, metrics)).with_graceful_shutdown(stopped.cancelled_owned()).await
}

fn router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        // No check of anything: a restart does not help a process whose store is away.
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz).with_state(health))
        .route("/metrics", get(rendered).with_state(metrics))
}

async fn rendered(State(metrics): State<Metrics>) -> ([(&'static str, &'static str); 1], String) {
    ([("content-type", "text/plain; version=0.0.4")], metrics.render())
}

async fn readyz(State(health): State<Health>) -> (StatusCode, Json<Vec<(&'static str, String)>>) {
    // A degraded component is listed, but only one that is not ready takes the process out of a load balancer.
    let code = if health.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(health.problems()))
}
