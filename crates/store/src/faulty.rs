//! Store that injects faults, for tests. It forwards every call to another store, and on request is unavailable, holds appends,
//! commits or scans back, loses the response of an applied commit, refuses the appends of a partition, or reports a new
//! generation of a feed as after a fail-over.

use crate::contract::{
    AckLevel, Acquisition, Appended, CatalogueEntry, CatalogueStore, Commit, Committed, DeadLetter, FeedPage,
    FeedStore, ItemPage, Layout, LeaseClaim, Limits, LogPage, LogStore, Member, MemberId, MembershipStore,
    OwnerStore, PartName, PartitionMeta, ProfileKey, ProfilePage, ProfileStore, Registry, RegistryChange,
    RegistryStore, ScanCursor, SeenQuery, Store, StoreInfo, StoreSpace, TombstonePage, TombstoneStore, Trim,
    Trimmed,
};
use crate::error::{Error, Result};
use crate::position::{FeedSeq, GenerationId, LeaseToken, LogSeq, Nonce, RegistryNo};
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, Pseudonym, TimeDelta, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Store that forwards to another one and injects faults.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    unavailable: AtomicBool,
    /// True while appends are held back.
    held_appends: watch::Sender<bool>,
    /// True while commits are held back.
    held_commits: watch::Sender<bool>,
    /// Number of commits that are held back now.
    held_commit_count: AtomicU32,
    /// True while scans of profiles beyond the first page are held back.
    held_scans: watch::Sender<bool>,
    /// Number of commit responses that are still to be lost.
    lost_responses: AtomicU32,
    /// Partitions whose appends are refused.
    refusing: Mutex<BTreeSet<PartitionId>>,
    /// Injected generation of a partition's feed, and its first position.
    injected_generations: Mutex<BTreeMap<PartitionId, (GenerationId, FeedSeq)>>,
}

impl FaultyStore {
    /// Returns a store that forwards to `real` and has no fault yet.
    pub fn of(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            unavailable: AtomicBool::new(false),
            held_appends: watch::Sender::new(false),
            held_commits: watch::Sender::new(false),
            held_commit_count: AtomicU32::new(0),
            held_scans: watch::Sender::new(false),
            lost_responses: AtomicU32::new(0),
            refusing: Mutex::default(),
            injected_generations: Mutex::default(),
        }
    }

    /// Makes every later call fail as `Unavailable`, or ends that.
    pub fn set_unavailable(&self, unavailable: bool) {
        self.unavailable.store(unavailable, Ordering::SeqCst);
    }

    /// Holds later appends back, or releases all of them.
    pub fn hold_appends(&self, hold: bool) {
        self.held_appends.send_replace(hold);
    }

    /// Returns the number of appends that are held back now.
    pub fn held_append_count(&self) -> usize {
        self.held_appends.receiver_count()
    }

    /// Holds later commits back, or releases all of them. A released commit meets the state of that time and may be fenced.
    pub fn hold_commits(&self, hold: bool) {
        self.held_commits.send_replace(hold);
    }

    /// Returns the number of commits that are held back now.
    pub fn held_commit_count(&self) -> u32 {
        self.held_commit_count.load(Ordering::SeqCst)
    }

    /// Holds later scans of profiles back before a page that is not the first, or releases all of them.
    pub fn hold_later_pages(&self, hold: bool) {
        self.held_scans.send_replace(hold);
    }

    /// Returns the number of scans that are held back now.
    pub fn held_scan_count(&self) -> usize {
        self.held_scans.receiver_count()
    }

    /// Loses the responses of the next `count` commits: they are applied, and the caller gets `Unavailable`.
    pub fn lose_responses(&self, count: u32) {
        self.lost_responses.store(count, Ordering::SeqCst);
    }

    /// Returns the number of responses that are still to be lost.
    pub fn responses_to_lose(&self) -> u32 {
        self.lost_responses.load(Ordering::SeqCst)
    }

    /// Refuses a partition's appends, or accepts them again.
    pub fn refuse_appends(&self, partition: PartitionId, refuse: bool) {
        let mut refusing = locked(&self.refusing);
        if refuse {
            refusing.insert(partition)
        } else {
            refusing.remove(&partition)
        };
    }

    /// Reports a generation `number` of a partition's feed that begins at `first`.
    pub fn renew(&self, partition: PartitionId, number: u128, first: FeedSeq) {
        let generation = GenerationId::new(Nonce::new(number));
        locked(&self.injected_generations).insert(partition, (generation, first));
    }

    fn inner(&self) -> Result<&dyn Store> {
        if self.unavailable.load(Ordering::SeqCst) {
            Err(Error::Unavailable(None))
        } else {
            Ok(self.inner.as_ref())
        }
    }

    fn injected_generation(&self, partition: PartitionId) -> Option<(GenerationId, FeedSeq)> {
        locked(&self.injected_generations).get(&partition).copied()
    }

    fn loses_response(&self) -> bool {
        // `checked_sub` fails at 0, which leaves the counter as it is.
        let one_less =
            self.lost_responses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        one_less.is_ok()
    }
}

