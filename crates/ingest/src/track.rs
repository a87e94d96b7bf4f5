//! Path of a batch: every item is validated, completed and enqueued for its partition; the response is built when all appends
//! are acknowledged. Events, traits, relations and outcomes share it.

use crate::append::{Backpressure, PendingAppend};
use crate::context::IngestContext;
use crate::error::Error;
use crate::losses::Losses;
use bytes::Bytes;
use portrait_profile::{PartitionId, Record, Timestamp, TraceContext};
use portrait_proto::request::{self, ValidationError};
use portrait_proto::status::reason_name;
use portrait_proto::token::{ConsistencyToken, TokenEntry};
use portrait_proto::v1::{self, ErrorReason, Rejection};
use portrait_runtime::telemetry::trace::{Span, SpanKind};
use portrait_runtime::tokens::Caller;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Records per call that carry the trace context. A batch of a thousand is as well understood by a few, and each one costs
/// 24 bytes in the log and a span per stage.
const TRACED_RECORDS_MAX: usize = 16;

/// Kind of the items of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchKind {
    /// Field of the request that holds the items; rejections name it.
    pub(crate) field: &'static str,
    /// Value of the metrics label `kind`.
    pub(crate) name: &'static str,
}

/// Kind of events of users.
pub(crate) const EVENTS: BatchKind = BatchKind { field: "events", name: "event" };
/// Kind of updates of traits.
pub(crate) const UPDATES: BatchKind = BatchKind { field: "updates", name: "traits" };
/// Kind of relations between users.
pub(crate) const RELATIONS: BatchKind = BatchKind { field: "relations", name: "relation" };
/// Kind of outcomes, the labels of scores.
pub(crate) const OUTCOMES: BatchKind = BatchKind { field: "outcomes", name: "outcome" };
/// Kind of items of the catalogue.
pub(crate) const ITEMS: BatchKind = BatchKind { field: "items", name: "item" };

/// Options of a batch.
#[derive(Clone, Debug)]
pub(crate) struct BatchOptions {
    /// Caller, whom the log names; `None` where no token is required.
    pub(crate) caller: Option<Arc<Caller>>,
    /// True for old items that are imported: the rate limit per user does not apply.
    pub(crate) backfill: bool,
    /// Behaviour if there is no memory or the partition lags.
    pub(crate) backpressure: Backpressure,
    /// Trace context of a sampled call.
    pub(crate) trace: Option<TraceContext>,
}

/// Result of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct BatchResult {
    /// Number of accepted items.
    pub(crate) accepted: u32,
    /// Rejected items, by index.
    pub(crate) rejected: Vec<Rejection>,
    /// Positions of the accepted items.
    pub(crate) token: ConsistencyToken,
}

/// Batch whose valid items are enqueued.
pub(crate) struct PendingBatch {
    kind: BatchKind,
    rejected: Vec<Rejection>,
    groups: Vec<PartitionGroup>,
}

/// Encoded records of one partition that one append can take.
struct AppendChunk {
    partition: PartitionId,
    indices: Vec<usize>,
    /// Encodings, one after the other: one allocation for all records of a chunk.
    bytes: Vec<u8>,
    /// End offset of each record in `bytes`.
    ends: Vec<usize>,
    /// Span until the store acknowledges the records.
    span: Span,
}

/// Enqueued items of one partition.
struct PartitionGroup {
    partition: PartitionId,
    indices: Vec<usize>,
    append: Result<PendingAppend, Error>,
    /// Span until the store acknowledges the records.
    span: Span,
}

/// Builds the rejection of an item and counts it.
pub(crate) fn rejection(
    shared: &IngestContext,
    kind: BatchKind,
    index: usize,
    error: ValidationError,
) -> Rejection {
    shared.metrics.rejected(kind.name, error.reason);
    let dot = if error.field.is_empty() { "" } else { "." };
    let field = format!("{}[{index}]{dot}{}", kind.field, error.field);
    let message = error.message;
    Rejection { index: u32::try_from(index).unwrap_or(u32::MAX), reason: error.reason.into(), field, message }
}

