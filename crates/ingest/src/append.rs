//! Appends to the log, one queue per partition. While an append of a partition is in flight, new records queue and go with
//! the next one: a busy store gets few, large appends, and an idle one gets each at once. Records of a queue keep their order.
//!
//! ```text
//! enqueue ─┐
//! enqueue ─┼─> queue ──> flush: append(as many as fit) ──> each caller gets its own position
//! enqueue ─┘
//! ```
//!
//! Invariant: queued bytes are bounded by `ingest.queue` over all partitions.

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

/// Bytes per semaphore permit. A semaphore counts up to 2^29 on 32-bit machines, and a queue may be larger than 512 MiB.
const PERMIT_BYTES: usize = 1024;

/// Behaviour of a caller without memory in the queue, or with a lagging partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backpressure {
    /// Fail at once: the caller can retry.
    Reject,
    /// Wait this long: the caller is a stream, and the wait slows its sender down.
    Wait(Duration),
}

/// Appender with a queue for every partition.
pub(crate) struct LogAppender {
    store: Arc<dyn IntakeStore>,
    clock: SharedClock,
    metrics: Arc<Metrics>,
    level: AckLevel,
    linger: Duration,
    queue_bytes: usize,
    lag_records_max: u64,
    /// Memory of all queues, in permits of [`PERMIT_BYTES`].
    memory: Arc<Semaphore>,
    queues: Vec<PartitionQueue>,
}

/// Queued appends of one partition.
#[derive(Default)]
struct PartitionQueue {
    /// Written by callers and by the flush. A poisoned lock is used on: losing the queue would leave callers without an answer.
    state: Mutex<QueueState>,
    /// Records that were not applied when the store reported it last.
    lag: AtomicU64,
}

#[derive(Default)]
struct QueueState {
    queued: VecDeque<QueuedAppend>,
    /// True while a flush runs; it empties the queue before it ends.
    flushing: bool,
}

struct QueuedAppend {
    records: Vec<Bytes>,
    bytes: usize,
    reply: oneshot::Sender<Result<LogPosition, Error>>,
    _permit: OwnedSemaphorePermit,
}

/// Append whose position is not known yet.
pub(crate) struct PendingAppend(oneshot::Receiver<Result<LogPosition, Error>>);

impl LogAppender {
    /// Creates a queue for every partition of `store`.
    pub(crate) fn new(
        store: Arc<dyn IntakeStore>,
        clock: SharedClock,
        metrics: Arc<Metrics>,
        config: &ValidConfig,
    ) -> Self {
        let queues = store.layout().partitions.all().map(|_| PartitionQueue::default()).collect();
        Self {
            store,
            clock,
            metrics,
            level: config.level,
            linger: config.linger,
            queue_bytes: config.queue_bytes,
            lag_records_max: config.lag_records_max,
            memory: Arc::new(Semaphore::new(config.queue_bytes / PERMIT_BYTES)),
            queues,
        }
    }

