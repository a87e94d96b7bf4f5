//! Status of every partition as stored, for `ListPartitions`. Any process can answer it.

use crate::error::Error;
use portrait_profile::{PartitionLedger, Timestamp};
use portrait_proto::v1;
use portrait_store::{Member, PartitionMeta, WorkerStore};

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
            sourced_total: meta.counters.sourced,
            // A token without a member is that of a process that left or crashed: then the partition has no owner.
            owner: owner_name(&meta, &members),
            swept_model_version: ledger.swept().map_or(0, |(version, _)| version.get()),
        });
    }
    Ok(statuses)
}

/// Returns the name of the member that holds the lease; empty without one.
fn owner_name(meta: &PartitionMeta, members: &[Member]) -> String {
    let owner = members.iter().find(|member| match &meta.holder {
        Some(holder) => **holder == *member.name,
        // A release without names has the nonce of its leases as its id.
        None => meta.token.is_some_and(|token| token.nonce.get() == member.id.get()),
    });
    owner.map_or_else(String::new, |member| member.name.clone())
}
