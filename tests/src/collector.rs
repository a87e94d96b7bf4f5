//! OTLP/gRPC trace collector: receives the spans of any number of processes and renders a trace as a tree.

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// Trace collector on a free port; stops when dropped.
pub struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<CollectedSpan>>>,
    serving: tokio::task::JoinHandle<()>,
}

/// Received span with the name of its service.
#[derive(Clone, Debug)]
pub struct CollectedSpan {
    /// Resource attribute `service.name`.
    pub service: String,
    /// Span as received.
    pub span: Span,
}

struct SpanCollector(Arc<Mutex<Vec<CollectedSpan>>>);

impl Collector {
    /// Starts a collector.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let spans = Arc::new(Mutex::new(Vec::new()));
        let service = TraceServiceServer::new(SpanCollector(Arc::clone(&spans)));
        let server = tonic::transport::Server::builder().add_service(service);
        let serving = tokio::spawn(async move {
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("it serves");
        });
        Self { url, spans, serving }
    }

    /// OTLP endpoint of the collector.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Spans received so far of the trace with this hexadecimal id; of all traces for `None`.
    pub fn spans(&self, trace_id: Option<&str>) -> Vec<CollectedSpan> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |collected: &&CollectedSpan| {
            trace_id.is_none_or(|trace_id| hexadecimal(&collected.span.trace_id) == trace_id)
        };
        spans.iter().filter(wanted).cloned().collect()
    }

    /// Renders a trace as a tree of lines: service, name, start after the first span, duration, and attributes.
    pub fn tree(&self, trace_id: &str) -> String {
        let mut spans = self.spans(Some(trace_id));
        spans.sort_by_key(|collected| collected.span.start_time_unix_nano);
        let trace_start = spans.first().map_or(0, |collected| collected.span.start_time_unix_nano);
        let mut text = String::new();
        let known = |id: &[u8]| spans.iter().any(|collected| collected.span.span_id == id);
        for root in spans.iter().filter(|collected| !known(&collected.span.parent_span_id)) {
            render(&spans, root, 0, trace_start, &mut text);
        }
        text
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn render(spans: &[CollectedSpan], root: &CollectedSpan, depth: usize, trace_start: u64, text: &mut String) {
    let CollectedSpan { service, span } = root;
    let millis = |nanos: u64| nanos as f64 / 1e6;
    let name = format!("{}{} {}", "  ".repeat(depth), service, span.name);
    let start_nanos = span.start_time_unix_nano - trace_start;
    let duration_nanos = span.end_time_unix_nano - span.start_time_unix_nano;
    let attributes: Vec<String> = span
        .attributes
        .iter()
        .map(|pair| format!("{}={}", pair.key, describe(pair.value.as_ref())))
        .collect();
    let _ = writeln!(
        text,
        "{name:<60} +{:>7.2} ms {:>7.2} ms  {}",
        millis(start_nanos),
        millis(duration_nanos),
        attributes.join(" ")
    );
    for child in spans.iter().filter(|child| child.span.parent_span_id == span.span_id) {
        render(spans, child, depth + 1, trace_start, text);
    }
}

fn describe(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn service_of(attributes: &[KeyValue]) -> String {
    let named = attributes.iter().find(|attribute| attribute.key == "service.name");
    named.map_or_else(String::new, |attribute| describe(attribute.value.as_ref()))
}

#[tonic::async_trait]
impl TraceService for SpanCollector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for of_process in request.into_inner().resource_spans {
            let service = service_of(&of_process.resource.unwrap_or_default().attributes);
            let received = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(received.map(|span| CollectedSpan { service: service.clone(), span }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
