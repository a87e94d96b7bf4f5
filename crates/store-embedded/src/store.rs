//! Lifecycle of the embedded store: open, close, and the hand-over of jobs to the writer.

use super::disk_space::{self, DiskSpace, FreeBytes};
use super::format;
use super::keys::{self, Keyspaces};
use super::models::ModelState;
use super::partition_cell::PartitionCell;
use super::partition_state::{PartitionGenerations, PartitionState};
use super::seen::{SeenMemory, SeenWindows};
use super::source_ledger::SourceLedger;
use super::tuning::{BACKGROUND_THREADS, JOURNALS_BYTES};
use super::write_job::WriteJob;
use super::writer::Writer;
use fjall::{Database, PersistMode};
use portrait_profile::{PartitionCount, PartitionId, TimeDelta};
use portrait_store::backend::membership::Membership;
use portrait_store::backend::single_flight::SingleFlight;
use portrait_store::{Error, GenerationId, Generations, Layout, Limits, Nonce, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Capacity of the writer's queue, in jobs.
const JOBS_QUEUED_MAX: usize = 4096;
/// Longest wait of a caller for a place in the queue.
const ENQUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval of checks whether a read-only store has room for writes again.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);

/// Largest window of remembered ids that is cached exactly, in ids of all partitions: 3 windows of up to 18 bytes an id.
const SEEN_EXACT_IDS: usize = 800_000;
/// Memory of the filters of one larger window, in bytes for all partitions. 16 million ids a window have 16 bits each, and 0.2% of
/// new ids are looked up on disk in vain; with four times as many, a quarter.
const SEEN_FILTER_BYTES: usize = 32 << 20;

/// Settings of an embedded store.
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// Partitions of a new store; none accepts an existing number, or creates 16.
    pub partitions: Option<PartitionCount>,
    /// De-duplication window; fixed at creation. Default 24 h.
    pub dedup_window: TimeDelta,
    /// Disk space that stays free, in bytes. Default 256 MiB.
    pub reserve_bytes: u64,
    /// Source of the free disk space; the file system by default.
    pub free_bytes: Option<FreeBytes>,
    /// Size of the database's block cache in bytes. Default 128 MiB.
    pub cache_bytes: u64,
    /// Memory for the newest blocks of all logs, and as much for all feeds, in bytes. Default 32 MiB.
    pub tail_bytes: usize,
    /// Limits of one call.
    pub limits: Limits,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            partitions: None,
            dedup_window: TimeDelta::from_hours(24),
            reserve_bytes: 256 << 20,
            free_bytes: None,
            cache_bytes: 128 << 20,
            tail_bytes: 32 << 20,
            limits: Limits {
                append_records: 10_000,
                append_bytes: 8 << 20,
                commit_profiles: 4096,
                commit_bytes: 8 << 20,
                page_items: 4096,
                dead_letters: 10_000,
                part_bytes: 512 << 20,
            },
        }
    }
}

/// Store in this process.
pub struct Embedded {
    pub(super) layout: Layout,
    pub(super) limits: Limits,
    pub(super) keyspaces: Arc<Keyspaces>,
    cells: Arc<[PartitionCell]>,
    pub(super) models: Arc<watch::Sender<ModelState>>,
    pub(super) membership: Mutex<Membership>,
    jobs: mpsc::Sender<WriteJob>,
    /// Free disk space, measured on request; the writer checks its own.
    pub(super) space: DiskSpace,
    /// Directory of the database's files.
    pub(super) data: PathBuf,
    pub(super) rewrites: SingleFlight,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Problem and remedy, once the database no longer accepts writes.
    broken: watch::Sender<Option<String>>,
}

