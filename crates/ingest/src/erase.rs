//! The verbs "erase" and "how far is it". In comes a shopper's id, out goes one record in every partition's log: in the shopper's own
//! the erasure itself, in all others the pseudonym whose edges are to go; and a receipt of their places. What became of
//! them is read from what the owners of the partitions have noted.

use crate::append::{Patience, Underway};
use crate::check;
use crate::context::Shared;
use crate::error::Error;
use bytes::Bytes;
use portrait_profile::{
    Body, LogPlace, PartitionId, PartitionLedger, Record, RecordId, Timestamp, TraceContext, UserId,
};
use portrait_proto::receipt::Receipt;
use portrait_proto::request::{self, Refusal};
use portrait_proto::time;
use portrait_proto::token::{BadToken, ConsistencyToken, TokenEntry};
use portrait_proto::v1::{self, ErasureState, ErrorReason};
use portrait_store::{GenerationId, LogPosition, LogSeq, Nonce, PartitionMeta, PositionFate};
use std::sync::Arc;

/// What metrics call it.
const KIND: &str = "erasure";

/// How far an erasure is: in how many partitions each step is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    partitions: u32,
    applied: u32,
    swept: u32,
    trimmed: u32,
    cleared: u32,
}

/// Erases a shopper: logs what erases, in every partition.
pub(crate) async fn erase(
    shared: &Arc<Shared>,
    erasure: &v1::EraseRequest,
    trace: Option<TraceContext>,
) -> Result<Receipt, Error> {
    let user_id = request::user_id("user_id", &erasure.user_id)?;
    let record_id = check::record_id(&erasure.event_id)?;
    let accepted_at = shared.now();
    // The shopper's past is what the deployment takes for it: a replay of old logs goes on after it.
    let occurred_at = shared.moment(accepted_at).await?;
    let records = records(shared, &user_id, record_id.as_ref(), (occurred_at, accepted_at));
    let mut turns = Vec::with_capacity(records.len());
    for (partition, mut record) in records {
        // Of the whole only what tells subscribers is followed.
        record.trace = trace.filter(|_| matches!(record.body, Body::Erase(_)));
        let record = Bytes::from(record.encode());
        turns.push((partition, shared.log.put(partition, vec![record], Patience::None).await));
    }
    let places = places(turns).await?;
    shared.metrics.accepted(KIND, 1);
    Ok(Receipt { accepted_at, places })
}

/// One record for each partition.
fn records(
    shared: &Shared,
    user_id: &UserId,
    record_id: Option<&RecordId>,
    (occurred_at, accepted_at): (Timestamp, Timestamp),
) -> Vec<(PartitionId, Record)> {
    let layout = shared.store.layout();
    let (home, pseudonym) = (layout.partitions.partition_of(user_id), layout.pseudonym_key.of(user_id));
    let record = |partition| {
        let (user_id, body) = if partition == home {
            (user_id.clone(), Body::Erase(pseudonym))
        } else {
            (pseudonym.as_user_id(), Body::Forget(pseudonym))
        };
        (
            partition,
            Record { user_id, record_id: record_id.cloned(), occurred_at, accepted_at, body, trace: None },
        )
    };
    layout.partitions.all().map(record).collect()
}

/// Where the records are, once all of them are acknowledged.
///
/// # Errors
/// The refusal, if nothing is in any log; that a part of it may be, otherwise.
async fn places(turns: Vec<(PartitionId, Result<Underway, Error>)>) -> Result<ConsistencyToken, Error> {
    let mut token = ConsistencyToken::default();
    let (mut refused, mut leaves_open) = (None, false);
    for (partition, underway) in turns {
        let placed = match underway {
            Ok(underway) => underway.place().await,
            Err(error) => Err(error),
        };
        match placed {
            Ok(place) => token.entries.push(TokenEntry {
                partition: partition.get(),
                generation: place.generation.nonce().get(),
                seq: place.seq.get(),
            }),
            Err(error) => {
                leaves_open |= error.leaves_open();
                refused = Some(error);
            }
        }
    }
    match refused {
        None => Ok(token),
        Some(error) if token.entries.is_empty() && !leaves_open => Err(error),
        Some(error) => Err(Error::InPart { cause: error.message() }),
    }
}

