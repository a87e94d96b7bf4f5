//! Everybody's profile once more, from the log alone: each record applied in order, the first of those with one id; who is erased is
//! forgotten where the log says so, and by everybody at once. In comes a store whose log is whole, out goes who has another profile
//! than that. No cache, no commit, no owner, no sweep is between.

use portrait_profile::{
    Body, PartitionId, Profile, ProfileVersion, Pseudonym, PseudonymKey, Record, SeenId, Timestamp, UserId,
};
use portrait_store::{LogSeq, ProfileKey, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How many records, or profiles, are read at once.
const PAGE: usize = 500;

/// Shoppers whose profile is not what the log gives, and how many there are in all.
///
/// # Panics
/// If the store does not answer, or what it holds cannot be read.
pub async fn differing_from_log(store: &dyn Store) -> (Vec<String>, usize) {
    let (mut differing, mut count) = (Vec::new(), 0);
    for partition in store.layout().partitions.all() {
        let rebuilt = rebuilt(store, partition).await;
        count += rebuilt.len();
        differing.extend(not_in_log(store, partition, &rebuilt).await);
        let users: Vec<UserId> = rebuilt.keys().cloned().collect();
        for page in users.chunks(PAGE) {
            let keys: Vec<ProfileKey> = page.iter().map(ProfileKey::of).collect();
            let stored = store.profiles(partition, &keys).await.expect("profiles can be read");
            for (user, bytes) in page.iter().zip(stored) {
                let stored = bytes.map(|bytes| Profile::decode(&bytes).expect("a profile"));
                if !stored.is_some_and(|stored| equal(rebuilt[user].clone(), &stored)) {
                    differing.push(user.as_str().to_owned());
                }
            }
        }
    }
    (differing, count)
}

/// Who has a profile that the log does not give.
async fn not_in_log(
    store: &dyn Store,
    partition: PartitionId,
    rebuilt: &BTreeMap<UserId, Profile>,
) -> Vec<String> {
    let (mut strangers, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.scan(partition, cursor, PAGE).await.expect("profiles can be read");
        let profiles = page.profiles.iter().map(|(_, bytes)| Profile::decode(bytes).expect("a profile"));
        let stranger = |profile: &Profile| !rebuilt.contains_key(profile.user_id());
        strangers.extend(profiles.filter(stranger).map(|profile| profile.user_id().to_string()));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return strangers,
        }
    }
}

/// Whether they are the same but for how often they were committed.
fn equal(mut rebuilt: Profile, stored: &Profile) -> bool {
    let begun: ProfileVersion = rebuilt.version();
    (begun.get()..stored.version().get()).for_each(|_| rebuilt.advance_version());
    rebuilt == *stored
}

async fn rebuilt(store: &dyn Store, partition: PartitionId) -> BTreeMap<UserId, Profile> {
    let mut rebuild = ReferenceRebuild { key: store.layout().pseudonym_key, ..ReferenceRebuild::default() };
    let mut after = LogSeq::ZERO;
    loop {
        let page = store.read_log(partition, after, PAGE, 1 << 20, Duration::ZERO).await;
        let records = page.expect("the log can be read").records;
        let Some(last) = records.last() else { return rebuild.profiles };
        after = last.seq;
        // What nobody can read is set aside by the worker too.
        records
            .iter()
            .filter_map(|logged| Record::decode(&logged.value).ok())
            .for_each(|record| rebuild.take(&record));
    }
}

/// The profiles of a partition as its log makes them.
struct ReferenceRebuild {
    key: PseudonymKey,
    profiles: BTreeMap<UserId, Profile>,
    seen: BTreeSet<(Option<Pseudonym>, u64)>,
    /// Who was erased: what the shopper did, and what edges were stated, until when is forgotten.
    erased: BTreeMap<Pseudonym, (Timestamp, Timestamp)>,
    /// The newest that was applied.
    newest: Timestamp,
}

impl Default for ReferenceRebuild {
    fn default() -> Self {
        let (profiles, seen, erased) = Default::default();
        Self { key: PseudonymKey::new(0), profiles, seen, erased, newest: Timestamp::EPOCH }
    }
}

impl ReferenceRebuild {
    fn take(&mut self, record: &Record) {
        let id = record.record_id.as_ref().map(|id| SeenId::of(&record.user_id, id).get());
        let erasure = match record.body {
            Body::Erase(pseudonym) | Body::Forget(pseudonym) => Some(pseudonym),
            Body::Event(_) | Body::Traits(_) | Body::Relation(_) | Body::Outcome(_) => None,
        };
        if id.is_some_and(|id| self.seen.contains(&(erasure, id))) {
            return;
        }
        let until = self.erased.get(&self.key.of(&record.user_id)).map_or(Timestamp::EPOCH, |until| until.0);
        if erasure.is_none() && record.occurred_at <= until {
            return;
        }
        self.seen.extend(id.map(|id| (erasure, id)));
        match erasure {
            Some(pseudonym) => self.erase(record, pseudonym),
            None => self.apply(record),
        }
    }

    fn erase(&mut self, record: &Record, pseudonym: Pseudonym) {
        let profile = self.profiles.remove(&record.user_id);
        let newest = profile.and_then(|profile| profile.newest_event_at()).unwrap_or(Timestamp::EPOCH);
        let until = self.erased.entry(pseudonym).or_default();
        until.0 = until.0.max(record.occurred_at).max(newest);
        until.1 = until.1.max(record.occurred_at).max(self.newest);
        let gone = |other: &UserId, at: Timestamp| self.key.of(other) == pseudonym && at <= until.1;
        for profile in self.profiles.values_mut() {
            profile.forget_edges(gone);
        }
    }

    fn apply(&mut self, record: &Record) {
        let user = record.user_id.clone();
        let profile = self.profiles.entry(user.clone()).or_insert_with(|| Profile::new(user));
        let gone = match &record.body {
            Body::Relation(relation) => {
                let until = self.erased.get(&self.key.of(&relation.other_user_id));
                until.is_some_and(|until| record.occurred_at <= until.1)
            }
            Body::Event(_) | Body::Traits(_) | Body::Outcome(_) | Body::Erase(_) | Body::Forget(_) => false,
        };
        if gone {
            profile.count(record);
        } else {
            profile.apply(record);
        }
        self.newest = self.newest.max(record.occurred_at);
    }
}
