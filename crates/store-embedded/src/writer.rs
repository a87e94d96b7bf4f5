//! Writer thread of the store. Jobs that queue up while the disk is busy become one batch of the database, with one write and at
//! most one fsync; then every caller gets its result and readers see the new state. A job is checked against the state left by
//! the jobs before it, so that a batch never contains something that an earlier job of it forbids.

use super::disk_space::DiskSpace;
use super::keys::{self, Keyspaces};
use super::models::ModelState;
use super::partition_cell::{Additions, PartitionCell};
use super::partition_state::PartitionState;
use super::source_ledger::LedgerPiece;
use super::write_batch::WriteBatch;
use super::write_job::{TrimPlan, WriteJob};
use bytes::Bytes;
use fjall::{Database, PersistMode};
use portrait_profile::PartitionId;
use portrait_store::backend::block::{self, Block};
use portrait_store::backend::dead;
use portrait_store::backend::seen_sets::window_of;
use portrait_store::{
    AckLevel, Appended, Commit, Committed, Error, FeedSeq, Layout, LogSeq, Position, Result,
};
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Size at which a batch is written, in bytes.
const BATCH_BYTES: usize = 16 << 20;
/// Number of jobs at which a batch is written.
const BATCH_JOBS: usize = 1024;

/// State of the writer thread.
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) keyspaces: Arc<Keyspaces>,
    pub(super) cells: Arc<[PartitionCell]>,
    pub(super) models: Arc<watch::Sender<ModelState>>,
    pub(super) layout: Layout,
    pub(super) space: DiskSpace,
    pub(super) dead_letters_max: u64,
    pub(super) jobs: mpsc::Receiver<WriteJob>,
    /// Problem and remedy, once a write has failed.
    pub(super) broken: watch::Sender<Option<String>>,
}

impl Writer {
    /// Writes batches until a job closes the store, or all senders are dropped.
    pub(super) fn run(mut self) {
        let mut deferred = None;
        while let Some(job) = deferred.take().or_else(|| self.jobs.blocking_recv()) {
            let mut batch = WriteBatch::new(&self.database);
            let mut next = Some(job);
            let mut closing = None;
            while let Some(job) = next.take() {
                // The job goes first into the next batch, so the order of a partition's commits stays.
                if must_wait(&batch, &job) {
                    deferred = Some(job);
                    break;
                }
                if let WriteJob::Close { reply } = job {
                    closing = Some(reply);
                    break;
                }
                self.add(&mut batch, job);
                if batch.bytes < BATCH_BYTES && batch.replies.len() < BATCH_JOBS {
                    // Jobs that are queued already join without waiting: batches grow with the load and not with a timer.
                    next = self.jobs.try_recv().ok();
                }
            }
            self.write(batch);
            if let Some(reply) = closing {
                let synced = self.database.persist(PersistMode::SyncAll).map_err(Error::unavailable);
                let _ = reply.send(synced);
                return;
            }
        }
    }

    fn add(&mut self, batch: &mut WriteBatch, job: WriteJob) {
        // Refused before anything is written: a write that fails halfway ends the process.
        if !job.is_lease()
            && let Err(full) = self.space.check_writable(batch.bytes as u64 + job.bytes())
        {
            tracing::warn!(error = %full, "writes are refused");
            return job.refuse(full);
        }
        match job {
            WriteJob::Append { partition, block, count, level, reply } => {
                let appended = self.append(batch, partition, &block, count, level);
                batch.reply(reply, appended);
            }
            WriteJob::Commit { partition, commit, reply } => {
                let committed = self.commit(batch, partition, *commit);
                batch.reply(reply, committed);
            }
            WriteJob::Acquire { partition, claim, ttl, now, reply } => {
                let acquisition = self.state(batch, partition).lease.acquire(&claim, ttl, now);
                batch.reply(reply, Ok(acquisition));
            }
            WriteJob::Renew { partition, token, ttl, now, reply } => {
                let is_held = self.state(batch, partition).lease.renew(token, ttl, now);
                batch.reply(reply, Ok(is_held));
            }
            WriteJob::Release { partition, token, reply } => {
                self.state(batch, partition).lease.release(token);
                batch.reply(reply, Ok(()));
            }
            WriteJob::Trim { partition, plan, reply } => {
                self.trim(batch, partition, *plan);
                batch.reply(reply, Ok(()));
            }
            WriteJob::PutItems { items, level, reply } => {
                let put = self.space.check().map(|()| {
                    batch.bytes += items.iter().map(|(id, item)| id.len() + item.len()).sum::<usize>();
                    batch.disk |= level == AckLevel::Disk;
                    batch.items.extend(items);
                });
                batch.reply(reply, put);
            }
            WriteJob::Models { edit, .. } => {
                let mut models = batch.models.take().unwrap_or_else(|| self.models.borrow().clone());
                edit(&mut models, batch);
                batch.models = Some(models);
                // Models are acknowledged on disk always: a lost registry cannot be rebuilt from the log.
                batch.disk = true;
            }
            WriteJob::PutPart { name, part, reply } => {
                let put = self.space.check().map(|()| {
                    batch.bytes += part.len();
                    batch.disk = true;
                    batch.parts.insert(name, Some(part));
                });
                batch.reply(reply, put);
            }
            WriteJob::Close { reply } => batch.reply(reply, Ok(())),
        }
    }

