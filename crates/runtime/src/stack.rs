//! What every gRPC call passes through, written once, from the outside in. In comes a call, out goes its answer or a status;
//! nothing here knows a service.

use crate::deadline;
use crate::guard::{Guard, guarded};
use crate::methods::Methods;
use crate::telemetry::trace::{Followed, Span, Tracer};
use crate::telemetry::{self, Telemetry};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use futures::StreamExt;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

/// Gives a status the form that is documented. It sees every status that is not OK: those of the services, those of the
/// library (a message that cannot be read is INTERNAL, one above its limit OUT_OF_RANGE), and those of the layers below:
/// a call too many is RESOURCE_EXHAUSTED, one that took too long DEADLINE_EXCEEDED, one that panicked INTERNAL.
pub type Clarify = fn(Status) -> Status;

/// What the layers need.
pub(crate) struct Stack {
    /// Where calls are measured and followed.
    pub(crate) telemetry: Telemetry,
    /// Which methods there are.
    pub(crate) methods: Arc<Methods>,
    /// Who may call them.
    pub(crate) guard: Guard,
    /// Calls that may wait for their answer at once.
    pub(crate) calls_max: usize,
    /// How long a call may wait for the beginning of its answer if the caller sets no deadline.
    pub(crate) call_timeout: Duration,
    /// The last word on a status.
    pub(crate) clarify: Clarify,
    /// Cancelled when the process was told to stop.
    pub(crate) draining: CancellationToken,
}

/// The instruments of a gRPC server.
struct Instruments {
    methods: Arc<Methods>,
    tracer: Tracer,
    calls: Counter<u64>,
    seconds: Histogram<f64>,
}

/// One call, measured when it is dropped: a caller that goes away drops it too, and counts as cancelled.
struct Observed {
    instruments: Arc<Instruments>,
    method: String,
    begun: Instant,
    code: Code,
    span: Span,
    /// What its log lines are marked with.
    lines: tracing::Span,
}

impl Stack {
    /// Wraps the services.
    pub(crate) fn around(self, services: Routes) -> Router {
        let instruments = Arc::new(Instruments::new(self.telemetry.of("portrait-runtime"), self.methods));
        let room = Arc::new(Semaphore::new(self.calls_max));
        let clarify = self.clarify;
        services.into_axum_router().layer(
            ServiceBuilder::new()
                // Outermost, so that whatever becomes of a call below is counted as the caller sees it.
                .layer(from_fn_with_state(instruments, observe))
                // Around all that can fail, so that a status has one form wherever it was made.
                .layer(from_fn(move |request: Request, next: Next| clarified(clarify, request, next)))
                // A handler that panics is a bug of one call: it is answered, and the process goes on.
                .layer(CatchPanicLayer::custom(panicked))
                // Before anything is done for a call: who may not make it takes nobody's room.
                .layer(from_fn_with_state(Arc::new(self.guard), guarded))
                // What waits for an answer is bounded; more is refused at once rather than queued. An open stream has its
                // answer and does not count: each service bounds its own.
                .layer(from_fn_with_state(room, admit))
                // Nobody waits for ever: a caller's own deadline holds, and where there is none, ours does.
                .layer(from_fn_with_state(self.call_timeout, in_time))
                // Innermost: a tool that keeps a conversation with reflection open must not hold up a drain. The services
                // end their own streams.
                .layer(from_fn_with_state(self.draining, until_drained)),
        )
    }
}

impl Instruments {
    fn new(with: telemetry::Instruments, methods: Arc<Methods>) -> Self {
        let telemetry::Instruments { meter, tracer } = with;
        Self {
            methods,
            tracer,
            calls: meter
                .u64_counter("portrait_grpc_calls")
                .with_description("gRPC calls by method and code; a stream is counted when it begins")
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

impl Drop for Observed {
    fn drop(&mut self) {
        let method = KeyValue::new("method", std::mem::take(&mut self.method));
        let seconds = self.begun.elapsed().as_secs_f64();
        self.instruments.seconds.record(seconds, std::slice::from_ref(&method));
        tracing::debug!(parent: &self.lines, code = ?self.code, seconds, "answered");
        self.span.note("rpc.grpc.status_code", i64::from(self.code as i32));
        if self.code != Code::Ok {
            self.span.fail(self.code.description());
        }
        self.instruments.calls.add(1, &[method, KeyValue::new("code", format!("{:?}", self.code))]);
    }
}

async fn observe(State(instruments): State<Arc<Instruments>>, mut request: Request, next: Next) -> Response {
    let method = instruments.methods.name_of(request.uri().path()).to_owned();
    let mut span = instruments.tracer.call(request.headers(), &method);
    let lines = match span.trace_id() {
        // Whatever is said of a call that is followed can be found by it, and what goes wrong is said at every level.
        Some(trace_id) => tracing::error_span!("call", method, %trace_id),
        None => tracing::debug_span!("call", method),
    };
    if let Some(bytes) = span.bytes() {
        span.note("rpc.system", "grpc");
        request.extensions_mut().insert(Followed(bytes));
    }
    let mut observed =
        Observed { instruments, method, begun: Instant::now(), code: Code::Cancelled, span, lines };
    let response = next.run(request).instrument(observed.lines.clone()).await;
    observed.code = match Status::from_header_map(response.headers()) {
        Some(status) => status.code(),
        None if response.status().is_success() => Code::Ok,
        // No gRPC at all, such as a browser that strayed here.
        None => Code::Unknown,
    };
    response
}

async fn clarified(clarify: Clarify, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => refused(&clarify(status)),
        _ => response,
    }
}

async fn admit(State(room): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    // A process that is busy is not ill: whoever asks after its health always hears.
    if request.uri().path().starts_with("/grpc.health.v1.Health/") {
        return next.run(request).await;
    }
    match room.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => {
            refused(&Status::resource_exhausted("the server has as many calls as it can answer; retry"))
        }
    }
}

async fn in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let (limit, whose) = match deadline::of_caller(request.headers()) {
        Some(told) => (deadline::before(told), "the caller's deadline is over"),
        None => (limit, "no answer in time; set a deadline of your own to wait for longer"),
    };
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => refused(&Status::deadline_exceeded(whose)),
    }
}

async fn until_drained(State(draining): State<CancellationToken>, request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/grpc.reflection.") {
        return next.run(request).await;
    }
    let asked = |body: Body| body.into_data_stream().take_until(draining.cancelled_owned());
    next.run(request.map(|body| Body::from_stream(asked(body)))).await
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands the cause over")]
fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let text = cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(panic = text, "a call panicked");
    refused(&Status::internal("a fault of the server; its log has the cause"))
}

fn refused(status: &Status) -> Response {
    status.clone().into_http::<Body>()
}
