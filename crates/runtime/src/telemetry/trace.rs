//! The way of one call through all rooms, as spans that a collector puts together. In comes what a caller, a record of the log or a
//! change of the feed says of the span before; out go spans by OTLP. What is not followed costs a look at a number. No id of a shopper
//! is ever in a span, and a collector that is away or slow holds up nobody: what it does not take is dropped.

use crate::config::Invalid;
use crate::peer::Credentials;
use axum::http::{Extensions, HeaderMap};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider,
};
pub use opentelemetry::trace::{SpanKind, TraceId as Id};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{SpanExporter, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span as SdkSpan,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;
use tonic::transport::Endpoint;

/// Spans that wait for the collector at most; more are dropped.
const QUEUE_SPANS: usize = 8_192;
/// Spans of one message to the collector at most, and how long the first waits for others.
const BATCH: (usize, Duration) = (512, Duration::from_secs(1));
/// How long the last spans of a process may take.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// What a span is told by where it is not in memory: 16 bytes of its trace's id and 8 of its own, as W3C Trace Context orders them.
/// There are none of a span that is not followed.
pub type SpanBytes = [u8; 24];

/// Whether calls are followed through the rooms, and who is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceConfig {
    /// Where a collector takes spans by OTLP over gRPC, as `http://collector:4317`; empty: nothing is followed. Headers, as for a token,
    /// come from `OTEL_EXPORTER_OTLP_TRACES_HEADERS`.
    pub endpoint: String,
    /// Which share of calls, and of the requests of streams, is followed, 0 to 1. A call whose `traceparent` says whether it is followed
    /// is followed if that says so. More spans cost time here and room at the collector.
    pub sample: f64,
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self { endpoint: String::new(), sample: 0.01 }
    }
}

impl TraceConfig {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// The key whose value makes no sense, and what to give instead.
    pub fn validate(&self) -> Result<(), Invalid> {
        if !(0.0..=1.0).contains(&self.sample) {
            return Err(Invalid::new(
                "trace.sample",
                format!("is {}", self.sample),
                "name a share from 0 to 1",
            ));
        }
        self.collector().map(drop)
    }

    /// Where the collector is; none if there is none.
    fn collector(&self) -> Result<Option<Endpoint>, Invalid> {
        if self.endpoint.is_empty() {
            return Ok(None);
        }
        let refused = |problem: String| {
            let remedy = "name a collector as http://collector:4317, or leave it empty to follow nothing";
            Invalid::new("trace.endpoint", problem, remedy)
        };
        let endpoint = Credentials::default().read()?.endpoint(&self.endpoint);
        let endpoint = endpoint.map_err(|error| refused(error.to_string()))?;
        match endpoint.uri().scheme_str() {
            Some("http" | "https") => Ok(Some(endpoint)),
            _ => Err(refused(format!("is {:?}, without http:// or https://", self.endpoint))),
        }
    }
}

/// Follows calls in one process; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tracing(Option<SdkTracerProvider>);

/// Makes the spans of one component; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<SdkTracer>);

/// One stretch of the way. It ends when it is dropped.
#[derive(Debug, Default)]
pub struct Span(Option<SdkSpan>);

impl Tracing {
    /// Follows calls of the process that is called `node` and serves `service`, if there is a collector. It is called within the
    /// asynchronous runtime.
    ///
    /// # Errors
    /// If the collector's address is none.
    pub fn begin(config: &TraceConfig, service: String, node: String) -> Result<Self, Invalid> {
        config.validate()?;
        let Some(collector) = config.collector()? else { return Ok(Self::default()) };
        let exporter = SpanExporter::builder().with_tonic().with_channel(collector.connect_lazy()).build();
        let exporter = exporter.map_err(|error| {
            Invalid::new("trace.endpoint", error.to_string(), "look at the variables OTEL_EXPORTER_OTLP_*")
        })?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_SPANS)
            .with_max_export_batch_size(BATCH.0)
            .with_scheduled_delay(BATCH.1)
            .build();
        let process = Resource::builder_empty()
            .with_service_name(service)
            .with_attribute(KeyValue::new("service.instance.id", node))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(process)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample))))
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .build();
        Ok(Self(Some(provider)))
    }

    /// What makes the spans of one component.
    pub fn tracer(&self, component: &'static str) -> Tracer {
        Tracer(self.0.as_ref().map(|provider| provider.tracer(component)))
    }

    /// Sends what was not sent, and ends.
    pub async fn end(self) {
        let Some(provider) = self.0 else { return };
        // It waits for the runtime, so that it must not stand in the runtime's way.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(END_PATIENCE)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last spans did not reach the collector");
        }
    }
}

impl Tracer {
    /// The span of a call that came from elsewhere: a part of the caller's trace if its headers name one, or the first of its own.
    pub fn call(&self, headers: &HeaderMap, method: &str) -> Span {
        let from = || TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        self.begun(SpanKind::Server, || Cow::Owned(method.trim_start_matches('/').to_owned()), from)
    }

    /// The first span of a trace, as of one request of a stream.
    pub fn first(&self, kind: SpanKind, name: &'static str) -> Span {
        self.begun(kind, || Cow::Borrowed(name), Context::new)
    }

    /// The span that follows another; none if that is not followed.
    pub fn after(&self, before: Option<SpanBytes>, kind: SpanKind, name: &'static str) -> Span {
        let Some(before) = before else { return Span::default() };
        self.begun(
            kind,
            || Cow::Borrowed(name),
            || Context::new().with_remote_span_context(context_of(&before)),
        )
    }

    fn begun(
        &self,
        kind: SpanKind,
        name: impl FnOnce() -> Cow<'static, str>,
        from: impl FnOnce() -> Context,
    ) -> Span {
        let Some(tracer) = &self.0 else { return Span::default() };
        let span = tracer.build_with_context(SpanBuilder::from_name(name()).with_kind(kind), &from());
        // What is not sampled is not carried on.
        Span(span.span_context().is_sampled().then_some(span))
    }
}

impl Span {
    /// By what others follow this one.
    pub fn bytes(&self) -> Option<SpanBytes> {
        let context = self.0.as_ref()?.span_context();
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&context.trace_id().to_bytes());
        bytes[16..].copy_from_slice(&context.span_id().to_bytes());
        Some(bytes)
    }

    /// The trace's id, as logs and collectors show it.
    pub fn trace_id(&self) -> Option<Id> {
        Some(self.0.as_ref()?.span_context().trace_id())
    }

    /// Notes something. Nothing of a shopper: collectors are not asked to erase.
    pub fn note(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// Says that it came to nothing.
    pub fn fail(&mut self, cause: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.0 {
            span.set_status(Status::error(cause));
        }
    }
}

/// By what rooms follow the call that these are the extensions of.
pub fn of_call(extensions: &Extensions) -> Option<SpanBytes> {
    extensions.get::<Followed>().map(|followed| followed.0)
}

/// What the stack leaves with a call for the rooms.
#[derive(Clone, Copy)]
pub(crate) struct Followed(pub(crate) SpanBytes);

fn context_of(bytes: &SpanBytes) -> SpanContext {
    let (mut trace, mut span) = ([0; 16], [0; 8]);
    trace.copy_from_slice(&bytes[..16]);
    span.copy_from_slice(&bytes[16..]);
    let (trace, span) = (TraceId::from_bytes(trace), SpanId::from_bytes(span));
    SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE)
}

/// Headers as the library reads them.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}
