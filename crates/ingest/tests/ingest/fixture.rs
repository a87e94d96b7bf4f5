//! Fixture: the ingest service over an embedded store with injected faults. Tests call it without a network, read the logs, and
//! apply them in place of a worker.

use portrait_ingest::{Config, IngestService};
use portrait_profile::{PartitionCount, PartitionId, Record, TimeDelta, Timestamp, UserId};
use portrait_proto::v1::ingest_service_client::IngestServiceClient;
use portrait_proto::v1::ingest_service_server::{IngestService as Handlers, IngestServiceServer};
use portrait_proto::v1::{Action, Event, TrackRequest};
use portrait_runtime::ManualClock;
use portrait_runtime::telemetry::Instruments;
use portrait_store::faulty::FaultyStore;
use portrait_store::{
    Commit, Counters, LeaseClaim, LogSeq, LogStore, Nonce, OwnerStore, ProfileClock, Store, StoreInfo,
};
use portrait_store_embedded::{Embedded, EmbeddedOptions};
use std::sync::Arc;
use std::time::Duration;

/// Start time of every test, 2026-01-01T00:00:00Z.
pub(super) const NEW_YEAR: i64 = 1_767_225_600_000;
/// Longest wait of a test for a condition.
pub(super) const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Ingest service with its store and clock.
pub(super) struct IngestFixture {
    pub(super) store: Arc<Embedded>,
    pub(super) faulty: Arc<FaultyStore>,
    pub(super) clock: ManualClock,
    pub(super) service: IngestService,
    _folder: tempfile::TempDir,
}

impl IngestFixture {
    pub(super) fn new(config: &Config) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = EmbeddedOptions {
            partitions: PartitionCount::new(4),
            reserve_bytes: 0,
            ..EmbeddedOptions::default()
        };
        let store = Arc::new(Embedded::open(folder.path(), options).expect("a new store"));
        let faulty = Arc::new(FaultyStore::of(Arc::clone(&store) as Arc<dyn Store>));
        let clock = ManualClock::new(NEW_YEAR);
        let service = IngestService::build(
            Arc::clone(&faulty) as Arc<dyn Store>,
            ProfileClock::Wall,
            Arc::new(clock.clone()),
            Instruments::disabled(),
            &config.validate(portrait_store::AckLevel::Disk).expect("a valid configuration"),
        );
        Self { store, faulty, clock, service, _folder: folder }
    }

    /// Returns a client without a network.
    pub(super) fn client(&self) -> IngestServiceClient<IngestServiceServer<impl Handlers + use<>>> {
        IngestServiceClient::new(self.service.grpc())
    }

    pub(super) fn partition(&self, user: &str) -> PartitionId {
        self.store.layout().partitions.partition_of(&UserId::parse(user).expect("an id"))
    }

    /// Returns every record of a partition's log.
    pub(super) async fn log(&self, partition: PartitionId) -> Vec<Record> {
        let page = self.store.read_log(partition, LogSeq::ZERO, 100_000, 64 << 20, Duration::ZERO).await;
        let records = page.expect("the log can be read").records;
        records.iter().map(|record| Record::decode(&record.value).expect("a record")).collect()
    }

    /// Returns every record of every log.
    pub(super) async fn logs(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for partition in self.store.layout().partitions.all() {
            records.extend(self.log(partition).await);
        }
        records
    }

    /// Advances `applied_through` to the end of a partition's log, which is all that ingest sees of a worker.
    pub(super) async fn apply(&self, partition: PartitionId) {
        let now = Timestamp::from_millis(NEW_YEAR);
        let claim = LeaseClaim::new(Nonce::new(1), "worker");
        let lease = self.store.acquire(partition, &claim, TimeDelta::from_hours(1), now).await;
        let token = lease.expect("the store answers").token().expect("no other owner");
        let meta = self.store.meta(partition).await.expect("the store answers");
        let commit = Commit {
            token,
            expected: meta.commit_no,
            applied_through: meta.log_end,
            clock: now,
            at: now,
            profiles: Vec::new(),
            tombstones: Vec::new(),
            seen: Vec::new(),
            changes: Vec::new(),
            dead_letters: Vec::new(),
            counted: Counters::default(),
            note: None,
        };
        self.store.commit(partition, commit).await.expect("the only owner");
    }
}

/// Returns a view at the start time.
pub(super) fn view(user: &str, event_id: &str) -> Event {
    Event {
        event_id: event_id.to_owned(),
        user_id: user.to_owned(),
        action: Action::View.into(),
        occurred_at: new_year(),
        ..Default::default()
    }
}

/// Returns `count` views of one user with ids from `first`.
pub(super) fn views(user: &str, first: usize, count: usize) -> Vec<Event> {
    (first..first + count).map(|number| view(user, &format!("e{number}"))).collect()
}

pub(super) fn track(events: Vec<Event>) -> TrackRequest {
    TrackRequest { events, backfill: false }
}

pub(super) fn new_year() -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: NEW_YEAR / 1000, nanos: 0 })
}
