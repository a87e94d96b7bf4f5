//! The rooms that are checked, and what the checks share: an owner of a partition, and records with something in them.

use bytes::Bytes;
use portrait_profile::{PartitionCount, PartitionId, Span, Timestamp};
use portrait_store::embedded::{Embedded, Options};
#[cfg(feature = "testing")]
use portrait_store::redis;
use portrait_store::{
    AckLevel, Appended, Commit, CommitNo, Committed, Counters, LeaseToken, Limits, LogSeq, Nonce, Result,
    Store,
};
use std::sync::Arc;
use std::time::Duration;

pub(crate) type Room = Arc<dyn Store>;

/// How long a check waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
pub(crate) const TTL: Span = Span::from_secs(10);
/// For how long ids are remembered.
pub(crate) const WINDOW: Span = Span::from_hours(24);

/// Low, so that they can be reached.
const LIMITS: Limits = Limits {
    append_records: 1000,
    append_bytes: 64 << 10,
    commit_profiles: 500,
    commit_bytes: 64 << 10,
    page_items: 100,
    dead_letters: 50,
    part_bytes: 1 << 20,
};

/// A new embedded store.
pub(crate) async fn embedded() -> (tempfile::TempDir, Room) {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options {
        partitions: PartitionCount::new(4),
        dedup_window: WINDOW,
        reserve_bytes: 0,
        limits: LIMITS,
        ..Options::default()
    };
    let store = Embedded::open(folder.path(), options).expect("a new store");
    (folder, Arc::new(store))
}

/// A new store on a server of its own.
#[cfg(feature = "testing")]
pub(crate) async fn standalone() -> (redis::testing::Server, Room) {
    let server = redis::testing::Server::start(&[("appendonly", "yes"), ("appendfsync", "always")]);
    let store = on_redis(&server.url(), "portrait", AckLevel::Disk).await;
    (server, store)
}

/// A new store on servers of Redis, apart from others there by its prefix.
#[cfg(feature = "testing")]
pub(crate) async fn on_redis(url: &str, prefix: &str, level: AckLevel) -> Room {
    let options = redis::Options {
        prefix: prefix.to_owned(),
        partitions: PartitionCount::new(4),
        dedup_window: WINDOW,
        level,
        lease_clock: redis::LeaseClock::Caller,
        limits: LIMITS,
        ..redis::Options::new(redis::Target::parse(url).expect("a URL"))
    };
    Arc::new(redis::RedisStore::open(options).await.expect("a new store"))
}

pub(crate) fn partition(store: &Room, number: u32) -> PartitionId {
    store.layout().partitions.partition(number).expect("there are four")
}

/// `count` records that say their number, from `first`.
pub(crate) fn records(first: u64, count: u64) -> Vec<Bytes> {
    (first..first + count).map(|number| Bytes::from(format!("record {number}"))).collect()
}

pub(crate) async fn append(store: &Room, partition: PartitionId, records: Vec<Bytes>) -> Appended {
    store.append(partition, records, NOW, AckLevel::Memory).await.expect("there is room")
}

/// The owner of a partition.
pub(crate) struct Owner {
    pub(crate) store: Room,
    pub(crate) partition: PartitionId,
    pub(crate) token: LeaseToken,
    pub(crate) commit_no: CommitNo,
    pub(crate) applied: LogSeq,
}

impl Owner {
    pub(crate) async fn of(store: &Room, number: u32) -> Self {
        let partition = partition(store, number);
        let lease = store.acquire(partition, Nonce::random(), Span::from_days(365), NOW).await;
        let token = lease.expect("the store is there").expect("nobody else is");
        let meta = store.meta(partition).await.expect("the store is there");
        let (commit_no, applied) = (meta.commit_no, meta.applied_through);
        Self { store: Arc::clone(store), partition, token, commit_no, applied }
    }

    /// A commit of nothing.
    pub(crate) fn draft(&self) -> Commit {
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

    pub(crate) async fn try_commit(&mut self, commit: Commit) -> Result<Committed> {
        let applied = commit.applied_through;
        let committed = self.store.commit(self.partition, commit).await?;
        (self.commit_no, self.applied) = (committed.commit_no, applied);
        Ok(committed)
    }

    pub(crate) async fn commit(&mut self, commit: Commit) -> Committed {
        self.try_commit(commit).await.expect("the owner commits")
    }

    /// Commits changes that say their number, from `first`.
    pub(crate) async fn change(&mut self, first: u64, count: u64) -> Committed {
        let changes = (first..first + count).map(|number| Bytes::from(format!("change {number}"))).collect();
        self.commit(Commit { changes, ..self.draft() }).await
    }
}
