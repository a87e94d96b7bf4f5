//! Erasure of a user, and its progress. An erasure is one record in every partition's log: `Erase` in the user's own, and
//! `Forget` with a pseudonym, whose edges must go, in all others. Their positions are the receipt. Progress is read from the
//! ledgers of the partitions, so no state is kept for a receipt.

use crate::append::{Backpressure, PendingAppend};
use crate::context::IngestContext;
use crate::error::Error;
use crate::validate;
use bytes::Bytes;
use portrait_profile::{
    Body, PartitionId, PartitionLedger, Record, RecordId, Timestamp, TraceContext, UserId,
};
use portrait_proto::receipt::Receipt;
use portrait_proto::request::{self, ValidationError};
use portrait_proto::time;
use portrait_proto::token::{ConsistencyToken, InvalidConsistencyToken, TokenEntry};
use portrait_proto::v1::{self, ErasureState, ErrorReason};
use portrait_store::{GenerationId, LogPosition, LogSeq, Nonce, PartitionMeta, PositionFate};
use std::sync::Arc;

/// Value of the metrics label `kind`.
const KIND: &str = "erasure";

/// Progress of an erasure: partitions by completed step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ErasureProgress {
    partitions: u32,
    applied: u32,
    swept: u32,
    trimmed: u32,
    cleared: u32,
}

/// Logs the erasure of a user in every partition and returns the receipt.
///
/// # Errors
/// Fails if the id is invalid, or the records are not in all logs; [`Error::PartiallyLogged`] if they may be in some.
pub(crate) async fn erase(
    shared: &Arc<IngestContext>,
    erasure: &v1::EraseRequest,
    trace: Option<TraceContext>,
) -> Result<Receipt, Error> {
    let user_id = request::user_id("user_id", &erasure.user_id)?;
    let record_id = validate::record_id(&erasure.event_id)?;
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
    Ok(Receipt { accepted_at, log_positions })
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
            Record { user_id, record_id: record_id.cloned(), occurred_at, accepted_at, body, trace: None },
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

/// Returns the progress of an erasure by its receipt.
///
/// # Errors
/// Fails if the receipt is not one of this deployment, the store lost a record, or a ledger cannot be decoded.
pub(crate) async fn state(shared: &IngestContext, receipt: &[u8]) -> Result<v1::GetErasureResponse, Error> {
    let receipt = Receipt::decode(receipt)
        .map_err(|InvalidConsistencyToken| unknown_receipt("the bytes are no receipt"))?;
    let partitions = shared.store.layout().partitions;
    // Partitions of a deployment never change, so another number means another deployment.
    if receipt.log_positions.entries.len() != usize::from(partitions.get()) {
        return Err(unknown_receipt("it has another number of partitions than this deployment"));
    }
    let mut progress = ErasureProgress::default();
    for (partition, entry) in partitions.all().zip(&receipt.log_positions.entries) {
        if entry.partition != partition.get() {
            return Err(unknown_receipt("its partitions are not those of this deployment"));
        }
        let meta = shared.store.meta(partition).await?;
        let generation = GenerationId::new(Nonce::new(entry.generation));
        let position = LogPosition { generation, seq: LogSeq::new(entry.seq) };
        match meta.log_generations.fate(position, meta.log_end) {
            PositionFate::Valid => progress.count(position.seq, &meta)?,
            PositionFate::UnknownGeneration => {
                return Err(unknown_receipt("no log of this deployment has its positions"));
            }
            // The store lost its newest end: a new record may take the same number, so this must be an error.
            PositionFate::BeyondEnd => return Err(Error::ErasureLost { partition }),
        }
    }
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

impl ErasureProgress {
    /// Counts a partition in which the record of the erasure is at `seq`.
    fn count(&mut self, seq: LogSeq, meta: &PartitionMeta) -> Result<(), Error> {
        let ledger = PartitionLedger::decode(&meta.note);
        let erasures = ledger.map_err(|source| Error::Ledger { source: Arc::new(source) })?.erasures();
        let is_applied = meta.applied_through >= seq;
        self.partitions += 1;
        self.applied += u32::from(is_applied);
        self.swept += u32::from(is_applied && erasures.is_swept(seq));
        self.trimmed += u32::from(meta.log_first > seq);
        self.cleared += u32::from(erasures.is_cleared(seq));
        Ok(())
    }

    /// Returns the state that all partitions have reached.
    fn state(self) -> ErasureState {
        // Cleared without swept is possible: a trim does not wait for a sweep. Complete needs both.
        let is_swept = self.swept == self.partitions;
        if is_swept && self.cleared == self.partitions {
            ErasureState::Complete
        } else if is_swept && self.applied == self.partitions {
            ErasureState::Applied
        } else {
            ErasureState::Accepted
        }
    }

    /// Describes the first stage that some partitions have not completed; empty if the erasure is complete.
    fn slowest_stage(self) -> String {
        let total = self.partitions;
        if self.applied < total {
            format!("{} of {total} partitions to apply it", total - self.applied)
        } else if self.swept < total {
            format!("{} of {total} partitions to remove edges to the user", total - self.swept)
        } else if self.trimmed < total {
            format!("the log of {} of {total} partitions to be trimmed", total - self.trimmed)
        } else if self.cleared < total {
            let left = total - self.cleared;
            format!(
                "earlier models to be removed and store files to be rewritten, for {left} of {total} partitions"
            )
        } else {
            String::new()
        }
    }
}

/// Creates the error for a receipt that this deployment did not issue.
fn unknown_receipt(problem: &str) -> Error {
    let message = format!(
        "is not a receipt of this deployment: {problem}; pass the receipt of Erase unchanged, or erase again"
    );
    ValidationError::new(ErrorReason::BadToken, "receipt", message).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_erasure_has_the_state_of_the_slowest_partition() {
        let progress = |applied, swept, trimmed, cleared| ErasureProgress {
            partitions: 4,
            applied,
            swept,
            trimmed,
            cleared,
        };
        let rows = [
            (progress(0, 0, 0, 0), ErasureState::Accepted, "4 of 4 partitions to apply it"),
            (progress(3, 2, 0, 0), ErasureState::Accepted, "1 of 4 partitions to apply it"),
            (progress(4, 2, 0, 0), ErasureState::Accepted, "2 of 4 partitions to remove edges"),
            (progress(4, 4, 1, 0), ErasureState::Applied, "the log of 3 of 4 partitions"),
            (progress(4, 4, 4, 3), ErasureState::Applied, "files to be rewritten, for 1 of 4"),
            (progress(4, 4, 4, 4), ErasureState::Complete, ""),
        ];
        for (progress, state, waiting_for) in rows {
            assert_eq!(progress.state(), state, "{progress:?}");
            assert!(progress.slowest_stage().contains(waiting_for), "{}", progress.slowest_stage());
        }
    }
}
