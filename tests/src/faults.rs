//! What the rows of the fault matrix share: a deployment of processes under a steady load, a naive model of what its profiles must
//! be, a subscriber, and how often a row does its harm. `PORTRAIT_FAULT_CYCLES` sets how often, in place of the number for a short
//! run; `PORTRAIT_FAULT_SEED` which moments are chosen. With the former a row keeps a report and goes on where that ends.

mod follower;
mod forged;
mod load;
mod oracle;
mod phases;
mod plan;
mod rebuild;
mod trial;

pub use follower::{Follower, narrow_line};
pub use forged::Forged;
pub use load::{LoadHandle, Load, PausedLoad};
pub use oracle::{Difference, Oracle, OracleCounts};
pub use plan::{Plan, cycles};
pub use rebuild::differing_from_log;
pub use trial::{LEASE, PARTITIONS, TAKEOVER, Trial, check};

use crate::TEST_TIMEOUT;
use std::time::{Duration, Instant};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until `so` is, and gives how long that took.
///
/// # Panics
/// If it is not within [`PATIENCE`]; `what` says what was waited for.
pub async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < TEST_TIMEOUT, "waited {TEST_TIMEOUT:?} in vain: {what}");
        tokio::time::sleep(PAUSE).await;
    }
    begun.elapsed()
}
