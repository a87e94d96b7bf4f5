//! What every gRPC call passes through, written once, from the outside in. In comes a call, out goes its answer or a status;
//! nothing here knows a service.

use crate::telemetry::Metrics;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

/// Turns the status that a library chose into the one that is documented.
pub type Clarify = fn(Status) -> Status;

/// What the layers need.
pub(crate) struct Stack {
    /// Where calls are measured.
    pub(crate) metrics: Metrics,
    /// Calls that may wait for their answer at once.
    pub(crate) calls_max: usize,
    /// How long a call may wait for the beginning of its answer if the caller sets no deadline.
    pub(crate) call_timeout: Duration,
    /// The last word on a status.
    pub(crate) clarify: Clarify,
}

/// The instruments of a gRPC server.
struct Instruments {
    calls: Counter<u64>,
    seconds: Histogram<f64>,
}

impl Stack {
    /// Wraps the services.
    pub(crate) fn around(self, services: Routes) -> Router {
        let instruments = Arc::new(Instruments::new(&self.metrics));
        let room = Arc::new(Semaphore::new(self.calls_max));
        services.into_axum_router().layer(
            ServiceBuilder::new()
                // Outermost, so that a call that panics anywhere below is answered and counted against nobody else.
                .layer(from_fn_with_state(instruments, observe))
                // A handler that panics is a bug of one call: it is answered, and the process goes on.
                .layer(CatchPanicLayer::custom(panicked))
                // What waits for an answer is bounded; more is refused at once rather than queued. An open stream has its
                // answer and does not count: each service bounds its own.
                .layer(from_fn_with_state(room, admit))
                // Nobody waits for ever: a caller's own deadline holds, and where there is none, ours does.
                .layer(from_fn_with_state(self.call_timeout, in_time))
                // Innermost: what the library said of a message that it could not read becomes what we document.
                .layer(from_fn(move |request: Request, next: Next| clarified(self.clarify, request, next))),
        )
    }
}

impl Instruments {
    fn new(metrics: &Metrics) -> Self {
        let meter = metrics.meter("portrait-runtime");
        Self {
            calls: meter
                .u64_counter("portrait_grpc_calls")
                .with_description("gRPC calls by method and code")
                .with_unit("{call}")
                .build(),
            seconds: meter
                .f64_histogram("portrait_grpc_call_duration")
                .with_description("from the arrival of a call to the beginning of its answer, by method")
                .with_unit("s")
                .with_boundaries(vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0])
                .build(),
        }
    }
}

async fn observe(State(instruments): State<Arc<Instruments>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.uri().path().to_owned();
    let span = tracing::debug_span!("call", method);
    let response = next.run(request).instrument(span).await;
    let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
    // A path that no service has would let a caller make up label values without end.
    let method = if code == Code::Unimplemented { "unknown".to_owned() } else { method };
    let method = KeyValue::new("method", method);
    instruments.seconds.record(begun.elapsed().as_secs_f64(), std::slice::from_ref(&method));
    instruments.calls.add(1, &[method, KeyValue::new("code", format!("{code:?}"))]);
    response
}

async fn admit(State(room): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match room.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => {
            refused(&Status::resource_exhausted("the server has as many calls as it can answer; retry"))
        }
    }
}

async fn in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    if request.headers().contains_key("grpc-timeout") {
        return next.run(request).await;
    }
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => refused(&Status::deadline_exceeded(format!(
            "no answer within {limit:?}; set a deadline of your own"
        ))),
    }
}

async fn clarified(clarify: Clarify, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => refused(&clarify(status)),
        _ => response,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands the cause over")]
fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let text = cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(panic = text, "a call panicked");
    refused(&Status::internal("a fault of the server; its log has the cause"))
}

fn refused(status: &Status) -> Response {
    status.clone().into_http::<axum::body::Body>()
}
