//! Profile cache of a partition owner: the profiles of the running batch, and hot ones of earlier batches within a bound of
//! bytes. Only the owner writes profiles, so the cache needs no invalidation while the lease lasts. An unknown commit result
//! empties it.

use bytes::Bytes;
use portrait_profile::{Profile, ProfileVersion, UserId};
use portrait_store::ProfileKey;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use std::collections::HashMap;

/// Memory of a decoded profile per encoded byte, and fixed memory per profile. Both are estimates for the weight in the cache.
const MEMORY_FACTOR: u64 = 3;
const MEMORY_OVERHEAD_BYTES: u64 = 512;

/// Decoded profile and the size of its encoded form; 0 if it is not stored.
pub(crate) struct CachedProfile {
    profile: Profile,
    encoded_bytes: usize,
}

/// Profiles of one partition in memory.
pub(crate) struct ProfileCache {
    hot: Cache<ProfileKey, CachedProfile, ByMemory>,
    working: HashMap<ProfileKey, CachedProfile>,
    capacity_bytes: u64,
}

#[derive(Clone)]
struct ByMemory;

impl Weighter<ProfileKey, CachedProfile> for ByMemory {
    fn weight(&self, key: &ProfileKey, cached: &CachedProfile) -> u64 {
        (key.0.len() + cached.encoded_bytes) as u64 * MEMORY_FACTOR + MEMORY_OVERHEAD_BYTES
    }
}

impl ProfileCache {
    /// Creates an empty cache of about `capacity_bytes` between batches. A running batch may exceed it.
    pub(crate) fn new(capacity_bytes: u64) -> Self {
        Self { hot: hot(capacity_bytes), working: HashMap::new(), capacity_bytes }
    }

    /// Moves the hot ones among `keys` into the running batch and returns the keys that must be loaded.
    pub(crate) fn take_hot(&mut self, keys: impl IntoIterator<Item = ProfileKey>) -> Vec<ProfileKey> {
        let mut missing = Vec::new();
        for key in keys {
            if self.working.contains_key(&key) {
                continue;
            }
            match self.hot.remove(&key) {
                // Moved, not copied: an eviction cannot take a profile of the running batch.
                Some((key, cached)) => {
                    self.working.insert(key, cached);
                }
                None => missing.push(key),
            }
        }
        missing
    }

    /// Adds a loaded profile to the running batch.
    pub(crate) fn loaded(&mut self, key: ProfileKey, profile: Profile, encoded_bytes: usize) {
        self.working.insert(key, CachedProfile { profile, encoded_bytes });
    }

    /// Returns the encoded size of a profile in the running batch before the batch; 0 for a new one.
    pub(crate) fn stored_bytes(&self, key: &ProfileKey) -> usize {
        self.working.get(key).map_or(0, |cached| cached.encoded_bytes)
    }

    /// Returns the profile of the running batch, created if the user has none. A new one continues after
    /// `last_version`, which is computed only then.
    pub(crate) fn get_or_create(
        &mut self,
        key: &ProfileKey,
        user_id: &UserId,
        last_version: impl FnOnce() -> ProfileVersion,
    ) -> &mut Profile {
        let cached = self.working.entry(key.clone()).or_insert_with(|| CachedProfile {
            profile: Profile::after(user_id.clone(), last_version()),
            encoded_bytes: 0,
        });
        &mut cached.profile
    }

    /// Removes a profile from the running batch; the flag is true if it is stored.
    pub(crate) fn remove(&mut self, key: &ProfileKey) -> Option<(Profile, bool)> {
        self.working.remove(key).map(|cached| (cached.profile, cached.encoded_bytes > 0))
    }

    /// Returns a profile of the running batch.
    pub(crate) fn get_mut(&mut self, key: &ProfileKey) -> Option<&mut Profile> {
        self.working.get_mut(key).map(|cached| &mut cached.profile)
    }

    /// Increments the version of a changed profile and returns it with its encoding.
    pub(crate) fn advance(&mut self, key: &ProfileKey) -> Option<(&Profile, Bytes)> {
        let cached = self.working.get_mut(key)?;
        cached.profile.advance_version();
        let bytes = Bytes::from(cached.profile.encode());
        cached.encoded_bytes = bytes.len();
        Some((&cached.profile, bytes))
    }

    /// Moves the profiles of the running batch to the hot ones: their commit succeeded.
    pub(crate) fn committed(&mut self) {
        for (key, cached) in self.working.drain() {
            self.hot.insert(key, cached);
        }
    }

    /// Empties the cache: it may differ from the stored state.
    pub(crate) fn clear(&mut self) {
        self.working.clear();
        self.hot = hot(self.capacity_bytes);
    }
}
/// Creates the cache of hot profiles.
fn hot(capacity_bytes: u64) -> Cache<ProfileKey, CachedProfile, ByMemory> {
    // 4 KiB per profile is an estimate that only sizes the table; the weight bounds the memory.
    let expected_profiles = usize::try_from(capacity_bytes / 4096).unwrap_or(usize::MAX).max(1);
    Cache::with_weighter(expected_profiles, capacity_bytes, ByMemory)
}
