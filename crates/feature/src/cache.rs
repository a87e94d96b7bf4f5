//! Profile cache of a partition owner: the profiles of the running batch, and hot ones of earlier batches within a bound of
//! bytes. Only the owner writes profiles, so the cache needs no invalidation while the lease lasts. An unknown commit result
//! empties it.

use bytes::Bytes;
use portrait_profile::{Profile, ProfileVersion, UserId};
use portrait_store::ProfileKey;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use std::collections::HashMap;

/// Memory of a decoded profile per encoded byte, and fixed memory per profile, for the weight in the cache. Profiles of 1, 4, 10,
/// 30 and 300 events were encoded in 215, 401, 949, 1475 and 2647 bytes, and took 1592, 3049, 3877, 6498 and 6022 once the next
/// event was folded in, which doubles the capacity of full lists. The weight is 1.0 to 1.2 of that, and 0.9 with 4 events; beyond
/// 30 events it is too high, which only caches fewer of them.
const MEMORY_FACTOR: u64 = 4;
const MEMORY_OVERHEAD_BYTES: u64 = 1024;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_of_a_profile_is_about_its_memory() {
        // Encoded size and measured memory of profiles with 1, 4, 10 and 30 events.
        for (encoded_bytes, memory) in [(215, 1592), (401, 3049), (949, 3877), (1475, 6498)] {
            let user = UserId::parse("user-0001").expect("an id");
            let cached = CachedProfile { profile: Profile::new(user.clone()), encoded_bytes };
            let weight = ByMemory.weight(&ProfileKey::of(&user), &cached);
            let share = weight as f64 / f64::from(memory);
            assert!((0.85..1.3).contains(&share), "{encoded_bytes}: {weight}");
        }
    }
}
