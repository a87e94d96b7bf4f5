//! The one thread that writes. In come jobs from every caller; what has queued up while the disk was busy becomes one batch
//! of the database, one write and at most one fsync; then everybody is answered and readers see it. A job is checked against
//! the standing that the jobs before it leave, so that a batch never holds something that a step before it forbids.

use super::keys::{self, Keyspaces};
use super::models::Models;
use super::shelf::{Additions, Shelf};
use super::space::Space;
use super::standing::Standing;
use bytes::Bytes;
use fjall::{Database, OwnedWriteBatch as WriteBatch, PersistMode};
use portrait_profile::{PartitionId, Span, Timestamp};
use portrait_store::backend::block::{self, Block};
use portrait_store::backend::dead;
use portrait_store::{
    AckLevel, Appended, CatalogueEntry, Commit, Committed, Error, FeedSeq, Layout, LeaseToken, LogSeq, Nonce,
    PartName, Position, Result,
};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// How many bytes and jobs one batch takes.
const BATCH_BYTES: usize = 16 << 20;
const BATCH_JOBS: usize = 1024;

/// Where a job's answer goes. The asker may be gone; then nobody needs it.
pub(super) type Answer<T> = oneshot::Sender<Result<T>>;

/// What the writer can be asked to do.
pub(super) enum Job {
    /// Append a block of `count` records.
    Append { partition: PartitionId, block: Bytes, count: u64, level: AckLevel, answer: Answer<Appended> },
    /// One step of a partition's owner.
    Commit { partition: PartitionId, commit: Box<Commit>, answer: Answer<Committed> },
    /// Take a lease.
    Acquire {
        partition: PartitionId,
        nonce: Nonce,
        ttl: Span,
        now: Timestamp,
        answer: Answer<Option<LeaseToken>>,
    },
    /// Extend a lease.
    Renew { partition: PartitionId, token: LeaseToken, ttl: Span, now: Timestamp, answer: Answer<bool> },
    /// End a lease.
    Release { partition: PartitionId, token: LeaseToken, answer: Answer<()> },
    /// Forget what was found to be old.
    Trim { partition: PartitionId, found: Box<Found>, answer: Answer<()> },
    /// Write items.
    PutItems { items: Vec<CatalogueEntry>, level: AckLevel, answer: Answer<()> },
    /// Change the models, or who may train.
    Models { edit: EditModels },
    /// Keep a part of a model.
    PutPart { name: PartName, part: Bytes, answer: Answer<()> },
    /// Write everything to disk and stop.
    Close { answer: Answer<()> },
}

/// A change of the models: does it and answers.
pub(super) type EditModels = Box<dyn FnOnce(&mut Models, &mut Draft) + Send>;

/// What a search for old things found in one partition.
#[derive(Default)]
pub(super) struct Found {
    /// Keys of blocks of the log.
    pub(super) log: Vec<[u8; 10]>,
    /// The newest place of them.
    pub(super) log_through: LogSeq,
    /// Keys of blocks of the feed.
    pub(super) feed: Vec<[u8; 10]>,
    /// The newest place of them.
    pub(super) feed_through: FeedSeq,
    /// Keys of dead letters.
    pub(super) dead: Vec<[u8; 10]>,
    /// Keys of remembered ids.
    pub(super) seen: Vec<Vec<u8>>,
}

/// The thread's own.
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) keyspaces: Arc<Keyspaces>,
    pub(super) shelves: Arc<[Shelf]>,
    pub(super) models: Arc<watch::Sender<Models>>,
    pub(super) layout: Layout,
    pub(super) space: Space,
    pub(super) dead_letters_max: u64,
    pub(super) jobs: mpsc::Receiver<Job>,
    /// Cancelled when a write fails.
    pub(super) broken: CancellationToken,
}

/// Answers one asker, with the failure of the whole batch if there is one.
type Reply = Box<dyn FnOnce(Option<&str>) + Send>;

/// A batch in the making.
pub(super) struct Draft {
    batch: WriteBatch,
    bytes: usize,
    disk: bool,
    changed: BTreeMap<PartitionId, (Standing, Additions)>,
    committed: Vec<PartitionId>,
    items: HashMap<Bytes, Bytes>,
    models: Option<Models>,
    parts: BTreeMap<PartName, Option<Bytes>>,
    answers: Vec<Reply>,
}

impl Writer {
    /// Writes until told to close, or until nobody can ask any more.
    pub(super) fn run(mut self) {
        let mut held = None;
        while let Some(job) = held.take().or_else(|| self.jobs.blocking_recv()) {
            let mut draft = Draft::new(&self.database);
            let mut next = Some(job);
            let mut closing = None;
            while let Some(job) = next.take() {
                if draft.must_wait(&job) {
                    held = Some(job);
                    break;
                }
                if let Job::Close { answer } = job {
                    closing = Some(answer);
                    break;
                }
                self.add(&mut draft, job);
                if draft.bytes < BATCH_BYTES && draft.answers.len() < BATCH_JOBS {
                    next = self.jobs.try_recv().ok();
                }
            }
            self.write(draft);
            if let Some(answer) = closing {
                let synced = self.database.persist(PersistMode::SyncAll).map_err(Error::unavailable);
                let _ = answer.send(synced);
                return;
            }
        }
    }