impl Embedded {
    /// Opens the store in `directory`, or creates it there.
    ///
    /// # Errors
    /// `Incompatible` if the directory is of another version or was created otherwise, `InUse` if another process has it,
    /// `Damaged` or `Unavailable` if it cannot be read.
    pub fn open(directory: &Path, options: EmbeddedOptions) -> Result<Self> {
        // First of all: data of another format must not reach the database, which would create its keyspaces in it.
        let layout = format::open(directory, options.partitions, options.dedup_window)?;
        let data = directory.join("data");
        let free_bytes = options.free_bytes.unwrap_or_else(disk_space::of_file_system);
        let mut space = DiskSpace::new(directory.to_owned(), options.reserve_bytes, free_bytes);
        // A new store has nothing to read.
        if data.exists() {
            space.limit_to_reads(&data)?;
        }
        let read_only = space.read_only();
        if let Some(problem) = &read_only {
            tracing::error!(problem, "the store is read-only");
        }
        let database = open_database(directory, &data, options.cache_bytes, read_only.is_some())?;
        let keyspaces = Arc::new(Keyspaces::open(&database).map_err(Error::unavailable)?);
        let partitions = usize::from(layout.partitions.get());
        let tail_bytes = options.tail_bytes / partitions;
        let seen = SeenMemory {
            exact_ids: SEEN_EXACT_IDS / partitions,
            filter_bytes: SEEN_FILTER_BYTES / partitions,
        };
        let cells: Arc<[PartitionCell]> = layout
            .partitions
            .all()
            .map(|partition| load_cell(&keyspaces, partition, layout.dedup_window, tail_bytes, seen))
            .collect::<Result<_>>()?;
        // A read-only store gives out no positions, so its new generations need not survive it.
        if read_only.is_none() {
            store_generations(&database, &keyspaces, &layout, &cells)?;
        }
        let mut models: ModelState = stored(&keyspaces.models, &keys::MODELS)?.unwrap_or_default();
        // The directory belongs to this process alone, so a trainer of the former process cannot be alive.
        models.lease.expire();
        let models = Arc::new(watch::Sender::new(models));
        let (jobs, receiver) = mpsc::channel(JOBS_QUEUED_MAX);
        let broken = watch::Sender::new(None);
        let writer = Writer {
            database,
            keyspaces: Arc::clone(&keyspaces),
            cells: Arc::clone(&cells),
            models: Arc::clone(&models),
            layout,
            space: space.clone(),
            dead_letters_max: options.limits.dead_letters as u64,
            jobs: receiver,
            broken: broken.clone(),
        };
        let thread =
            // A thread and not a task, since every write blocks on the disk.
            std::thread::Builder::new().name("portrait-store".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(Error::unavailable)?;
        Ok(Self {
            layout,
            limits: options.limits,
            keyspaces,
            cells,
            models,
            membership: Mutex::default(),
            jobs,
            space,
            data,
            rewrites: SingleFlight::default(),
            writer: Mutex::new(Some(thread)),
            broken,
        })
    }

    /// Returns when a write has failed, as on a removed disk, with the problem and the remedy. The database then accepts no writes
    /// until it is opened again; everything acknowledged is still there.
    pub async fn broken(&self) -> String {
        let mut broken = self.broken.subscribe();
        // The sender lives in `self`, so that the channel stays open.
        let problem = broken.wait_for(Option::is_some).await;
        problem.ok().and_then(|problem| problem.clone()).unwrap_or_default()
    }

    /// Returns why the store accepts no writes, if it was opened with too little free disk space.
    pub fn read_only(&self) -> Option<String> {
        self.space.read_only()
    }

    /// Returns why the store refuses events or all writes, if its disk is too full; measured now.
    pub fn short_of_space(&self) -> Option<String> {
        match self.space.clone().check() {
            Err(Error::Full { detail }) => Some(detail),
            // Whoever writes is told that the free space cannot be measured.
            Ok(()) | Err(_) => None,
        }
    }

    /// Returns when a read-only store can be opened for writes; never for one that is.
    pub async fn has_room(&self) {
        while !self.space.has_room() {
            tokio::time::sleep(ROOM_INTERVAL).await;
        }
    }

    /// Syncs everything to disk and stops the writer. Later writes fail as `Unavailable`.
    pub async fn close(&self) -> Result<()> {
        self.submit(|reply| WriteJob::Close { reply }).await?;
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let ended = tokio::task::spawn_blocking(move || thread.join()).await;
            ended.map_err(Error::unavailable)?.map_err(|_| Error::Unavailable(None))?;
        }
        Ok(())
    }

