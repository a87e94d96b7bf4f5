//! The release that will follow this one, as far as a test can know it: it writes profiles in a format that this one does not read.

use std::sync::atomic::{AtomicBool, Ordering};

/// Written once, when a process begins; read with every profile.
static IS_NEXT_RELEASE: AtomicBool = AtomicBool::new(false);

/// From now on this process is of the next release.
pub fn become_next_release() {
    IS_NEXT_RELEASE.store(true, Ordering::Relaxed);
}

/// Whether this process is of the next release.
pub(crate) fn is_next_release() -> bool {
    IS_NEXT_RELEASE.load(Ordering::Relaxed)
}