/// Validates, completes and enqueues the items of a batch. Items of one user keep their order.
///
/// # Errors
/// Fails if the batch is empty or too large, or the catalogue cannot be read. Failures of single partitions are part of the
/// result of [`PendingBatch::finish`].
pub(crate) async fn enqueue<Item>(
    shared: &Arc<IngestContext>,
    kind: BatchKind,
    items: Vec<Item>,
    options: BatchOptions,
    validate: impl Fn(Item, Timestamp, &mut Losses) -> Result<Record, ValidationError>,
) -> Result<PendingBatch, Error> {
    request::batch(kind.field, items.len())?;
    // One acceptance time for the batch: de-duplication windows and freshness are measured from it.
    let now = shared.now();
    let mut records = Vec::with_capacity(items.len());
    let mut indices = Vec::with_capacity(items.len());
    let mut rejected = Vec::new();
    let mut losses = Losses::default();
    for (index, item) in items.into_iter().enumerate() {
        match validate(item, now, &mut losses).and_then(|record| check_rate(shared, record, &options)) {
            Ok(record) => {
                records.push(record);
                indices.push(index);
            }
            Err(error) => rejected.push(rejection(shared, kind, index, error)),
        }
    }
    log_rejected(kind, options.caller.as_deref(), &rejected);
    shared.losses.report(&losses);
    shared.sources.check(&records).await?;
    // Before the records are encoded: a record must contain all that a profile needs, since nothing is looked up later.
    shared.catalogue.enrich(&mut records, now).await?;
    let mut groups = Vec::new();
    for mut chunk in by_partition(shared, records, indices, options.trace) {
        let records = chunk.records();
        let AppendChunk { partition, indices, mut span, .. } = chunk;
        span.note("records", records.len() as i64);
        // Enqueued one after the other, without awaiting the append: the order of a stream's requests is fixed here.
        let append = shared.log.enqueue(partition, records, options.backpressure).await;
        groups.push(PartitionGroup { partition, indices, append, span });
    }
    Ok(PendingBatch { kind, rejected, groups })
}

/// Logs that items are rejected, with the reason and field of the first: never a value or the name of a trait, which may be personal.
/// The log bounds repeated lines itself.
fn log_rejected(kind: BatchKind, caller: Option<&Caller>, rejected: &[Rejection]) {
    let Some(first) = rejected.first() else { return };
    let path = first.field.split_once("].").map_or("", |(_, path)| path);
    tracing::warn!(
        caller = caller.map_or("", Caller::name),
        kind = kind.name,
        rejected = rejected.len(),
        reason = reason_name(first.reason()),
        field = path.split(['.', '[']).next().unwrap_or_default(),
        "items were rejected; the response has the reason of each"
    );
}

/// Returns the record if its user's rate limit allows it.
fn check_rate(
    shared: &IngestContext,
    record: Record,
    options: &BatchOptions,
) -> Result<Record, ValidationError> {
    match &shared.rate {
        Some(rate) if !options.backfill && !rate.allows(&record.user_id, record.accepted_at) => {
            Err(ValidationError {
                reason: ErrorReason::RateLimited,
                field: "user_id".to_owned(),
                message: "the user's rate limit is exhausted: send later, or mark old events as backfill"
                    .to_owned(),
            })
        }
        _ => Ok(record),
    }
}

/// Encodes records by partition, cut where one append could not take more. The first records of a sampled call carry the trace
/// context of their append.
fn by_partition(
    shared: &IngestContext,
    records: Vec<Record>,
    indices: Vec<usize>,
    trace: Option<TraceContext>,
) -> Vec<AppendChunk> {
    let limits = shared.store.limits();
    let mut open: BTreeMap<PartitionId, AppendChunk> = BTreeMap::new();
    let mut full = Vec::new();
    for (record_index, (mut record, index)) in records.into_iter().zip(indices).enumerate() {
        let partition = shared.store.layout().partitions.partition_of(&record.user_id);
        let new_chunk = || AppendChunk::begin(shared, partition, trace);
        let chunk = open.entry(partition).or_insert_with(new_chunk);
        record.trace = chunk.span.bytes().filter(|_| record_index < TRACED_RECORDS_MAX).map(TraceContext);
        // Encoded before the size is checked: its length is known only then. A record that does not fit opens the next chunk.
        let start = chunk.bytes.len();
        chunk.bytes = record.encode_after(std::mem::take(&mut chunk.bytes));
        if chunk.ends.len() == limits.append_records || chunk.bytes.len() > limits.append_bytes {
            // The encoded record keeps the context of the span that it was encoded for.
            let encoded = chunk.bytes.split_off(start);
            full.push(std::mem::replace(chunk, AppendChunk { bytes: encoded, ..new_chunk() }));
        }
        chunk.indices.push(index);
        chunk.ends.push(chunk.bytes.len());
    }
    // Chunks of a partition stay in order: the full ones precede the open one.
    full.extend(open.into_values());
    full.retain(|chunk| !chunk.ends.is_empty());
    full
}

