//! Distributed traces: spans of a sampled call across all services, exported by OTLP. The parent comes from the headers of a call,
//! a record of the log or a change of the feed. An unsampled call costs one branch. Spans never contain user ids. Spans beyond
//! the queue bound are dropped; export never blocks.

use super::identity;
use super::span_queue::{BoundedProcessor, CountedExporter, SpanCounts};
use crate::config::InvalidValue;
use crate::peer::Credentials;
use axum::http::{Extensions, HeaderMap};
use opentelemetry::metrics::Meter;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider,
};
pub use opentelemetry::trace::{SpanKind, TraceId as Id};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{SpanExporter, WithTonicConfig};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span as SdkSpan,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;
use tonic::transport::Endpoint;

/// Maximum number of queued spans; further ones are dropped.
const QUEUE_SPANS: usize = 8_192;
/// Maximum number of spans in one export.
const BATCH_SPANS_MAX: usize = 512;
/// Time that a span waits for others of its batch.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// Time limit of the last export at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Stored context of a sampled span: trace id (16 bytes) and span id (8 bytes), in the order of W3C Trace Context.
pub type SpanBytes = [u8; 24];

/// Section `[trace]` of the configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceConfig {
    /// Address of an OTLP collector over gRPC, such as `http://collector:4317`; empty: no tracing. Headers, such as a token, come
    /// from `OTEL_EXPORTER_OTLP_TRACES_HEADERS`.
    pub endpoint: String,
    /// Sampled share of calls and stream requests, 0 to 1. The sampling flag of a caller's `traceparent` has precedence. More spans
    /// cost time here and space at the collector.
    pub sample: f64,
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self { endpoint: String::new(), sample: 0.01 }
    }
}

impl TraceConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// The first key with an invalid value.
    pub fn validate(&self) -> Result<(), InvalidValue> {
        // NaN is outside every range and refused too.
        if !(0.0..=1.0).contains(&self.sample) {
            return Err(InvalidValue::new(
                "trace.sample",
                format!("is {}", self.sample),
                "name a share from 0 to 1",
            ));
        }
        self.collector().map(drop)
    }

    /// Returns the endpoint of the collector; `None` if tracing is off.
    fn collector(&self) -> Result<Option<Endpoint>, InvalidValue> {
        if self.endpoint.is_empty() {
            return Ok(None);
        }
        let endpoint = Credentials::default().read()?.endpoint(&self.endpoint);
        endpoint.map(Some).map_err(|error| invalid_endpoint(format!("is refused: {error}")))
    }
}

fn invalid_endpoint(problem: String) -> InvalidValue {
    let remedy = "name a collector as http://collector:4317, or leave it empty to turn tracing off";
    InvalidValue::new("trace.endpoint", problem, remedy)
}

/// Trace exporter of one process; cheap to clone. The default exports nothing.
#[derive(Clone, Debug, Default)]
pub struct Tracing {
    provider: Option<SdkTracerProvider>,
    counts: SpanCounts,
}

/// Source of spans of one component; cheap to clone. The default creates none.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<SdkTracer>);

/// Span of a trace, or nothing if the trace is not sampled. It ends on drop.
#[derive(Debug, Default)]
pub struct Span(Option<SdkSpan>);

impl Tracing {
    /// Starts the exporter for the process `node` of `service`; without a collector, returns the default. Requires the
    /// asynchronous runtime.
    ///
    /// # Errors
    /// If the configuration is invalid.
    pub fn begin(config: &TraceConfig, service: String, node: String) -> Result<Self, InvalidValue> {
        config.validate()?;
        let Some(collector) = config.collector()? else { return Ok(Self::default()) };
        let exporter = SpanExporter::builder().with_tonic().with_channel(collector.connect_lazy()).build();
        let exporter = exporter.map_err(|error| {
            InvalidValue::new("trace.endpoint", error.to_string(), "check the variables OTEL_EXPORTER_OTLP_*")
        })?;
        let counts = SpanCounts::default();
        let exporter = CountedExporter { next: exporter, counts: counts.clone() };
        let batches = BatchConfigBuilder::default()
            // Above the bound of the counted queue: the inner one drops without a count.
            .with_max_queue_size(QUEUE_SPANS + BATCH_SPANS_MAX)
            .with_max_export_batch_size(BATCH_SPANS_MAX)
            .with_scheduled_delay(BATCH_DELAY)
            .build();
        let next = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let queue = BoundedProcessor { next, queue_max: QUEUE_SPANS, counts: counts.clone() };
        let provider = SdkTracerProvider::builder()
            .with_resource(identity::resource(service, [KeyValue::new("service.instance.id", node)]))
            // Parent-based: the first service decides for the whole trace.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample))))
            .with_span_processor(queue)
            .build();
        Ok(Self { provider: Some(provider), counts })
    }

