//! Connection of one simulated worker to the store: each call takes a moment, waits while the store does not answer, and never
//! returns once the worker is killed.

use super::store::SimulatedStore;
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, Pseudonym, TimeDelta, Timestamp};
use portrait_store::{
    AckLevel, Acquisition, Appended, Commit, Committed, DeadLetter, Error, Layout, LeaseClaim, LeaseToken,
    Limits, LogPage, LogSeq, LogStore, Member, MemberId, MembershipStore, OwnerStore, PartName,
    PartitionMeta, ProfileKey, ProfilePage, ProfileStore, Registry, RegistryChange, RegistryNo,
    RegistryStore, Result, ScanCursor, SeenQuery, StoreInfo, StoreSpace, TombstonePage, TombstoneStore, Trim,
    Trimmed,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Duration of a call, as on a local network.
const CALL: Duration = Duration::from_millis(1);

/// Connection of one worker.
pub(super) struct StoreLink {
    store: Arc<SimulatedStore>,
    killed: AtomicBool,
}

impl StoreLink {
    /// Connects a worker.
    pub(super) fn to(store: &Arc<SimulatedStore>) -> Arc<Self> {
        Arc::new(Self { store: Arc::clone(store), killed: AtomicBool::new(false) })
    }

    /// Stops the worker as SIGKILL does: nothing that it sends later reaches the store, and nothing returns to it.
    pub(super) fn kill(&self) {
        self.killed.store(true, Ordering::SeqCst);
    }

    /// Makes a call that takes `duration` and returns the store.
    async fn call(&self, duration: Duration) -> &SimulatedStore {
        tokio::time::sleep(duration).await;
        self.store.answering().await;
        if self.killed.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        &self.store
    }
}

/// Error of the methods that a worker without records and models never calls.
fn unused<T>() -> Result<T> {
    Err(Error::Incompatible { detail: "the simulation has no such data".to_owned() })
}

impl StoreInfo for StoreLink {
    fn layout(&self) -> Layout {
        self.store.layout
    }

    fn limits(&self) -> Limits {
        Limits {
            append_records: 1,
            append_bytes: 1,
            commit_profiles: 1,
            commit_bytes: 1,
            page_items: 1,
            dead_letters: 1,
            part_bytes: 1,
        }
    }
}

#[async_trait]
impl OwnerStore for StoreLink {
    async fn acquire(
        &self,
        partition: PartitionId,
        claim: &LeaseClaim,
        ttl: TimeDelta,
        _now: Timestamp,
    ) -> Result<Acquisition> {
        Ok(self.call(CALL).await.acquire(partition, claim, ttl))
    }

    async fn renew(
        &self,
        partition: PartitionId,
        token: LeaseToken,
        ttl: TimeDelta,
        _now: Timestamp,
    ) -> Result<bool> {
        Ok(self.call(CALL).await.renew(partition, token, ttl))
    }

    async fn release(&self, partition: PartitionId, token: LeaseToken) -> Result<()> {
        self.call(CALL).await.release(partition, token);
        Ok(())
    }

    async fn seen(&self, _partition: PartitionId, _ids: &[SeenQuery]) -> Result<Vec<bool>> {
        unused()
    }

    async fn commit(&self, partition: PartitionId, commit: Commit) -> Result<Committed> {
        self.call(CALL).await.apply(partition, &commit)
    }

    async fn trim(&self, _partition: PartitionId, _what: Trim) -> Result<Trimmed> {
        self.call(CALL).await;
        Ok(Trimmed::default())
    }

    async fn rewrite_files(&self) -> Result<()> {
        unused()
    }

    async fn dead_letters(
        &self,
        _partition: PartitionId,
        _after: LogSeq,
        _max_letters: usize,
    ) -> Result<Vec<DeadLetter>> {
        unused()
    }

    async fn space(&self) -> Result<StoreSpace> {
        self.call(CALL).await;
        Ok(StoreSpace { used_bytes: 0, capacity_bytes: None })
    }
}

#[async_trait]
impl MembershipStore for StoreLink {
    async fn heartbeat(&self, worker: &Member, ttl: TimeDelta, _now: Timestamp) -> Result<Vec<Member>> {
        self.call(CALL).await.heartbeat(worker, ttl)
    }

    async fn members(&self, _now: Timestamp) -> Result<Vec<Member>> {
        Ok(self.call(CALL).await.members())
    }

    async fn deregister(&self, id: MemberId) -> Result<()> {
        self.call(CALL).await.deregister(id);
        Ok(())
    }
}

#[async_trait]
impl LogStore for StoreLink {
    async fn append(
        &self,
        _partition: PartitionId,
        _records: Vec<Bytes>,
        _arrived_at: Timestamp,
        _level: AckLevel,
    ) -> Result<Appended> {
        unused()
    }

    async fn read_log(
        &self,
        _partition: PartitionId,
        _after: LogSeq,
        _max_records: usize,
        _max_bytes: usize,
        wait: Duration,
    ) -> Result<LogPage> {
        self.call(wait).await;
        Ok(LogPage::default())
    }

    async fn meta(&self, partition: PartitionId) -> Result<PartitionMeta> {
        Ok(self.call(CALL).await.meta(partition))
    }

    async fn wait_applied(
        &self,
        partition: PartitionId,
        _seq: LogSeq,
        wait: Duration,
    ) -> Result<PartitionMeta> {
        Ok(self.call(wait).await.meta(partition))
    }
}

#[async_trait]
impl ProfileStore for StoreLink {
    async fn profiles(&self, _partition: PartitionId, _keys: &[ProfileKey]) -> Result<Vec<Option<Bytes>>> {
        unused()
    }

    async fn scan(
        &self,
        _partition: PartitionId,
        _cursor: Option<ScanCursor>,
        _max_profiles: usize,
    ) -> Result<ProfilePage> {
        Ok(ProfilePage::default())
    }
}

#[async_trait]
impl TombstoneStore for StoreLink {
    async fn tombstones(
        &self,
        _partition: PartitionId,
        _pseudonyms: &[Pseudonym],
    ) -> Result<Vec<Option<Bytes>>> {
        unused()
    }

    async fn scan_tombstones(
        &self,
        _partition: PartitionId,
        _cursor: Option<ScanCursor>,
        _max_tombstones: usize,
    ) -> Result<TombstonePage> {
        self.call(CALL).await;
        Ok(TombstonePage::default())
    }
}

#[async_trait]
impl RegistryStore for StoreLink {
    async fn registry(&self, _after: Option<RegistryNo>, wait: Duration) -> Result<Registry> {
        self.call(wait).await;
        Ok(Registry::default())
    }

    async fn change_registry(&self, _change: RegistryChange) -> Result<RegistryNo> {
        unused()
    }

    async fn acquire_training(
        &self,
        _claim: &LeaseClaim,
        _ttl: TimeDelta,
        _now: Timestamp,
    ) -> Result<Acquisition> {
        unused()
    }

    async fn renew_training(&self, _token: LeaseToken, _ttl: TimeDelta, _now: Timestamp) -> Result<bool> {
        unused()
    }

    async fn release_training(&self, _token: LeaseToken) -> Result<()> {
        unused()
    }

    async fn put_part(&self, _part: Bytes) -> Result<PartName> {
        unused()
    }

    async fn part(&self, _name: PartName) -> Result<Option<Bytes>> {
        unused()
    }

    async fn parts(&self) -> Result<Vec<PartName>> {
        unused()
    }
}
