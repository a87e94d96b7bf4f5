//! Parts that the checks share: the settings of a store, an owner of a partition, and records with something in them.

use crate::{
    AckLevel, Appended, Commit, CommitNo, Committed, Counters, LeaseToken, Limits, LogSeq, Nonce, Result,
    Store,
};
use bytes::Bytes;
use portrait_profile::{PartitionId, Span, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// Store that is checked.
pub type Room = Arc<dyn Store>;

/// How long a check waits for what must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Clock of the callers when a check begins.
pub const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
pub(super) const TTL: Span = Span::from_secs(10);
/// For how long ids are remembered.
pub const WINDOW: Span = Span::from_hours(24);

/// Partitions of a store that is checked.
pub const PARTITIONS: u16 = 4;
/// Limits of a store that is checked: low, so that they can be reached.
pub const LIMITS: Limits = Limits {
    append_records: 1000,
    append_bytes: 64 << 10,
    commit_profiles: 500,
    commit_bytes: 64 << 10,
    page_items: 100,
    dead_letters: 50,
    part_bytes: 1 << 20,
};

pub(super) fn partition(store: &Room, number: u32) -> PartitionId {
    store.layout().partitions.partition(number).expect("there are four")
}

/// `count` records that say their number, from `first`.
pub(super) fn records(first: u64, count: u64) -> Vec<Bytes> {
    (first..first + count).map(|number| Bytes::from(format!("record {number}"))).collect()
}

pub(super) async fn append(store: &Room, partition: PartitionId, records: Vec<Bytes>) -> Appended {
    store.append(partition, records, NOW, AckLevel::Memory).await.expect("there is room")
}

/// The owner of a partition.
pub(super) struct Owner {
    pub(super) store: Room,
    pub(super) partition: PartitionId,
    pub(super) token: LeaseToken,
    pub(super) commit_no: CommitNo,
    pub(super) applied: LogSeq,
}

impl Owner {
    pub(super) async fn of(store: &Room, number: u32) -> Self {
        let partition = partition(store, number);
        let lease = store.acquire(partition, Nonce::random(), Span::from_days(365), NOW).await;
        let token = lease.expect("the store is there").expect("nobody else is");
        let meta = store.meta(partition).await.expect("the store is there");
        let (commit_no, applied) = (meta.commit_no, meta.applied_through);
        Self { store: Arc::clone(store), partition, token, commit_no, applied }
    }

    /// A commit of nothing.
    pub(super) fn draft(&self) -> Commit {
        Commit {
            token: self.token,
            expected: self.commit_no,
            applied_through: self.applied,
            clock: NOW,
            at: NOW,
            profiles: Vec::new(),
            tombstones: Vec::new(),
            seen: Vec::new(),
            changes: Vec::new(),
            dead_letters: Vec::new(),
            counted: Counters::default(),
            note: None,
        }
    }

    pub(super) async fn try_commit(&mut self, commit: Commit) -> Result<Committed> {
        let applied = commit.applied_through;
        let committed = self.store.commit(self.partition, commit).await?;
        (self.commit_no, self.applied) = (committed.commit_no, applied);
        Ok(committed)
    }

    pub(super) async fn commit(&mut self, commit: Commit) -> Committed {
        self.try_commit(commit).await.expect("the owner commits")
    }

    /// Commits changes that say their number, from `first`.
    pub(super) async fn change(&mut self, first: u64, count: u64) -> Committed {
        let changes = (first..first + count).map(|number| Bytes::from(format!("change {number}"))).collect();
        self.commit(Commit { changes, ..self.draft() }).await
    }
}
