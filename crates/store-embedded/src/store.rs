//! The store: its opening, its files and its end.

use super::membership::Membership;
use super::format;
use super::keys::{self, Keyspaces};
use super::models::ModelState;
use super::seen::SeenWindows;
use super::partition_cell::PartitionCell;
use super::disk_space::{self, FreeBytes, DiskSpace};
use super::partition_state::{PartitionGenerations, PartitionState};
use super::writer::{WriteJob, Writer};
use fjall::{Database, PersistMode};
use portrait_profile::{PartitionCount, PartitionId, TimeDelta};
use portrait_store::backend::single_flight::SingleFlight;
use portrait_store::{Error, GenerationId, Generations, Layout, Limits, Nonce, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Jobs that may wait for the writer.
const JOBS_QUEUED_MAX: usize = 4096;
/// How long a caller waits for room among them.
const ENQUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a store is opened.
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// How many partitions a new store gets; none takes what is there, or 16.
    pub partitions: Option<PartitionCount>,
    /// For how long ids are remembered; fixed at creation.
    pub dedup_window: TimeDelta,
    /// How much of the disk stays free.
    pub reserve_bytes: u64,
    /// What is free; the file system is asked if nobody else is named.
    pub free_bytes: Option<FreeBytes>,
    /// Memory for blocks of the database that were read.
    pub cache_bytes: u64,
    /// Memory for the newest blocks of all logs, and of all feeds.
    pub tail_bytes: usize,
    /// What one call may carry.
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

/// A store in this process.
pub struct Embedded {
    pub(super) layout: Layout,
    pub(super) limits: Limits,
    pub(super) keyspaces: Arc<Keyspaces>,
    cells: Arc<[PartitionCell]>,
    pub(super) models: Arc<watch::Sender<ModelState>>,
    pub(super) membership: Mutex<Membership>,
    jobs: mpsc::Sender<WriteJob>,
    /// Where the database has its files.
    pub(super) data: PathBuf,
    pub(super) rewrites: SingleFlight,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Cancelled by the writer when the database takes nothing any more.
    broken: CancellationToken,
}

impl Embedded {
    /// Opens the store in `directory`, or creates it there.
    ///
    /// # Errors
    /// `Incompatible` if the directory is of another version or was created otherwise, `InUse` if another process has it,
    /// `Damaged` or `Unavailable` if it cannot be read.
    pub fn open(directory: &Path, options: EmbeddedOptions) -> Result<Self> {
        let layout = format::open(directory, options.partitions, options.dedup_window)?;
        let data = directory.join("data");
        let database =
            Database::builder(&data).cache_size(options.cache_bytes).open().map_err(|error| match error {
                fjall::Error::Locked => Error::InUse { path: directory.to_owned() },
                error => Error::unavailable(error),
            })?;
        let keyspaces = Arc::new(Keyspaces::open(&database).map_err(Error::unavailable)?);
        let tail_bytes = options.tail_bytes / usize::from(layout.partitions.get());
        let cells: Arc<[PartitionCell]> = layout
            .partitions
            .all()
            .map(|partition| load_cell(&keyspaces, partition, layout.dedup_window, tail_bytes))
            .collect::<Result<_>>()?;
        let mut models: ModelState = stored(&keyspaces.models, &keys::MODELS)?.unwrap_or_default();
        models.lease.expire();
        let models = Arc::new(watch::Sender::new(models));
        database.persist(PersistMode::SyncAll).map_err(Error::unavailable)?;
        let free_bytes = options.free_bytes.unwrap_or_else(disk_space::of_file_system);
        let (jobs, receiver) = mpsc::channel(JOBS_QUEUED_MAX);
        let broken = CancellationToken::new();
        let writer = Writer {
            database,
            keyspaces: Arc::clone(&keyspaces),
            cells: Arc::clone(&cells),
            models: Arc::clone(&models),
            layout,
            space: DiskSpace::new(directory.to_owned(), options.reserve_bytes, free_bytes),
            dead_letters_max: options.limits.dead_letters as u64,
            jobs: receiver,
            broken: broken.clone(),
        };
        let thread =
            std::thread::Builder::new().name("portrait-store".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(Error::unavailable)?;
        Ok(Self {
            layout,
            limits: options.limits,
            keyspaces,
            cells: cells,
            models,
            membership: Mutex::default(),
            jobs,
            data,
            rewrites: SingleFlight::default(),
            writer: Mutex::new(Some(thread)),
            broken,
        })
    }

    /// Returns when a write has failed, as on a disk that is full or gone: the database takes nothing any more until it is
    /// opened again, and then has everything that was acknowledged.
    pub async fn broken(&self) {
        self.broken.cancelled().await;
    }

    /// Writes everything to disk and stops. Calls that come later find the store away.
    pub async fn close(&self) -> Result<()> {
        self.submit(|reply| WriteJob::Close { reply }).await?;
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let ended = tokio::task::spawn_blocking(move || thread.join()).await;
            ended.map_err(Error::unavailable)?.map_err(|_| Error::Unavailable(None))?;
        }
        Ok(())
    }

    /// Hands a job to the writer and waits for its reply.
    pub(super) async fn submit<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T>>) -> WriteJob) -> Result<T> {
        let (reply, answered) = oneshot::channel();
        let sent = self.jobs.send_timeout(job(reply), ENQUEUE_TIMEOUT).await;
        sent.map_err(|_| Error::Unavailable(None))?;
        answered.await.map_err(|_| Error::Unavailable(None))?
    }

    /// Shelf of a partition.
    pub(super) fn cell(&self, partition: PartitionId) -> &PartitionCell {
        &self.cells[partition.index()]
    }
}

impl Drop for Embedded {
    /// Waits for the writer, so that the directory is free when this is gone.
    fn drop(&mut self) {
        let (nobody, _) = mpsc::channel(1);
        self.jobs = nobody;
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the store's writer ended in a panic");
        }
    }
}

/// Reads what is stored of a partition and begins its new generations.
fn load_cell(keyspaces: &Keyspaces, partition: PartitionId, window: TimeDelta, tail_bytes: usize) -> Result<PartitionCell> {
    let key = keys::partition(partition);
    let state = read_stored(&keyspaces.meta, &key, PartitionState::read)?;
    let mut state = state.unwrap_or_default();
    state.lease.expire();
    let (log_first, feed_first) = (state.log_end.next(), state.feed_end.next());
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
    let bytes = postcard::to_stdvec(&generations).map_err(Error::unavailable)?;
    keyspaces.generations.insert(key, bytes).map_err(Error::unavailable)?;
    Ok(PartitionCell::new(state, generations, SeenWindows::new(partition, window), tail_bytes))
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
        .map_err(|error| Error::Damaged { detail: format!("what is stored under the key {key:?}: {error}") })
}
