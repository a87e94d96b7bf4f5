//! A store with faults, for tests: it passes everything on to a real one, and can be told not to answer, to hold appends or
//! commits back on their way, to lose the answer of a commit that happened, to refuse the appends of a partition, or to have
//! begun a new generation of a feed as after a fail-over.

use crate::contract::{
    AckLevel, Appended, CatalogueEntry, CatalogueStore, Commit, Committed, DeadLetter, FeedPage, FeedStore,
    ItemPage, Layout, Limits, LogPage, LogStore, MembershipStore, OwnerStore, PartName, PartitionMeta,
    ProfileKey, ProfilePage, ProfileStore, Registry, RegistryChange, RegistryStore, ScanCursor, SeenQuery,
    Store, StoreInfo, TombstonePage, Trim, Trimmed, Worker,
};
use crate::error::{Error, Result};
use crate::position::{FeedSeq, GenerationId, LeaseToken, LogSeq, Nonce, RegistryNo};
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The store.
pub struct Faulty {
    real: Arc<dyn Store>,
    away: AtomicBool,
    /// Whether appends are held back.
    held_appends: watch::Sender<bool>,
    /// Whether commits are held back.
    held_commits: watch::Sender<bool>,
    /// How many commits are held back at the moment.
    commits_waiting: AtomicU32,
    /// How many answers of commits get lost from now on.
    lost_answers: AtomicU32,
    /// Partitions whose appends are refused.
    refusing: Mutex<BTreeSet<PartitionId>>,
    /// The newest generation of a partition's feed and its first place.
    renewed: Mutex<BTreeMap<PartitionId, (GenerationId, FeedSeq)>>,
}

impl Faulty {
    /// A store without a fault so far.
    pub fn of(real: Arc<dyn Store>) -> Self {
        Self {
            real,
            away: AtomicBool::new(false),
            held_appends: watch::Sender::new(false),
            held_commits: watch::Sender::new(false),
            commits_waiting: AtomicU32::new(0),
            lost_answers: AtomicU32::new(0),
            refusing: Mutex::default(),
            renewed: Mutex::default(),
        }
    }

    /// Whether it does not answer from now on.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Holds appends back from now on, or lets them go.
    pub fn hold_appends(&self, hold: bool) {
        self.held_appends.send_replace(hold);
    }

    /// How many appends are held back at the moment.
    pub fn appends_waiting(&self) -> usize {
        self.held_appends.receiver_count()
    }

    /// Holds commits back from now on, or lets them go: what their owner does not know meanwhile, it finds out then.
    pub fn hold_commits(&self, hold: bool) {
        self.held_commits.send_replace(hold);
    }

    /// How many commits are held back at the moment.
    pub fn commits_waiting(&self) -> u32 {
        self.commits_waiting.load(Ordering::SeqCst)
    }

    /// Loses the answers of the next `count` commits: they happen, and nobody hears.
    pub fn lose_answers(&self, count: u32) {
        self.lost_answers.store(count, Ordering::SeqCst);
    }

    /// How many answers are still to be lost.
    pub fn answers_to_lose(&self) -> u32 {
        self.lost_answers.load(Ordering::SeqCst)
    }

    /// Refuses a partition's appends, or takes them again.
    pub fn refuse_appends(&self, partition: PartitionId, refuse: bool) {
        let mut refusing = locked(&self.refusing);
        if refuse {
            refusing.insert(partition)
        } else {
            refusing.remove(&partition)
        };
    }

    /// Says that a partition's feed has a generation `number` that begins at `first`.
    pub fn renew(&self, partition: PartitionId, number: u128, first: FeedSeq) {
        let generation = GenerationId::new(Nonce::new(number));
        locked(&self.renewed).insert(partition, (generation, first));
    }

    fn ask(&self) -> Result<&dyn Store> {
        if self.away.load(Ordering::SeqCst) { Err(Error::Unavailable(None)) } else { Ok(self.real.as_ref()) }
    }

    fn renewed(&self, partition: PartitionId) -> Option<(GenerationId, FeedSeq)> {
        locked(&self.renewed).get(&partition).copied()
    }

    fn loses_an_answer(&self) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        self.lost_answers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    }
}

