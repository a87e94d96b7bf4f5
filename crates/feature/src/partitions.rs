//! Status of every partition as stored, for `ListPartitions`. Any process can answer it.

use crate::error::Error;
use portrait_profile::{PartitionLedger, Timestamp};
use portrait_proto::v1;
use portrait_store::{LeaseToken, Member, WorkerStore};

/// Lists the status of all partitions in order; `now` is the wall clock.
///
/// # Errors
/// Fails if the store cannot be read or a ledger cannot be decoded.
pub(crate) async fn list(store: &dyn WorkerStore, now: Timestamp) -> Result<Vec<v1::PartitionStatus>, Error> {
    let mut statuses = Vec::new();
    let members = store.members(now).await?;
    for partition in store.layout().partitions.all() {
        let meta = store.meta(partition).await?;
        let ledger = PartitionLedger::decode(&meta.note).map_err(|source| Error::Ledger { source })?;
        statuses.push(v1::PartitionStatus {
            partition: u32::from(partition.get()),
            log_end: meta.log_end.get(),
            log_bytes: meta.log_bytes,
            applied_through: meta.applied_through.get(),
            commit_no: meta.commit_no.get(),
            applied_total: meta.counters.applied,
            duplicates_total: meta.counters.duplicates,
            dead_letters_total: meta.counters.dead_letters,
            late_total: meta.counters.late,
            blocked_total: meta.counters.blocked,
            // A token without a member is that of a process that left or crashed: then the partition has no owner.
            owner: owner_name(meta.token, &members),
            swept_model_version: ledger.swept().map_or(0, |(version, _)| version.get()),
        });
    }
    Ok(statuses)
}

/// Returns the name of the member that holds the lease; empty without one.
fn owner_name(token: Option<LeaseToken>, members: &[Member]) -> String {
    let owner = token.and_then(|token| members.iter().find(|member| member.nonce == token.nonce));
    owner.map_or_else(String::new, |member| member.name.clone())
}
