//! Everybody's profile once more, from the log alone: each record applied in order, the first of those with one id, nothing else. In
//! comes a store whose log is whole, out goes who has another profile than that. No cache, no commit, no owner is between.

use portrait_profile::{PartitionId, Profile, ProfileVersion, Record, SeenId, UserId};
use portrait_store::{LogSeq, ProfileKey, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How many records, or profiles, are read at once.
const PAGE: usize = 500;

/// Shoppers whose profile is not what the log gives, and how many there are in all.
///
/// # Panics
/// If the store does not answer, or what it holds cannot be read.
pub(super) async fn differing_from_log(store: &dyn Store) -> (Vec<String>, usize) {
    let (mut differing, mut count) = (Vec::new(), 0);
    for partition in store.layout().partitions.all() {
        let rebuilt = rebuilt(store, partition).await;
        count += rebuilt.len();
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

/// Whether they are the same but for how often they were committed.
fn equal(mut rebuilt: Profile, stored: &Profile) -> bool {
    let begun: ProfileVersion = rebuilt.version();
    (begun.get()..stored.version().get()).for_each(|_| rebuilt.advance_version());
    rebuilt == *stored
}

async fn rebuilt(store: &dyn Store, partition: PartitionId) -> BTreeMap<UserId, Profile> {
    let (mut profiles, mut seen, mut after) = (BTreeMap::new(), BTreeSet::new(), LogSeq::ZERO);
    loop {
        let page = store.read_log(partition, after, PAGE, 1 << 20, Duration::ZERO).await;
        let records = page.expect("the log can be read").records;
        let Some(last) = records.last() else { return profiles };
        after = last.seq;
        // What nobody can read is set aside by the worker too.
        for record in records.iter().filter_map(|logged| Record::decode(&logged.value).ok()) {
            let id = record.record_id.as_ref().map(|id| SeenId::of(&record.user_id, id).get());
            if id.is_none_or(|id| seen.insert(id)) {
                let user = record.user_id.clone();
                let profile = profiles.entry(user.clone()).or_insert_with(|| Profile::new(user));
                profile.apply(&record);
            }
        }
    }
}
