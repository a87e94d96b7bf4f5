//! The commit of followed calls. In come records that name the span that logged them; while they are folded they name that of the
//! commit, which their changes take along to subscribers.

use crate::batch::Entry;
use crate::error::Error;
use portrait_profile::PartitionId;
use portrait_runtime::telemetry::trace::{Span, SpanKind, Tracer};

/// The spans of one commit, one for each followed record in it.
pub(crate) struct Spans(Vec<Span>);

impl Spans {
    /// Begins them, and gives their place to the records.
    pub(crate) fn begin(tracer: &Tracer, partition: PartitionId, entries: &mut [Entry]) -> Self {
        let count = entries.len();
        let mut spans = Vec::new();
        for entry in entries {
            let seq = entry.seq.get();
            let Some(trace) = entry.trace_mut() else { continue };
            let mut span = tracer.after(Some(trace.0), SpanKind::Consumer, "commit");
            // Where nobody follows, those behind are told of the span before.
            trace.0 = span.bytes().unwrap_or(trace.0);
            span.note("partition", i64::from(partition.get()));
            span.note("seq", i64::try_from(seq).unwrap_or(i64::MAX));
            span.note("records", i64::try_from(count).unwrap_or(i64::MAX));
            spans.push(span);
        }
        Self(spans)
    }

    /// Ends them when `commit` has, as it has. It gives none if the partition is somebody else's.
    pub(crate) async fn around<T>(
        mut self,
        commit: impl Future<Output = Result<Option<T>, Error>>,
    ) -> Result<Option<T>, Error> {
        let outcome = commit.await;
        let failure = match &outcome {
            Ok(Some(_)) => return outcome,
            Ok(None) => "the partition is somebody else's".to_owned(),
            Err(error) => error.to_string(),
        };
        for span in &mut self.0 {
            span.fail(failure.clone());
        }
        outcome
    }
}
