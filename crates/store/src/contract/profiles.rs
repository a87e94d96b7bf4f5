//! Profiles and tombstones of the partitions, by key and page by page.

use super::cursor::ScanCursor;
use super::info::StoreInfo;
use crate::error::Result;
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, Pseudonym, UserId};

/// Reads of profiles and tombstones.
#[async_trait]
pub trait ProfileStore: StoreInfo {
    /// The profiles of `keys`, in their order.
    async fn profiles(&self, partition: PartitionId, keys: &[ProfileKey]) -> Result<Vec<Option<Bytes>>>;

    /// Pages through all profiles of a partition.
    ///
    /// MUST return every profile that is there during the whole scan; MAY return one twice, and MAY or may not return one
    /// that is written or deleted meanwhile.
    async fn scan(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_profiles: usize,
    ) -> Result<ProfilePage>;

    /// Pages through all tombstones of a partition, as [`ProfileStore::scan`] does through its profiles.
    async fn tombstones(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_tombstones: usize,
    ) -> Result<TombstonePage>;
}

/// The key of a profile: bytes that name one shopper. Its order means nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileKey(pub Bytes);

/// A stretch of a scan.
#[derive(Clone, Debug, Default)]
pub struct ProfilePage {
    /// Some profiles.
    pub profiles: Vec<(ProfileKey, Bytes)>,
    /// Where the next page begins; none after the last.
    pub next: Option<ScanCursor>,
}

/// A stretch of a scan of tombstones.
#[derive(Clone, Debug, Default)]
pub struct TombstonePage {
    /// Some tombstones.
    pub tombstones: Vec<(Pseudonym, Bytes)>,
    /// Where the next page begins; none after the last.
    pub next: Option<ScanCursor>,
}

impl ProfileKey {
    /// The key of a shopper's profile.
    pub fn of(user_id: &UserId) -> Self {
        Self(Bytes::copy_from_slice(user_id.as_str().as_bytes()))
    }
}