    fn add(&mut self, draft: &mut Draft, job: Job) {
        match job {
            Job::Append { partition, block, count, level, answer } => {
                let appended = self.append(draft, partition, &block, count, level);
                draft.answer(answer, appended);
            }
            Job::Commit { partition, commit, answer } => {
                let committed = self.commit(draft, partition, *commit);
                draft.answer(answer, committed);
            }
            Job::Acquire { partition, nonce, ttl, now, answer } => {
                let token = self.standing(draft, partition).lease.acquire(nonce, ttl, now);
                draft.answer(answer, Ok(token));
            }
            Job::Renew { partition, token, ttl, now, answer } => {
                let held = self.standing(draft, partition).lease.renew(token, ttl, now);
                draft.answer(answer, Ok(held));
            }
            Job::Release { partition, token, answer } => {
                self.standing(draft, partition).lease.release(token);
                draft.answer(answer, Ok(()));
            }
            Job::Trim { partition, found, answer } => {
                self.trim(draft, partition, *found);
                draft.answer(answer, Ok(()));
            }
            Job::PutItems { items, level, answer } => {
                let put = self.space.check().map(|()| {
                    draft.bytes += items.iter().map(|(id, item)| id.len() + item.len()).sum::<usize>();
                    draft.disk |= level == AckLevel::Disk;
                    draft.items.extend(items);
                });
                draft.answer(answer, put);
            }
            Job::Models { edit } => {
                let mut models = draft.models.take().unwrap_or_else(|| self.models.borrow().clone());
                edit(&mut models, draft);
                draft.models = Some(models);
                draft.disk = true;
            }
            Job::PutPart { name, part, answer } => {
                let put = self.space.check().map(|()| {
                    draft.bytes += part.len();
                    draft.disk = true;
                    draft.parts.insert(name, Some(part));
                });
                draft.answer(answer, put);
            }
            Job::Close { answer } => draft.answer(answer, Ok(())),
        }
    }

    fn append(
        &mut self,
        draft: &mut Draft,
        partition: PartitionId,
        block: &Bytes,
        count: u64,
        level: AckLevel,
    ) -> Result<Appended> {
        self.space.check()?;
        let generation = self.shelves[partition.index()].generations.log.newest();
        let standing = self.standing(draft, partition);
        let first = standing.log_end.next();
        standing.log_end = standing.log_end.plus(count);
        let (end, applied_through) = (standing.log_end, standing.applied_through);
        let kept = Block::new(first.get(), block.clone())?;
        draft.additions(partition).log.push(kept);
        draft.bytes += block.len();
        draft.disk |= level == AckLevel::Disk;
        draft.batch.insert(&self.keyspaces.log, keys::place(partition, first.get()), &block[..]);
        Ok(Appended { first, last: Position { generation, seq: end }, applied_through })
    }

    fn commit(&mut self, draft: &mut Draft, partition: PartitionId, commit: Commit) -> Result<Committed> {
        let keyspaces = Arc::clone(&self.keyspaces);
        let window_length = self.layout.dedup_window;
        let standing = self.standing(draft, partition);
        standing.check(partition, &commit)?;
        let first_change = standing.feed_end.next();
        standing.count(&commit);
        let (commit_no, feed_end) = (standing.commit_no, standing.feed_end);
        self.bound_dead_letters(draft, partition, commit.dead_letters.len() as u64)?;
        draft.committed.push(partition);
        for (key, value) in commit.profiles {
            let key = keys::profile(partition, &key);
            draft.bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
            match value {
                Some(value) => draft.batch.insert(&keyspaces.profiles, key, &value[..]),
                None => draft.batch.remove(&keyspaces.profiles, key),
            }
        }
        for (pseudonym, value) in commit.tombstones {
            let key = keys::tombstone(partition, pseudonym);
            match value {
                Some(value) => draft.batch.insert(&keyspaces.tombstones, key, &value[..]),
                None => draft.batch.remove(&keyspaces.tombstones, key),
            }
        }
        for query in &commit.seen {
            let window = keys::window(query.arrived_at, window_length);
            draft.batch.insert(&keyspaces.seen, keys::seen(partition, window, query), []);
        }
        if !commit.changes.is_empty() {
            let block = block::encode(commit.at, &commit.changes);
            draft.bytes += block.len();
            draft.batch.insert(&keyspaces.feed, keys::place(partition, first_change.get()), &block[..]);
            draft.additions(partition).feed.push(Block::new(first_change.get(), block)?);
        }
        for letter in commit.dead_letters {
            let value = dead::encode(&letter);
            draft.bytes += value.len();
            draft.batch.insert(&keyspaces.dead, keys::place(partition, letter.seq.get()), value);
        }
        draft.additions(partition).seen.extend(commit.seen);
        Ok(Committed { commit_no, feed_end })
    }

