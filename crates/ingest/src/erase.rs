//! Erasure of a user, and its progress. An erasure is one record in every partition's log: `Erase` in the user's own, and
//! `Forget` with a pseudonym, whose edges must go, in all others. Progress is read from the tombstones and ledgers of the
//! partitions, so no state is kept for a receipt.

mod progress;

use crate::append::{Backpressure, PendingAppend};
use crate::context::IngestContext;
use crate::error::Error;
use bytes::Bytes;
use portrait_profile::{Body, PartitionId, Record, RecordId, Timestamp, TraceContext, UserId};
use portrait_proto::receipt::Receipt;
use portrait_proto::request::ValidationError;
use portrait_proto::time;
use portrait_proto::token::{ConsistencyToken, TokenEntry};
use portrait_proto::v1::{self, ErrorReason};
use portrait_store::{GenerationId, LogPosition, LogSeq, Nonce, PositionFate};
use progress::KnownErasure;
use std::sync::Arc;

/// Value of the metrics label `kind`.
const KIND: &str = "erasure";

/// Erasure that is in the logs of all partitions.
pub(crate) struct LoggedErasure {
    pub(crate) receipt: Receipt,
    /// Positions of its records, one in each partition.
    pub(crate) log_positions: ConsistencyToken,
}

/// Logs the erasure of a user in every partition.
///
/// # Errors
/// Fails if the id is invalid, or the records are not in all logs; [`Error::PartiallyLogged`] if they may be in some.
pub(crate) async fn erase(
    shared: &Arc<IngestContext>,
    erasure: &v1::EraseRequest,
    trace: Option<TraceContext>,
) -> Result<LoggedErasure, Error> {
    let ids = shared.validator.ids;
    let user_id = ids.stored_user_id(&erasure.user_id)?;
    let record_id = ids.record_id(&erasure.event_id)?;
    let accepted_at = shared.now();
    // Event time, not wall time: in a replay of an old log, events after the erasure must begin a new profile.
    let occurred_at = shared.profile_now(accepted_at).await?;
    let records = records(shared, &user_id, record_id.as_ref(), occurred_at, accepted_at);
    let mut appends = Vec::with_capacity(records.len());
    for (partition, mut record) in records {
        // Only the `Erase` record leads to a change for subscribers, so only it continues the trace.
        record.trace = trace.filter(|_| matches!(record.body, Body::Erase(_)));
        let record = Bytes::from(record.encode());
        // All are enqueued before the first is awaited: the partitions append at the same time.
        appends.push((partition, shared.log.enqueue(partition, vec![record], Backpressure::Reject).await));
    }
    let log_positions = positions_of(appends).await?;
    shared.metrics.accepted(KIND, 1);
    let layout = shared.store.layout();
    let pseudonym = layout.pseudonym_key.of(&user_id);
    // `positions_of` returns one entry for each partition, in order.
    let entry = |partition: PartitionId| log_positions.entries[partition.index()];
    let receipt = Receipt {
        accepted_at,
        pseudonym,
        home: entry(layout.partitions.partition_of(&user_id)),
        coordinator: entry(layout.partitions.coordinator_of(&pseudonym)),
    };
    Ok(LoggedErasure { receipt, log_positions })
}

/// Builds one record per partition. Only one of them names the user, so only one log must be trimmed of the id.
fn records(
    shared: &IngestContext,
    user_id: &UserId,
    record_id: Option<&RecordId>,
    occurred_at: Timestamp,
    accepted_at: Timestamp,
) -> Vec<(PartitionId, Record)> {
    let layout = shared.store.layout();
    let user_partition = layout.partitions.partition_of(user_id);
    let pseudonym = layout.pseudonym_key.of(user_id);
    let records = layout.partitions.all().map(|partition| {
        let (user_id, body) = if partition == user_partition {
            (user_id.clone(), Body::Erase(pseudonym))
        } else {
            (pseudonym.as_user_id(), Body::Forget(pseudonym))
        };
        (
            partition,
            Record {
                user_id,
                record_id: record_id.cloned(),
                occurred_at,
                accepted_at,
                body,
                trace: None,
                source: None,
            },
        )
    });
    records.collect()
}

