//! Simulation of the next release: a process that writes profiles in a format that this release does not read.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set once when a process starts; read with every profile.
static IS_NEXT_RELEASE: AtomicBool = AtomicBool::new(false);

/// Makes this process write as the next release.
pub fn become_next_release() {
    IS_NEXT_RELEASE.store(true, Ordering::Relaxed);
}

/// Returns whether this process writes as the next release.
pub(crate) fn is_next_release() -> bool {
    // Relaxed: the flag is set before the first profile is written, and orders nothing else.
    IS_NEXT_RELEASE.load(Ordering::Relaxed)
}