    fn append(
        &mut self,
        batch: &mut WriteBatch,
        partition: PartitionId,
        block: &Bytes,
        count: u64,
        level: AckLevel,
    ) -> Result<Appended> {
        // Appends, items and parts are refused while space is short; commits and trims go on, since they make space.
        self.space.check().inspect_err(|full| tracing::warn!(error = %full, "appends are refused"))?;
        let generation = self.cells[partition.index()].generations.log.newest();
        let state = self.state(batch, partition);
        let first = state.log_end.next();
        state.append(count, block.len() as u64);
        let end = state.log_end;
        let applied_through = state.applied_through;
        let decoded = Block::new(first.get(), block.clone())?;
        batch.additions(partition).log.push(decoded);
        batch.bytes += block.len();
        batch.disk |= level == AckLevel::Disk;
        batch.writes.insert(&self.keyspaces.log, keys::position_key(partition, first.get()), &block[..]);
        Ok(Appended { first, last: Position { generation, seq: end }, applied_through })
    }

    fn commit(
        &mut self,
        batch: &mut WriteBatch,
        partition: PartitionId,
        mut commit: Commit,
    ) -> Result<Committed> {
        // Cloned, since the state borrows the writer while the batch is filled.
        let keyspaces = Arc::clone(&self.keyspaces);
        let window_length = self.layout.dedup_window;
        // Nothing is added to the batch before this check, since a batch cannot undo a job.
        self.state(batch, partition).check(partition, &commit)?;
        commit.seen.sort_unstable_by_key(|query| (window_of(query.arrived_at, window_length), query.id));
        let (pieces, additions) =
            batch.ledger_ends.add(&keyspaces.sources, partition, &commit.seen).map_err(Error::unavailable)?;
        let state = self.state(batch, partition);
        let first_change = state.feed_end.next();
        state.count(&commit);
        let commit_no = state.commit_no;
        let feed_end = state.feed_end;
        self.bound_dead_letters(batch, partition, commit.dead_letters.len() as u64)?;
        batch.committed.push(partition);
        // In the order of keys each insertion finds the memory of the one before in the processor's cache: the writer, which is one
        // thread for all partitions, took 3.2 instead of 4.2 us an event with 2 million users (`benches/users.rs`).
        commit.profiles.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (key, value) in commit.profiles {
            let key = keys::profile(partition, &key);
            batch.bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
            match value {
                Some(value) => batch.writes.insert(&keyspaces.profiles, key, &value[..]),
                None => batch.writes.remove(&keyspaces.profiles, key),
            }
        }
        for (pseudonym, value) in commit.tombstones {
            let key = keys::tombstone(partition, pseudonym);
            match value {
                Some(value) => batch.writes.insert(&keyspaces.tombstones, key, &value[..]),
                None => batch.writes.remove(&keyspaces.tombstones, key),
            }
        }
        for query in &commit.seen {
            // The window follows from the record's arrival, so a repeated commit writes the same key.
            let window = window_of(query.arrived_at, window_length);
            batch.writes.insert(&keyspaces.seen, keys::seen(partition, window, query), []);
        }
        for LedgerPiece { key, ids } in pieces {
            batch.bytes += ids.len();
            batch.writes.insert(&keyspaces.sources, key, ids);
        }
        batch.additions(partition).sources.extend(additions);
        if !commit.changes.is_empty() {
            let block = block::encode(commit.at, &commit.changes);
            batch.bytes += block.len();
            batch.writes.insert(
                &keyspaces.feed,
                keys::position_key(partition, first_change.get()),
                &block[..],
            );
            batch.additions(partition).feed.push(Block::new(first_change.get(), block)?);
        }
        for letter in commit.dead_letters {
            let value = dead::encode(&letter);
            batch.bytes += value.len();
            batch.writes.insert(&keyspaces.dead, keys::position_key(partition, letter.seq.get()), value);
        }
        batch.additions(partition).seen.extend(commit.seen);
        Ok(Committed { commit_no, feed_end })
    }

