//! Harness of the fault matrix: a deployment under a steady load, an oracle of the expected profiles, subscribers, and the number of
//! fault cycles per row. `PORTRAIT_FAULT_CYCLES` overrides the number of cycles of a short run, `PORTRAIT_FAULT_SEED` the random seed.
//! With the former a row keeps a report and resumes where the report ends.

mod follower;
mod forged;
mod load;
mod oracle;
mod phases;
mod plan;
mod rebuild;
mod trial;

pub use follower::{Follower, narrow_connection};
pub use forged::Forged;
pub use load::{Load, LoadHandle, PausedLoad};
pub use oracle::{Difference, Oracle, OracleCounts};
pub use plan::{Plan, cycles};
pub use rebuild::differing_from_log;
pub use trial::{LEASE, PARTITIONS, TAKEOVER, Trial, check};

use crate::TEST_TIMEOUT;
use std::time::{Duration, Instant};

/// Poll interval.
const PAUSE: Duration = Duration::from_millis(5);

/// Polls until `condition` holds and returns the time that took.
///
/// # Panics
/// If it does not hold within [`TEST_TIMEOUT`]; `description` is part of the message.
pub async fn eventually(description: &str, mut condition: impl AsyncFnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < TEST_TIMEOUT, "timed out after {TEST_TIMEOUT:?}: {description}");
        tokio::time::sleep(PAUSE).await;
    }
    started.elapsed()
}
