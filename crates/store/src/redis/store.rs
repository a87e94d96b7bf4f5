//! The contract, kept: each method checks its limits, then asks the servers; those that wait look again when a bell rings.

use super::RedisStore;
use super::bells::{BellNo, News};
use super::partition::{Act, was_held};
use super::stretches::Stretch;
use crate::block::Room;
use crate::contract::{
    AckLevel, Appended, CatalogueEntry, Commit, Committed, DeadLetter, FeedPage, ItemPage, Layout, Limits,
    LogPage, LogRecord, PartName, PartitionMeta, ProfileKey, ProfilePage, Registry, RegistryChange,
    ScanCursor, SeenQuery, Store, TombstonePage, Trim, Trimmed, WORKER_NAME_MAX, Worker,
};
use crate::error::{Error, Result};
use crate::position::{FeedSeq, LeaseToken, LogSeq, Nonce, Position, RegistryNo};
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, Span, Timestamp};
use std::time::Duration;

#[async_trait]
impl Store for RedisStore {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    async fn append(
        &self,
        partition: PartitionId,
        records: Vec<Bytes>,
        arrived_at: Timestamp,
        level: AckLevel,
    ) -> Result<Appended> {
        within("an append's number of records", records.len(), self.limits.append_records)?;
        let bytes = records.iter().map(Bytes::len).sum();
        within("an append's size in bytes", bytes, self.limits.append_bytes)?;
        self.append_block(partition, &records, arrived_at, level).await
    }

