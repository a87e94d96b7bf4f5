//! Lookups and scans of the partitions' tombstones.

use super::cursor::ScanCursor;
use super::info::StoreInfo;
use crate::error::Result;
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, Pseudonym};

/// Reads of the partitions' tombstones. A role of its own, since a process that only accepts records reads them for the progress
/// of erasures, and no profiles.
#[async_trait]
pub trait TombstoneStore: StoreInfo {
    /// Returns the tombstones of `pseudonyms` in a partition, in their order; none for one without a tombstone.
    ///
    /// # Errors
    /// `TooBig` beyond [`crate::Limits::page_items`].
    async fn tombstones(
        &self,
        partition: PartitionId,
        pseudonyms: &[Pseudonym],
    ) -> Result<Vec<Option<Bytes>>>;

    /// Returns the next page of a partition's tombstones, about `max_tombstones`, with the guarantees of
    /// [`super::profiles::ProfileStore::scan`].
    ///
    /// # Errors
    /// `TooBig` beyond [`crate::Limits::page_items`].
    async fn scan_tombstones(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_tombstones: usize,
    ) -> Result<TombstonePage>;
}

/// Page of a scan of tombstones.
#[derive(Clone, Debug, Default)]
pub struct TombstonePage {
    /// Tombstones of the page, by pseudonym.
    pub tombstones: Vec<(Pseudonym, Bytes)>,
    /// Cursor of the next page; none after the last.
    pub next: Option<ScanCursor>,
}
