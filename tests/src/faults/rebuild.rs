//! Reference rebuild of all profiles from the log alone: applies the records in order, the first of each id, and erases a user at the
//! log position of the erasure from all profiles at once. Lists the stored profiles that differ. Requires an untrimmed log; involves no
//! cache, commit, owner or sweep.

use portrait_profile::{
    Body, PartitionId, Profile, ProfileVersion, Pseudonym, PseudonymKey, Record, SeenId, Timestamp, UserId,
};
use portrait_store::{LogSeq, ProfileKey, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Records or profiles per page.
const PAGE: usize = 500;

/// Returns the users whose stored profile differs from the rebuilt one, and the number of rebuilt profiles.
///
/// # Panics
/// If the store fails, or a stored profile cannot be decoded.
pub async fn differing_from_log(store: &dyn Store) -> (Vec<String>, usize) {
    let mut differing = Vec::new();
    let mut count = 0;
    for partition in store.layout().partitions.all() {
        let rebuilt = rebuilt(store, partition).await;
        count += rebuilt.len();
        differing.extend(not_in_log(store, partition, &rebuilt).await);
        let users: Vec<UserId> = rebuilt.keys().cloned().collect();
        for page in users.chunks(PAGE) {
            let keys: Vec<ProfileKey> = page.iter().map(ProfileKey::of).collect();
            let stored = store.profiles(partition, &keys).await.expect("profiles are readable");
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

/// Users with a stored profile that the log does not produce.
async fn not_in_log(
    store: &dyn Store,
    partition: PartitionId,
    rebuilt: &BTreeMap<UserId, Profile>,
) -> Vec<String> {
    let mut unexpected = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.scan(partition, cursor, PAGE).await.expect("profiles are readable");
        let profiles = page.profiles.iter().map(|(_, bytes)| Profile::decode(bytes).expect("a profile"));
        let not_rebuilt = |profile: &Profile| !rebuilt.contains_key(profile.user_id());
        unexpected.extend(profiles.filter(not_rebuilt).map(|profile| profile.user_id().to_string()));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return unexpected,
        }
    }
}

/// True if the profiles are equal apart from the number of commits.
fn equal(mut rebuilt: Profile, stored: &Profile) -> bool {
    let version: ProfileVersion = rebuilt.version();
    (version.get()..stored.version().get()).for_each(|_| rebuilt.advance_version());
    rebuilt == *stored
}

async fn rebuilt(store: &dyn Store, partition: PartitionId) -> BTreeMap<UserId, Profile> {
    let mut rebuild = ReferenceRebuild { key: store.layout().pseudonym_key, ..ReferenceRebuild::default() };
    let mut after = LogSeq::ZERO;
    loop {
        let page = store.read_log(partition, after, PAGE, 1 << 20, Duration::ZERO).await;
        let records = page.expect("the log is readable").records;
        let Some(last) = records.last() else { return rebuild.profiles };
        after = last.seq;
        // The worker moves undecodable records to the dead letters too.
        records
            .iter()
            .filter_map(|logged| Record::decode(&logged.value).ok())
            .for_each(|record| rebuild.handle(&record));
    }
}

/// Profiles of a partition, rebuilt from its log.
struct ReferenceRebuild {
    key: PseudonymKey,
    profiles: BTreeMap<UserId, Profile>,
    seen: BTreeSet<(Option<Pseudonym>, u64)>,
    /// Erasures by user: the user's own events and the edges to the user are dropped up to these two times.
    erased: BTreeMap<Pseudonym, (Timestamp, Timestamp)>,
    /// Newest applied event time.
    newest: Timestamp,
}

impl Default for ReferenceRebuild {
    fn default() -> Self {
        Self {
            key: PseudonymKey::new(0),
            profiles: BTreeMap::new(),
            seen: BTreeSet::new(),
            erased: BTreeMap::new(),
            newest: Timestamp::EPOCH,
        }
    }
}

impl ReferenceRebuild {
    fn handle(&mut self, record: &Record) {
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
            profile.remove_edges(gone);
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