impl AppendChunk {
    fn begin(shared: &IngestContext, partition: PartitionId, trace: Option<TraceContext>) -> Self {
        let parent = trace.map(|trace| trace.0);
        let mut span = shared.tracer.child_span(parent, SpanKind::Producer, "append");
        span.note("partition", i64::from(partition.get()));
        Self { partition, indices: Vec::new(), bytes: Vec::new(), ends: Vec::new(), span }
    }

    /// Returns the records as slices of one buffer, without a copy.
    fn records(&mut self) -> Vec<Bytes> {
        let bytes = Bytes::from(std::mem::take(&mut self.bytes));
        let mut start = 0;
        self.ends.iter().map(|end| bytes.slice(std::mem::replace(&mut start, *end)..*end)).collect()
    }
}

impl PendingBatch {
    /// Waits for all appends and returns the result of the batch.
    ///
    /// # Errors
    /// Fails with the error of a partition if no item at all was accepted. Of several errors an ambiguous one wins (something
    /// may have been written): after a clear refusal a caller could discard what it sent.
    pub(crate) async fn finish(self, shared: &IngestContext) -> Result<BatchResult, Error> {
        let mut result = BatchResult { rejected: self.rejected, ..BatchResult::default() };
        let mut failure: Option<Error> = None;
        for PartitionGroup { partition, indices, append, mut span } in self.groups {
            let position = match append {
                Ok(append) => append.position().await,
                Err(error) => Err(error),
            };
            match position {
                Ok(position) => {
                    span.note("seq", i64::try_from(position.seq.get()).unwrap_or(i64::MAX));
                    result.accepted += u32::try_from(indices.len()).unwrap_or(u32::MAX);
                    result.token.cover(TokenEntry {
                        partition: partition.get(),
                        generation: position.generation.nonce().get(),
                        seq: position.seq.get(),
                    });
                }
                // The append failed as a whole, so each of its items is rejected for the same reason.
                Err(error) => {
                    span.fail(error.to_string());
                    let rejections = indices.into_iter().map(|index| {
                        let reason = error.reason();
                        let message = error.message();
                        rejection(
                            shared,
                            self.kind,
                            index,
                            ValidationError { reason, field: String::new(), message },
                        )
                    });
                    result.rejected.extend(rejections);
                    failure = Some(match failure {
                        Some(earlier) if !error.is_ambiguous() => earlier,
                        _ => error,
                    });
                }
            }
        }
        shared.metrics.accepted(self.kind.name, u64::from(result.accepted));
        match failure {
            // With some items accepted the call succeeds: the caller sees the others in the list of rejections.
            Some(error) if result.accepted == 0 => Err(error),
            _ => {
                result.rejected.sort_by_key(|rejection| rejection.index);
                Ok(result)
            }
        }
    }
}

/// Adds items to the catalogue.
///
/// # Errors
/// Fails if the batch is empty or too large, or the store cannot be written.
pub(crate) async fn upsert(
    shared: &IngestContext,
    items: Vec<v1::Item>,
    caller: Option<&Caller>,
) -> Result<BatchResult, Error> {
    request::batch(ITEMS.field, items.len())?;
    let mut valid = Vec::with_capacity(items.len());
    let mut rejected = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        match shared.validator.item(item) {
            Ok(item) => valid.push(item),
            Err(error) => rejected.push(rejection(shared, ITEMS, index, error)),
        }
    }
    log_rejected(ITEMS, caller, &rejected);
    let accepted = u32::try_from(valid.len()).unwrap_or(u32::MAX);
    shared.catalogue.upsert(valid, shared.now()).await?;
    shared.metrics.accepted(ITEMS.name, u64::from(accepted));
    Ok(BatchResult { accepted, rejected, token: ConsistencyToken::default() })
}
