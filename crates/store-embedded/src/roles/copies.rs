//! Acknowledgement levels that one disk has.

use portrait_store::{AckLevel, Error, Result};

/// Refuses what one disk cannot promise.
pub(super) fn one_copy(level: AckLevel) -> Result<()> {
    match level {
        AckLevel::Memory | AckLevel::Disk => Ok(()),
        AckLevel::Replica => Err(Error::Incompatible {
            detail: "an embedded store has no replicas: set ingest.acknowledge to disk, or keep the store in redis"
                .to_owned(),
        }),
    }
}
