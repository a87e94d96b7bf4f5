//! Bound of the ledger of sources: records of a source are refused while the ids that are kept for ever take more than
//! `connect.ledger_bytes`. Without room for an id nobody could tell whether a row counts for the second time.

use crate::error::Error;
use portrait_profile::Record;
use portrait_store::IntakeStore;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Size of an id in the ledger, in bytes.
const ID_BYTES: u64 = 8;
/// Age at which the number of ids is read again: what a stream sends until then may exceed the bound.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Bound of the ledger of sources.
pub(crate) struct SourceLimit {
    store: Arc<dyn IntakeStore>,
    bytes_max: u64,
    /// Size in bytes, and when it was read.
    known: Mutex<Option<(u64, Instant)>>,
}

impl SourceLimit {
    pub(crate) fn new(store: Arc<dyn IntakeStore>, bytes_max: u64) -> Self {
        Self { store, bytes_max, known: Mutex::new(None) }
    }

    /// Checks that records may have a source.
    ///
    /// # Errors
    /// [`Error::SourcesFull`] if one has a source and the ledger is full; an error of the store.
    pub(crate) async fn check(&self, records: &[Record]) -> Result<(), Error> {
        if records.iter().all(|record| record.source.is_none()) {
            return Ok(());
        }
        let bytes = self.bytes().await?;
        if bytes >= self.bytes_max {
            return Err(Error::SourcesFull { bytes, bytes_max: self.bytes_max });
        }
        Ok(())
    }

    async fn bytes(&self) -> Result<u64, Error> {
        // Held while the store is read: concurrent calls share one read.
        let mut known = self.known.lock().await;
        if let Some((bytes, at)) = *known
            && at.elapsed() < CHECK_INTERVAL
        {
            return Ok(bytes);
        }
        let mut bytes = 0;
        for partition in self.store.layout().partitions.all() {
            bytes += self.store.meta(partition).await?.counters.sourced * ID_BYTES;
        }
        *known = Some((bytes, Instant::now()));
        Ok(bytes)
    }
}
