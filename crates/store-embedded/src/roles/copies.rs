//! Acknowledgement levels that one disk provides.

use portrait_store::{AckLevel, Error, Result};

/// Refuses the level that one disk cannot provide.
///
/// # Errors
/// `Incompatible` for `Replica`.
pub(super) fn one_copy(level: AckLevel) -> Result<()> {
    match level {
        AckLevel::Memory | AckLevel::Disk => Ok(()),
        AckLevel::Replica => Err(Error::Incompatible {
            detail: "an embedded store has no replicas: set ingest.acknowledge to disk, or keep the store in redis"
                .to_owned(),
        }),
    }
}
