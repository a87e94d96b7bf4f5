//! What readers and the writer share of one partition: its published standing, the newest blocks, and the remembered ids.

use super::seen::Seen;
use super::standing::{PartitionGenerations, Standing};
use super::tail::Tail;
use portrait_store::backend::block::Block;
use portrait_store::{PartitionMeta, SeenQuery};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// One partition before readers' eyes.
pub(super) struct Shelf {
    /// What is acknowledged. Readers wait for it to change.
    pub(super) standing: watch::Sender<Standing>,
    /// Fixed while open.
    pub(super) generations: PartitionGenerations,
    log: Mutex<Tail>,
    feed: Mutex<Tail>,
    seen: Mutex<Seen>,
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

impl Shelf {
    /// A shelf with `standing` on it and nothing in memory.
    pub(super) fn new(
        standing: Standing,
        generations: PartitionGenerations,
        seen: Seen,
        tail_bytes: usize,
    ) -> Self {
        Self {
            standing: watch::Sender::new(standing),
            generations,
            log: Mutex::new(Tail::new(tail_bytes)),
            feed: Mutex::new(Tail::new(tail_bytes)),
            seen: Mutex::new(seen),
        }
    }

    /// Puts what was written before readers' eyes: the blocks first, so that whoever sees the new standing finds them.
    pub(super) fn publish(&self, standing: Standing, additions: Additions) {
        let mut log = self.log();
        additions.log.into_iter().for_each(|block| log.push(block));
        drop(log);
        let mut feed = self.feed();
        additions.feed.into_iter().for_each(|block| feed.push(block));
        drop(feed);
        self.seen().committed(&additions.seen);
        self.standing.send_replace(standing);
    }

    /// The newest blocks of the log.
    pub(super) fn log(&self) -> MutexGuard<'_, Tail> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest blocks of the feed.
    pub(super) fn feed(&self) -> MutexGuard<'_, Tail> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The remembered ids.
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The published standing, as the contract has it.
    pub(super) fn meta(&self) -> PartitionMeta {
        self.standing.borrow().meta(&self.generations)
    }
}
