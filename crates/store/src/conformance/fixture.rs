//! Fixture of the checks: settings of the store, an owner of a partition, numbered records.

use crate::{
    AckLevel, Appended, Commit, CommitNo, Committed, Counters, LeaseClaim, LeaseToken, Limits, LogSeq, Nonce,
    Result, SeenQuery, Store,
};
use bytes::Bytes;
use portrait_profile::{PartitionId, SeenId, TimeDelta, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// Store under test, shared by concurrent callers.
pub type SharedStore = Arc<dyn Store>;

/// Longest wait of a check for an expected event.
pub(super) const TEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Time of the caller's clock when a check begins.
pub const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
pub(super) const TTL: TimeDelta = TimeDelta::from_secs(10);
/// De-duplication window of the store under test.
pub const WINDOW: TimeDelta = TimeDelta::from_hours(24);

/// Number of partitions of the store under test.
pub const PARTITIONS: u16 = 4;
/// Limits of the store under test: low, so that checks can reach them.
pub const LIMITS: Limits = Limits {
    append_records: 1000,
    append_bytes: 64 << 10,
    commit_profiles: 500,
    commit_bytes: 64 << 10,
    page_items: 100,
    dead_letters: 50,
    part_bytes: 1 << 20,
};

/// Returns the claim of a process whose name no other process has.
pub(super) fn claim(nonce: Nonce) -> LeaseClaim {
    LeaseClaim::new(nonce, format!("worker-{nonce:?}"))
}

pub(super) fn partition(store: &SharedStore, number: u32) -> PartitionId {
    store.layout().partitions.partition(number).expect("there are four")
}

/// Returns `count` records that hold their number, from `first`.
pub(super) fn records(first: u64, count: u64) -> Vec<Bytes> {
    (first..first + count).map(|number| Bytes::from(format!("record {number}"))).collect()
}

/// Returns the query for record id `number`, `later` after [`NOW`].
pub(super) fn seen_at(number: u64, later: TimeDelta) -> SeenQuery {
    SeenQuery { id: SeenId::from_bits(number), arrived_at: NOW.plus(later), source_day: None }
}

pub(super) async fn append(store: &SharedStore, partition: PartitionId, records: Vec<Bytes>) -> Appended {
    store.append(partition, records, NOW, AckLevel::Memory).await.expect("there is space")
}

/// Owner of a partition, which tracks its newest commit.
pub(super) struct TestOwner {
    pub(super) store: SharedStore,
    pub(super) partition: PartitionId,
    pub(super) token: LeaseToken,
    pub(super) commit_no: CommitNo,
    pub(super) applied: LogSeq,
}

impl TestOwner {
    pub(super) async fn of(store: &SharedStore, number: u32) -> Self {
        let partition = partition(store, number);
        // A year, so that no check outlives the lease.
        let lease = store.acquire(partition, &claim(Nonce::random()), TimeDelta::from_days(365), NOW).await;
        let token = lease.expect("the store is there").token().expect("the partition has no owner");
        let meta = store.meta(partition).await.expect("the store is there");
        Self {
            store: Arc::clone(store),
            partition,
            token,
            commit_no: meta.commit_no,
            applied: meta.applied_through,
        }
    }

    /// Returns an empty commit that follows the newest one.
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
        // The draft of the next commit repeats the applied position, which never decreases.
        let applied = commit.applied_through;
        let committed = self.store.commit(self.partition, commit).await?;
        self.commit_no = committed.commit_no;
        self.applied = applied;
        Ok(committed)
    }

    pub(super) async fn commit(&mut self, commit: Commit) -> Committed {
        self.try_commit(commit).await.expect("the owner commits")
    }

    /// Commits `count` changes that hold their number, from `first`.
    pub(super) async fn change(&mut self, first: u64, count: u64) -> Committed {
        let changes = (first..first + count).map(|number| Bytes::from(format!("change {number}"))).collect();
        self.commit(Commit { changes, ..self.draft() }).await
    }
}
