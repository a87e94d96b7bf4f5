//! Task of one subscription. Input: the rings and, behind them, the store. Output: responses, each with a token that
//! covers it and everything before. It has one cursor per partition and runs at most one resync at a time.

use super::deliver::Delivery;
use super::filter::SubscriptionFilter;
use super::outbox::{FinalStatus, Outbox, SubscriptionEnd};
use super::position::{self, CursorState, PartitionCursor};
use super::resync::{self, HasWork, ResyncScan};
use super::ring::RingRead;
use super::tail;
use crate::context::QueryContext;
use crate::error::Error;
use portrait_proto::time;
use portrait_proto::v1::Progress;
use portrait_proto::v1::watch_profile_changes_response::Kind;
use portrait_store::FeedPosition;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;

/// Task of one subscription.
pub(super) struct Subscriber {
    delivery: Delivery,
    /// Resync in progress; its cursor says `NeedsResync` until END is sent.
    scan: Option<ResyncScan>,
    feed_changed: watch::Receiver<()>,
    progress_due: Instant,
}

impl Subscriber {
    /// Creates a subscription at its cursors.
    pub(super) fn new(
        shared: Arc<QueryContext>,
        filter: SubscriptionFilter,
        cursors: Vec<PartitionCursor>,
        outbox: Outbox,
    ) -> Self {
        let feed_changed = shared.feed_changed.subscribe();
        let delivery = Delivery { shared, filter, cursors, outbox };
        Self { delivery, scan: None, feed_changed, progress_due: Instant::now() }
    }

    /// Runs until the subscriber disconnects or the subscription ends with an error.
    pub(super) async fn run(mut self, final_status: FinalStatus) {
        let Err(ended) = self.run_loop().await;
        let SubscriptionEnd::Failed(error) = ended else { return };
        match &error {
            Error::SubscriberStalled { .. } => {
                self.delivery.shared.metrics.stalled();
                tracing::info!(
                    shard = self.delivery.filter.shard.index,
                    "subscription ended: subscriber stalled"
                );
            }
            // Not logged here: shutdown is expected, the tails log store failures, and damage is logged where it
            // becomes a status.
            Error::ShuttingDown
            | Error::Store(_)
            | Error::Profile { .. }
            | Error::Change { .. }
            | Error::Ledger { .. }
            | Error::NoModel
            | Error::NotTrained { .. }
            | Error::Unscored { .. }
            | Error::NoSuchSegment { .. }
            | Error::TooFewUsers { .. }
            | Error::Unassigned { .. }
            | Error::Request { .. }
            | Error::NotFound { .. }
            | Error::TokenExpired { .. }
            | Error::ReadAfterTimeout { .. }
            | Error::ShareTaken(_)
            | Error::TooManySubscribers { .. } => {}
        }
        // The stream may have been dropped meanwhile; the status is of no use then.
        let _ = final_status.send(Status::from(error));
    }

    async fn run_loop(&mut self) -> Result<Infallible, SubscriptionEnd> {
        self.progress().await?;
        loop {
            // Marked as seen before the rings are read: a change that arrives during the read wakes the next wait.
            self.feed_changed.borrow_and_update();
            let mut has_work = false;
            for index in 0..self.delivery.cursors.len() {
                has_work |= self.advance(index).await?;
            }
            // One page per round: the other partitions stay current during a long resync.
            has_work |= resync::run_step(&mut self.delivery, &mut self.scan).await?;
            if Instant::now() >= self.progress_due {
                self.progress().await?;
            }
            if !has_work {
                self.wait_for_change().await?;
            } else if self.delivery.outbox.is_closed() {
                // Every change may have been filtered out, so that no send has noticed the disconnect.
                return Err(SubscriptionEnd::Disconnected);
            } else if self.delivery.shared.closing.is_cancelled() {
                return Err(Error::ShuttingDown.into());
            } else {
                // A subscriber with a long backlog must not starve others on its runtime thread.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Waits for changes. When progress is due, the loop runs again and reads the store where the ring cannot serve.
    async fn wait_for_change(&mut self) -> Result<(), SubscriptionEnd> {
        let due = self.progress_due;
        tokio::select! {
            biased;
            () = self.delivery.shared.closing.cancelled() => Err(Error::ShuttingDown.into()),
            () = self.delivery.outbox.closed() => Err(SubscriptionEnd::Disconnected),
            // The sender lives as long as `shared`, held here. Lingering collects further commits, so that many
            // commits a second do not wake every subscriber as often.
            _ = self.feed_changed.changed() => {
                tokio::time::sleep(self.delivery.shared.config.linger).await;
                Ok(())
            }
            () = tokio::time::sleep_until(due) => Ok(()),
        }
    }

    /// Sends the next changes of one partition, at most one chunk.
    async fn advance(&mut self, index: usize) -> Result<HasWork, SubscriptionEnd> {
        let PartitionCursor { partition, state, .. } = self.delivery.cursors[index];
        let CursorState::At(position) = state else { return Ok(false) };
        match self.delivery.shared.ring(partition).after(position, self.delivery.shared.config.chunk_changes)
        {
            RingRead::Changes(changes, end) => {
                self.delivery.cursors[index].end = end;
                self.delivery.deliver(index, position.generation, changes).await?;
                Ok(true)
            }
            RingRead::UpToDate => Ok(false),
            RingRead::NotBuffered => self.catch_up(index, position).await,
        }
    }

    /// Same from the store, for changes that the ring has dropped.
    async fn catch_up(&mut self, index: usize, position: FeedPosition) -> Result<HasWork, SubscriptionEnd> {
        let partition = self.delivery.cursors[index].partition;
        let limit = self.delivery.shared.config.chunk_changes;
        // Zero wait: the ring tells when there is news, this read only closes the gap to it.
        let page =
            self.delivery.shared.store.read_feed(partition, position.seq, limit, Duration::ZERO).await?;
        self.delivery.cursors[index].end = page.end.seq;
        if page.end.generation == position.generation && tail::is_contiguous(position.seq, &page) {
            let changes = tail::decoded(partition, &page)?;
            let has_work = !changes.is_empty();
            self.delivery.deliver(index, position.generation, changes).await?;
            return Ok(has_work);
        }
        let meta = self.delivery.shared.store.meta(partition).await?;
        // Trimmed, or another generation: the partition's metadata says which.
        let state = position::resolve(&meta, position);
        let changed = state != self.delivery.cursors[index].state;
        self.delivery.cursors[index].state = state;
        Ok(changed)
    }

    /// Sends a progress message with the lag of the subscriber.
    async fn progress(&mut self) -> Result<(), SubscriptionEnd> {
        let lag = self.delivery.cursors.iter().map(PartitionCursor::lag).sum();
        let at = Some(time::to_wire(self.delivery.shared.wall_now()));
        self.delivery.send(Kind::Progress(Progress { lag, at })).await?;
        self.progress_due = Instant::now() + self.delivery.shared.config.progress_interval;
        Ok(())
    }
}
