//! Waiting for what a server is expected to do.

#![allow(clippy::disallowed_methods, reason = "a test waits in real time")]

use std::time::{Duration, Instant};

/// How long anything here may take to come about.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause between two looks.
pub(super) const PAUSE: Duration = Duration::from_millis(5);

/// Looks until `so` is.
///
/// # Panics
/// If it is not within [`PATIENCE`]; `what` says what was waited for.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "{what}: not within {WAIT_TIMEOUT:?}");
        std::thread::sleep(PAUSE);
    }
}
