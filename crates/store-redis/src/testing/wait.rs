//! Waits for the expected state of a server.

#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::time::{Duration, Instant};

/// Longest wait for a condition.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause between two checks.
pub(super) const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `condition` returns true.
///
/// # Panics
/// If the condition, described by `what`, is not met within [`WAIT_TIMEOUT`].
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "{what}: not within {WAIT_TIMEOUT:?}");
        std::thread::sleep(PAUSE);
    }
}
