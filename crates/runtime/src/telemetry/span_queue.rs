//! Queue of ended spans before the export. It has a bound, and counts what it drops and what the collector did not take: the batch
//! processor of the library only logs the first drop.

use opentelemetry::metrics::Meter;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Counts of the spans of a process; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct SpanCounts(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Spans between their end and the end of their export.
    queued: AtomicUsize,
    /// Spans beyond the bound of the queue.
    beyond_queue: AtomicU64,
    /// Spans of exports that failed.
    not_exported: AtomicU64,
}

/// Processor that drops and counts the spans beyond `queue_max`.
#[derive(Debug)]
pub(super) struct BoundedProcessor<P> {
    pub(super) next: P,
    pub(super) queue_max: usize,
    pub(super) counts: SpanCounts,
}

/// Exporter that takes its spans off the count.
#[derive(Debug)]
pub(super) struct CountedExporter<E> {
    pub(super) next: E,
    pub(super) counts: SpanCounts,
}

impl SpanCounts {
    /// Registers `portrait_trace_spans_dropped`.
    pub(super) fn register(&self, meter: &Meter) {
        let counts = self.clone();
        meter
            .u64_observable_counter("portrait_trace_spans_dropped")
            .with_description("spans that reached no collector, by reason: a full queue, or a failed export")
            .with_unit("{span}")
            .with_callback(move |observer| {
                let [queue, export] = counts.dropped();
                observer.observe(queue, &[KeyValue::new("reason", "queue")]);
                observer.observe(export, &[KeyValue::new("reason", "export")]);
            })
            .build();
    }

    /// Returns the spans beyond the queue and those of failed exports.
    fn dropped(&self) -> [u64; 2] {
        [&self.0.beyond_queue, &self.0.not_exported].map(|count| count.load(Ordering::Relaxed))
    }
}

impl<P: SpanProcessor> SpanProcessor for BoundedProcessor<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let counts = &self.counts.0;
        if counts.queued.fetch_add(1, Ordering::Relaxed) >= self.queue_max {
            counts.queued.fetch_sub(1, Ordering::Relaxed);
            counts.beyond_queue.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.next.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

impl<E: SpanExporter> SpanExporter for CountedExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.next.export(batch).await;
        self.counts.0.queued.fetch_sub(spans, Ordering::Relaxed);
        if exported.is_err() {
            self.counts.0.not_exported.fetch_add(spans as u64, Ordering::Relaxed);
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;
    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::error::OTelSdkError;
    use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    /// Collector that answers an export when the test says so.
    #[derive(Debug)]
    struct HeldCollector {
        begun: SyncSender<()>,
        answers: Mutex<Receiver<bool>>,
    }

    impl SpanExporter for HeldCollector {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            self.begun.send(()).expect("the test waits");
            let is_taken = self.answers.lock().expect("one export at a time").recv().unwrap_or(true);
            if is_taken { Ok(()) } else { Err(OTelSdkError::InternalFailure("no collector".to_owned())) }
        }
    }

    #[test]
    fn spans_beyond_the_queue_and_of_failed_exports_are_counted() {
        let (begun, exports) = sync_channel(8);
        let (answer, answers) = sync_channel(8);
        let counts = SpanCounts::default();
        let exporter = CountedExporter {
            next: HeldCollector { begun, answers: Mutex::new(answers) },
            counts: counts.clone(),
        };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(20)
            .with_max_export_batch_size(4)
            // Exports begin by the number of spans alone.
            .with_scheduled_delay(Duration::from_secs(3600))
            .build();
        let next = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let processor = BoundedProcessor { next, queue_max: 10, counts: counts.clone() };
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        let tracer = provider.tracer("test");
        let end = |spans| (0..spans).for_each(|_| drop(tracer.start("work")));
        end(4);
        exports.recv().expect("an export begins");
        // 4 are exported, 6 more have a place.
        end(9);
        assert_eq!(counts.dropped(), [3, 0]);
        answer.send(false).expect("the collector waits");
        exports.recv().expect("the next export begins");
        assert_eq!(counts.dropped(), [3, 4]);
        let metrics = Metrics::new().expect("an exporter");
        counts.register(&metrics.meter("portrait-runtime"));
        let text = metrics.render();
        for (reason, count) in [("queue", 3), ("export", 4)] {
            let line = text.lines().find(|line| line.contains(&format!("reason=\"{reason}\"")));
            let line = line.expect("a line of each reason");
            assert!(line.starts_with("portrait_trace_spans_dropped_total{"), "{line}");
            assert!(line.ends_with(&format!(" {count}")), "{line}");
        }
        drop(answer);
        provider.shutdown().expect("the collector takes the rest");
    }
}
