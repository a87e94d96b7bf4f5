//! Test fixture: an embedded store, the query service over it, and commits as a feature worker makes them. Clients
//! call the service without a network.

use bytes::Bytes;
use portrait_learning::ServedModel;
use portrait_profile::{
    Action, Body, Event, ModelVersion, PartitionCount, PartitionId, PartitionLedger, Profile, ProfileChange,
    PseudonymKey, Record, RecordId, SegmentId, SegmentMembership, TimeDelta, Timestamp, UserId,
};
use portrait_proto::token::{ConsistencyToken, TokenEntry};
use portrait_proto::v1::query_service_client::QueryServiceClient;
use portrait_proto::v1::query_service_server::{QueryService as Handlers, QueryServiceServer};
use portrait_query::{Config, QueryService};
use portrait_runtime::ManualClock;
use portrait_runtime::telemetry::Instruments;
use portrait_store::faulty::FaultyStore;
use portrait_store::{
    AckLevel, Commit, CommitNo, Counters, LeaseClaim, LeaseToken, LogSeq, LogStore, Nonce, OwnerStore,
    ProfileClock, ProfileKey, ProfileStore, Store, StoreInfo, Trim,
};
use portrait_store_embedded::{Embedded, EmbeddedOptions};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// 2026-01-01T00:00:00Z, the start time of every test.
pub(super) const NEW_YEAR: i64 = 1_767_225_600_000;
/// Time limit of a wait in a test.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const PARTITIONS: u16 = 4;

/// Query service over an embedded store.
pub(super) struct QueryFixture {
    pub(super) store: Arc<Embedded>,
    pub(super) faulty: Arc<FaultyStore>,
    pub(super) clock: ManualClock,
    pub(super) service: QueryService,
    pub(super) shutdown: CancellationToken,
    /// Active model of the service.
    pub(super) model: watch::Sender<ServedModel>,
    leases: BTreeMap<PartitionId, (LeaseToken, CommitNo, LogSeq)>,
    versions: BTreeMap<String, u64>,
    ledgers: BTreeMap<PartitionId, PartitionLedger>,
    events: u64,
    _folder: tempfile::TempDir,
}

/// Commit under construction for one partition.
#[derive(Default)]
struct Draft {
    profiles: Vec<(ProfileKey, Option<Bytes>)>,
    changes: Vec<Bytes>,
    applied_through: Option<LogSeq>,
    newest: Timestamp,
    note: Option<Bytes>,
}

pub(super) fn user_id(text: &str) -> UserId {
    UserId::parse(text).expect("an id")
}

/// Configuration of the tests, with short intervals.
pub(super) fn config() -> Config {
    Config {
        progress_interval: "20ms".parse().expect("an interval"),
        tail_wait: "20ms".parse().expect("an interval"),
        ..Config::default()
    }
}

impl QueryFixture {
    /// Returns the key that seals the tokens of the store.
    pub(super) fn key(&self) -> PseudonymKey {
        self.store.layout().pseudonym_key
    }

