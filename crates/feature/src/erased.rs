//! Who was erased, as the owner of a partition holds it in memory: all tombstones of the partition, and those that the commit at hand
//! raises. In come erasures, out goes what they block. What is here equals what the store has, or will have after the commit
//! at hand; after any doubt it is emptied.

use portrait_profile::{LogPlace, ProfileVersion, Pseudonym, PseudonymKey, Timestamp, Tombstone, UserId};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

/// The tombstones of one partition.
pub(crate) struct Erased {
    key: PseudonymKey,
    known: HashMap<Pseudonym, Tombstone>,
    /// What the commit at hand changes; none for those that expire.
    pending: BTreeMap<Pseudonym, Option<Tombstone>>,
    /// Pseudonyms that were worked out for the commit at hand: one shopper has many records.
    named: RefCell<HashMap<UserId, Pseudonym>>,
}

impl Erased {
    /// Nobody yet; shoppers are named under `key`.
    pub(crate) fn new(key: PseudonymKey) -> Self {
        Self { key, known: HashMap::new(), pending: BTreeMap::new(), named: RefCell::default() }
    }

    /// Takes a tombstone that the store has.
    pub(crate) fn loaded(&mut self, pseudonym: Pseudonym, tombstone: Tombstone) {
        self.known.insert(pseudonym, tombstone);
    }

    /// Whether nobody was erased, which spares all other questions.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.pending.is_empty()
    }

    /// What is remembered of a shopper.
    pub(crate) fn of(&self, user_id: &UserId) -> Option<&Tombstone> {
        if self.is_empty() {
            return None;
        }
        let known = self.named.borrow().get(user_id).copied();
        let pseudonym = known.unwrap_or_else(|| {
            let pseudonym = self.key.of(user_id);
            self.named.borrow_mut().insert(user_id.clone(), pseudonym);
            pseudonym
        });
        self.get(pseudonym)
    }

    /// Whether an edge to a shopper that was stated at `at` is one to somebody who was erased since.
    pub(crate) fn is_gone(&self, user_id: &UserId, at: Timestamp) -> bool {
        self.of(user_id).is_some_and(|tombstone| at <= tombstone.edges_through)
    }

    /// The version after which the next profile of a shopper goes on, as far as tombstones know.
    pub(crate) fn last_version(&self, user_id: &UserId) -> ProfileVersion {
        self.of(user_id).map_or_else(ProfileVersion::default, |tombstone| tombstone.version)
    }

    /// Raises a tombstone; with an earlier one it blocks what either blocks. Nothing is left of erasures up to `cleared`.
    pub(crate) fn raise(&mut self, pseudonym: Pseudonym, tombstone: Tombstone, cleared: LogPlace) {
        let mut merged = tombstone.after(self.get(pseudonym));
        if self.get(pseudonym).is_some_and(|earlier| earlier.placed_at <= cleared) {
            merged.left_from = tombstone.left_from;
        }
        self.pending.insert(pseudonym, Some(merged));
    }

    /// Changes a tombstone that is there.
    pub(crate) fn change(&mut self, pseudonym: Pseudonym, change: impl FnOnce(&mut Tombstone)) {
        if let Some(mut tombstone) = self.get(pseudonym).copied() {
            change(&mut tombstone);
            self.pending.insert(pseudonym, Some(tombstone));
        }
    }

    /// Lets a tombstone expire.
    pub(crate) fn expire(&mut self, pseudonym: Pseudonym) {
        self.pending.insert(pseudonym, None);
    }

    /// Every tombstone that the store has.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Pseudonym, &Tombstone)> {
        self.known.iter().map(|(pseudonym, tombstone)| (*pseudonym, tombstone))
    }

    /// Whether an erasure may lie after `after`, up to `through`.
    pub(crate) fn any_placed(&self, after: LogPlace, through: LogPlace) -> bool {
        self.known.values().any(|tombstone| after < tombstone.placed_at && tombstone.left_from <= through)
    }

    /// What the commit at hand changes.
    pub(crate) fn pending(&self) -> impl Iterator<Item = (Pseudonym, Option<&Tombstone>)> {
        self.pending.iter().map(|(pseudonym, tombstone)| (*pseudonym, tombstone.as_ref()))
    }

    /// The commit at hand succeeded.
    pub(crate) fn committed(&mut self) {
        self.named.get_mut().clear();
        for (pseudonym, tombstone) in std::mem::take(&mut self.pending) {
            match tombstone {
                Some(tombstone) => drop(self.known.insert(pseudonym, tombstone)),
                None => drop(self.known.remove(&pseudonym)),
            }
        }
    }

    /// Forgets everything: it may not be what the store has.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.pending.clear();
        self.named.get_mut().clear();
    }

    fn get(&self, pseudonym: Pseudonym) -> Option<&Tombstone> {
        match self.pending.get(&pseudonym) {
            Some(pending) => pending.as_ref(),
            None => self.known.get(&pseudonym),
        }
    }
}
