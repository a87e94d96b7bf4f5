//! Tombstones of one partition in memory: the stored ones and those that the running commit changes.
//!
//! Every record needs a lookup (is its user erased?), so the owner holds all tombstones of its partition. They are few: each
//! expires some time after log and feed have dropped the records of its user. The content equals the stored state, plus
//! the pending changes of the running commit. An unknown commit result empties it.

use portrait_profile::{LogSeq, ProfileVersion, Pseudonym, PseudonymKey, Timestamp, Tombstone, UserId};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

/// Index of the tombstones of one partition, by pseudonym.
pub(crate) struct TombstoneIndex {
    key: PseudonymKey,
    known: HashMap<Pseudonym, Tombstone>,
    /// Changes of the running commit; none for a tombstone that expires.
    pending: BTreeMap<Pseudonym, Option<Tombstone>>,
    /// Pseudonyms computed for the running commit. The keyed hash is the costly part of a lookup, and one user has many records.
    pseudonyms: RefCell<HashMap<UserId, Pseudonym>>,
}

impl TombstoneIndex {
    /// Creates an empty index; `key` is the deployment's key of pseudonyms.
    pub(crate) fn new(key: PseudonymKey) -> Self {
        Self { key, known: HashMap::new(), pending: BTreeMap::new(), pseudonyms: RefCell::default() }
    }

    /// Inserts a stored tombstone.
    pub(crate) fn loaded(&mut self, pseudonym: Pseudonym, tombstone: Tombstone) {
        self.known.insert(pseudonym, tombstone);
    }

    /// Returns true without any tombstone; callers then skip all lookups.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.pending.is_empty()
    }

    /// Returns the tombstone of a user.
    pub(crate) fn of_user(&self, user_id: &UserId) -> Option<&Tombstone> {
        if self.is_empty() {
            return None;
        }
        let known = self.pseudonyms.borrow().get(user_id).copied();
        let pseudonym = known.unwrap_or_else(|| {
            let pseudonym = self.key.of(user_id);
            self.pseudonyms.borrow_mut().insert(user_id.clone(), pseudonym);
            pseudonym
        });
        self.get(pseudonym)
    }

    /// Returns the tombstone of a pseudonym, with the changes of the running commit.
    pub(crate) fn get(&self, pseudonym: Pseudonym) -> Option<&Tombstone> {
        match self.pending.get(&pseudonym) {
            Some(pending) => pending.as_ref(),
            None => self.known.get(&pseudonym),
        }
    }

    /// Returns true if an edge to `user_id` stated at `at` must be dropped, since the user was erased later.
    pub(crate) fn blocks_edge(&self, user_id: &UserId, at: Timestamp) -> bool {
        self.of_user(user_id).is_some_and(|tombstone| at <= tombstone.edges_through)
    }

    /// Returns the last version of an erased user's profile; 0 without a tombstone. The next profile continues after it.
    pub(crate) fn last_version(&self, user_id: &UserId) -> ProfileVersion {
        self.of_user(user_id).map_or_else(ProfileVersion::default, |tombstone| tombstone.version)
    }

    /// Inserts a tombstone, merged with an earlier one of the user: it blocks what either of them blocks. The log holds no
    /// record of erasures up to `cleared`.
    pub(crate) fn insert(&mut self, pseudonym: Pseudonym, tombstone: Tombstone, cleared: LogSeq) {
        let mut merged = tombstone.merged_with(self.get(pseudonym));
        if self.get(pseudonym).is_some_and(|earlier| earlier.log_seq <= cleared) {
            merged.log_seq_min = tombstone.log_seq_min;
        }
        self.pending.insert(pseudonym, Some(merged));
    }

    /// Changes the tombstone of `pseudonym`, if there is one.
    pub(crate) fn change(&mut self, pseudonym: Pseudonym, change: impl FnOnce(&mut Tombstone)) {
        if let Some(mut tombstone) = self.get(pseudonym).copied() {
            change(&mut tombstone);
            self.pending.insert(pseudonym, Some(tombstone));
        }
    }

    /// Removes a tombstone with the running commit.
    pub(crate) fn expire(&mut self, pseudonym: Pseudonym) {
        self.pending.insert(pseudonym, None);
    }

    /// Iterates over the stored tombstones.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Pseudonym, &Tombstone)> {
        self.known.iter().map(|(pseudonym, tombstone)| (*pseudonym, tombstone))
    }

    /// Returns true if an erasure may lie in (`after`, `through`] of the log.
    pub(crate) fn any_between(&self, after: LogSeq, through: LogSeq) -> bool {
        self.known.values().any(|tombstone| after < tombstone.log_seq && tombstone.log_seq_min <= through)
    }

    /// Iterates over the changes of the running commit.
    pub(crate) fn pending(&self) -> impl Iterator<Item = (Pseudonym, Option<&Tombstone>)> {
        self.pending.iter().map(|(pseudonym, tombstone)| (*pseudonym, tombstone.as_ref()))
    }

    /// Merges the pending changes: the commit succeeded.
    pub(crate) fn committed(&mut self) {
        self.pseudonyms.get_mut().clear();
        for (pseudonym, tombstone) in std::mem::take(&mut self.pending) {
            match tombstone {
                Some(tombstone) => drop(self.known.insert(pseudonym, tombstone)),
                None => drop(self.known.remove(&pseudonym)),
            }
        }
    }

    /// Empties the index: it may differ from the stored state.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.pending.clear();
        self.pseudonyms.get_mut().clear();
    }
}
