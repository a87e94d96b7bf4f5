//! Batch of the writer thread: writes of several jobs that reach the disk together, and the results that wait for it.

use super::models::ModelState;
use super::partition_cell::Additions;
use super::partition_state::PartitionState;
use super::source_ledger::LedgerEnds;
use bytes::Bytes;
use fjall::{Database, OwnedWriteBatch};
use portrait_profile::PartitionId;
use portrait_store::{Error, PartName, Result};
use std::collections::{BTreeMap, HashMap};
use tokio::sync::oneshot;

/// Sender of a job's result. The caller may have been cancelled; then the result is dropped.
pub(super) type ReplySender<T> = oneshot::Sender<Result<T>>;

/// Deferred result of one job; the argument is the failure of the whole batch, if any.
pub(super) type PendingReply = Box<dyn FnOnce(Option<&str>) + Send>;

/// Batch that is being assembled.
pub(super) struct WriteBatch {
    pub(super) writes: OwnedWriteBatch,
    pub(super) bytes: usize,
    pub(super) disk: bool,
    pub(super) changed: BTreeMap<PartitionId, (PartitionState, Additions)>,
    pub(super) committed: Vec<PartitionId>,
    pub(super) ledger_ends: LedgerEnds,
    pub(super) items: HashMap<Bytes, Bytes>,
    pub(super) models: Option<ModelState>,
    pub(super) parts: BTreeMap<PartName, Option<Bytes>>,
    pub(super) replies: Vec<PendingReply>,
}

impl WriteBatch {
    /// Creates an empty batch.
    pub(super) fn new(database: &Database) -> Self {
        Self {
            writes: database.batch(),
            bytes: 0,
            disk: false,
            changed: BTreeMap::new(),
            committed: Vec::new(),
            ledger_ends: LedgerEnds::default(),
            items: HashMap::new(),
            models: None,
            parts: BTreeMap::new(),
            replies: Vec::new(),
        }
    }

    /// Returns whether nothing but leases is changed.
    pub(super) fn has_only_leases(&self) -> bool {
        self.writes.is_empty() && self.items.is_empty() && self.parts.is_empty() && self.models.is_none()
    }

    /// Returns what the batch adds to a partition, whose state a job has read before.
    pub(super) fn additions(&mut self, partition: PartitionId) -> &mut Additions {
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