/// Waits until nothing is held back.
async fn passed(held: &watch::Sender<bool>) {
    // The sender is borrowed and cannot be gone meanwhile.
    let _ = held.subscribe().wait_for(|held| !held).await;
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StoreInfo for Faulty {
    fn layout(&self) -> Layout {
        self.real.layout()
    }

    fn limits(&self) -> Limits {
        self.real.limits()
    }
}

#[async_trait]
impl LogStore for Faulty {
    async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
        arrived_at: Timestamp,
        level: AckLevel,
    ) -> Result<Appended> {
        if locked(&self.refusing).contains(&partition) {
            return Err(Error::Unavailable(None));
        }
        passed(&self.held_appends).await;
        self.ask()?.append(partition, records, arrived_at, level).await
    }

    async fn read_log(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max_records: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<LogPage> {
        self.ask()?.read_log(partition, after, max_records, max_bytes, wait).await
    }

    async fn meta(&self, partition: PartitionId) -> Result<PartitionMeta> {
        let mut meta = self.ask()?.meta(partition).await?;
        if let Some((generation, first)) = self.renewed(partition) {
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
        self.ask()?.wait_applied(partition, seq, wait).await
    }
}

#[async_trait]
impl OwnerStore for Faulty {
    async fn acquire(
        &self,
        partition: PartitionId,
        nonce: Nonce,
        ttl: Span,
        now: Timestamp,
    ) -> Result<Option<LeaseToken>> {
        self.ask()?.acquire(partition, nonce, ttl, now).await
    }

    async fn renew(
        &self,
        partition: PartitionId,
        token: LeaseToken,
        ttl: Span,
        now: Timestamp,
    ) -> Result<bool> {
        self.ask()?.renew(partition, token, ttl, now).await
    }

    async fn release(&self, partition: PartitionId, token: LeaseToken) -> Result<()> {
        self.ask()?.release(partition, token).await
    }

    async fn seen(&self, partition: PartitionId, ids: &[SeenQuery]) -> Result<Vec<bool>> {
        self.ask()?.seen(partition, ids).await
    }

    async fn commit(&self, partition: PartitionId, commit: Commit) -> Result<Committed> {
        self.commits_waiting.fetch_add(1, Ordering::SeqCst);
        passed(&self.held_commits).await;
        self.commits_waiting.fetch_sub(1, Ordering::SeqCst);
        let committed = self.ask()?.commit(partition, commit).await?;
        if self.loses_an_answer() { Err(Error::Unavailable(None)) } else { Ok(committed) }
    }

    async fn rewrite_files(&self) -> Result<()> {
        self.ask()?.rewrite_files().await
    }

    async fn trim(&self, partition: PartitionId, what: Trim) -> Result<Trimmed> {
        self.ask()?.trim(partition, what).await
    }

    async fn dead_letters(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max_letters: usize,
    ) -> Result<Vec<DeadLetter>> {
        self.ask()?.dead_letters(partition, after, max_letters).await
    }
}

#[async_trait]
impl ProfileStore for Faulty {
    async fn profiles(&self, partition: PartitionId, keys: &[ProfileKey]) -> Result<Vec<Option<Bytes>>> {
        self.ask()?.profiles(partition, keys).await
    }

    async fn scan(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_profiles: usize,
    ) -> Result<ProfilePage> {
        self.ask()?.scan(partition, cursor, max_profiles).await
    }

    async fn tombstones(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_tombstones: usize,
    ) -> Result<TombstonePage> {
        self.ask()?.tombstones(partition, cursor, max_tombstones).await
    }
}

#[async_trait]
impl FeedStore for Faulty {
    async fn read_feed(
        &self,
        partition: PartitionId,
        after: FeedSeq,
        max_changes: usize,
        wait: Duration,
    ) -> Result<FeedPage> {
        let mut page = self.ask()?.read_feed(partition, after, max_changes, wait).await?;
        // Whoever waited meanwhile is not answered either.
        self.ask()?;
        if let Some((generation, _)) = self.renewed(partition) {
            page.end.generation = generation;
        }
        Ok(page)
    }
}

#[async_trait]
impl CatalogueStore for Faulty {
    async fn put_items(&self, items: Vec<CatalogueEntry>, level: AckLevel) -> Result<()> {
        self.ask()?.put_items(items, level).await
    }

    async fn scan_items(&self, cursor: Option<ScanCursor>, about: usize) -> Result<ItemPage> {
        self.ask()?.scan_items(cursor, about).await
    }

    async fn items(&self, ids: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        self.ask()?.items(ids).await
    }
}

#[async_trait]
impl RegistryStore for Faulty {
    async fn registry(&self, after: Option<RegistryNo>, wait: Duration) -> Result<Registry> {
        self.ask()?.registry(after, wait).await
    }

    async fn change_registry(&self, change: RegistryChange) -> Result<RegistryNo> {
        self.ask()?.change_registry(change).await
    }

    async fn acquire_training(&self, nonce: Nonce, ttl: Span, now: Timestamp) -> Result<Option<LeaseToken>> {
        self.ask()?.acquire_training(nonce, ttl, now).await
    }

    async fn renew_training(&self, token: LeaseToken, ttl: Span, now: Timestamp) -> Result<bool> {
        self.ask()?.renew_training(token, ttl, now).await
    }

    async fn release_training(&self, token: LeaseToken) -> Result<()> {
        self.ask()?.release_training(token).await
    }

    async fn put_part(&self, part: Bytes) -> Result<PartName> {
        self.ask()?.put_part(part).await
    }

    async fn part(&self, name: PartName) -> Result<Option<Bytes>> {
        self.ask()?.part(name).await
    }
}

#[async_trait]
impl MembershipStore for Faulty {
    async fn attend(&self, worker: &Worker, ttl: Span, now: Timestamp) -> Result<Vec<Worker>> {
        self.ask()?.attend(worker, ttl, now).await
    }

    async fn workers(&self, now: Timestamp) -> Result<Vec<Worker>> {
        self.ask()?.workers(now).await
    }

    async fn leave(&self, nonce: Nonce) -> Result<()> {
        self.ask()?.leave(nonce).await
    }
}
