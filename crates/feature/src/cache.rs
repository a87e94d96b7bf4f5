//! The profiles a worker holds: those of the batch at hand, and the hot ones of earlier batches within a bound of bytes.
//! What is here equals what the store has, or will have after the commit at hand; after any doubt it is emptied.

use bytes::Bytes;
use portrait_profile::{Profile, ProfileVersion, UserId};
use portrait_store::ProfileKey;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use std::collections::HashMap;

/// What a decoded profile takes in memory for each encoded byte, about, and beside that.
const MEMORY_FACTOR: u64 = 3;
const MEMORY_OVERHEAD_BYTES: u64 = 512;

/// A profile and the size of its encoded form.
pub(crate) struct Held {
    profile: Profile,
    encoded_bytes: usize,
}

/// The profiles of one partition that are in memory.
pub(crate) struct Profiles {
    hot: Cache<ProfileKey, Held, ByMemory>,
    working: HashMap<ProfileKey, Held>,
    capacity_bytes: u64,
}

#[derive(Clone)]
struct ByMemory;

impl Weighter<ProfileKey, Held> for ByMemory {
    fn weight(&self, key: &ProfileKey, held: &Held) -> u64 {
        (key.0.len() + held.encoded_bytes) as u64 * MEMORY_FACTOR + MEMORY_OVERHEAD_BYTES
    }
}

impl Profiles {
    /// None yet; at most about `capacity_bytes` between batches.
    pub(crate) fn new(capacity_bytes: u64) -> Self {
        Self { hot: hot(capacity_bytes), working: HashMap::new(), capacity_bytes }
    }

    /// Takes the hot ones among `keys` into the batch at hand and returns those that must be loaded.
    pub(crate) fn take(&mut self, keys: impl IntoIterator<Item = ProfileKey>) -> Vec<ProfileKey> {
        let mut missing = Vec::new();
        for key in keys {
            if self.working.contains_key(&key) {
                continue;
            }
            match self.hot.remove(&key) {
                Some((key, held)) => {
                    self.working.insert(key, held);
                }
                None => missing.push(key),
            }
        }
        missing
    }

    /// Adds a loaded profile to the batch at hand.
    pub(crate) fn loaded(&mut self, key: ProfileKey, profile: Profile, encoded_bytes: usize) {
        self.working.insert(key, Held { profile, encoded_bytes });
    }

    /// The encoded size of a profile of the batch at hand before the batch; 0 for a new one.
    pub(crate) fn stored_bytes(&self, key: &ProfileKey) -> usize {
        self.working.get(key).map_or(0, |held| held.encoded_bytes)
    }

    /// The profile of the batch at hand, begun if the shopper has none; `last` tells after which version it then goes on.
    pub(crate) fn of(
        &mut self,
        key: &ProfileKey,
        user_id: &UserId,
        last: impl FnOnce() -> ProfileVersion,
    ) -> &mut Profile {
        let held = self
            .working
            .entry(key.clone())
            .or_insert_with(|| Held { profile: Profile::after(user_id.clone(), last()), encoded_bytes: 0 });
        &mut held.profile
    }

    /// Takes a profile out of the batch at hand, and whether the store has it.
    pub(crate) fn remove(&mut self, key: &ProfileKey) -> Option<(Profile, bool)> {
        self.working.remove(key).map(|held| (held.profile, held.encoded_bytes > 0))
    }

    /// A profile of the batch at hand, if it is there.
    pub(crate) fn get_mut(&mut self, key: &ProfileKey) -> Option<&mut Profile> {
        self.working.get_mut(key).map(|held| &mut held.profile)
    }

    /// Gives a changed profile its next version and returns its bytes.
    pub(crate) fn advance(&mut self, key: &ProfileKey) -> Option<(&Profile, Bytes)> {
        let held = self.working.get_mut(key)?;
        held.profile.advance_version();
        let bytes = Bytes::from(held.profile.encode());
        held.encoded_bytes = bytes.len();
        Some((&held.profile, bytes))
    }

    /// Keeps the profiles of the batch at hand as hot ones: their commit succeeded.
    pub(crate) fn committed(&mut self) {
        for (key, held) in self.working.drain() {
            self.hot.insert(key, held);
        }
    }

    /// Forgets everything: it may not be what the store has.
    pub(crate) fn clear(&mut self) {
        self.working.clear();
        self.hot = hot(self.capacity_bytes);
    }
}

fn hot(capacity_bytes: u64) -> Cache<ProfileKey, Held, ByMemory> {
    let expected_profiles = usize::try_from(capacity_bytes / 4096).unwrap_or(usize::MAX).max(1);
    Cache::with_weighter(expected_profiles, capacity_bytes, ByMemory)
}
