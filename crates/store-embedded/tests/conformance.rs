//! The embedded store passes the suite of the contract.

use portrait_profile::PartitionCount;
use portrait_store::Store;
use portrait_store::conformance::{LIMITS, PARTITIONS, WINDOW};
use portrait_store_embedded::{Embedded, EmbeddedOptions};
use std::sync::Arc;

/// Returns a new embedded store and its directory.
async fn embedded() -> (tempfile::TempDir, Arc<dyn Store>) {
    let folder = tempfile::tempdir().expect("a folder");
    let options = EmbeddedOptions {
        partitions: PartitionCount::new(PARTITIONS),
        dedup_window: WINDOW,
        reserve_bytes: 0,
        limits: LIMITS,
        ..EmbeddedOptions::default()
    };
    let store = Embedded::open(folder.path(), options).expect("a new store");
    (folder, Arc::new(store))
}

portrait_store::conformance_checks!(conformance_tests, embedded);