/// Waits until calls are no longer held back.
async fn wait_released(held: &watch::Sender<bool>) {
    // The sender is borrowed, so it cannot be dropped during the wait.
    let _ = held.subscribe().wait_for(|held| !held).await;
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StoreInfo for FaultyStore {
    fn layout(&self) -> Layout {
        self.inner.layout()
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn warnings(&self) -> Vec<String> {
        self.inner.warnings()
    }
}

#[async_trait]
impl LogStore for FaultyStore {
    async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
        arrived_at: Timestamp,
        level: AckLevel,
    ) -> Result<Appended> {
        // Refused before it is held: a partition that refuses appends fails at once, as a server without memory does.
        if locked(&self.refusing).contains(&partition) {
            return Err(Error::Unavailable(None));
        }
        wait_released(&self.held_appends).await;
        self.inner()?.append(partition, records, arrived_at, level).await
    }

    async fn read_log(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max_records: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<LogPage> {
        self.inner()?.read_log(partition, after, max_records, max_bytes, wait).await
    }

    async fn meta(&self, partition: PartitionId) -> Result<PartitionMeta> {
        // The injected generation appears in state and feed alike, or readers would see a gap that no backend produces.
        let mut meta = self.inner()?.meta(partition).await?;
        if let Some((generation, first)) = self.injected_generation(partition) {
            meta.feed_generations.renew(generation, first);
        }
        Ok(meta)
    }

    async fn wait_applied(
        &self,
        partition: PartitionId,
        seq: LogSeq,
        wait: Duration,
    ) -> Result<PartitionMeta> {
        self.inner()?.wait_applied(partition, seq, wait).await
    }
}

#[async_trait]
impl OwnerStore for FaultyStore {
    async fn acquire(
        &self,
        partition: PartitionId,
        claim: &LeaseClaim,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Result<Acquisition> {
        self.inner()?.acquire(partition, claim, ttl, now).await
    }

    async fn renew(
        &self,
        partition: PartitionId,
        token: LeaseToken,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Result<bool> {
        self.inner()?.renew(partition, token, ttl, now).await
    }

    async fn release(&self, partition: PartitionId, token: LeaseToken) -> Result<()> {
        self.inner()?.release(partition, token).await
    }

    async fn seen(&self, partition: PartitionId, ids: &[SeenQuery]) -> Result<Vec<bool>> {
        self.inner()?.seen(partition, ids).await
    }

    async fn commit(&self, partition: PartitionId, commit: Commit) -> Result<Committed> {
        self.held_commit_count.fetch_add(1, Ordering::SeqCst);
        wait_released(&self.held_commits).await;
        self.held_commit_count.fetch_sub(1, Ordering::SeqCst);
        // The commit reaches the store before the response is lost: the caller cannot know the outcome.
        let committed = self.inner()?.commit(partition, commit).await?;
        if self.loses_response() { Err(Error::Unavailable(None)) } else { Ok(committed) }
    }

    async fn rewrite_files(&self) -> Result<()> {
        self.inner()?.rewrite_files().await
    }

    async fn trim(&self, partition: PartitionId, what: Trim) -> Result<Trimmed> {
        self.inner()?.trim(partition, what).await
    }

    async fn space(&self) -> Result<StoreSpace> {
        self.inner()?.space().await
    }

    async fn dead_letters(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max_letters: usize,
    ) -> Result<Vec<DeadLetter>> {
        self.inner()?.dead_letters(partition, after, max_letters).await
    }
}

#[async_trait]
impl ProfileStore for FaultyStore {
    async fn profiles(&self, partition: PartitionId, keys: &[ProfileKey]) -> Result<Vec<Option<Bytes>>> {
        self.inner()?.profiles(partition, keys).await
    }

    async fn scan(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_profiles: usize,
    ) -> Result<ProfilePage> {
        if cursor.is_some() {
            wait_released(&self.held_scans).await;
        }
        self.inner()?.scan(partition, cursor, max_profiles).await
    }
}

#[async_trait]
impl TombstoneStore for FaultyStore {
    async fn tombstones(
        &self,
        partition: PartitionId,
        pseudonyms: &[Pseudonym],
    ) -> Result<Vec<Option<Bytes>>> {
        self.inner()?.tombstones(partition, pseudonyms).await
    }

    async fn scan_tombstones(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_tombstones: usize,
    ) -> Result<TombstonePage> {
        self.inner()?.scan_tombstones(partition, cursor, max_tombstones).await
    }
}

#[async_trait]
impl FeedStore for FaultyStore {
    async fn read_feed(
        &self,
        partition: PartitionId,
        after: FeedSeq,
        max_changes: usize,
        wait: Duration,
    ) -> Result<FeedPage> {
        let mut page = self.inner()?.read_feed(partition, after, max_changes, wait).await?;
        // A read that began before the store became unavailable must not succeed after it.
        self.inner()?;
        if let Some((generation, _)) = self.injected_generation(partition) {
            page.end.generation = generation;
        }
        Ok(page)
    }
}

#[async_trait]
impl CatalogueStore for FaultyStore {
    async fn put_items(&self, items: Vec<CatalogueEntry>, level: AckLevel) -> Result<()> {
        self.inner()?.put_items(items, level).await
    }

    async fn scan_items(&self, cursor: Option<ScanCursor>, about: usize) -> Result<ItemPage> {
        self.inner()?.scan_items(cursor, about).await
    }

    async fn items(&self, ids: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        self.inner()?.items(ids).await
    }
}

#[async_trait]
impl RegistryStore for FaultyStore {
    async fn registry(&self, after: Option<RegistryNo>, wait: Duration) -> Result<Registry> {
        self.inner()?.registry(after, wait).await
    }

    async fn change_registry(&self, change: RegistryChange) -> Result<RegistryNo> {
        self.inner()?.change_registry(change).await
    }

    async fn acquire_training(
        &self,
        claim: &LeaseClaim,
        ttl: TimeDelta,
        now: Timestamp,
    ) -> Result<Acquisition> {
        self.inner()?.acquire_training(claim, ttl, now).await
    }

    async fn renew_training(&self, token: LeaseToken, ttl: TimeDelta, now: Timestamp) -> Result<bool> {
        self.inner()?.renew_training(token, ttl, now).await
    }

    async fn release_training(&self, token: LeaseToken) -> Result<()> {
        self.inner()?.release_training(token).await
    }

    async fn put_part(&self, part: Bytes) -> Result<PartName> {
        self.inner()?.put_part(part).await
    }

    async fn part(&self, name: PartName) -> Result<Option<Bytes>> {
        self.inner()?.part(name).await
    }

    async fn parts(&self) -> Result<Vec<PartName>> {
        self.inner()?.parts().await
    }
}

#[async_trait]
impl MembershipStore for FaultyStore {
    async fn heartbeat(&self, worker: &Member, ttl: TimeDelta, now: Timestamp) -> Result<Vec<Member>> {
        self.inner()?.heartbeat(worker, ttl, now).await
    }

    async fn members(&self, now: Timestamp) -> Result<Vec<Member>> {
        self.inner()?.members(now).await
    }

    async fn deregister(&self, id: MemberId) -> Result<()> {
        self.inner()?.deregister(id).await
    }
}
