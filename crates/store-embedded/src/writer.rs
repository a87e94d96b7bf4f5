//! Writer thread of the store. Jobs that queue up while the disk is busy become one batch of the database, with one write and at
//! most one fsync; then every caller gets its result and readers see the new state. A job is checked against the state left by
//! the jobs before it, so that a batch never contains something that an earlier job of it forbids.

use super::disk_space::DiskSpace;
use super::keys::{self, Keyspaces};
use super::models::ModelState;
use super::partition_cell::{Additions, PartitionCell};
use super::partition_state::PartitionState;
use bytes::Bytes;
use fjall::{Database, OwnedWriteBatch, PersistMode};
use portrait_profile::{PartitionId, TimeDelta, Timestamp};
use portrait_store::backend::block::{self, Block};
use portrait_store::backend::dead;
use portrait_store::{
    AckLevel, Acquisition, Appended, CatalogueEntry, Commit, Committed, Error, FeedSeq, Layout, LeaseClaim,
    LeaseToken, LogSeq, PartName, Position, Result,
};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Size at which a batch is written, in bytes.
const BATCH_BYTES: usize = 16 << 20;
/// Number of jobs at which a batch is written.
const BATCH_JOBS: usize = 1024;

/// Sender of a job's result. The caller may have been cancelled; then the result is dropped.
pub(super) type ReplySender<T> = oneshot::Sender<Result<T>>;

/// Job of the writer.
pub(super) enum WriteJob {
    /// Appends a block of `count` records.
    Append { partition: PartitionId, block: Bytes, count: u64, level: AckLevel, reply: ReplySender<Appended> },
    /// Applies a commit of a partition's owner.
    Commit { partition: PartitionId, commit: Box<Commit>, reply: ReplySender<Committed> },
    /// Acquires the lease of a partition.
    Acquire {
        partition: PartitionId,
        claim: LeaseClaim,
        ttl: TimeDelta,
        now: Timestamp,
        reply: ReplySender<Acquisition>,
    },
    /// Extends the lease of a partition.
    Renew {
        partition: PartitionId,
        token: LeaseToken,
        ttl: TimeDelta,
        now: Timestamp,
        reply: ReplySender<bool>,
    },
    /// Ends the lease of a partition.
    Release { partition: PartitionId, token: LeaseToken, reply: ReplySender<()> },
    /// Removes the keys of a plan.
    Trim { partition: PartitionId, plan: Box<TrimPlan>, reply: ReplySender<()> },
    /// Writes items of the catalogue.
    PutItems { items: Vec<CatalogueEntry>, level: AckLevel, reply: ReplySender<()> },
    /// Changes the registry or the training lease.
    Models { edit: EditModels },
    /// Stores a part of a model.
    PutPart { name: PartName, part: Bytes, reply: ReplySender<()> },
    /// Syncs everything to disk and stops the writer.
    Close { reply: ReplySender<()> },
}

/// Change of the models, which also sends its result.
pub(super) type EditModels = Box<dyn FnOnce(&mut ModelState, &mut WriteBatch) + Send>;

/// Keys that one step of a trim removes from a partition.
#[derive(Default)]
pub(super) struct TrimPlan {
    /// Blocks of the log.
    pub(super) log: OldBlocks,
    /// Blocks of the feed.
    pub(super) feed: OldBlocks,
    /// Keys of dead letters of trimmed records.
    pub(super) dead: Vec<[u8; 10]>,
    /// Keys of expired ids.
    pub(super) seen: Vec<Vec<u8>>,
    /// True if a bound ended the search for one of the four.
    pub(super) more: bool,
}

/// Oldest blocks of a stream, which a trim removes.
#[derive(Default)]
pub(super) struct OldBlocks {
    /// Blocks, oldest first.
    pub(super) blocks: Vec<OldBlock>,
    /// Time at which the oldest block that stays was written; none if no block stays or the search ended before it.
    pub(super) oldest_at: Option<Timestamp>,
    /// True if the bound of one trim ended the search.
    pub(super) more: bool,
}