    /// Registers the counter of dropped spans.
    pub fn register(&self, meter: &Meter) {
        self.counts.register(meter);
    }

    /// Returns the tracer of a component.
    pub fn tracer(&self, component: &'static str) -> Tracer {
        Tracer(self.provider.as_ref().map(|provider| provider.tracer(component)))
    }

    /// Exports the queued spans and stops.
    pub async fn end(self) {
        let Some(provider) = self.provider else { return };
        // The shutdown blocks its thread until the runtime has sent the spans, so it must not block a thread of the runtime.
        let result =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT)).await;
        if let Ok(Err(error)) = result {
            tracing::warn!(%error, "the last spans did not reach the collector");
        }
    }
}

impl Tracer {
    /// Starts the span of an incoming call: a child of the span in its headers, or the root of a new trace.
    pub fn server_span(&self, headers: &HeaderMap, method: &str) -> Span {
        let parent =
            || TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers));
        self.start_span(SpanKind::Server, || Cow::Owned(method.trim_start_matches('/').to_owned()), parent)
    }

    /// Starts the root span of a trace, such as for one request of a stream.
    pub fn root_span(&self, kind: SpanKind, name: &'static str) -> Span {
        self.start_span(kind, || Cow::Borrowed(name), Context::new)
    }

    /// Starts a child of a stored span; an empty span without a parent.
    pub fn child_span(&self, parent: Option<SpanBytes>, kind: SpanKind, name: &'static str) -> Span {
        let Some(parent) = parent else { return Span::default() };
        self.start_span(
            kind,
            || Cow::Borrowed(name),
            || Context::new().with_remote_span_context(context_of(&parent)),
        )
    }

    fn start_span(
        &self,
        kind: SpanKind,
        name: impl FnOnce() -> Cow<'static, str>,
        parent: impl FnOnce() -> Context,
    ) -> Span {
        // Name and parent are closures, so that a process without a collector does not build them.
        let Some(tracer) = &self.0 else { return Span::default() };
        let span = tracer.build_with_context(SpanBuilder::from_name(name()).with_kind(kind), &parent());
        // An unsampled span becomes empty: neither records nor changes carry its context.
        Span(span.span_context().is_sampled().then_some(span))
    }
}

impl Span {
    /// Returns the context to store with a record or change; `None` if not sampled.
    pub fn bytes(&self) -> Option<SpanBytes> {
        let context = self.0.as_ref()?.span_context();
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&context.trace_id().to_bytes());
        bytes[16..].copy_from_slice(&context.span_id().to_bytes());
        Some(bytes)
    }

    /// Returns the trace id, as logs and collectors show it; `None` if not sampled.
    pub fn trace_id(&self) -> Option<Id> {
        Some(self.0.as_ref()?.span_context().trace_id())
    }

    /// Sets an attribute. It must not identify a user: erasures do not reach collectors.
    pub fn note(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// Sets the status of the span to an error.
    pub fn fail(&mut self, description: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.0 {
            span.set_status(Status::error(description));
        }
    }
}

/// Returns the span context of a call from its extensions; `None` if the call is not sampled.
pub fn of_call(extensions: &Extensions) -> Option<SpanBytes> {
    extensions.get::<SampledCall>().map(|sampled| sampled.0)
}

/// Extension of a sampled call: the context of its server span.
#[derive(Clone, Copy)]
pub(crate) struct SampledCall(pub(crate) SpanBytes);

fn context_of(bytes: &SpanBytes) -> SpanContext {
    let mut trace_id = [0; 16];
    let mut span_id = [0; 8];
    trace_id.copy_from_slice(&bytes[..16]);
    span_id.copy_from_slice(&bytes[16..]);
    let trace_id = TraceId::from_bytes(trace_id);
    let span_id = SpanId::from_bytes(span_id);
    SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, true, TraceState::NONE)
}

/// Adapter from a header map to the propagator.
struct HeaderExtractor<'a>(&'a HeaderMap);

impl Extractor for HeaderExtractor<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}