    /// Enqueues records of a partition. Their order is fixed when this returns; the position follows later.
    ///
    /// # Errors
    /// Fails with `QueueFull` or `Lagging` if `backpressure` does not allow to wait, or its time is over.
    pub(crate) async fn enqueue(
        self: &Arc<Self>,
        partition: PartitionId,
        records: Vec<Bytes>,
        backpressure: Backpressure,
    ) -> Result<PendingAppend, Error> {
        self.wait_for_lag(partition, backpressure).await?;
        let bytes = records.iter().map(Bytes::len).sum();
        let permit = self.reserve_bytes(bytes, backpressure).await?;
        let (reply, position) = oneshot::channel();
        let mut state = self.queue(partition).lock();
        state.queued.push_back(QueuedAppend { records, bytes, reply, _permit: permit });
        // Under the lock that a flush takes to see an empty queue: either it takes these records, or a new one starts.
        if !state.flushing {
            state.flushing = true;
            #[expect(
                clippy::disallowed_methods,
                reason = "at most one per partition; ends when its queue is empty"
            )]
            tokio::spawn(Arc::clone(self).flush(partition));
        }
        Ok(PendingAppend(position))
    }

    fn queue(&self, partition: PartitionId) -> &PartitionQueue {
        &self.queues[partition.index()]
    }

    /// Reserves memory for a batch until its append is acknowledged.
    async fn reserve_bytes(
        &self,
        bytes: usize,
        backpressure: Backpressure,
    ) -> Result<OwnedSemaphorePermit, Error> {
        let full = Error::QueueFull { limit_bytes: self.queue_bytes };
        // A batch larger than the whole queue takes all permits, or it could never be sent.
        let permits = bytes.div_ceil(PERMIT_BYTES).min(self.queue_bytes / PERMIT_BYTES);
        let permits = u32::try_from(permits).map_err(|_| full.clone())?;
        let memory = Arc::clone(&self.memory);
        match backpressure {
            Backpressure::Reject => memory.try_acquire_many_owned(permits).map_err(|_| full),
            Backpressure::Wait(wait) => {
                match tokio::time::timeout(wait, memory.acquire_many_owned(permits)).await {
                    Ok(Ok(permit)) => Ok(permit),
                    Ok(Err(_)) | Err(_) => Err(full),
                }
            }
        }
    }

    /// Waits until the partition's lag is at most `lag_records_max`. The lag known from the last append may be old, so the
    /// store is read before a caller is refused.
    async fn wait_for_lag(&self, partition: PartitionId, backpressure: Backpressure) -> Result<(), Error> {
        let queue = self.queue(partition);
        if queue.lag.load(Ordering::Relaxed) <= self.lag_records_max {
            return Ok(());
        }
        // Only past the limit: below it no append costs an extra read.
        let mut meta = self.store.meta(partition).await?;
        if let Backpressure::Wait(wait) = backpressure {
            let target = LogSeq::new(meta.log_end.get().saturating_sub(self.lag_records_max));
            meta = self.store.wait_applied(partition, target, wait).await?;
        }
        let lag = meta.log_end.get().saturating_sub(meta.applied_through.get());
        queue.lag.store(lag, Ordering::Relaxed);
        if lag > self.lag_records_max {
            return Err(Error::Lagging { partition, lag, lag_max: self.lag_records_max });
        }
        Ok(())
    }

    /// Appends queued batches until the queue is empty.
    async fn flush(self: Arc<Self>, partition: PartitionId) {
        let queue = self.queue(partition);
        // The pause collects records of other callers into the first append; later ones collect while an append is in flight.
        if !self.linger.is_zero() {
            tokio::time::sleep(self.linger).await;
        }
        while let Some(batch) = self.next_batch(queue) {
            self.append(partition, batch).await;
        }
    }

    /// Takes as much of the queue as one append may hold; `None` ends the flush.
    fn next_batch(&self, queue: &PartitionQueue) -> Option<Vec<QueuedAppend>> {
        let limits = self.store.limits();
        let mut state = queue.lock();
        let mut batch = Vec::new();
        let mut records = 0;
        let mut bytes = 0;
        while let Some(next) = state.queued.front() {
            records += next.records.len();
            bytes += next.bytes;
            // The first always goes: its size was limited when its chunk was cut.
            if !batch.is_empty() && (records > limits.append_records || bytes > limits.append_bytes) {
                break;
            }
            batch.extend(state.queued.pop_front());
        }
        // Cleared under the same lock as the check of the queue, or a caller could enqueue without a flush to take it.
        state.flushing = !batch.is_empty();
        state.flushing.then_some(batch)
    }

    /// Appends a batch and replies to each of its callers.
    async fn append(&self, partition: PartitionId, batch: Vec<QueuedAppend>) {
        let started_at = Instant::now();
        let mut records = Vec::new();
        // The permits are held until the append ends: the records take memory until then.
        let mut replies = Vec::with_capacity(batch.len());
        for queued in batch {
            replies.push((queued.records.len() as u64, queued.reply, queued._permit));
            records.extend(queued.records);
        }
        let record_count = records.len();
        let now = Timestamp::from_millis(self.clock.now_ms());
        match self.store.append(partition, records, now, self.level).await {
            Ok(appended) => {
                self.metrics.appended(record_count, started_at.elapsed());
                self.queue(partition).record_lag(&appended);
                let mut first = appended.first;
                for (count, reply, _) in replies {
                    // Position of the newest of its own records: a reader need not wait for those of other callers.
                    let seq = LogSeq::new(first.get() + count - 1);
                    first = seq.next();
                    // A caller that is gone needs no answer.
                    let _ = reply.send(Ok(LogPosition { generation: appended.last.generation, seq }));
                }
            }
            // One append, one result: every caller in it gets the same error, and retries with its own ids.
            Err(error) => {
                let error = Error::from(error);
                for (_, reply, _) in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
}

impl PartitionQueue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record_lag(&self, appended: &Appended) {
        let lag = appended.last.seq.get().saturating_sub(appended.applied_through.get());
        self.lag.store(lag, Ordering::Relaxed);
    }
}

impl PendingAppend {
    /// Returns the position of the newest of the records, once the store has acknowledged them.
    pub(crate) async fn position(self) -> Result<LogPosition, Error> {
        // A flush answers all that it takes; it disappears only with the process.
        self.0.await.unwrap_or(Err(Error::ShuttingDown))
    }
}