    /// Lets the oldest dead letters give way to `added` new ones, where there are too many.
    fn bound_dead_letters(&mut self, draft: &mut Draft, partition: PartitionId, added: u64) -> Result<()> {
        let most = self.dead_letters_max;
        let keyspaces = Arc::clone(&self.keyspaces);
        let standing = self.standing(draft, partition);
        let surplus = standing.dead_kept.saturating_sub(most).min(standing.dead_kept - added);
        standing.dead_kept -= surplus;
        for entry in keyspaces.dead.prefix(keys::partition(partition)).take(surplus as usize) {
            draft.batch.remove(&keyspaces.dead, entry.key().map_err(Error::unavailable)?);
        }
        Ok(())
    }

    fn trim(&mut self, draft: &mut Draft, partition: PartitionId, found: Found) {
        let keyspaces = Arc::clone(&self.keyspaces);
        let standing = self.standing(draft, partition);
        standing.log_trimmed = standing.log_trimmed.max(found.log_through);
        standing.feed_trimmed = standing.feed_trimmed.max(found.feed_through);
        standing.dead_kept = standing.dead_kept.saturating_sub(found.dead.len() as u64);
        found.dead.into_iter().for_each(|key| draft.batch.remove(&keyspaces.dead, key));
        found.log.into_iter().for_each(|key| draft.batch.remove(&keyspaces.log, key));
        found.feed.into_iter().for_each(|key| draft.batch.remove(&keyspaces.feed, key));
        found.seen.into_iter().for_each(|key| draft.batch.remove(&keyspaces.seen, key));
    }

    /// The standing that the jobs so far leave.
    fn standing<'d>(&self, draft: &'d mut Draft, partition: PartitionId) -> &'d mut Standing {
        let published = || (self.shelves[partition.index()].standing.borrow().clone(), Additions::default());
        &mut draft.changed.entry(partition).or_insert_with(published).0
    }

    fn write(&self, mut draft: Draft) {
        for (partition, (standing, _)) in &draft.changed {
            draft.batch.insert(&self.keyspaces.meta, keys::partition(*partition), encoded(standing));
        }
        for (id, item) in std::mem::take(&mut draft.items) {
            draft.batch.insert(&self.keyspaces.items, &id[..], &item[..]);
        }
        for (name, part) in std::mem::take(&mut draft.parts) {
            match part {
                Some(part) => draft.batch.insert(&self.keyspaces.parts, keys::part(name), &part[..]),
                None => draft.batch.remove(&self.keyspaces.parts, keys::part(name)),
            }
        }
        if let Some(models) = &draft.models {
            draft.batch.insert(&self.keyspaces.models, keys::MODELS, encoded(models));
        }
        let mode = if draft.disk { PersistMode::SyncData } else { PersistMode::Buffer };
        let written = draft.batch.durability(Some(mode)).commit();
        let failure = written.err().map(|error| error.to_string());
        match &failure {
            None => {
                for (partition, (standing, additions)) in draft.changed {
                    self.shelves[partition.index()].publish(standing, additions);
                }
                draft.models.map(|models| self.models.send_replace(models));
            }
            // Every later write fails too.
            Some(error) if !self.broken.is_cancelled() => {
                tracing::error!(error, "the database did not take a write; restart when the disk is well");
                self.broken.cancel();
            }
            Some(_) => {}
        }
        draft.answers.into_iter().for_each(|answer| answer(failure.as_deref()));
    }
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("writing to memory cannot fail: every type here has a known length")
}

impl Draft {
    fn new(database: &Database) -> Self {
        Self {
            batch: database.batch(),
            bytes: 0,
            disk: false,
            changed: BTreeMap::new(),
            committed: Vec::new(),
            items: HashMap::new(),
            models: None,
            parts: BTreeMap::new(),
            answers: Vec::new(),
        }
    }

    /// Two commits of one partition may write the same key, and one batch of the database must not: the later one waits.
    fn must_wait(&self, job: &Job) -> bool {
        matches!(job, Job::Commit { partition, .. } if self.committed.contains(partition))
    }

    fn additions(&mut self, partition: PartitionId) -> &mut Additions {
        &mut self.changed.get_mut(&partition).expect("a job takes the standing before it adds to it").1
    }

    /// Forgets parts of models.
    pub(super) fn forget_parts(&mut self, names: impl IntoIterator<Item = PartName>) {
        self.parts.extend(names.into_iter().map(|name| (name, None)));
    }

    /// Keeps an answer until the batch is written; a write that failed answers in its place.
    pub(super) fn answer<T: Send + 'static>(&mut self, answer: Answer<T>, result: Result<T>) {
        self.answers.push(Box::new(move |failure| {
            let result = match failure {
                Some(error) => Err(Error::unavailable(std::io::Error::other(error.to_owned()))),
                None => result,
            };
            let _ = answer.send(result);
        }));
    }
}
