//! Into the log. In come records of one partition, out goes their place, once the store has acknowledged them.
//!
//! Each partition has a lane: while one append is under way, what arrives waits and goes with the next, so that a busy
//! store gets few, large appends and an idle one gets each at once. Records of one lane keep the order in which they came.
//!
//! ```text
//! put ─┐
//! put ─┼─> lane: waiting ──> flush: append(as many as fit) ──> every caller its own place
//! put ─┘
//! ```

use crate::config::ValidConfig;
use crate::error::Error;
use crate::metrics::Metrics;
use bytes::Bytes;
use portrait_profile::{PartitionId, Timestamp};
use portrait_runtime::SharedClock;
use portrait_store::{AckLevel, Appended, IntakeStore, LogPosition, LogSeq};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

/// What one byte of a permit stands for: a semaphore counts up to 2^29 on small machines.
const PERMIT_BYTES: usize = 1024;

/// What to do when there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Refuse at once: the caller can come again.
    None,
    /// Wait this long: the caller is a stream and slows down with us.
    For(Duration),
}

/// The lanes of all partitions.
pub(crate) struct Log {
    store: Arc<dyn IntakeStore>,
    clock: SharedClock,
    metrics: Arc<Metrics>,
    level: AckLevel,
    linger: Duration,
    queue_bytes: usize,
    lag_max: u64,
    /// The memory that may wait, in permits.
    room: Arc<Semaphore>,
    lanes: Vec<Lane>,
}

/// What waits for one partition.
#[derive(Default)]
struct Lane {
    /// Written by callers and by the flush; dropping it would leave callers without an answer.
    state: Mutex<LaneState>,
    /// How many records were not applied when the store last told; written by the flush and by whoever waits.
    lag: AtomicU64,
}

#[derive(Default)]
struct LaneState {
    waiting: VecDeque<Waiting>,
    /// Whether a flush is at work; it takes all that waits before it ends.
    flushing: bool,
}

struct Waiting {
    records: Vec<Bytes>,
    bytes: usize,
    answer: oneshot::Sender<Result<LogPosition, Error>>,
    _room: OwnedSemaphorePermit,
}

/// Records that are on their way.
pub(crate) struct Underway(oneshot::Receiver<Result<LogPosition, Error>>);

impl Log {
    /// Lanes for every partition of `store`.
    pub(crate) fn new(
        store: Arc<dyn IntakeStore>,
        clock: SharedClock,
        metrics: Arc<Metrics>,
        config: &ValidConfig,
    ) -> Self {
        let lanes = store.layout().partitions.all().map(|_| Lane::default()).collect();
        let room = Arc::new(Semaphore::new(config.queue_bytes / PERMIT_BYTES));
        let (level, linger) = (config.level, config.linger);
        let (queue_bytes, lag_max) = (config.queue_bytes, config.lag_max);
        Self { store, clock, metrics, level, linger, queue_bytes, lag_max, room, lanes }
    }

