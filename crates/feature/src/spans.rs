//! Trace spans of a commit, one for each sampled record in it. While the records are folded they carry the commit's span, so
//! that the changes in the feed continue the trace at the subscriber.

use crate::batch::LogEntry;
use crate::error::Error;
use portrait_profile::PartitionId;
use portrait_runtime::telemetry::trace::{Span, SpanKind, Tracer};

/// Spans of one commit.
pub(crate) struct CommitSpans(Vec<Span>);

impl CommitSpans {
    /// Starts a span per sampled record and stores its context in the record.
    pub(crate) fn begin(tracer: &Tracer, partition: PartitionId, entries: &mut [LogEntry]) -> Self {
        let count = entries.len();
        let mut spans = Vec::new();
        for entry in entries {
            let seq = entry.seq.get();
            let Some(trace) = entry.trace_mut() else { continue };
            let mut span = tracer.child_span(Some(trace.0), SpanKind::Consumer, "commit");
            // Without an exporter the span has no bytes: the record then keeps the context of its sender for later stages.
            trace.0 = span.bytes().unwrap_or(trace.0);
            span.note("partition", i64::from(partition.get()));
            span.note("seq", i64::try_from(seq).unwrap_or(i64::MAX));
            span.note("records", i64::try_from(count).unwrap_or(i64::MAX));
            spans.push(span);
        }
        Self(spans)
    }

    /// Runs `commit` and marks the spans as failed unless it succeeded. `None` means that another worker owns the partition.
    pub(crate) async fn around<T>(
        mut self,
        commit: impl Future<Output = Result<Option<T>, Error>>,
    ) -> Result<Option<T>, Error> {
        let result = commit.await;
        let failure = match &result {
            Ok(Some(_)) => return result,
            Ok(None) => "another worker owns the partition".to_owned(),
            Err(error) => error.to_string(),
        };
        for span in &mut self.0 {
            span.fail(failure.clone());
        }
        result
    }
}