    async fn read_log(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max_records: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<LogPage> {
        let room = Room { records: max_records.max(1), bytes: max_bytes };
        let mut waiting = self.bells.wait(BellNo::of(partition), News::Log, wait);
        loop {
            let found = self.read_stretch(partition, Stretch::Log, after.get(), room).await?;
            if after.get() < found.trimmed {
                let first = LogSeq::new(found.trimmed).next();
                return Err(Error::Trimmed { partition, asked: after.next(), first });
            }
            if found.end > after.get() {
                let records = contiguous(partition, after, found.records)?;
                return Ok(LogPage { records });
            }
            if !waiting.again().await {
                return Ok(LogPage::default());
            }
        }
    }

    async fn meta(&self, partition: PartitionId) -> Result<PartitionMeta> {
        self.read_meta(partition).await
    }

    async fn wait_applied(
        &self,
        partition: PartitionId,
        seq: LogSeq,
        wait: Duration,
    ) -> Result<PartitionMeta> {
        let mut waiting = self.bells.wait(BellNo::of(partition), News::Commit, wait);
        loop {
            if self.read_applied(partition).await? >= seq || !waiting.again().await {
                return self.read_meta(partition).await;
            }
        }
    }

    async fn acquire(
        &self,
        partition: PartitionId,
        nonce: Nonce,
        ttl: Span,
        now: Timestamp,
    ) -> Result<Option<LeaseToken>> {
        self.lease(partition, Act::Acquire(nonce), ttl, now).await
    }

    async fn renew(
        &self,
        partition: PartitionId,
        token: LeaseToken,
        ttl: Span,
        now: Timestamp,
    ) -> Result<bool> {
        self.lease(partition, Act::Renew(token), ttl, now).await.map(was_held)
    }

    async fn release(&self, partition: PartitionId, token: LeaseToken) -> Result<()> {
        self.forget_seen(partition).await;
        self.lease(partition, Act::Release(token), Span::ZERO, Timestamp::EPOCH).await.map(|_| ())
    }

    async fn attend(&self, worker: &Worker, ttl: Span, now: Timestamp) -> Result<Vec<Worker>> {
        within("a worker's name in bytes", worker.name.len(), WORKER_NAME_MAX)?;
        self.roll(Some((worker, ttl)), now).await
    }

    async fn workers(&self, now: Timestamp) -> Result<Vec<Worker>> {
        self.roll(None, now).await
    }

    async fn leave(&self, nonce: Nonce) -> Result<()> {
        self.strike(nonce).await
    }

    async fn profiles(&self, partition: PartitionId, keys: &[ProfileKey]) -> Result<Vec<Option<Bytes>>> {
        within("a lookup's number of keys", keys.len(), self.limits.page_items)?;
        self.look_up_profiles(partition, keys).await
    }

    async fn seen(&self, partition: PartitionId, ids: &[SeenQuery]) -> Result<Vec<bool>> {
        within("a lookup's number of ids", ids.len(), self.limits.page_items)?;
        self.look_up_seen(partition, ids).await
    }

    async fn commit(&self, partition: PartitionId, commit: Commit) -> Result<Committed> {
        within("a commit's number of profiles", commit.profiles.len(), self.limits.commit_profiles)?;
        within("a commit's number of tombstones", commit.tombstones.len(), self.limits.commit_profiles)?;
        let values = commit.profiles.iter().filter_map(|(_, value)| value.as_ref()).map(Bytes::len);
        let letters = commit.dead_letters.iter().map(|letter| letter.record.len());
        let note = commit.note.iter().map(Bytes::len);
        let tombstones = commit.tombstones.iter().filter_map(|(_, value)| value.as_ref()).map(Bytes::len);
        let values = values.chain(tombstones);
        let bytes = values.chain(letters).chain(commit.changes.iter().map(Bytes::len)).chain(note).sum();
        within("a commit's size in bytes", bytes, self.limits.commit_bytes)?;
        self.do_commit(partition, commit).await
    }

    async fn scan(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_profiles: usize,
    ) -> Result<ProfilePage> {
        within("a page's number of profiles", max_profiles, self.limits.page_items)?;
        self.scan_page(partition, cursor, max_profiles).await
    }

    async fn tombstones(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_tombstones: usize,
    ) -> Result<TombstonePage> {
        within("a page's number of tombstones", max_tombstones, self.limits.page_items)?;
        self.tombstone_page(partition, cursor, max_tombstones).await
    }

    async fn rewrite_files(&self) -> Result<()> {
        self.rewrite().await
    }

    async fn read_feed(
        &self,
        partition: PartitionId,
        after: FeedSeq,
        max_changes: usize,
        wait: Duration,
    ) -> Result<FeedPage> {
        let room = Room { records: max_changes.max(1), bytes: usize::MAX };
        let mut waiting = self.bells.wait(BellNo::of(partition), News::Commit, wait);
        loop {
            let found = self.read_stretch(partition, Stretch::Feed, after.get(), room).await?;
            if found.end > after.get() || !waiting.again().await {
                let change = |(seq, change)| (FeedSeq::new(seq), change);
                return Ok(FeedPage {
                    changes: found.records.into_iter().map(change).collect(),
                    end: Position { generation: found.generation, seq: FeedSeq::new(found.end) },
                    first: FeedSeq::new(found.trimmed).next(),
                });
            }
        }
    }

    async fn trim(&self, partition: PartitionId, what: Trim) -> Result<Trimmed> {
        self.forget(partition, what).await
    }

    async fn dead_letters(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max_letters: usize,
    ) -> Result<Vec<DeadLetter>> {
        within("a page's number of dead letters", max_letters, self.limits.page_items)?;
        self.read_letters(partition, after, max_letters).await
    }

    async fn put_items(&self, items: Vec<CatalogueEntry>, level: AckLevel) -> Result<()> {
        within("an upsert's number of items", items.len(), self.limits.page_items)?;
        self.write_items(items, level).await
    }

    async fn scan_items(&self, cursor: Option<ScanCursor>, about: usize) -> Result<ItemPage> {
        within("a page's number of items", about, self.limits.page_items)?;
        self.scan_shards(cursor, about).await
    }

    async fn items(&self, ids: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        within("a lookup's number of items", ids.len(), self.limits.page_items)?;
        self.read_items(ids).await
    }

    async fn registry(&self, after: Option<RegistryNo>, wait: Duration) -> Result<Registry> {
        self.wait_for_registry(after, wait).await
    }

    async fn change_registry(&self, change: RegistryChange) -> Result<RegistryNo> {
        let manifest = change.publish.as_ref().map_or(0, |(_, model)| model.manifest.len());
        within("a manifest's size in bytes", manifest, self.limits.part_bytes)?;
        self.do_change_registry(change).await
    }

    async fn acquire_training(&self, nonce: Nonce, ttl: Span, now: Timestamp) -> Result<Option<LeaseToken>> {
        self.training(Act::Acquire(nonce), ttl, now).await
    }

    async fn renew_training(&self, token: LeaseToken, ttl: Span, now: Timestamp) -> Result<bool> {
        self.training(Act::Renew(token), ttl, now).await.map(was_held)
    }

    async fn release_training(&self, token: LeaseToken) -> Result<()> {
        self.training(Act::Release(token), Span::ZERO, Timestamp::EPOCH).await.map(|_| ())
    }

    async fn put_part(&self, part: Bytes) -> Result<PartName> {
        within("a part's size in bytes", part.len(), self.limits.part_bytes)?;
        self.write_part(&part).await
    }

    async fn part(&self, name: PartName) -> Result<Option<Bytes>> {
        self.read_part(name).await
    }
}

/// Records as a page has them; that one is missing is never passed over.
fn contiguous(partition: PartitionId, after: LogSeq, records: Vec<(u64, Bytes)>) -> Result<Vec<LogRecord>> {
    let mut expected = after;
    let missing = |seq: LogSeq| Error::Damaged {
        detail: format!("the log of partition {partition} has no record at {seq}"),
    };
    if records.is_empty() {
        return Err(missing(after.next()));
    }
    let record = |(seq, value)| {
        expected = expected.next();
        if seq == expected.get() { Ok(LogRecord { seq: expected, value }) } else { Err(missing(expected)) }
    };
    records.into_iter().map(record).collect()
}

fn within(what: &'static str, actual: usize, limit: usize) -> Result<()> {
    if actual > limit { Err(Error::TooBig { what, actual, limit }) } else { Ok(()) }
}