    /// Puts records into a partition's lane. When this returns they have their turn; the answer comes later.
    ///
    /// # Errors
    /// `QueueFull` or `Lagging`, if there is no room and `patience` is over.
    pub(crate) async fn put(
        self: &Arc<Self>,
        partition: PartitionId,
        records: Vec<Bytes>,
        patience: Patience,
    ) -> Result<Underway, Error> {
        self.bear_lag(partition, patience).await?;
        let bytes = records.iter().map(Bytes::len).sum();
        let room = self.take_room(bytes, patience).await?;
        let (answer, underway) = oneshot::channel();
        let mut state = self.lane(partition).lock();
        state.waiting.push_back(Waiting { records, bytes, answer, _room: room });
        if !state.flushing {
            state.flushing = true;
            #[expect(
                clippy::disallowed_methods,
                reason = "at most one per partition; ends when its queue is empty"
            )]
            tokio::spawn(Arc::clone(self).flush(partition));
        }
        Ok(Underway(underway))
    }

    fn lane(&self, partition: PartitionId) -> &Lane {
        &self.lanes[partition.index()]
    }

    async fn take_room(&self, bytes: usize, patience: Patience) -> Result<OwnedSemaphorePermit, Error> {
        let full = Error::QueueFull { limit_bytes: self.queue_bytes };
        // What is larger than all the room takes all of it.
        let permits = bytes.div_ceil(PERMIT_BYTES).min(self.queue_bytes / PERMIT_BYTES);
        let permits = u32::try_from(permits).map_err(|_| full.clone())?;
        let room = Arc::clone(&self.room);
        match patience {
            Patience::None => room.try_acquire_many_owned(permits).map_err(|_| full),
            Patience::For(wait) => match tokio::time::timeout(wait, room.acquire_many_owned(permits)).await {
                Ok(Ok(permit)) => Ok(permit),
                Ok(Err(_)) | Err(_) => Err(full),
            },
        }
    }

    /// Returns when the partition's lag is bearable. What the last append told may be old: the store is asked before anybody
    /// is refused.
    async fn bear_lag(&self, partition: PartitionId, patience: Patience) -> Result<(), Error> {
        let lane = self.lane(partition);
        if lane.lag.load(Ordering::Relaxed) <= self.lag_max {
            return Ok(());
        }
        let mut meta = self.store.meta(partition).await?;
        if let Patience::For(wait) = patience {
            let bearable = LogSeq::new(meta.log_end.get().saturating_sub(self.lag_max));
            meta = self.store.wait_applied(partition, bearable, wait).await?;
        }
        let lag = meta.log_end.get().saturating_sub(meta.applied_through.get());
        lane.lag.store(lag, Ordering::Relaxed);
        if lag > self.lag_max {
            return Err(Error::Lagging { partition, lag, lag_max: self.lag_max });
        }
        Ok(())
    }

    /// Appends what waits until nothing does.
    async fn flush(self: Arc<Self>, partition: PartitionId) {
        let lane = self.lane(partition);
        if !self.linger.is_zero() {
            tokio::time::sleep(self.linger).await;
        }
        while let Some(batch) = self.next_batch(lane) {
            self.append(partition, batch).await;
        }
    }

    /// As much of what waits as one append may have; none if nothing waits, and then the flush is over.
    fn next_batch(&self, lane: &Lane) -> Option<Vec<Waiting>> {
        let limits = self.store.limits();
        let mut state = lane.lock();
        let (mut batch, mut records, mut bytes) = (Vec::new(), 0, 0);
        while let Some(next) = state.waiting.front() {
            records += next.records.len();
            bytes += next.bytes;
            if !batch.is_empty() && (records > limits.append_records || bytes > limits.append_bytes) {
                break;
            }
            batch.extend(state.waiting.pop_front());
        }
        state.flushing = !batch.is_empty();
        state.flushing.then_some(batch)
    }

    async fn append(&self, partition: PartitionId, batch: Vec<Waiting>) {
        let begun = Instant::now();
        let mut records = Vec::new();
        let mut answers = Vec::with_capacity(batch.len());
        for waiting in batch {
            answers.push((waiting.records.len() as u64, waiting.answer, waiting._room));
            records.extend(waiting.records);
        }
        let count = records.len();
        let now = Timestamp::from_millis(self.clock.now_ms());
        match self.store.append(partition, records, now, self.level).await {
            Ok(appended) => {
                self.metrics.appended(count, begun.elapsed());
                self.lane(partition).note(&appended);
                let mut before = appended.first;
                for (count, answer, _) in answers {
                    // The newest of its own records: what others appended beside it is not waited for.
                    let seq = LogSeq::new(before.get() + count - 1);
                    before = seq.next();
                    // Whoever does not wait any more needs no answer.
                    let _ = answer.send(Ok(LogPosition { generation: appended.last.generation, seq }));
                }
            }
            Err(error) => {
                let error = Error::from(error);
                for (_, answer, _) in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, appended: &Appended) {
        let lag = appended.last.seq.get().saturating_sub(appended.applied_through.get());
        self.lag.store(lag, Ordering::Relaxed);
    }
}

impl Underway {
    /// Where the newest of the records is, once the store has acknowledged them.
    pub(crate) async fn place(self) -> Result<LogPosition, Error> {
        // The flush answers all that waits; it is gone only with the process.
        self.0.await.unwrap_or(Err(Error::ShuttingDown))
    }
}
