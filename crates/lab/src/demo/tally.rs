//! What was sent, counted without the server: for each shopper how many records, and the fingerprint they must give. Held
//! against the profiles at the end, it shows that nothing was lost and nothing counted twice.

use portrait_proto::v1::Profile;
use std::collections::BTreeMap;
use xxhash_rust::xxh64::xxh64;

/// What was sent, by shopper.
#[derive(Debug, Default)]
pub(super) struct Tally {
    shoppers: BTreeMap<String, Sent>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sent {
    records: u64,
    fingerprint: u64,
}

impl Tally {
    /// Notes a record with an id that was not sent before.
    pub(super) fn note(&mut self, user_id: &str, record_id: &str) {
        if !self.shoppers.contains_key(user_id) {
            self.shoppers.insert(user_id.to_owned(), Sent::default());
        }
        if let Some(sent) = self.shoppers.get_mut(user_id) {
            sent.records += 1;
            sent.fingerprint = sent.fingerprint.wrapping_add(xxh64(record_id.as_bytes(), 0));
        }
    }

    /// Every shopper that something was sent of.
    pub(super) fn user_ids(&self) -> impl Iterator<Item = &String> {
        self.shoppers.keys()
    }

    /// How many shoppers there are.
    pub(super) fn shoppers(&self) -> usize {
        self.shoppers.len()
    }

    /// How many of the profiles hold exactly what was sent of their shopper.
    pub(super) fn exact(&self, profiles: &[Profile]) -> usize {
        let exact = |profile: &&Profile| {
            let sent = Sent { records: profile.applied_events, fingerprint: profile.fingerprint };
            self.shoppers.get(&profile.user_id) == Some(&sent)
        };
        profiles.iter().filter(exact).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_record_too_many_too_few_or_another_is_found() {
        let mut tally = Tally::default();
        tally.note("lena", "e1");
        tally.note("lena", "e2");
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
            assert_eq!(tally.exact(&[profile]), exact, "{user_id} {applied_events} {fingerprint}");
        }
    }
}
