//! Erasures during a training. Input: the logs' applied positions before the first vector is read. Output: the positions for
//! the manifest, by which the owners of the partitions know whether a model may name an erased user, and the refusal of a
//! model that comes too late.
//!
//! Positions and not times: an erasure is missing from a sample if it was not *applied* when the vectors were read, which
//! its time of acceptance does not tell, and the clocks of processes differ.

use crate::context::ModelContext;
use crate::error::Error;
use portrait_profile::PartitionLedger;
use portrait_proto::token::{ConsistencyToken, TokenEntry};
use portrait_store::LogPosition;

/// Applied records of all partitions before a sample is read.
pub(crate) struct AppliedBefore {
    /// Number of applied records since the beginning.
    pub(crate) total: u64,
    /// Newest applied position of each log, in the order of the partitions.
    positions: Vec<LogPosition>,
}

impl AppliedBefore {
    /// Reads the positions. Vectors that are read afterwards include every record up to them.
    pub(crate) async fn read(shared: &ModelContext) -> Result<Self, Error> {
        let mut applied = Self { total: 0, positions: Vec::new() };
        for partition in shared.store.layout().partitions.all() {
            let meta = shared.store.meta(partition).await?;
            applied.total += meta.counters.applied;
            let generation = meta.log_generations.newest();
            applied.positions.push(LogPosition { generation, seq: meta.applied_through });
        }
        Ok(applied)
    }

    /// Encodes the positions for a manifest.
    pub(crate) fn encode(&self, shared: &ModelContext) -> Vec<u8> {
        let partitions = shared.store.layout().partitions.all();
        let entries = partitions.zip(&self.positions).map(|(partition, position)| TokenEntry {
            partition: partition.get(),
            generation: position.generation.nonce().get(),
            seq: position.seq.get(),
        });
        ConsistencyToken { entries: entries.collect() }.to_stored()
    }

    /// Checks that no erasure behind the positions is cleared. Called right before a publication: the owners only see models
    /// that are published, not one that is trained.
    ///
    /// # Errors
    /// `ErasedSinceSampling` if one is cleared; store errors.
    pub(crate) async fn check_erasures(&self, shared: &ModelContext) -> Result<(), Error> {
        for (partition, position) in shared.store.layout().partitions.all().zip(&self.positions) {
            let meta = shared.store.meta(partition).await?;
            // The newest erasure, since a position without one may count as cleared. A ledger of a later release counts as one
            // with an erasure of after the sample.
            let cleared = PartitionLedger::decode(&meta.note)
                .map(|ledger| ledger.erasures().cleared().min(ledger.erasures().newest()));
            let sampled = meta.log_generations.retained_through(*position);
            if !cleared.is_ok_and(|cleared| sampled.is_some_and(|sampled| cleared <= sampled)) {
                return Err(Error::ErasedSinceSampling);
            }
        }
        Ok(())
    }
}
