//! Wait for a consistency token: read-your-writes for the partitions that a read touches. Input: the token. Output:
//! permission to read, or an error.

use crate::context::QueryContext;
use crate::error::Error;
use futures::future::try_join_all;
use portrait_profile::PartitionId;
use portrait_proto::token::{ConsistencyToken, TokenEntry};
use portrait_proto::v1::ErrorReason;
use portrait_store::{GenerationId, LogPosition, LogSeq, Nonce, PositionFate};
use std::time::Duration;
use tokio::time::Instant;

/// Waits for the entries of the token that belong to `partitions`.
pub(super) async fn wait(
    shared: &QueryContext,
    partitions: &[PartitionId],
    read_after: &ConsistencyToken,
    wait_max: Duration,
) -> Result<(), Error> {
    let started_at = Instant::now();
    let mut waits = Vec::new();
    for entry in &read_after.entries {
        let partition = shared.store.layout().partitions.partition(u32::from(entry.partition));
        let Some(partition) = partition else {
            let message = "comes from a deployment with more partitions: leave it out";
            return Err(Error::invalid(ErrorReason::BadToken, "read_after", message));
        };
        // Other partitions may lag without delaying this read: it does not see them.
        if partitions.contains(&partition) {
            waits.push(applied(shared, partition, position_of(entry), started_at + wait_max));
        }
    }
    if waits.is_empty() {
        return Ok(());
    }
    let waited = try_join_all(waits).await;
    let outcome = match &waited {
        Ok(_) => "applied",
        Err(Error::ReadAfterTimeout { .. }) => "timeout",
        Err(Error::TokenExpired { .. }) => "expired",
        Err(_) => "failed",
    };
    shared.metrics.waited(outcome, started_at.elapsed());
    // A partition only knows that no time remains; the error reports the limit that applied.
    waited.map(|_| ()).map_err(|error| match error {
        Error::ReadAfterTimeout { .. } => Error::ReadAfterTimeout { waited: wait_max },
        error => error,
    })
}

fn position_of(entry: &TokenEntry) -> LogPosition {
    let generation = GenerationId::new(Nonce::new(entry.generation));
    LogPosition { generation, seq: LogSeq::new(entry.seq) }
}

/// Waits for one partition. The generation is checked again after every wait, since the awaited records can be lost
/// meanwhile.
async fn applied(
    shared: &QueryContext,
    partition: PartitionId,
    position: LogPosition,
    deadline: Instant,
) -> Result<(), Error> {
    let mut meta = shared.store.meta(partition).await?;
    loop {
        match meta.log_generations.fate(position, meta.log_end) {
            PositionFate::Valid => {}
            PositionFate::UnknownGeneration | PositionFate::BeyondEnd => {
                return Err(Error::TokenExpired { partition });
            }
        }
        if meta.applied_through >= position.seq {
            return Ok(());
        }
        // Checked after the generation: a token that can never be applied must not cost the full wait.
        let remaining = deadline.saturating_duration_since(Instant::now());
        if remaining == Duration::ZERO {
            return Err(Error::ReadAfterTimeout { waited: remaining });
        }
        meta = shared.store.wait_applied(partition, position.seq, remaining).await?;
    }
}
