//! What readers and the writer share of one partition: its published state, the newest blocks, and the remembered ids.

use super::seen::SeenWindows;
use super::partition_state::{PartitionGenerations, PartitionState};
use super::recent_blocks::RecentBlocks;
use portrait_store::backend::block::Block;
use portrait_store::{PartitionMeta, SeenQuery};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// One partition before readers' eyes.
pub(super) struct PartitionCell {
    /// What is acknowledged. Readers wait for it to change.
    pub(super) state: watch::Sender<PartitionState>,
    /// Fixed while open.
    pub(super) generations: PartitionGenerations,
    log: Mutex<RecentBlocks>,
    feed: Mutex<RecentBlocks>,
    seen: Mutex<SeenWindows>,
}

/// What a step of the writer adds to a shelf.
#[derive(Default)]
pub(super) struct Additions {
    /// New blocks of the log, in order.
    pub(super) log: Vec<Block>,
    /// New blocks of the feed, in order.
    pub(super) feed: Vec<Block>,
    /// Newly remembered ids.
    pub(super) seen: Vec<SeenQuery>,
}

impl PartitionCell {
    /// A shelf with `state` on it and nothing in memory.
    pub(super) fn new(
        state: PartitionState,
        generations: PartitionGenerations,
        seen: SeenWindows,
        tail_bytes: usize,
    ) -> Self {
        Self {
            state: watch::Sender::new(state),
            generations,
            log: Mutex::new(RecentBlocks::new(tail_bytes)),
            feed: Mutex::new(RecentBlocks::new(tail_bytes)),
            seen: Mutex::new(seen),
        }
    }

    /// Puts what was written before readers' eyes: the blocks first, so that whoever sees the new state finds them.
    pub(super) fn publish(&self, state: PartitionState, additions: Additions) {
        let mut log = self.log();
        additions.log.into_iter().for_each(|block| log.push(block));
        drop(log);
        let mut feed = self.feed();
        additions.feed.into_iter().for_each(|block| feed.push(block));
        drop(feed);
        self.seen().committed(&additions.seen);
        self.state.send_replace(state);
    }

    /// The newest blocks of the log.
    pub(super) fn log(&self) -> MutexGuard<'_, RecentBlocks> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest blocks of the feed.
    pub(super) fn feed(&self) -> MutexGuard<'_, RecentBlocks> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The remembered ids.
    pub(super) fn seen(&self) -> MutexGuard<'_, SeenWindows> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The published state, as the contract has it.
    pub(super) fn meta(&self) -> PartitionMeta {
        self.state.borrow().meta(&self.generations)
    }
}
