//! Jobs of the writer thread, and the results that they send.

use super::models::ModelState;
use super::write_batch::{ReplySender, WriteBatch};
use bytes::Bytes;
use portrait_profile::{PartitionId, TimeDelta, Timestamp};
use portrait_store::{
    AckLevel, Acquisition, Appended, CatalogueEntry, Commit, Committed, Error, LeaseClaim, LeaseToken,
    PartName,
};

/// Job of the writer.
pub(super) enum WriteJob {
    /// Appends a block of `count` records.
    Append { partition: PartitionId, block: Bytes, count: u64, level: AckLevel, reply: ReplySender<Appended> },
    /// Applies a commit of a partition's owner.
    Commit { partition: PartitionId, commit: Box<Commit>, reply: ReplySender<Committed> },
    /// Acquires the lease of a partition.
    Acquire {
        partition: PartitionId,
        claim: LeaseClaim,
        ttl: TimeDelta,
        now: Timestamp,
        reply: ReplySender<Acquisition>,
    },
    /// Extends the lease of a partition.
    Renew {
        partition: PartitionId,
        token: LeaseToken,
        ttl: TimeDelta,
        now: Timestamp,
        reply: ReplySender<bool>,
    },
    /// Ends the lease of a partition.
    Release { partition: PartitionId, token: LeaseToken, reply: ReplySender<()> },
    /// Removes the keys of a plan.
    Trim { partition: PartitionId, plan: Box<TrimPlan>, reply: ReplySender<()> },
    /// Writes items of the catalogue.
    PutItems { items: Vec<CatalogueEntry>, level: AckLevel, reply: ReplySender<()> },
    /// Changes the registry or the training lease; `refuse` sends the error if nothing can be written.
    Models { edit: EditModels, refuse: RefuseModels },
    /// Stores a part of a model.
    PutPart { name: PartName, part: Bytes, reply: ReplySender<()> },
    /// Syncs everything to disk and stops the writer.
    Close { reply: ReplySender<()> },
}

/// Change of the models, which also sends its result.
pub(super) type EditModels = Box<dyn FnOnce(&mut ModelState, &mut WriteBatch) + Send>;

/// Reply to a change of the models that cannot be written.
pub(super) type RefuseModels = Box<dyn FnOnce(Error) + Send>;

/// Keys that one step of a trim removes from a partition.
#[derive(Default)]
pub(super) struct TrimPlan {
    /// Blocks of the log.
    pub(super) log: OldBlocks,
    /// Blocks of the feed.
    pub(super) feed: OldBlocks,
    /// Keys of dead letters of trimmed records.
    pub(super) dead: Vec<[u8; 10]>,
    /// Keys of expired ids.
    pub(super) seen: Vec<Vec<u8>>,
    /// True if a bound ended the search for one of the four.
    pub(super) more: bool,
}

/// Oldest blocks of a stream, which a trim removes.
#[derive(Default)]
pub(super) struct OldBlocks {
    /// Blocks, oldest first.
    pub(super) blocks: Vec<OldBlock>,
    /// Time at which the oldest block that stays was written; none if no block stays or the search ended before it.
    pub(super) oldest_at: Option<Timestamp>,
    /// True if the bound of one trim ended the search.
    pub(super) more: bool,
}

/// Block that a trim removes.
pub(super) struct OldBlock {
    /// Key of the block.
    pub(super) key: [u8; 10],
    /// Position of its last record.
    pub(super) last: u64,
    /// Size of the encoded block in bytes.
    pub(super) bytes: u64,
}

impl WriteJob {
    /// Returns whether the job changes a lease alone, or closes the store.
    pub(super) fn is_lease(&self) -> bool {
        matches!(self, Self::Acquire { .. } | Self::Renew { .. } | Self::Release { .. } | Self::Close { .. })
    }

    /// Returns the bytes of the job that reach the disk; 0 where they are few.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Append { block, .. } => block.len(),
            Self::PutPart { part, .. } => part.len(),
            Self::PutItems { items, .. } => items.iter().map(|(id, item)| id.len() + item.len()).sum(),
            Self::Commit { commit, .. } => {
                let profiles = commit.profiles.iter().map(|(_, value)| value.as_ref().map_or(0, Bytes::len));
                profiles.sum::<usize>() + commit.changes.iter().map(Bytes::len).sum::<usize>()
            }
            Self::Acquire { .. }
            | Self::Renew { .. }
            | Self::Release { .. }
            | Self::Trim { .. }
            | Self::Models { .. }
            | Self::Close { .. } => 0,
        };
        bytes as u64
    }

    /// Sends an error as the result.
    pub(super) fn refuse(self, error: Error) {
        // The caller may have been cancelled; then the result is dropped.
        match self {
            Self::Append { reply, .. } => drop(reply.send(Err(error))),
            Self::Commit { reply, .. } => drop(reply.send(Err(error))),
            Self::Acquire { reply, .. } => drop(reply.send(Err(error))),
            Self::Renew { reply, .. } => drop(reply.send(Err(error))),
            Self::PutItems { reply, .. } => drop(reply.send(Err(error))),
            Self::PutPart { reply, .. } => drop(reply.send(Err(error))),
            Self::Models { refuse, .. } => refuse(error),
            Self::Release { reply, .. } | Self::Trim { reply, .. } | Self::Close { reply } => {
                drop(reply.send(Err(error)));
            }
        }
    }
}

impl OldBlocks {
    /// Returns the position of the last record of the blocks; 0 without blocks.
    pub(super) fn through(&self) -> u64 {
        self.blocks.last().map_or(0, |block| block.last)
    }
}
