//! A batch on its way: every item is checked, completed and put into its partition's lane, and the answer is put together
//! when the lanes have answered. The same for events, traits, edges and outcomes.

use crate::append::{Patience, Underway};
use crate::context::Shared;
use crate::error::Error;
use bytes::Bytes;
use portrait_profile::{PartitionId, Record, Timestamp, TraceContext};
use portrait_proto::request::{self, Refusal};
use portrait_proto::token::{ConsistencyToken, TokenEntry};
use portrait_proto::v1::{self, ErrorReason, Rejection};
use portrait_runtime::telemetry::trace::{Span, SpanKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many records of one call carry their span: a batch of a thousand is as well understood by a few.
const FOLLOWED_MAX: usize = 16;

/// What a batch is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The field of the request that holds the items.
    pub(crate) field: &'static str,
    /// What metrics call them.
    pub(crate) name: &'static str,
}

/// Events.
pub(crate) const EVENTS: Kind = Kind { field: "events", name: "event" };
/// Updates of traits.
pub(crate) const UPDATES: Kind = Kind { field: "updates", name: "traits" };
/// Edges.
pub(crate) const RELATIONS: Kind = Kind { field: "relations", name: "relation" };
/// What came of things.
pub(crate) const OUTCOMES: Kind = Kind { field: "outcomes", name: "outcome" };
/// Items of the catalogue.
pub(crate) const ITEMS: Kind = Kind { field: "items", name: "item" };

/// How a batch is to be treated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Old items that are being loaded: the rate limit of shoppers does not hold.
    pub(crate) backfill: bool,
    /// Whether it waits for room.
    pub(crate) patience: Patience,
    /// The span of its call, if that is followed.
    pub(crate) trace: Option<TraceContext>,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// How many items were taken.
    pub(crate) accepted: u32,
    /// Those that were not, by index.
    pub(crate) rejected: Vec<Rejection>,
    /// Where the items are.
    pub(crate) token: ConsistencyToken,
}

/// A batch whose items are refused or have their turn in a lane.
pub(crate) struct Pending {
    kind: Kind,
    rejected: Vec<Rejection>,
    groups: Vec<Group>,
}

/// Encoded records of one partition that one append can take.
struct Chunk {
    partition: PartitionId,
    indices: Vec<usize>,
    /// One after the other.
    bytes: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    /// Until the store has acknowledged them.
    span: Span,
}

/// The items of one partition, on their way.
struct Group {
    partition: PartitionId,
    indices: Vec<usize>,
    underway: Result<Underway, Error>,
    /// Until the store has acknowledged them.
    span: Span,
}

/// The answer for an item that was not taken.
pub(crate) fn rejection(shared: &Shared, kind: Kind, index: usize, refusal: Refusal) -> Rejection {
    shared.metrics.rejected(kind.name, refusal.reason);
    let dot = if refusal.field.is_empty() { "" } else { "." };
    let field = format!("{}[{index}]{dot}{}", kind.field, refusal.field);
    let message = refusal.message;
    Rejection {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        reason: refusal.reason.into(),
        field,
        message,
    }
}

/// Checks the items of a batch, completes them and gives them their turn. Items of one shopper keep their order.
pub(crate) async fn put<Item>(
    shared: &Arc<Shared>,
    kind: Kind,
    items: Vec<Item>,
    terms: Terms,
    check: impl Fn(Item, Timestamp) -> Result<Record, Refusal>,
) -> Result<Pending, Error> {
    request::batch(kind.field, items.len())?;
    let now = shared.now();
    let (mut records, mut indices, mut rejected) = (Vec::with_capacity(items.len()), Vec::new(), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        match check(item, now).and_then(|record| within_rate(shared, record, terms)) {
            Ok(record) => {
                records.push(record);
                indices.push(index);
            }
            Err(refusal) => rejected.push(rejection(shared, kind, index, refusal)),
        }
    }
    shared.catalogue.complete(&mut records, now).await?;
    let mut groups = Vec::new();
    for mut chunk in by_partition(shared, records, indices, terms.trace) {
        let records = chunk.records();
        let Chunk { partition, indices, mut span, .. } = chunk;
        span.note("records", records.len() as i64);
        let underway = shared.log.put(partition, records, terms.patience).await;
        groups.push(Group { partition, indices, underway, span });
    }
    Ok(Pending { kind, rejected, groups })
}

fn within_rate(shared: &Shared, record: Record, terms: Terms) -> Result<Record, Refusal> {
    match &shared.rate {
        Some(rate) if !terms.backfill && !rate.allows(&record.user_id, record.accepted_at) => Err(Refusal {
            reason: ErrorReason::RateLimited,
            field: "user_id".to_owned(),
            message: "the shopper's rate limit is used up: send later, or mark old events as backfill"
                .to_owned(),
        }),
        _ => Ok(record),
    }
}