    /// Opens a store and builds the service, without running it.
    pub(super) async fn open(config: Config, profile_clock: ProfileClock) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let partitions = PartitionCount::new(PARTITIONS);
        let options = EmbeddedOptions { partitions, reserve_bytes: 0, ..EmbeddedOptions::default() };
        let store = Arc::new(Embedded::open(folder.path(), options).expect("a new store"));
        let clock = ManualClock::new(NEW_YEAR);
        let faulty = Arc::new(FaultyStore::of(Arc::clone(&store) as Arc<dyn Store>));
        let model = watch::Sender::new(None);
        let service = QueryService::build(
            Arc::clone(&faulty) as Arc<dyn Store>,
            profile_clock,
            Arc::new(clock.clone()),
            Instruments::disabled(),
            model.subscribe(),
            config.validate().expect("settings that make sense"),
        );
        let mut leases = BTreeMap::new();
        for partition in store.layout().partitions.all() {
            let claim = LeaseClaim::new(Nonce::new(1), "worker");
            let lease = store.acquire(partition, &claim, TimeDelta::from_days(1), Timestamp::EPOCH).await;
            let token = lease.expect("the store is there").token().expect("no other owner");
            leases.insert(partition, (token, CommitNo::ZERO, LogSeq::ZERO));
        }
        let shutdown = CancellationToken::new();
        Self {
            store,
            faulty,
            clock,
            service,
            shutdown,
            model,
            leases,
            versions: BTreeMap::new(),
            ledgers: BTreeMap::new(),
            events: 0,
            _folder: folder,
        }
    }

    /// Opens and runs the service with the default test configuration.
    pub(super) async fn running() -> Self {
        Self::running_with(config()).await
    }

    /// Opens and runs the service with another configuration.
    pub(super) async fn running_with(config: Config) -> Self {
        let fixture = Self::open(config, ProfileClock::Wall).await;
        // The service runs as long as the fixture; only the drain test waits for it.
        drop(fixture.run());
        fixture
    }

    pub(super) fn run(&self) -> JoinHandle<()> {
        self.service.run(&self.shutdown)
    }

    /// Returns a client that calls the service in process.
    pub(super) fn client(&self) -> QueryServiceClient<QueryServiceServer<impl Handlers + use<>>> {
        QueryServiceClient::new(self.service.grpc())
    }

    pub(super) fn partition(&self, user: &str) -> PartitionId {
        self.store.layout().partitions.partition_of(&user_id(user))
    }

    /// Returns the first `count` of `u0`, `u1`, ... that belong to `partition`.
    pub(super) fn users_of(&self, partition: u16, count: usize) -> Vec<String> {
        let users = (0..).map(|number| format!("u{number}"));
        users.filter(|user| self.partition(user).get() == partition).take(count).collect()
    }

    /// Appends a purchase to the log and returns it with a token that covers it.
    pub(super) async fn log_purchase(&mut self, user: &str, at: i64) -> (Record, ConsistencyToken) {
        self.events += 1;
        let record = Record {
            user_id: user_id(user),
            record_id: RecordId::parse(&format!("event-{}", self.events)).ok(),
            occurred_at: Timestamp::from_millis(at),
            accepted_at: Timestamp::from_millis(at),
            trace: None,
            source: None,
            body: Body::Event(Event {
                action: Action::Purchase,
                utc_offset_minutes: 0,
                item_id: None,
                category: None,
                brand: None,
                price: Some(10.0),
                quantity: 1.0,
                order_id: None,
                order_line: 0,
                strength: None,
                context: None,
            }),
        };
        let partition = self.partition(user);
        let value = Bytes::from(record.encode());
        let appended = self.store.append(partition, vec![value], record.accepted_at, AckLevel::Memory).await;
        let position = appended.expect("the log takes it").last;
        let entry = TokenEntry {
            partition: partition.get(),
            generation: position.generation.nonce().get(),
            seq: position.seq.get(),
        };
        (record, ConsistencyToken { entries: vec![entry] })
    }

    /// Applies a logged record to its profile and commits it.
    pub(super) async fn apply(&mut self, record: &Record, covered: &ConsistencyToken) {
        let user = record.user_id.as_str().to_owned();
        let mut profile = self.profile(&user).await;
        profile.apply(record);
        let mut draft = Draft { newest: record.occurred_at, ..Draft::default() };
        draft.applied_through = covered.entries.first().map(|entry| LogSeq::new(entry.seq));
        self.put(&mut draft, profile, record.accepted_at);
        self.commit(self.partition(&user), draft).await;
    }

    /// Logs and applies a purchase.
    pub(super) async fn buy(&mut self, user: &str, at: i64) {
        let (record, covered) = self.log_purchase(user, at).await;
        self.apply(&record, &covered).await;
    }

    /// Commits a new version of each user's profile, in one commit per partition.
    pub(super) async fn touch(&mut self, users: &[String]) {
        let mut drafts: BTreeMap<PartitionId, Draft> = BTreeMap::new();
        for user in users {
            let profile = self.profile(user).await;
            let draft = drafts.entry(self.partition(user)).or_default();
            self.put(draft, profile, Timestamp::from_millis(NEW_YEAR));
        }
        for (partition, draft) in drafts {
            self.commit(partition, draft).await;
        }
    }

    /// Assigns a user to a segment and counts it in the ledger, as a worker with a model does.
    pub(super) async fn move_to(&mut self, user: &str, segment: u32) {
        let partition = self.partition(user);
        let mut profile = self.profile(user).await;
        let before = profile.segment().map(|held| held.segment_id);
        profile.set_segment(Some(SegmentMembership {
            segment_id: SegmentId::new(segment),
            distance: 1.5,
            model_version: ModelVersion::FIRST,
            since: Timestamp::from_millis(NEW_YEAR),
        }));
        self.advance(&mut profile);
        let ledger = self.ledgers.entry(partition).or_default();
        ledger.record_move(before, Some(SegmentId::new(segment)));
        let mut draft = Draft { note: Some(ledger.encode().into()), ..Draft::default() };
        draft.profiles.push((ProfileKey::of(profile.user_id()), Some(Bytes::from(profile.encode()))));
        draft.changes.push(change(&profile, before, false, Timestamp::from_millis(NEW_YEAR)));
        self.commit(partition, draft).await;
    }

    /// Deletes the profile of a user.
    pub(super) async fn delete(&mut self, user: &str) {
        let mut profile = self.profile(user).await;
        self.advance(&mut profile);
        let mut draft = Draft::default();
        draft.profiles.push((ProfileKey::of(profile.user_id()), None));
        draft.changes.push(change(&profile, None, true, Timestamp::from_millis(NEW_YEAR)));
        self.commit(self.partition(user), draft).await;
    }

    /// Trims every change of the feeds that can be trimmed (whole blocks; here all of them).
    pub(super) async fn trim_feeds(&self) {
        let far_future = Timestamp::from_millis(i64::MAX);
        let trim = Trim {
            now: Timestamp::EPOCH,
            log_before: Timestamp::EPOCH,
            log_bytes_max: None,
            feed_before: far_future,
        };
        for partition in self.store.layout().partitions.all() {
            while self.store.trim(partition, trim).await.expect("the store is there").changes > 0 {}
        }
    }

    /// Commits bytes to a feed that are no valid change.
    pub(super) async fn damage_feed(&mut self, partition: PartitionId) {
        let draft = Draft { changes: vec![Bytes::from_static(b"\x01no change")], ..Draft::default() };
        self.commit(partition, draft).await;
    }

    /// Returns the stored version of every user's profile.
    pub(super) async fn stored_versions(&self) -> BTreeMap<String, u64> {
        let mut versions = BTreeMap::new();
        for partition in self.store.layout().partitions.all() {
            let mut cursor = None;
            loop {
                let page = self.store.scan(partition, cursor, 100).await.expect("the store is there");
                for (_, value) in page.profiles {
                    let profile = Profile::decode(&value).expect("what was encoded");
                    versions.insert(profile.user_id().to_string(), profile.version().get());
                }
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        versions
    }

    async fn profile(&self, user: &str) -> Profile {
        let key = ProfileKey::of(&user_id(user));
        let stored = self.store.profiles(self.partition(user), &[key]).await.expect("the store is there");
        let stored = stored.into_iter().next().flatten();
        stored
            .map_or_else(|| Profile::new(user_id(user)), |bytes| Profile::decode(&bytes).expect("a profile"))
    }

    fn put(&mut self, draft: &mut Draft, mut profile: Profile, accepted_at: Timestamp) {
        self.advance(&mut profile);
        draft.profiles.push((ProfileKey::of(profile.user_id()), Some(Bytes::from(profile.encode()))));
        draft.changes.push(change(
            &profile,
            profile.segment().map(|held| held.segment_id),
            false,
            accepted_at,
        ));
    }

    /// A version never restarts, not even when a profile is deleted and created again.
    fn advance(&mut self, profile: &mut Profile) {
        let version = self.versions.entry(profile.user_id().to_string()).or_default();
        *version += 1;
        while profile.version().get() < *version {
            profile.advance_version();
        }
    }

    async fn commit(&mut self, partition: PartitionId, draft: Draft) {
        let (token, commit_no, applied) = self.leases[&partition];
        let applied_through = draft.applied_through.unwrap_or(applied).max(applied);
        let commit = Commit {
            token,
            expected: commit_no,
            applied_through,
            clock: draft.newest,
            at: Timestamp::from_millis(NEW_YEAR),
            profiles: draft.profiles,
            tombstones: Vec::new(),
            seen: Vec::new(),
            changes: draft.changes,
            dead_letters: Vec::new(),
            counted: Counters::default(),
            note: draft.note,
        };
        let committed = self.store.commit(partition, commit).await.expect("the only owner");
        self.leases.insert(partition, (token, committed.commit_no, applied_through));
    }
}

fn change(
    profile: &Profile,
    segment_before: Option<SegmentId>,
    deleted: bool,
    accepted_at: Timestamp,
) -> Bytes {
    let change = ProfileChange {
        user_id: profile.user_id().clone(),
        version: profile.version(),
        deleted,
        accepted_at,
        segment_before,
        segment_after: profile.segment().map(|held| held.segment_id),
        trace: None,
    };
    Bytes::from(change.encode())
}

/// Returns the purchases of a profile with a half-life of 7 days.
pub(super) fn purchases_of_the_week(profile: &portrait_proto::v1::Profile) -> f64 {
    let behavior = profile.behavior.as_ref().expect("a profile has behaviour");
    let purchase = portrait_proto::action::to_wire(&Action::Purchase).0;
    let counts = behavior.actions.iter().find(|count| count.action == i32::from(purchase));
    counts.and_then(|count| count.decayed).map_or(0.0, |decayed| decayed.week)
}
