//! Lookups and scans of the partitions' profiles.

use super::cursor::ScanCursor;
use super::info::StoreInfo;
use crate::error::Result;
use async_trait::async_trait;
use bytes::Bytes;
use portrait_profile::{PartitionId, UserId};

/// Reads of the partitions' profiles.
#[async_trait]
pub trait ProfileStore: StoreInfo {
    /// Returns the profiles of `keys`, in their order; none for an unknown key.
    async fn profiles(&self, partition: PartitionId, keys: &[ProfileKey]) -> Result<Vec<Option<Bytes>>>;

    /// Returns the next page of a partition's profiles, at most `max_profiles`.
    ///
    /// MUST return every profile that exists during the whole scan. MAY return a profile twice, and MAY or may not return one
    /// that is written or deleted during the scan.
    async fn scan(
        &self,
        partition: PartitionId,
        cursor: Option<ScanCursor>,
        max_profiles: usize,
    ) -> Result<ProfilePage>;
}

/// Key of a profile: bytes that name one user. The order of keys has no meaning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileKey(pub Bytes);

/// Page of a scan of profiles.
#[derive(Clone, Debug, Default)]
pub struct ProfilePage {
    /// Profiles of the page, in no particular order.
    pub profiles: Vec<(ProfileKey, Bytes)>,
    /// Cursor of the next page; none after the last.
    pub next: Option<ScanCursor>,
}

impl ProfileKey {
    /// Returns the key of a user's profile.
    pub fn of(user_id: &UserId) -> Self {
        Self(Bytes::copy_from_slice(user_id.as_str().as_bytes()))
    }
}