    /// Hands a job to the writer and waits for the result.
    pub(super) async fn submit<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T>>) -> WriteJob,
    ) -> Result<T> {
        let (reply, receiver) = oneshot::channel();
        let sent = self.jobs.send_timeout(job(reply), ENQUEUE_TIMEOUT).await;
        sent.map_err(|_| Error::Unavailable(None))?;
        receiver.await.map_err(|_| Error::Unavailable(None))?
    }

    /// Returns the shared state of a partition.
    pub(super) fn cell(&self, partition: PartitionId) -> &PartitionCell {
        &self.cells[partition.index()]
    }
}

impl Drop for Embedded {
    /// Waits for the writer to end, so that the directory is released when the store is dropped.
    fn drop(&mut self) {
        // Replacing the sender closes the queue, which ends the writer.
        self.jobs = mpsc::channel(1).0;
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("store writer panicked");
        }
    }
}

/// Opens the database; without background threads if it is read-only, since they write.
fn open_database(directory: &Path, data: &Path, cache_bytes: u64, is_read_only: bool) -> Result<Database> {
    let builder = Database::builder(data).cache_size(cache_bytes).max_journaling_size(JOURNALS_BYTES);
    let builder = match is_read_only {
        true => builder.worker_threads_unchecked(0),
        false => builder.worker_threads(BACKGROUND_THREADS),
    };
    builder.open().map_err(|error| match error {
        fjall::Error::Locked => Error::InUse { path: directory.to_owned() },
        error => format::unusable(data, &error),
    })
}

/// Stores the new generations of all partitions.
fn store_generations(
    database: &Database,
    keyspaces: &Keyspaces,
    layout: &Layout,
    cells: &[PartitionCell],
) -> Result<()> {
    for (partition, cell) in layout.partitions.all().zip(cells) {
        let bytes = postcard::to_stdvec(&cell.generations).map_err(Error::unavailable)?;
        keyspaces.generations.insert(keys::partition(partition), bytes).map_err(Error::unavailable)?;
    }
    // On disk before the first append is acknowledged in one of them.
    database.persist(PersistMode::SyncAll).map_err(Error::unavailable)
}

/// Loads a partition and begins its new generations.
fn load_cell(
    keyspaces: &Keyspaces,
    partition: PartitionId,
    window: TimeDelta,
    tail_bytes: usize,
    seen: SeenMemory,
) -> Result<PartitionCell> {
    let key = keys::partition(partition);
    let state = read_stored(&keyspaces.meta, &key, PartitionState::read)?;
    let mut state = state.unwrap_or_default();
    state.lease.expire();
    let log_first = state.log_end.next();
    let feed_first = state.feed_end.next();
    let id = || GenerationId::new(Nonce::random());
    let generations = match stored::<PartitionGenerations>(&keyspaces.generations, &key)? {
        Some(mut generations) => {
            generations.log.renew(id(), log_first);
            generations.feed.renew(id(), feed_first);
            generations
        }
        None => PartitionGenerations {
            log: Generations::begin(id(), log_first),
            feed: Generations::begin(id(), feed_first),
        },
    };
    Ok(PartitionCell::new(
        state,
        generations,
        SeenWindows::new(partition, window, seen),
        SourceLedger::new(partition),
        tail_bytes,
    ))
}

fn stored<T: serde::de::DeserializeOwned>(keyspace: &fjall::Keyspace, key: &[u8]) -> Result<Option<T>> {
    read_stored(keyspace, key, |bytes| postcard::from_bytes(bytes))
}

fn read_stored<T>(
    keyspace: &fjall::Keyspace,
    key: &[u8],
    read: impl FnOnce(&[u8]) -> postcard::Result<T>,
) -> Result<Option<T>> {
    let Some(bytes) = keyspace.get(key).map_err(Error::unavailable)? else { return Ok(None) };
    read(&bytes)
        .map(Some)
        .map_err(|error| Error::Damaged { detail: format!("the value of key {key:?}: {error}") })
}