/// Waits until all records are acknowledged and returns their positions.
///
/// # Errors
/// Fails with the refusal if no log has a record, and with [`Error::PartiallyLogged`] if some may have one.
async fn positions_of(
    appends: Vec<(PartitionId, Result<PendingAppend, Error>)>,
) -> Result<ConsistencyToken, Error> {
    let mut token = ConsistencyToken::default();
    let mut failure = None;
    let mut is_ambiguous = false;
    for (partition, append) in appends {
        let position = match append {
            Ok(append) => append.position().await,
            Err(error) => Err(error),
        };
        match position {
            Ok(position) => token.entries.push(TokenEntry {
                partition: partition.get(),
                generation: position.generation.nonce().get(),
                seq: position.seq.get(),
            }),
            Err(error) => {
                is_ambiguous |= error.is_ambiguous();
                failure = Some(error);
            }
        }
    }
    match failure {
        None => Ok(token),
        // Nothing was logged for certain: a plain refusal, and the caller need not retry.
        Some(error) if token.entries.is_empty() && !is_ambiguous => Err(error),
        Some(error) => Err(Error::PartiallyLogged { cause: error.message() }),
    }
}

/// Returns the progress of an erasure by its receipt. If the user was erased again, it is that of the newest erasure, until the
/// coordinator's tombstone expires.
///
/// # Errors
/// Fails if the receipt is not one of this deployment, the store lost a record, or a ledger cannot be decoded.
pub(crate) async fn state(shared: &IngestContext, receipt: &[u8]) -> Result<v1::GetErasureResponse, Error> {
    let receipt = Receipt::decode(receipt, shared.store.layout().pseudonym_key)
        .map_err(|problem| unknown_receipt(&problem.to_string()))?;
    let erasure = known_erasure(shared, &receipt).await?;
    let progress = erasure.progress(shared).await?;
    let state = progress.state();
    shared.metrics.erasure_status_read(state);
    Ok(v1::GetErasureResponse {
        state: state.into(),
        accepted_at: Some(time::to_wire(receipt.accepted_at)),
        partitions: progress.partitions,
        applied_partitions: progress.applied,
        swept_partitions: progress.swept,
        trimmed_partitions: progress.trimmed,
        cleared_partitions: progress.cleared,
        waiting_for: progress.slowest_stage(),
    })
}

/// Returns the erasure of a receipt after a check of its positions.
///
/// # Errors
/// Fails if the logs of this deployment have or had no such positions, and with [`Error::ErasureLost`] if a record is lost.
async fn known_erasure(shared: &IngestContext, receipt: &Receipt) -> Result<KnownErasure, Error> {
    let partitions = shared.store.layout().partitions;
    let coordinator = partitions.coordinator_of(&receipt.pseudonym);
    // Partitions of a deployment never change, so another coordinator means another deployment.
    if receipt.coordinator.partition != coordinator.get() {
        return Err(unknown_receipt("its partitions are not those of this deployment"));
    }
    let mut positions = Vec::with_capacity(2);
    for entry in [receipt.home, receipt.coordinator] {
        let partition = partitions
            .partition(u32::from(entry.partition))
            .ok_or_else(|| unknown_receipt("it has more partitions than this deployment"))?;
        let generation = GenerationId::new(Nonce::new(entry.generation));
        let position = LogPosition { generation, seq: LogSeq::new(entry.seq) };
        let meta = shared.store.meta(partition).await?;
        match meta.log_generations.fate(position, meta.log_end) {
            PositionFate::Valid => positions.push((partition, position)),
            PositionFate::UnknownGeneration => {
                return Err(unknown_receipt("no log of this deployment has its positions"));
            }
            // The store lost its newest end: a new record may take the same number, so this must be an error.
            PositionFate::BeyondEnd => return Err(Error::ErasureLost { partition }),
        }
    }
    let Receipt { accepted_at, pseudonym, .. } = *receipt;
    Ok(KnownErasure { accepted_at, pseudonym, coordinator, positions })
}

/// Creates the error for a receipt that this deployment did not issue.
fn unknown_receipt(problem: &str) -> Error {
    let message = format!(
        "is not a receipt of this deployment: {problem}; pass the receipt of Erase unchanged, or erase again"
    );
    ValidationError::new(ErrorReason::BadToken, "receipt", message).into()
}
