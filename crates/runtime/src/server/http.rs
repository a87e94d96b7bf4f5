//! HTTP port for operators' tools: liveness, readiness and metrics.

use crate::connections::ConnectionLimits;
use crate::health::Health;
use crate::telemetry::Metrics;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use std::time::Duration;

/// Fixed limits: few tools use the port (kubelet, Prometheus).
pub(super) const LIMITS: ConnectionLimits = ConnectionLimits {
    max: 64,
    handshake: Duration::from_secs(30),
    idle: Some(Duration::from_secs(120)),
    age: None,
};

pub(super) fn router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz).with_state(health))
        .route("/metrics", get(rendered).with_state(metrics))
}

async fn rendered(State(metrics): State<Metrics>) -> ([(&'static str, &'static str); 1], String) {
    ([("content-type", "text/plain; version=0.0.4")], metrics.render())
}

async fn readyz(State(health): State<Health>) -> (StatusCode, Json<Vec<(&'static str, String)>>) {
    let waiting_for = health.waiting_for();
    let code = if waiting_for.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(waiting_for))
}
