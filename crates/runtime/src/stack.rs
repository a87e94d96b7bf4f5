//! Tower stack of every gRPC call, from the outermost to the innermost layer. It knows no service.

use crate::admission::{Admission, admitted};
use crate::guard::{Guard, guarded};
use crate::methods::MethodTable;
use crate::telemetry::trace::{SampledCall, Span, Tracer};
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
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

/// Converts a status to its documented form. Its argument is any status that is not OK: from the services, from the library (an
/// undecodable message is INTERNAL, one above the size limit OUT_OF_RANGE), or from a layer below (RESOURCE_EXHAUSTED for too
/// many calls, DEADLINE_EXCEEDED for a timeout, INTERNAL for a panic).
pub type StatusNormalizer = fn(Status) -> Status;

/// Parameters of the layers.
pub(crate) struct ServerStack {
    /// Metrics and traces of calls.
    pub(crate) telemetry: Telemetry,
    /// Table of known methods.
    pub(crate) methods: Arc<MethodTable>,
    /// Authentication and authorisation of calls.
    pub(crate) guard: Guard,
    /// Admission of calls.
    pub(crate) admission: Admission,
    /// Conversion of every status that is not OK.
    pub(crate) normalize_status: StatusNormalizer,
    /// Cancelled when the drain starts.
    pub(crate) draining: CancellationToken,
}

/// Metrics and tracer of a gRPC server.
struct CallInstruments {
    methods: Arc<MethodTable>,
    tracer: Tracer,
    calls: Counter<u64>,
    seconds: Histogram<f64>,
}

/// One call, recorded on drop, so that a call whose client disconnects is counted too, as cancelled.
struct ObservedCall {
    instruments: Arc<CallInstruments>,
    method: String,
    started: Instant,
    code: Code,
    span: Span,
    /// Span of the call's log log_span.
    log_span: tracing::Span,
}

impl ServerStack {
    /// Wraps the services in the layers.
    pub(crate) fn around(self, services: Routes) -> Router {
        let instruments = Arc::new(CallInstruments::new(self.telemetry.of("portrait-runtime"), self.methods));
        let normalize_status = self.normalize_status;
        services.into_axum_router().layer(
            ServiceBuilder::new()
                // Outermost: counts each call as its caller sees it, after all layers below.
                .layer(from_fn_with_state(instruments, observe))
                // Around everything that can fail, so that all statuses have one form.
                .layer(from_fn(move |request: Request, next: Next| {
                    normalized(normalize_status, request, next)
                }))
                // A panic in a handler is a bug in one call: the caller gets INTERNAL, and the process continues.
                .layer(CatchPanicLayer::custom(panicked))
                // Before admission: denied calls must not use up slots of other callers.
                .layer(from_fn_with_state(Arc::new(self.guard), guarded))
                // Bounds calls, streams and the memory of messages, in total and by caller, and gives every call a deadline.
                // Excess calls are refused at once rather than queued.
                .layer(from_fn_with_state(Arc::new(self.admission), admitted))
                // Innermost: ends open reflection streams, which would delay the drain. Services end their own streams.
                .layer(from_fn_with_state(self.draining, until_drained)),
        )
    }
}

impl CallInstruments {
    fn new(with: telemetry::Instruments, methods: Arc<MethodTable>) -> Self {
        let telemetry::Instruments { meter, tracer } = with;
        Self {
            methods,
            tracer,
            calls: meter
                .u64_counter("portrait_grpc_calls")
                .with_description("gRPC calls by method and code; a stream is counted when it starts")
                .with_unit("{call}")
                .build(),
            seconds: meter
                .f64_histogram("portrait_grpc_call_duration")
                .with_description("time from the arrival of a call to the start of its response, by method")
                .with_unit("s")
                .with_boundaries(vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0])
                .build(),
        }
    }
}

impl Drop for ObservedCall {
    fn drop(&mut self) {
        let method = KeyValue::new("method", std::mem::take(&mut self.method));
        let seconds = self.started.elapsed().as_secs_f64();
        self.instruments.seconds.record(seconds, std::slice::from_ref(&method));
        tracing::debug!(parent: &self.log_span, code = ?self.code, seconds, "responded");
        self.span.note("rpc.grpc.status_code", i64::from(self.code as i32));
        // Only failures change the status of a span; the default is unset.
        if self.code != Code::Ok {
            self.span.fail(self.code.description());
        }
        self.instruments.calls.add(1, &[method, KeyValue::new("code", format!("{:?}", self.code))]);
    }
}

async fn observe(
    State(instruments): State<Arc<CallInstruments>>,
    mut request: Request,
    next: Next,
) -> Response {
    let method = instruments.methods.name_of(request.uri().path()).to_owned();
    let mut span = instruments.tracer.server_span(request.headers(), &method);
    let log_span = match span.trace_id() {
        // The log log_span of a sampled call carry its trace id, at every level, so that logs and traces can be joined.
        Some(trace_id) => tracing::error_span!("call", method, %trace_id),
        None => tracing::debug_span!("call", method),
    };
    if let Some(bytes) = span.bytes() {
        span.note("rpc.system", "grpc");
        request.extensions_mut().insert(SampledCall(bytes));
    }
    let mut observed =
        ObservedCall { instruments, method, started: Instant::now(), code: Code::Cancelled, span, log_span };
    let response = next.run(request).instrument(observed.log_span.clone()).await;
    observed.code = match Status::from_header_map(response.headers()) {
        Some(status) => status.code(),
        // A successful gRPC response has its status in the trailers, so the headers have none.
        None if response.status().is_success() => Code::Ok,
        // Not gRPC, such as a plain HTTP request of a browser.
        None => Code::Unknown,
    };
    response
}

async fn normalized(normalize_status: StatusNormalizer, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => denied(&normalize_status(status)),
        _ => response,
    }
}

async fn until_drained(State(draining): State<CancellationToken>, request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/grpc.reflection.") {
        return next.run(request).await;
    }
    // The request stream ends, not the response: the service answers the open requests and closes the stream itself.
    let request =
        request.map(|body| Body::from_stream(body.into_data_stream().take_until(draining.cancelled_owned())));
    next.run(request).await
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands the cause over")]
fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let text = cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_default();
    // The message is logged but not sent: it may contain data of users.
    tracing::error!(panic = text, "a call panicked");
    denied(&Status::internal("internal error; the log of the server has the cause"))
}

fn denied(status: &Status) -> Response {
    status.clone().into_http::<Body>()
}
