//! Counts of what was sent, kept independently of the server: for each user the number of records and their expected
//! fingerprint. The comparison with the profiles shows that no record was lost or counted twice.

use portrait_proto::v1::Profile;
use std::collections::BTreeMap;
use xxhash_rust::xxh64::xxh64;

/// Records sent, by user.
#[derive(Debug, Default)]
pub(super) struct SentCounts {
    users: BTreeMap<String, SentRecords>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SentRecords {
    records: u64,
    fingerprint: u64,
}

impl SentCounts {
    /// Counts a record whose id was not sent before.
    pub(super) fn note(&mut self, user_id: &str, record_id: &str) {
        if !self.users.contains_key(user_id) {
            self.users.insert(user_id.to_owned(), SentRecords::default());
        }
        if let Some(sent) = self.users.get_mut(user_id) {
            sent.records += 1;
            // The sum does not depend on the order, as the profile's own fingerprint.
            sent.fingerprint = sent.fingerprint.wrapping_add(xxh64(record_id.as_bytes(), 0));
        }
    }

    /// Ids of all users with records.
    pub(super) fn user_ids(&self) -> impl Iterator<Item = &String> {
        self.users.keys()
    }

    /// Number of users with records.
    pub(super) fn user_count(&self) -> usize {
        self.users.len()
    }

    /// Number of profiles that contain exactly what was sent for their user.
    pub(super) fn exact(&self, profiles: &[Profile]) -> usize {
        profiles
            .iter()
            .filter(|profile| {
                // Count and fingerprint together: a lost record and a duplicate would cancel in the count alone.
                let sent = SentRecords { records: profile.applied_events, fingerprint: profile.fingerprint };
                self.users.get(&profile.user_id) == Some(&sent)
            })
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_extra_or_different_record_is_detected() {
        let mut sent_counts = SentCounts::default();
        sent_counts.note("lena", "e1");
        sent_counts.note("lena", "e2");
        let both = xxh64(b"e1", 0).wrapping_add(xxh64(b"e2", 0));
        let rows = [
            ("lena", 2, both, 1),
            ("lena", 1, both, 0),
            ("lena", 3, both, 0),
            ("lena", 2, both ^ 1, 0),
            ("ben", 2, both, 0),
        ];
        for (user_id, applied_events, fingerprint, exact) in rows {
            let profile =
                Profile { user_id: user_id.to_owned(), applied_events, fingerprint, ..Default::default() };
            assert_eq!(sent_counts.exact(&[profile]), exact, "{user_id} {applied_events} {fingerprint}");
        }
    }
}
