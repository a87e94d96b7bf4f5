//! State of one partition that readers and the writer share: positions and lease, the newest blocks, the remembered ids.

use super::partition_state::{PartitionGenerations, PartitionState};
use super::recent_blocks::RecentBlocks;
use super::seen::SeenWindows;
use super::source_ledger::{LedgerAddition, SourceLedger};
use portrait_store::backend::block::Block;
use portrait_store::{PartitionMeta, SeenQuery};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Partition as readers see it.
pub(super) struct PartitionCell {
    /// Acknowledged state. Readers wait for its changes.
    pub(super) state: watch::Sender<PartitionState>,
    /// Generations of log and feed, fixed while the store is open.
    pub(super) generations: PartitionGenerations,
    log: Mutex<RecentBlocks>,
    feed: Mutex<RecentBlocks>,
    seen: Mutex<SeenWindows>,
    sources: Mutex<SourceLedger>,
}

/// Blocks and ids that a batch of the writer adds to a cell.
#[derive(Default)]
pub(super) struct Additions {
    /// New blocks of the log, in order of position.
    pub(super) log: Vec<Block>,
    /// New blocks of the feed, in order of position.
    pub(super) feed: Vec<Block>,
    /// Ids added to the de-duplication windows.
    pub(super) seen: Vec<SeenQuery>,
    /// Ids added to the ledger of sources.
    pub(super) sources: Vec<LedgerAddition>,
}

impl PartitionCell {
    /// Returns a cell in the given state with nothing cached; `tail_bytes` bounds each of the two streams.
    pub(super) fn new(
        state: PartitionState,
        generations: PartitionGenerations,
        seen: SeenWindows,
        sources: SourceLedger,
        tail_bytes: usize,
    ) -> Self {
        Self {
            state: watch::Sender::new(state),
            generations,
            log: Mutex::new(RecentBlocks::new(tail_bytes)),
            feed: Mutex::new(RecentBlocks::new(tail_bytes)),
            seen: Mutex::new(seen),
            sources: Mutex::new(sources),
        }
    }

    /// Publishes a written batch to readers.
    pub(super) fn publish(&self, state: PartitionState, additions: Additions) {
        // Blocks first: a reader that sees the new state must find them in memory.
        let mut log = self.log();
        additions.log.into_iter().for_each(|block| log.push(block));
        drop(log);
        let mut feed = self.feed();
        additions.feed.into_iter().for_each(|block| feed.push(block));
        drop(feed);
        self.seen().committed(&additions.seen);
        self.sources().committed(additions.sources);
        self.state.send_replace(state);
    }

    /// Returns the newest blocks of the log.
    pub(super) fn log(&self) -> MutexGuard<'_, RecentBlocks> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the newest blocks of the feed.
    pub(super) fn feed(&self) -> MutexGuard<'_, RecentBlocks> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the remembered ids of the partition.
    pub(super) fn seen(&self) -> MutexGuard<'_, SeenWindows> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the ledger of sources of the partition.
    pub(super) fn sources(&self) -> MutexGuard<'_, SourceLedger> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the published state in the form of the contract.
    pub(super) fn meta(&self) -> PartitionMeta {
        self.state.borrow().meta(&self.generations)
    }
}