/// Block that a trim removes.
pub(super) struct OldBlock {
    /// Key of the block.
    pub(super) key: [u8; 10],
    /// Position of its last record.
    pub(super) last: u64,
    /// Size of the encoded block in bytes.
    pub(super) bytes: u64,
}

impl OldBlocks {
    /// Returns the position of the last record of the blocks; 0 without blocks.
    pub(super) fn through(&self) -> u64 {
        self.blocks.last().map_or(0, |block| block.last)
    }
}

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
    /// Token that is cancelled when a write fails.
    pub(super) broken: CancellationToken,
}

/// Deferred result of one job; the argument is the failure of the whole batch, if any.
type PendingReply = Box<dyn FnOnce(Option<&str>) + Send>;

/// Batch that is being assembled.
pub(super) struct WriteBatch {
    writes: OwnedWriteBatch,
    bytes: usize,
    disk: bool,
    changed: BTreeMap<PartitionId, (PartitionState, Additions)>,
    committed: Vec<PartitionId>,
    items: HashMap<Bytes, Bytes>,
    models: Option<ModelState>,
    parts: BTreeMap<PartName, Option<Bytes>>,
    replies: Vec<PendingReply>,
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
                if batch.must_wait(&job) {
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
            WriteJob::Models { edit } => {
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
        self.space.check()?;
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
        let state = self.state(batch, partition);
        // Nothing is added to the batch before this check, since a batch cannot undo a job.
        state.check(partition, &commit)?;
        let first_change = state.feed_end.next();
        state.count(&commit);
        let commit_no = state.commit_no;
        let feed_end = state.feed_end;
        self.bound_dead_letters(batch, partition, commit.dead_letters.len() as u64)?;
        batch.committed.push(partition);
        // In the order of keys each insertion finds the memory of the one before in the processor's cache: the writer, which is one
        // thread for all partitions, took 3.2 instead of 4.2 us an event with 2 million users (`benches/users.rs`).
        commit.profiles.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        commit.seen.sort_unstable_by_key(|query| (keys::window(query.arrived_at, window_length), query.id));
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
            let window = keys::window(query.arrived_at, window_length);
            batch.writes.insert(&keyspaces.seen, keys::seen(partition, window, query), []);
        }
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

    fn write(&self, mut batch: WriteBatch) {
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
            Some(error) if !self.broken.is_cancelled() => {
                tracing::error!(error, "database write failed; restart after the disk is repaired");
                self.broken.cancel();
            }
            Some(_) => {}
        }
        batch.replies.into_iter().for_each(|reply| reply(failure.as_deref()));
    }
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("writing to memory cannot fail: every type here has a known length")
}

impl WriteBatch {
    fn new(database: &Database) -> Self {
        Self {
            writes: database.batch(),
            bytes: 0,
            disk: false,
            changed: BTreeMap::new(),
            committed: Vec::new(),
            items: HashMap::new(),
            models: None,
            parts: BTreeMap::new(),
            replies: Vec::new(),
        }
    }

    /// Returns whether a job has to go into a later batch. Two commits of one partition may write the same key, which one batch of
    /// the database must not.
    fn must_wait(&self, job: &WriteJob) -> bool {
        matches!(job, WriteJob::Commit { partition, .. } if self.committed.contains(partition))
    }

    fn additions(&mut self, partition: PartitionId) -> &mut Additions {
        &mut self.changed.get_mut(&partition).expect("a job reads the state before it adds to it").1
    }

    /// Removes parts of models.
    pub(super) fn forget_parts(&mut self, names: impl IntoIterator<Item = PartName>) {
        self.parts.extend(names.into_iter().map(|name| (name, None)));
    }

    /// Holds a result back until the batch is written; a failed write replaces it.
    pub(super) fn reply<T: Send + 'static>(&mut self, reply: ReplySender<T>, result: Result<T>) {
        self.replies.push(Box::new(move |failure| {
            let result = match failure {
                Some(error) => Err(Error::unavailable(std::io::Error::other(error.to_owned()))),
                None => result,
            };
            let _ = reply.send(result);
        }));
    }
}
