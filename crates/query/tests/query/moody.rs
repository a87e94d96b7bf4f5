//! A store with moods: it passes everything on to a real one, and can be told not to answer, or to have lost the newest end
//! of a feed and begun a new generation, as a store does after a fail-over.

use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, Span, Timestamp};
use portrait_store::contract::CatalogueEntry;
use portrait_store::embedded::Embedded;
use portrait_store::{
    AckLevel, Appended, Commit, Committed, DeadLetter, Error, FeedPage, FeedSeq, GenerationId, Layout,
    LeaseToken, Limits, LogPage, LogSeq, Nonce, PartitionMeta, ProfileKey, ProfilePage, Result, ScanCursor,
    SeenQuery, Store, Trim, Trimmed,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The store.
pub(super) struct Moody {
    real: Arc<Embedded>,
    away: AtomicBool,
    /// The newest generation of a partition's feed and its first place.
    renewed: Mutex<BTreeMap<PartitionId, (GenerationId, FeedSeq)>>,
}

impl Moody {
    pub(super) fn of(real: Arc<Embedded>) -> Self {
        Self { real, away: AtomicBool::new(false), renewed: Mutex::default() }
    }

    /// Whether it does not answer from now on.
    pub(super) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Says that a partition's feed has a generation `number` that begins at `first`.
    pub(super) fn renew(&self, partition: PartitionId, number: u128, first: FeedSeq) {
        let generation = GenerationId::new(Nonce::new(number));
        self.renewed.lock().expect("nobody panics with it").insert(partition, (generation, first));
    }

    fn ask(&self) -> Result<&Embedded> {
        if self.away.load(Ordering::SeqCst) { Err(Error::Unavailable(None)) } else { Ok(&self.real) }
    }

    fn renewed(&self, partition: PartitionId) -> Option<(GenerationId, FeedSeq)> {
        self.renewed.lock().expect("nobody panics with it").get(&partition).copied()
    }
}

#[async_trait]
impl Store for Moody {
    fn layout(&self) -> Layout {
        self.real.layout()
    }

    fn limits(&self) -> Limits {
        self.real.limits()
    }

    async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
        arrived_at: Timestamp,
        level: AckLevel,
    ) -> Result<Appended> {
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

    async fn profiles(&self, partition: PartitionId, keys: &[ProfileKey]) -> Result<Vec<Option<Bytes>>> {
        self.ask()?.profiles(partition, keys).await
    }

    async fn seen(&self, partition: PartitionId, ids: &[SeenQuery]) -> Result<Vec<bool>> {
        self.ask()?.seen(partition, ids).await
    }

    async fn commit(&self, partition: PartitionId, commit: Commit) -> Result<Committed> {
        self.ask()?.commit(partition, commit).await
    }

    async fn scan(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_profiles: usize,
    ) -> Result<ProfilePage> {
        self.ask()?.scan(partition, cursor, max_profiles).await
    }

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

    async fn put_items(&self, items: Vec<CatalogueEntry>, level: AckLevel) -> Result<()> {
        self.ask()?.put_items(items, level).await
    }

    async fn items(&self, ids: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        self.ask()?.items(ids).await
    }
}