/// How far an erasure is.
pub(crate) async fn state(shared: &Shared, receipt: &[u8]) -> Result<v1::GetErasureResponse, Error> {
    let receipt = Receipt::decode(receipt).map_err(|BadToken| unknown("the bytes are no receipt"))?;
    let partitions = shared.store.layout().partitions;
    if receipt.places.entries.len() != usize::from(partitions.get()) {
        return Err(unknown("it has another number of partitions than this deployment"));
    }
    let mut progress = Progress::default();
    for (partition, entry) in partitions.all().zip(&receipt.places.entries) {
        if entry.partition != partition.get() {
            return Err(unknown("its partitions are not those of this deployment"));
        }
        let meta = shared.store.meta(partition).await?;
        let generation = GenerationId::new(Nonce::new(entry.generation));
        let position = LogPosition { generation, seq: LogSeq::new(entry.seq) };
        match meta.log_generations.fate(position, meta.log_end) {
            PositionFate::Valid => progress.count(position.seq, &meta)?,
            PositionFate::UnknownGeneration => {
                return Err(unknown("no log of this deployment has its places"));
            }
            PositionFate::BeyondEnd => return Err(Error::ErasureLost { partition }),
        }
    }
    let state = progress.state();
    shared.metrics.erasure_asked(state);
    Ok(v1::GetErasureResponse {
        state: state.into(),
        accepted_at: Some(time::to_wire(receipt.accepted_at)),
        partitions: progress.partitions,
        applied_partitions: progress.applied,
        swept_partitions: progress.swept,
        trimmed_partitions: progress.trimmed,
        cleared_partitions: progress.cleared,
        waits_for: progress.waits_for(),
    })
}

impl Progress {
    /// Counts a partition in which the erasure's record is at `place`.
    fn count(&mut self, place: LogSeq, meta: &PartitionMeta) -> Result<(), Error> {
        let ledger = PartitionLedger::decode(&meta.note);
        let erasures = ledger.map_err(|source| Error::Ledger { source: Arc::new(source) })?.erasures();
        let applied = meta.applied_through >= place;
        self.partitions += 1;
        self.applied += u32::from(applied);
        self.swept += u32::from(applied && erasures.is_swept(LogPlace(place.get())));
        self.trimmed += u32::from(meta.log_first > place);
        self.cleared += u32::from(erasures.is_cleared(LogPlace(place.get())));
        Ok(())
    }

    fn state(self) -> ErasureState {
        let all = |done: u32| done == self.partitions;
        if all(self.cleared) && all(self.swept) {
            ErasureState::Complete
        } else if all(self.applied) && all(self.swept) {
            ErasureState::Applied
        } else {
            ErasureState::Accepted
        }
    }

    fn waits_for(self) -> String {
        let of = self.partitions;
        let left = |done: u32| of - done;
        if self.applied < of {
            format!("{} of {of} partitions to apply it", left(self.applied))
        } else if self.swept < of {
            format!("{} of {of} partitions to look at everybody for edges to the shopper", left(self.swept))
        } else if self.trimmed < of {
            format!("the log of {} of {of} partitions to be old enough to be forgotten", left(self.trimmed))
        } else if self.cleared < of {
            let left = left(self.cleared);
            format!(
                "models from before it to be no longer kept, and the store to write its files anew, for {left} of {of} partitions"
            )
        } else {
            String::new()
        }
    }
}

fn unknown(why: &str) -> Error {
    let message =
        format!("is not a receipt of this deployment: {why}; pass it as Erase gave it, or erase again");
    Refusal::new(ErrorReason::BadToken, "receipt", message).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_erasure_is_as_far_as_the_slowest_partition() {
        let progress =
            |applied, swept, trimmed, cleared| Progress { partitions: 4, applied, swept, trimmed, cleared };
        let rows = [
            (progress(0, 0, 0, 0), ErasureState::Accepted, "4 of 4 partitions to apply it"),
            (progress(3, 2, 0, 0), ErasureState::Accepted, "1 of 4 partitions to apply it"),
            (progress(4, 2, 0, 0), ErasureState::Accepted, "2 of 4 partitions to look at everybody"),
            (progress(4, 4, 1, 0), ErasureState::Applied, "the log of 3 of 4 partitions"),
            (progress(4, 4, 4, 3), ErasureState::Applied, "its files anew, for 1 of 4"),
            (progress(4, 4, 4, 4), ErasureState::Complete, ""),
        ];
        for (progress, state, waits_for) in rows {
            assert_eq!(progress.state(), state, "{progress:?}");
            assert!(progress.waits_for().contains(waits_for), "{}", progress.waits_for());
        }
    }
}
