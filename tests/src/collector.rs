//! A collector of spans, as operators run one: takes them by OTLP over gRPC and puts traces together. In come the spans of any number
//! of processes; out goes a trace as a tree.

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

/// A collector on a free port; gone with its handle.
pub struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<CollectedSpan>>>,
    serving: tokio::task::JoinHandle<()>,
}

/// A span, and the service that it is of.
#[derive(Clone, Debug)]
pub struct CollectedSpan {
    /// The service.
    pub service: String,
    /// The span as it was sent.
    pub span: Span,
}

struct SpanCollector(Arc<Mutex<Vec<CollectedSpan>>>);

impl Collector {
    /// Begins to collect.
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

    /// Where spans are taken.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What came so far of the trace with this id, in hexadecimal digits; of all traces for none.
    pub fn spans(&self, trace_id: Option<&str>) -> Vec<CollectedSpan> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |collected: &&CollectedSpan| {
            trace_id.is_none_or(|trace_id| hexadecimal(&collected.span.trace_id) == trace_id)
        };
        spans.iter().filter(wanted).cloned().collect()
    }

    /// A trace as a tree of lines: service, name, when it began after the first, how long it took, and what it noted.
    pub fn tree(&self, trace_id: &str) -> String {
        let mut spans = self.spans(Some(trace_id));
        spans.sort_by_key(|collected| collected.span.start_time_unix_nano);
        let begun = spans.first().map_or(0, |collected| collected.span.start_time_unix_nano);
        let mut text = String::new();
        let known = |id: &[u8]| spans.iter().any(|collected| collected.span.span_id == id);
        for root in spans.iter().filter(|collected| !known(&collected.span.parent_span_id)) {
            branch(&spans, root, 0, begun, &mut text);
        }
        text
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn branch(spans: &[CollectedSpan], of: &CollectedSpan, depth: usize, begun: u64, text: &mut String) {
    let CollectedSpan { service, span } = of;
    let millis = |nanos: u64| nanos as f64 / 1e6;
    let name = format!("{}{} {}", "  ".repeat(depth), service, span.name);
    let (at, took) = (span.start_time_unix_nano - begun, span.end_time_unix_nano - span.start_time_unix_nano);
    let noted: Vec<String> =
        span.attributes.iter().map(|noted| format!("{}={}", noted.key, describe(noted.value.as_ref()))).collect();
    let _ =
        writeln!(text, "{name:<60} +{:>7.2} ms {:>7.2} ms  {}", millis(at), millis(took), noted.join(" "));
    for child in spans.iter().filter(|child| child.span.parent_span_id == span.span_id) {
        branch(spans, child, depth + 1, begun, text);
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
            let came = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(came.map(|span| CollectedSpan { service: service.clone(), span }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
