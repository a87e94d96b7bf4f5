//! The contract, kept: each method checks its limits, and then reads from the shelf or asks the writer.

use super::attendance::Attendance;
use super::models::Models;
use super::read::{Stretch, blocking};
use super::writer::{Draft, Job};
use super::{Embedded, keys};
use crate::block::{self, Room};
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
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

/// The most profiles that a call reads without giving way to other tasks.
const INLINE_READS: usize = 64;

#[async_trait]
impl Store for Embedded {
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
        one_copy(level)?;
        within("an append's number of records", records.len(), self.limits.append_records)?;
        let bytes = records.iter().map(Bytes::len).sum();
        within("an append's size in bytes", bytes, self.limits.append_bytes)?;
        let count = records.len() as u64;
        let block = block::encode(arrived_at, &records);
        self.ask(|answer| Job::Append { partition, block, count, level, answer }).await
    }

    async fn read_log(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max_records: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<LogPage> {
        let mut standing = self.shelf(partition).standing.subscribe();
        // Nothing to read is not an error: the page is empty.
        let _ = tokio::time::timeout(wait, standing.wait_for(|standing| standing.log_end > after)).await;
        // One look: a second one while the first is held would wait for a writer that waits for the first.
        let (end, trimmed) = {
            let seen = standing.borrow();
            (seen.log_end, seen.log_trimmed)
        };
        if after < trimmed {
            return Err(Error::Trimmed { partition, asked: after.next(), first: trimmed.next() });
        }
        if end <= after {
            return Ok(LogPage::default());
        }
        let room = Room { records: max_records, bytes: max_bytes };
        let records = self.records(Stretch::Log, partition, after.get(), room).await?;
        let mut expected = after;
        for (seq, _) in &records {
            expected = expected.next();
            if *seq != expected.get() {
                let detail = format!("the log of partition {partition} has no record at {expected}");
                return Err(Error::Damaged { detail });
            }
        }
        if records.is_empty() {
            let detail =
                format!("the log of partition {partition} has no record after {after} and ends at {end}");
            return Err(Error::Damaged { detail });
        }
        let record = |(seq, value)| LogRecord { seq: LogSeq::new(seq), value };
        Ok(LogPage { records: records.into_iter().map(record).collect() })
    }

    async fn meta(&self, partition: PartitionId) -> Result<PartitionMeta> {
        Ok(self.shelf(partition).meta())
    }

    async fn wait_applied(
        &self,
        partition: PartitionId,
        seq: LogSeq,
        wait: Duration,
    ) -> Result<PartitionMeta> {
        let shelf = self.shelf(partition);
        let mut standing = shelf.standing.subscribe();
        // Not reached is not an error: the caller sees how far it is.
        let _ =
            tokio::time::timeout(wait, standing.wait_for(|standing| standing.applied_through >= seq)).await;
        Ok(shelf.meta())
    }

    async fn acquire(
        &self,
        partition: PartitionId,
        nonce: Nonce,
        ttl: Span,
        now: Timestamp,
    ) -> Result<Option<LeaseToken>> {
        self.ask(|answer| Job::Acquire { partition, nonce, ttl, now, answer }).await
    }

    async fn renew(
        &self,
        partition: PartitionId,
        token: LeaseToken,
        ttl: Span,
        now: Timestamp,
    ) -> Result<bool> {
        self.ask(|answer| Job::Renew { partition, token, ttl, now, answer }).await
    }

    async fn release(&self, partition: PartitionId, token: LeaseToken) -> Result<()> {
        self.ask(|answer| Job::Release { partition, token, answer }).await
    }

    async fn attend(&self, worker: &Worker, ttl: Span, now: Timestamp) -> Result<Vec<Worker>> {
        within("a worker's name in bytes", worker.name.len(), WORKER_NAME_MAX)?;
        self.attendance().attend(worker, ttl, now)
    }

    async fn workers(&self, now: Timestamp) -> Result<Vec<Worker>> {
        Ok(self.attendance().workers(now))
    }

    async fn leave(&self, nonce: Nonce) -> Result<()> {
        self.attendance().leave(nonce);
        Ok(())
    }

    async fn profiles(&self, partition: PartitionId, keys: &[ProfileKey]) -> Result<Vec<Option<Bytes>>> {
        within("a lookup's number of keys", keys.len(), self.limits.page_items)?;
        let mut found = Vec::with_capacity(keys.len());
        for page in keys.chunks(INLINE_READS) {
            for key in page {
                let value =
                    self.keyspaces.profiles.get(keys::profile(partition, key)).map_err(Error::unavailable)?;
                found.push(value.map(|value| Bytes::copy_from_slice(&value)));
            }
            if keys.len() > INLINE_READS {
                tokio::task::yield_now().await;
            }
        }
        Ok(found)
    }

    async fn seen(&self, partition: PartitionId, ids: &[SeenQuery]) -> Result<Vec<bool>> {
        within("a lookup's number of ids", ids.len(), self.limits.page_items)?;
        let mut seen = self.shelf(partition).seen();
        let answers = ids.iter().map(|query| seen.has(&self.keyspaces.seen, query));
        answers.collect::<fjall::Result<_>>().map_err(Error::unavailable)
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
        let commit = Box::new(commit);
        self.ask(|answer| Job::Commit { partition, commit, answer }).await
    }

    async fn scan(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_profiles: usize,
    ) -> Result<ProfilePage> {
        within("a page's number of profiles", max_profiles, self.limits.page_items)?;
        self.page(partition, cursor, max_profiles).await
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
        let shelf = self.shelf(partition);
        let mut standing = shelf.standing.subscribe();
        let _ = tokio::time::timeout(wait, standing.wait_for(|standing| standing.feed_end > after)).await;
        let (seq, trimmed) = {
            let seen = standing.borrow();
            (seen.feed_end, seen.feed_trimmed)
        };
        let end = Position { generation: shelf.generations.feed.newest(), seq };
        let mut page = FeedPage { changes: Vec::new(), end, first: trimmed.next() };
        if seq > after && after >= trimmed {
            let room = Room { records: max_changes, bytes: usize::MAX };
            let changes = self.records(Stretch::Feed, partition, after.get(), room).await?;
            page.changes = changes.into_iter().map(|(seq, change)| (FeedSeq::new(seq), change)).collect();
        }
        Ok(page)
    }

    async fn trim(&self, partition: PartitionId, what: Trim) -> Result<Trimmed> {
        let before = self.shelf(partition).standing.borrow().clone();
        let found = Box::new(self.find_old(partition, what).await?);
        let mut windows: Vec<&[u8]> = found.seen.iter().filter_map(|key| key.get(..6)).collect();
        windows.dedup();
        let trimmed = Trimmed {
            log_records: found.log_through.get().saturating_sub(before.log_trimmed.get()),
            changes: found.feed_through.get().saturating_sub(before.feed_trimmed.get()),
            seen_windows: windows.len() as u64,
        };
        if trimmed != Trimmed::default() || !found.dead.is_empty() {
            self.ask(|answer| Job::Trim { partition, found, answer }).await?;
        }
        Ok(trimmed)
    }

    async fn dead_letters(
        &self,
        partition: PartitionId,
        after: LogSeq,
        max_letters: usize,
    ) -> Result<Vec<DeadLetter>> {
        within("a page's number of dead letters", max_letters, self.limits.page_items)?;
        self.letters(partition, after, max_letters).await
    }

    async fn put_items(&self, items: Vec<CatalogueEntry>, level: AckLevel) -> Result<()> {
        one_copy(level)?;
        within("an upsert's number of items", items.len(), self.limits.page_items)?;
        self.ask(|answer| Job::PutItems { items, level, answer }).await
    }

    async fn items(&self, ids: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        within("a lookup's number of items", ids.len(), self.limits.page_items)?;
        let read = |id: &Bytes| self.keyspaces.items.get(&id[..]);
        let found =
            ids.iter().map(|id| read(id).map(|value| value.map(|value| Bytes::copy_from_slice(&value))));
        found.collect::<fjall::Result<_>>().map_err(Error::unavailable)
    }

    async fn scan_items(&self, cursor: Option<ScanCursor>, about: usize) -> Result<ItemPage> {
        within("a page's number of items", about, self.limits.page_items)?;
        self.item_page(cursor, about).await
    }

    async fn registry(&self, after: Option<RegistryNo>, wait: Duration) -> Result<Registry> {
        let mut models = self.models.subscribe();
        let newer = |models: &Models| after.is_none_or(|after| models.registry.registry_no > after);
        // That nothing newer came is not an error: the caller sees what there is.
        let _ = tokio::time::timeout(wait, models.wait_for(newer)).await;
        let registry = models.borrow().registry.clone();
        Ok(registry)
    }

    async fn change_registry(&self, change: RegistryChange) -> Result<RegistryNo> {
        let manifest = change.publish.as_ref().map_or(0, |(_, model)| model.manifest.len());
        within("a manifest's size in bytes", manifest, self.limits.part_bytes)?;
        self.edit_models(move |models, draft| {
            let changed = models.change(&change);
            if changed.is_ok() {
                draft.forget_parts(change.forget_parts);
            }
            changed
        })
        .await
    }

    async fn acquire_training(&self, nonce: Nonce, ttl: Span, now: Timestamp) -> Result<Option<LeaseToken>> {
        self.edit_models(move |models, _| Ok(models.lease.acquire(nonce, ttl, now))).await
    }

    async fn renew_training(&self, token: LeaseToken, ttl: Span, now: Timestamp) -> Result<bool> {
        self.edit_models(move |models, _| Ok(models.lease.renew(token, ttl, now))).await
    }

    async fn release_training(&self, token: LeaseToken) -> Result<()> {
        let release = move |models: &mut Models, _: &mut Draft| {
            models.lease.release(token);
            Ok(())
        };
        self.edit_models(release).await
    }

    async fn put_part(&self, part: Bytes) -> Result<PartName> {
        within("a part's size in bytes", part.len(), self.limits.part_bytes)?;
        let name = PartName::of(&part);
        self.ask(|answer| Job::PutPart { name, part, answer }).await?;
        Ok(name)
    }

    async fn part(&self, name: PartName) -> Result<Option<Bytes>> {
        let keyspaces = Arc::clone(&self.keyspaces);
        blocking(move || {
            let part = keyspaces.parts.get(keys::part(name)).map_err(Error::unavailable)?;
            Ok(part.map(|part| Bytes::copy_from_slice(&part)))
        })
        .await
    }
}

impl Embedded {
    fn attendance(&self) -> MutexGuard<'_, Attendance> {
        self.attendance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the writer change the models, and waits for its answer.
    async fn edit_models<T: Send + 'static>(
        &self,
        edit: impl FnOnce(&mut Models, &mut Draft) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let job = |answer| {
            let edit = move |models: &mut Models, draft: &mut Draft| {
                let result = edit(models, draft);
                draft.answer(answer, result);
            };
            Job::Models { edit: Box::new(edit) }
        };
        self.ask(job).await
    }
}

/// Refuses what one disk cannot promise.
fn one_copy(level: AckLevel) -> Result<()> {
    match level {
        AckLevel::Memory | AckLevel::Disk => Ok(()),
        AckLevel::Replica => Err(Error::Incompatible {
            detail: "an embedded store has no replicas: set ingest.acknowledge to disk, or keep the store in redis"
                .to_owned(),
        }),
    }
}

fn within(what: &'static str, actual: usize, limit: usize) -> Result<()> {
    if actual > limit { Err(Error::TooBig { what, actual, limit }) } else { Ok(()) }
}