/// Encoded records by partition, cut where one append could not take more. The first of a call that is followed say which span logged
/// them.
fn by_partition(
    shared: &Shared,
    records: Vec<Record>,
    indices: Vec<usize>,
    trace: Option<TraceContext>,
) -> Vec<Chunk> {
    let limits = shared.store.limits();
    let mut open: BTreeMap<PartitionId, Chunk> = BTreeMap::new();
    let mut full = Vec::new();
    for (number, (mut record, index)) in records.into_iter().zip(indices).enumerate() {
        let partition = shared.store.layout().partitions.partition_of(&record.user_id);
        let begun = || Chunk::begin(shared, partition, trace);
        let chunk = open.entry(partition).or_insert_with(begun);
        record.trace = chunk.span.bytes().filter(|_| number < FOLLOWED_MAX).map(TraceContext);
        let start = chunk.bytes.len();
        chunk.bytes = record.encode_after(std::mem::take(&mut chunk.bytes));
        if chunk.ends.len() == limits.append_records || chunk.bytes.len() > limits.append_bytes {
            // What is encoded already goes on naming the span that it would have gone with.
            let encoded = chunk.bytes.split_off(start);
            full.push(std::mem::replace(chunk, Chunk { bytes: encoded, ..begun() }));
        }
        chunk.indices.push(index);
        chunk.ends.push(chunk.bytes.len());
    }
    full.extend(open.into_values());
    full.retain(|chunk| !chunk.ends.is_empty());
    full
}

impl Chunk {
    fn begin(shared: &Shared, partition: PartitionId, trace: Option<TraceContext>) -> Self {
        let before = trace.map(|trace| trace.0);
        let mut span = shared.tracer.after(before, SpanKind::Producer, "append");
        span.note("partition", i64::from(partition.get()));
        Self { partition, indices: Vec::new(), bytes: Vec::new(), ends: Vec::new(), span }
    }

    /// The records, which share its bytes.
    fn records(&mut self) -> Vec<Bytes> {
        let (bytes, mut start) = (Bytes::from(std::mem::take(&mut self.bytes)), 0);
        self.ends.iter().map(|end| bytes.slice(std::mem::replace(&mut start, *end)..*end)).collect()
    }
}

impl Pending {
    /// What became of the batch, once every lane has answered.
    ///
    /// # Errors
    /// The failure of a lane, if nothing at all was taken because of it. Of several it is one after which nobody knows whether
    /// something was written: a caller who hears of a refusal may give up what was sent.
    pub(crate) async fn outcome(self, shared: &Shared) -> Result<Outcome, Error> {
        let mut outcome = Outcome { rejected: self.rejected, ..Outcome::default() };
        let mut failed: Option<Error> = None;
        for Group { partition, indices, underway, mut span } in self.groups {
            let placed = match underway {
                Ok(underway) => underway.place().await,
                Err(error) => Err(error),
            };
            match placed {
                Ok(place) => {
                    span.note("seq", i64::try_from(place.seq.get()).unwrap_or(i64::MAX));
                    outcome.accepted += u32::try_from(indices.len()).unwrap_or(u32::MAX);
                    outcome.token.cover(TokenEntry {
                        partition: partition.get(),
                        generation: place.generation.nonce().get(),
                        seq: place.seq.get(),
                    });
                }
                Err(error) => {
                    span.fail(error.to_string());
                    let refused = indices.into_iter().map(|index| {
                        let (reason, message) = (error.reason(), error.message());
                        rejection(shared, self.kind, index, Refusal { reason, field: String::new(), message })
                    });
                    outcome.rejected.extend(refused);
                    failed = Some(match failed {
                        Some(before) if !error.leaves_open() => before,
                        _ => error,
                    });
                }
            }
        }
        shared.metrics.accepted(self.kind.name, u64::from(outcome.accepted));
        match failed {
            Some(error) if outcome.accepted == 0 => Err(error),
            _ => {
                outcome.rejected.sort_by_key(|rejection| rejection.index);
                Ok(outcome)
            }
        }
    }
}

/// Adds items to the catalogue.
pub(crate) async fn upsert(shared: &Shared, items: Vec<v1::Item>) -> Result<Outcome, Error> {
    request::batch(ITEMS.field, items.len())?;
    let (mut checked, mut rejected) = (Vec::with_capacity(items.len()), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        match shared.rules.item(item) {
            Ok(item) => checked.push(item),
            Err(refusal) => rejected.push(rejection(shared, ITEMS, index, refusal)),
        }
    }
    let accepted = u32::try_from(checked.len()).unwrap_or(u32::MAX);
    shared.catalogue.upsert(checked, shared.now()).await?;
    shared.metrics.accepted(ITEMS.name, u64::from(accepted));
    Ok(Outcome { accepted, rejected, token: ConsistencyToken::default() })
}