    /// Removes the oldest dead letters beyond the limit, after `added` new ones were counted.
    fn bound_dead_letters(
        &mut self,
        batch: &mut WriteBatch,
        partition: PartitionId,
        added: u64,
    ) -> Result<()> {
        let most = self.dead_letters_max;
        let keyspaces = Arc::clone(&self.keyspaces);
        let state = self.state(batch, partition);
        // The new ones are not in the database yet, so at most the older ones can be removed.
        let surplus = state.dead_letters.saturating_sub(most).min(state.dead_letters - added);
        state.dead_letters -= surplus;
        for entry in keyspaces.dead.prefix(keys::partition(partition)).take(surplus as usize) {
            batch.writes.remove(&keyspaces.dead, entry.key().map_err(Error::unavailable)?);
        }
        Ok(())
    }

    fn trim(&mut self, batch: &mut WriteBatch, partition: PartitionId, plan: TrimPlan) {
        let keyspaces = Arc::clone(&self.keyspaces);
        let state = self.state(batch, partition);
        state.log_size.check(state.log_trimmed.get(), state.log_end.get());
        // Counted here and not by the plan: another trim may have removed the same blocks since.
        plan.log.blocks.iter().for_each(|block| state.log_size.trim(block.last, block.bytes));
        state.log_trimmed = state.log_trimmed.max(LogSeq::new(plan.log.through()));
        state.feed_trimmed = state.feed_trimmed.max(FeedSeq::new(plan.feed.through()));
        state.dead_letters = state.dead_letters.saturating_sub(plan.dead.len() as u64);
        plan.dead.into_iter().for_each(|key| batch.writes.remove(&keyspaces.dead, key));
        plan.log.blocks.iter().for_each(|block| batch.writes.remove(&keyspaces.log, block.key));
        plan.feed.blocks.iter().for_each(|block| batch.writes.remove(&keyspaces.feed, block.key));
        plan.seen.into_iter().for_each(|key| batch.writes.remove(&keyspaces.seen, key));
    }

    /// Returns the state that the jobs of the batch so far leave.
    fn state<'b>(&self, batch: &'b mut WriteBatch, partition: PartitionId) -> &'b mut PartitionState {
        let published = || (self.cells[partition.index()].state.borrow().clone(), Additions::default());
        &mut batch.changed.entry(partition).or_insert_with(published).0
    }

    fn write(&mut self, mut batch: WriteBatch) {
        // Leases end with the process, so that those of a store without room need not be written.
        if batch.has_only_leases() && self.space.check_writable(0).is_err() {
            for (partition, (state, additions)) in batch.changed {
                self.cells[partition.index()].publish(state, additions);
            }
            batch.replies.into_iter().for_each(|reply| reply(None));
            return;
        }
        for (partition, (state, _)) in &batch.changed {
            // The last state of each partition is written once, however many jobs changed it.
            batch.writes.insert(&self.keyspaces.meta, keys::partition(*partition), encoded(state));
        }
        for (id, item) in std::mem::take(&mut batch.items) {
            batch.writes.insert(&self.keyspaces.items, &id[..], &item[..]);
        }
        for (name, part) in std::mem::take(&mut batch.parts) {
            match part {
                Some(part) => batch.writes.insert(&self.keyspaces.parts, keys::part(name), &part[..]),
                None => batch.writes.remove(&self.keyspaces.parts, keys::part(name)),
            }
        }
        if let Some(models) = &batch.models {
            batch.writes.insert(&self.keyspaces.models, keys::MODELS, encoded(models));
        }
        // One job at level `disk` makes the whole batch durable; one fsync serves all of them.
        let mode = if batch.disk { PersistMode::SyncData } else { PersistMode::Buffer };
        let written = batch.writes.durability(Some(mode)).commit();
        let failure = written.err().map(|error| error.to_string());
        match &failure {
            None => {
                for (partition, (state, additions)) in batch.changed {
                    self.cells[partition.index()].publish(state, additions);
                }
                batch.models.map(|models| self.models.send_replace(models));
            }
            // A database that failed once fails every later write too, so this is logged once.
            Some(error) if self.broken.borrow().is_none() => {
                let problem = self.space.after_failure(error);
                tracing::error!(problem, "the store accepts no more writes");
                self.broken.send_replace(Some(problem));
            }
            Some(_) => {}
        }
        batch.replies.into_iter().for_each(|reply| reply(failure.as_deref()));
    }
}

/// Returns whether a job has to go into a later batch. Two commits of one partition may write the same key, which one batch of the
/// database must not.
fn must_wait(batch: &WriteBatch, job: &WriteJob) -> bool {
    matches!(job, WriteJob::Commit { partition, .. } if batch.committed.contains(partition))
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("writing to memory cannot fail: every type here has a known length")
}
